/** What must not stand still for good: each test is a way in which a consumer once did. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OttlaError } from '../../src/errors.ts'
import { Bench, still, turn, until, values } from './kit.ts'

test('a member without partitions joins again after its session is over', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  const holder = bench.consumer({ topics: ['orders'] })
  void holder.run(() => undefined)
  await until(() => holder.assignment().length === 1, 'the first member')
  const seen: number[] = []
  const spare = bench.consumer(
    { topics: ['orders'], sessionTimeoutMs: 200, heartbeatIntervalMs: 20 },
    { clientId: 'spare' },
  )
  const joins = bench.broker.faults.on({ api: 'SyncGroup', clientId: 'spare' }, { delayMs: 0 })
  void spare.run(({ offset }) => void seen.push(offset))
  await until(() => joins.hits > 0, 'the spare one')
  const silence = bench.broker.faults.on({ api: 'Heartbeat', clientId: 'spare' }, 'swallow')
  await turn(400)
  silence.remove()
  await holder.stop()
  await bench.append('orders', 0, values(1))
  await until(() => seen.length === 1, 'the spare one takes over', 5000)
})

test('what waits for room is asked again, though another broker has found some meanwhile', async () => {
  const one = { partitions: 1, replicas: 1 }
  await using bench = await Bench.open({ brokers: 3, topics: { a: one, b: one, c: one } })
  const held = Promise.withResolvers<void>()
  const seen: string[] = []
  const consumer = bench.consumer({ topics: ['a', 'b', 'c'], prefetchBytes: 256 * 1024, fetchMaxWaitMs: 50 })
  void consumer.run(({ topic, offset }) => {
    seen.push(`${topic}${offset}`)
    return topic === 'c' && offset === 0 ? held.promise : undefined
  })
  for (const topic of ['a', 'b']) await bench.append(topic, 0, values(1))
  await until(() => seen.length === 2, 'the small ones')
  await bench.append('c', 0, [{ value: Buffer.alloc(180_000) }])
  await until(() => seen.length === 3, 'the large one')
  // Long polls of the others end: for one of them there is no room.
  await turn(200)
  held.resolve()
  for (const topic of ['a', 'b', 'c']) await bench.append(topic, 0, values(1))
  await until(() => seen.length === 6, 'the next of each', 5000)
})

test('iteration: a batch that cannot be read ends the consumer, not only the loop', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, [{ value: 'x'.repeat(5000) }], { compression: 'gzip' })
  const consumer = bench.consumer({ topics: ['orders'], maxDecompressedBytes: 100 })
  await assert.rejects(
    async () => {
      for await (const record of consumer) assert.fail(`offset ${record.offset}`)
    },
    (error: OttlaError) => error.code === 'DECOMPRESSED_TOO_LARGE',
  )
  assert.equal(consumer.state, 'failed')
  assert.deepEqual((await consumer.stop()).unfinished, [])
})

test('damage that passes is read again, whatever else has failed before', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(30))
  const errors = bench.broker.faults.on({ api: 'Fetch', times: 2 }, { error: 'UNKNOWN_SERVER_ERROR' })
  const damage = bench.broker.faults.on(
    { api: 'Fetch', times: 1, where: () => errors.hits === 2 },
    { flipByteAt: -60 },
  )
  let count = 0
  const consumer = bench.consumer({ topics: ['orders'] })
  const running = consumer.run(() => void count++)
  await Promise.race([running, until(() => count === 30, 'all records')])
  assert.deepEqual([errors.hits, damage.hits], [2, 1])
  await consumer.stop()
  await running
})

test('a follower that fails is not asked again and again without a pause', async () => {
  await using bench = await Bench.open({
    brokers: 2,
    racks: ['near', 'far'],
    topics: { orders: { partitions: 1, replicas: 2 } },
    configs: {
      'group.initial.rebalance.delay.ms': 0,
      'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
    },
  })
  await bench.append('orders', 0, values(1))
  const follower = 3 - bench.broker.leaderOf('orders', 0)
  const fault = bench.broker.faults.on(
    { api: 'Fetch', node: follower, where: ({ replicaId = -1 }) => (replicaId as number) < 0 },
    { error: 'UNKNOWN_SERVER_ERROR' },
  )
  let count = 0
  const consumer = bench.consumer({ topics: ['orders'] }, { rack: follower === 1 ? 'near' : 'far' })
  void consumer.run(() => void count++)
  await until(() => fault.hits > 1, 'the follower is asked')
  await turn(500)
  assert.ok(fault.hits < 60, `asked ${fault.hits} times`)
  fault.remove()
  await until(() => count === 1, 'the record')
})

test('a leader that names a follower which the metadata do not know is not asked again without a pause', async () => {
  const { clock, bench, member } = await still(undefined, {
    brokers: 2,
    racks: ['far', 'near'],
    topics: { orders: { partitions: 1, replicas: 2 } },
    configs: { 'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector' },
  })
  await using _ = bench
  bench.broker.moveLeader('orders', 0, 1)
  await bench.broker.stopNode(2)
  const consumer = member({ topics: ['orders'] }, { clientId: 'watched', rack: 'near' })
  const running = consumer.run(() => undefined)
  await clock.until(() => consumer.lag({ topic: 'orders', partition: 0 }) === 0)
  const looking = bench.broker.faults.on({ api: 'Metadata', clientId: 'watched' }, { delayMs: 1_000 })
  let asked = 0
  // Asked without a pause it would go on for ever.
  const tooOften = () => looking.hits > 0 && ++asked > 80
  const silence = bench.broker.faults.on(
    { api: 'Fetch', clientId: 'watched', node: 1, where: tooOften },
    'swallow',
  )
  await bench.broker.startNode(2)
  await clock.until(() => looking.hits > 0)
  await clock.advance(900)
  assert.ok(asked > 1 && silence.hits === 0, `asked ${asked} times`)
  looking.remove()
  await clock.during(consumer.stop())
  await running
})

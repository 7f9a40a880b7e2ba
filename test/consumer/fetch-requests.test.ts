/** What a consumer asks brokers for, as they see it: what is in a Fetch, how often it comes, and where it goes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConsumerRecord } from '../../src/consumer/consumer.ts'
import { Bench, still, turn, until, values } from './kit.ts'

interface FetchRequest {
  readonly sessionId: number
  readonly sessionEpoch: number
  readonly isolationLevel: number
  readonly topics: readonly { readonly partitions: readonly { readonly partition: number }[] }[]
}

/** Notes each request of the API that clients send. */
function spy<R>(bench: Bench, api: string): R[] {
  const requests: R[] = []
  const where = (request: Readonly<Record<string, unknown>>) => {
    if (((request['replicaId'] as number | undefined) ?? -1) < 0) requests.push(request as R)
    return false
  }
  bench.broker.faults.on({ api, where }, 'close')
  return requests
}

const named = ({ topics }: FetchRequest) =>
  topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition)).sort()

for (const [isolation, level] of [
  ['read_committed', 1],
  ['read_uncommitted', 0],
] as const) {
  test(`${isolation} is asked for in every Fetch and ListOffsets, and stable offsets in any case`, async () => {
    await using bench = await Bench.open({ topics: { orders: 1 } })
    await bench.fill('orders', 1, 3)
    const fetches = spy<FetchRequest>(bench, 'Fetch')
    const lists = spy<{ isolationLevel: number }>(bench, 'ListOffsets')
    const offsets = spy<{ requireStable: boolean }>(bench, 'OffsetFetch')
    const consumer = bench.consumer({ topics: ['orders'], isolation, fetchMaxWaitMs: 10 })
    const running = consumer.run(() => undefined)
    await until(() => fetches.length > 2, 'requests')
    await consumer.stop()
    await running
    assert.deepEqual([...new Set(fetches.map(({ isolationLevel }) => isolationLevel))], [level])
    assert.deepEqual(
      lists.map(({ isolationLevel }) => isolationLevel),
      [level],
    )
    assert.deepEqual(
      offsets.map(({ requireStable }) => requireStable),
      [true],
    )
  })
}

test('a consumer with nothing to read asks once per fetchMaxWaitMs', async () => {
  const { clock, bench, member } = await still(undefined, { topics: { orders: 2 } })
  await using _ = bench
  const consumer = member({ topics: ['orders'], fetchMaxWaitMs: 500 })
  const running = consumer.run(() => undefined)
  await clock.until(() => consumer.lag({ topic: 'orders', partition: 1 }) === 0)
  const fetches = spy<FetchRequest>(bench, 'Fetch')
  await clock.advance(10_000)
  assert.ok(fetches.length >= 19 && fetches.length <= 21, `${fetches.length} requests in 10 s`)
  await clock.during(consumer.stop())
  await running
})

test('records that come to a consumer that waits are answered at once', async () => {
  const { clock, bench, member } = await still(undefined, { topics: { orders: 1 } })
  await using _ = bench
  const consumer = member({ topics: ['orders'], fetchMaxWaitMs: 30_000 })
  const seen: number[] = []
  const running = consumer.run(({ offset }) => void seen.push(offset))
  await clock.until(() => consumer.assignment().length === 1)
  await clock.advance(2000)
  const began = clock.monotonic()
  await bench.append('orders', 0, values(1))
  await clock.until(() => seen.length === 1)
  assert.equal(clock.monotonic(), began)
  await clock.during(consumer.stop())
  await running
})

test('an answer that names the new leader and where it is needs no metadata', async () => {
  await using bench = await Bench.open({ brokers: 3, topics: { orders: 1 } })
  await bench.broker.stopNode(3)
  await bench.append('orders', 0, values(1))
  const seen: number[] = []
  const consumer = bench.consumer({ topics: ['orders'] }, { clientId: 'watched' })
  const running = consumer.run(({ offset }) => void seen.push(offset))
  await until(() => seen.length === 1, 'the first record')
  // From here on the consumer has only what Fetch tells it; it has never heard of this node.
  bench.broker.faults.on({ api: 'Metadata', clientId: 'watched' }, 'swallow')
  await bench.broker.startNode(3)
  await until(async () => {
    await bench.cluster.refresh({ topics: ['orders'], force: true })
    return bench.cluster.topic('orders')?.partitions[0]?.isr.includes(3) === true
  }, 'the node is in sync')
  bench.broker.moveLeader('orders', 0, 3)
  await bench.cluster.refresh({ topics: ['orders'], force: true })
  await bench.append('orders', 0, values(1))
  await until(() => seen.length === 2, 'what the new leader has', 5000)
  consumer.abort()
  await assert.rejects(running, { code: 'ABORTED' })
})

for (const error of ['FETCH_SESSION_ID_NOT_FOUND', 'INVALID_FETCH_SESSION_EPOCH']) {
  test(`${error}: reading goes on in a new session that names everything, with nothing lost or twice`, async () => {
    await using bench = await Bench.open({ topics: { orders: 3 } })
    await bench.fill('orders', 3, 5)
    const fetches = spy<FetchRequest>(bench, 'Fetch')
    const consumer = bench.consumer({ topics: ['orders'], fetchMaxWaitMs: 20 })
    const seen: number[][] = [[], [], []]
    const running = consumer.run(({ partition, offset }) => void seen[partition]?.push(offset))
    await until(() => seen.flat().length === 15 && (fetches.at(-1)?.sessionEpoch ?? 0) > 2, 'a session')
    const where = () => (before = fetches.length) > 0
    let before = 0
    bench.broker.faults.on({ api: 'Fetch', times: 1, where }, { error })
    await until(() => fetches.length > before && before > 0, 'the request after the error')
    await bench.fill('orders', 3, 5)
    await until(() => seen.flat().length >= 30, 'the rest')
    const anew = fetches[before]
    assert.deepEqual([anew?.sessionId, anew?.sessionEpoch], [0, 0])
    assert.deepEqual(anew === undefined ? [] : named(anew), [0, 1, 2])
    // And in that session only what changes is named again.
    await until(() => fetches.length > before + 8, 'more requests')
    assert.ok((fetches.at(-1)?.sessionId ?? 0) > 0)
    for (const offsets of seen) assert.deepEqual(offsets, [...Array(10).keys()])
    await consumer.stop()
    await running
  })
}

test('a session that the broker has given to another meanwhile', async () => {
  const configs = {
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 10,
    'max.incremental.fetch.session.cache.slots': 1,
  }
  const { clock, bench, member } = await still(undefined, { topics: { orders: 2, others: 1 }, configs })
  await using _ = bench
  const seen: string[] = []
  const see = ({ topic, partition, offset }: ConsumerRecord) =>
    void seen.push(`${topic}/${partition}/${offset}`)
  const consumer = member({ topics: ['orders'] })
  const running = consumer.run(see)
  await bench.fill('orders', 2, 1)
  await clock.until(() => seen.length === 2)
  // A session that nobody has used for two minutes gives way.
  consumer.pause(consumer.assignment())
  await clock.advance(125_000)
  const other = member({ topics: ['others'], groupId: 'other' })
  const alsoRunning = other.run(see)
  await bench.fill('others', 1, 1)
  await clock.until(() => seen.length === 3)
  const fetches = spy<FetchRequest>(bench, 'Fetch')
  await bench.fill('orders', 2, 1)
  consumer.resume(consumer.assignment())
  await clock.until(() => seen.length === 5)
  assert.deepEqual(seen.sort(), ['orders/0/0', 'orders/0/1', 'orders/1/0', 'orders/1/1', 'others/0/0'])
  assert.ok(fetches.some(({ sessionId, sessionEpoch }) => sessionId === 0 && sessionEpoch === 0))
  await clock.during(Promise.all([consumer.stop(), other.stop()]))
  await Promise.all([running, alsoRunning])
})

const large = { value: Buffer.alloc(60_000) }

test('while room is short nothing is asked for twice: the next request waits until what came is taken', async () => {
  const topics = { orders: { partitions: 8, replicas: 1 } }
  await using bench = await Bench.open({ brokers: 4, topics })
  for (let partition = 0; partition < 8; partition++) {
    for (let count = 0; count < 15; count++) await bench.append('orders', partition, [large])
  }
  const asked: string[] = []
  const note = (request: Readonly<Record<string, unknown>>, { node }: { readonly node: number }) => {
    const { sessionId, sessionEpoch } = request as { sessionId: number; sessionEpoch: number }
    asked.push(`node ${node}, session ${sessionId}, request ${sessionEpoch}`)
    return false
  }
  bench.broker.faults.on({ api: 'Fetch', where: note }, 'close')
  // Room for two responses, and four brokers that have one each.
  const consumer = bench.consumer({ topics: ['orders'], prefetchBytes: 300_000, concurrency: 4 })
  let count = 0
  const running = consumer.run(async () => {
    count++
    await turn(1)
  })
  await until(() => count === 8 * 15, 'all records')
  const numbered = asked.filter((one) => !one.endsWith('request 0'))
  assert.deepEqual([...new Set(numbered)], numbered)
  // Each broker opens its session once.
  assert.equal(asked.length - numbered.length, 4)
  await consumer.stop()
  await running
})

test('an answer that names a new leader for one partition and has records of another is taken whole before more is asked', async () => {
  await using bench = await Bench.open({ brokers: 2, topics: { orders: 2 } })
  await bench.fill('orders', 2, 10)
  for (const partition of [0, 1]) bench.broker.moveLeader('orders', partition, 1)
  const second: string[] = []
  const note = (request: Readonly<Record<string, unknown>>, { node }: { readonly node: number }) => {
    const { sessionEpoch, topics } = request as unknown as {
      sessionEpoch: number
      topics: { partitions: { partition: number; fetchOffset: number }[] }[]
    }
    if (node !== 1 || sessionEpoch !== 1) return false
    for (const { partitions } of topics) {
      for (const { partition, fetchOffset } of partitions) second.push(`${partition}@${fetchOffset}`)
    }
    return false
  }
  bench.broker.faults.on({ api: 'Fetch', where: note }, 'close')
  // When the positions are known and nothing is asked for yet.
  const moves = () => {
    bench.broker.moveLeader('orders', 0, 2)
    return false
  }
  bench.broker.faults.on({ api: 'OffsetFetch', where: moves }, 'close')
  const consumer = bench.consumer({ topics: ['orders'], startFrom: { offset: 0 } })
  let count = 0
  const running = consumer.run(() => void count++)
  await until(() => count === 20, 'all records')
  assert.deepEqual(second, ['1@10'])
  await consumer.stop()
  await running
})

test('a follower that the metadata do not know yet: looked for, and until then nothing is asked for twice', async () => {
  const topics = { single: { partitions: 1, replicas: 1 }, orders: { partitions: 1, replicas: 2 } }
  const configs = {
    'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
    'group.initial.rebalance.delay.ms': '0',
  }
  await using bench = await Bench.open({ brokers: 2, racks: ['a', 'b'], topics, configs })
  assert.equal(bench.broker.leaderOf('single', 0), 1)
  bench.broker.moveLeader('orders', 0, 1)
  await bench.broker.stopNode(2)
  const seen: string[] = []
  const consumer = bench.consumer(
    { topics: ['orders', 'single'], fetchMaxWaitMs: 10 },
    // The pause is not over when the next request is made, however slow the machine is.
    { clientId: 'watched', rack: 'b', minBackoffMs: 400, maxBackoffMs: 400 },
  )
  const running = consumer.run(({ topic, offset }) => void seen.push(`${topic}@${offset}`))
  const isReadAll = () => consumer.assignment().every((one) => consumer.lag(one) === 0)
  await until(() => consumer.assignment().length === 2 && isReadAll(), 'the beginning')
  const all = consumer.assignment()
  consumer.pause(all)
  await bench.broker.startNode(2)
  await until(async () => {
    await bench.cluster.refresh({ topics: ['orders'], force: true })
    return bench.cluster.topic('orders')?.partitions[0]?.isr.length === 2
  }, 'the follower in sync')
  await bench.fill('single', 1, 10)
  const asked: unknown[] = []
  const note = (request: Readonly<Record<string, unknown>>, { node }: { readonly node: number }) => {
    const { topics } = request as { topics: { partitions: { fetchOffset: number }[] }[] }
    if (node === 1) asked.push(topics.map((one) => one.partitions[0]?.fetchOffset))
    return false
  }
  bench.broker.faults.on({ api: 'Fetch', clientId: 'watched', where: note }, 'close')
  const fromFollower = bench.broker.faults.on({ api: 'Fetch', clientId: 'watched', node: 2 }, { delayMs: 0 })
  consumer.resume(all)
  await until(() => fromFollower.hits > 0, 'the follower', 3000)
  // The request after the one whose answer names the follower goes on behind what that has brought.
  assert.deepEqual(asked[1], [10])
  await bench.fill('orders', 1, 1)
  await until(() => seen.includes('orders@0'), 'what it has')
  await consumer.stop()
  await running
})

test('room for one answer goes to each broker in its turn', async () => {
  const { clock, bench, member } = await still(undefined, {
    brokers: 2,
    topics: { first: { partitions: 1, replicas: 1 }, second: { partitions: 1, replicas: 1 } },
  })
  await using _ = bench
  assert.notEqual(bench.broker.leaderOf('first', 0), bench.broker.leaderOf('second', 0))
  const consumer = member({ topics: ['first', 'second'], prefetchBytes: 64 * 1024, fetchMaxWaitMs: 500 })
  const seen: string[] = []
  const running = consumer.run(({ topic }) => void seen.push(topic))
  await clock.until(() => consumer.assignment().length === 2)
  for (const topic of ['first', 'second', 'first', 'second']) {
    await clock.advance(700)
    const began = clock.monotonic()
    await bench.fill(topic, 1, 1)
    await clock.until(() => seen.at(-1) === topic)
    assert.ok(clock.monotonic() - began <= 500, `${topic}: after ${clock.monotonic() - began} ms`)
  }
  await clock.during(consumer.stop())
  await running
})

test('a broker that fails does not keep the room for its answer from others while it is left alone', async () => {
  const { clock, bench, member } = await still(undefined, {
    brokers: 2,
    topics: { first: { partitions: 1, replicas: 1 }, second: { partitions: 1, replicas: 1 } },
  })
  await using _ = bench
  await bench.fill('first', 1, 1)
  await bench.fill('second', 1, 1)
  const failing = bench.broker.leaderOf('first', 0)
  assert.notEqual(bench.broker.leaderOf('second', 0), failing)
  // Room for one answer.
  const consumer = member(
    { topics: ['first', 'second'], prefetchBytes: 64 * 1024 },
    { clientId: 'watched', minBackoffMs: 10_000, maxBackoffMs: 20_000 },
  )
  const fault = bench.broker.faults.on({ api: 'Fetch', clientId: 'watched', node: failing }, 'close')
  const seen: string[] = []
  const running = consumer.run(({ topic }) => void seen.push(topic))
  await clock.until(() => fault.hits === 1)
  const began = clock.monotonic()
  await clock.until(() => seen.includes('second'))
  assert.ok(clock.monotonic() - began < 5000, `after ${clock.monotonic() - began} ms`)
  fault.remove()
  await clock.until(() => seen.includes('first'))
  await clock.during(consumer.stop())
  await running
})

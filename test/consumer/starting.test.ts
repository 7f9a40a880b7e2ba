/** Where partitions begin: none is held up by another, none is asked for in vain, and no beginning is forgotten. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Admin } from '../../src/client/admin.ts'
import { Cluster } from '../../src/client/cluster.ts'
import { AssignedPartition } from '../../src/consumer/assigned-partition.ts'
import { resolveConsumerOptions } from '../../src/consumer/consumer-options.ts'
import { CoordinatorLink } from '../../src/consumer/coordinator-link.ts'
import { Positions } from '../../src/consumer/positions.ts'
import { offsetCommit, type offsetFetch } from '../../src/protocol/messages/index.ts'
import type { ReceivedRequestOf } from '../../src/protocol/schema.ts'
import { Bench, clientOptions, still, until, values } from './kit.ts'

test('the position that `latest` found outlives a crash, though no record has come yet', async () => {
  const { clock, bench, member } = await still(undefined, { topics: { orders: 1 } })
  await using _ = bench
  await bench.fill('orders', 1, 5)
  const consumer = member({ topics: ['orders'], startFrom: 'latest', commitIntervalMs: 1000 })
  const running = consumer.run(() => undefined)
  await clock.until(() => consumer.lag({ topic: 'orders', partition: 0 }) === 0)
  await clock.advance(1500)
  consumer.abort(new Error('crash'))
  await assert.rejects(running, { code: 'ABORTED' })
  await bench.fill('orders', 1, 2)
  const seen: number[] = []
  const next = member({ topics: ['orders'], startFrom: 'latest' })
  const again = next.run(({ offset }) => void seen.push(offset))
  await clock.until(() => seen.length === 2)
  assert.deepEqual(seen, [5, 6])
  await clock.during(next.stop())
  await again
})

test('offsets of an open transaction hold up their partition, and no other; nor when it is given up', async () => {
  await using bench = await Bench.open({ topics: { orders: 3 } })
  const committing = bench.consumer({ topics: ['orders'] })
  await bench.fill('orders', 3, 7)
  let handled = 0
  const first = committing.run(() => void handled++)
  await until(() => handled === 21, 'all records')
  await committing.stop()
  await first
  // The embedded broker has no transactions: it is made to say this.
  const unstable = [1, 2].map((partition) =>
    bench.broker.faults.on(
      { api: 'OffsetFetch', topic: 'orders', partition },
      { error: 'UNSTABLE_OFFSET_COMMIT' },
    ),
  )
  const asked: unknown[] = []
  const watch = ({ groups }: Readonly<Record<string, unknown>>) => {
    const [group] = groups as ReceivedRequestOf<typeof offsetFetch>['groups']
    asked.push(group?.topics?.[0]?.partitionIndexes)
    return false
  }
  bench.broker.faults.on({ api: 'OffsetFetch', where: watch }, 'close')
  const cluster = new Cluster(clientOptions(bench.broker, { minBackoffMs: 1, maxBackoffMs: 5 }))
  const options = resolveConsumerOptions({ groupId: 'group', topics: ['orders'] })
  const closing = new AbortController()
  const { signal } = closing
  const link = new CoordinatorLink({ cluster, groupId: 'group', purpose: 'link', signal })
  const partitions = [0, 1, 2].map((partition) => new AssignedPartition('orders', partition))
  const found: [number, number | undefined][] = []
  const searching = new Positions({ cluster, options, link }).committed(partitions, {
    signal,
    onFound: (answers) => {
      for (const { partition, value } of answers) found.push([partition.partition, value?.offset])
    },
  })
  let isOver = false
  void searching.then(
    () => (isOver = true),
    () => undefined,
  )
  try {
    await until(() => asked.length > 2, 'the question again')
    assert.deepEqual(found, [[0, 7]])
    assert.deepEqual(asked.at(-1), [1, 2])
    partitions[2]?.drain()
    unstable[0]?.remove()
    await until(() => isOver, 'the end of asking', 5000)
    assert.deepEqual(found, [
      [0, 7],
      [1, 7],
    ])
  } finally {
    closing.abort()
    await cluster.stop()
  }
})

test('a commit that a new coordinator has, and does not yet tell, is waited for', async () => {
  const configs = { 'offsets.topic.num.partitions': 1 }
  const { clock, bench } = await still(undefined, { brokers: 3, topics: { orders: 1 }, configs })
  await using _ = bench
  const { broker } = bench
  const cluster = new Cluster(clientOptions(broker, { clock }))
  const { signal } = new AbortController()
  const link = new CoordinatorLink({ cluster, groupId: 'group', purpose: 'link', signal })
  const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: '' }]
  const topics = [{ name: 'orders', partitions }]
  await clock.during(cluster.coordinator('group', 'group'))
  const [next, other] = [1, 2, 3].filter((id) => id !== broker.coordinatorOf('group')) as [number, number]
  // The high watermark waits for one follower, and the other does not hear that it has moved.
  const late = broker.holdReplica(other, '__consumer_offsets', 0)
  const committing = link.request(offsetCommit, () => ({ groupId: 'group', memberId: '', topics }), {
    highestVersion: 9,
  })
  await clock.advance(1)
  const deaf = broker.holdReplica(next, '__consumer_offsets', 0)
  late()
  const committed = await clock.during(committing)
  assert.equal(committed.topics[0]?.partitions[0]?.errorCode, 0)
  const again = broker.holdReplica(other, '__consumer_offsets', 0)
  broker.moveCoordinator('group', next)
  deaf()
  const options = resolveConsumerOptions({
    groupId: 'group',
    topics: ['orders'],
    startFrom: 'latest',
    isolation: 'read_uncommitted',
  })
  const found: (number | undefined)[] = []
  const searching = new Positions({ cluster, options, link }).committed(
    [new AssignedPartition('orders', 0)],
    {
      signal,
      onFound: (answers) => void found.push(...answers.map(({ value }) => value?.offset)),
    },
  )
  const told = new Admin(cluster).groupOffsets('group', { requireStable: true })
  await clock.advance(1000)
  assert.deepEqual(found, [], 'no answer yet')
  again()
  await clock.during(searching)
  assert.deepEqual(found, [7])
  assert.deepEqual(
    (await clock.during(told)).map(({ offset }) => offset),
    [7],
    'an admin is told the same',
  )
  await cluster.stop()
})

for (const { recreated, from, sees } of [
  { recreated: false, from: 'what it has committed itself, and not at startFrom', sees: [5, 6, 7] },
  { recreated: true, from: 'startFrom, in a topic that was created anew meanwhile', sees: [8] },
]) {
  test(`a member whose group has lost its offsets goes on from ${from}`, async () => {
    const { clock, bench, member } = await still(undefined, { topics: { orders: 1 } })
    await using _ = bench
    const partition = { topic: 'orders', partition: 0 }
    let memberId = ''
    let seen: number[] = []
    const events: string[] = []
    const consumer = member(
      {
        topics: ['orders'],
        startFrom: 'latest',
        onRebalance: (event) => {
          memberId = event.memberId
          events.push(event.type)
        },
      },
      { clientId: 'watched', metadataMaxAgeMs: 500 },
    )
    const running = consumer.run(({ offset }) => void seen.push(offset))
    await clock.until(() => consumer.lag(partition) === 0)
    await bench.fill('orders', 1, 5)
    await clock.until(() => seen.length === 5)
    await clock.advance(1000)
    assert.deepEqual(await bench.committed('orders', 1), [5])
    seen = []
    const apart = bench.broker.faults.on(
      { api: 'JoinGroup', clientId: 'watched' },
      { error: 'COORDINATOR_LOAD_IN_PROGRESS' },
    )
    bench.broker.expireMember('group', memberId)
    await clock.until(() => events.includes('lost'))
    await bench.admin.deleteGroups(['group'])
    if (recreated) {
      bench.broker.deleteTopic('orders')
      bench.broker.createTopic('orders', 1)
      await bench.cluster.refresh({ topics: ['orders'], force: true })
    }
    await bench.fill('orders', 1, recreated ? 8 : 3)
    await clock.advance(1000)
    assert.deepEqual(await bench.committed('orders', 1), [-1])
    apart.remove()
    await clock.until(() => consumer.lag(partition) === 0)
    if (recreated) await bench.fill('orders', 1, 1)
    await clock.until(() => seen.at(-1) === sees.at(-1))
    assert.deepEqual(seen, sees)
    assert.deepEqual(events, ['assigned', 'lost', 'assigned'])
    await clock.during(consumer.stop())
    await running
  })
}

test('offsets are asked for where the group was joined, and not of a former coordinator', async () => {
  const { clock, bench, member } = await still(undefined, { brokers: 3, topics: { orders: 1 } })
  await using _ = bench
  const consumer = member(
    { topics: ['orders', 'later'], heartbeatIntervalMs: 1900 },
    { clientId: 'watched', metadataMaxAgeMs: 500 },
  )
  const running = consumer.run(() => undefined)
  await clock.until(() => consumer.lag({ topic: 'orders', partition: 0 }) === 0)
  const old = bench.broker.coordinatorOf('group')
  bench.broker.moveCoordinator('group', (old % 3) + 1)
  bench.broker.createTopic('later', 1)
  // The link of the heartbeats would hear of it with the next one.
  const silent = bench.broker.faults.on({ api: 'Heartbeat', clientId: 'watched' }, 'swallow')
  const asked: number[] = []
  bench.broker.faults.on(
    { api: 'OffsetFetch', clientId: 'watched', where: (_, { node }) => asked.push(node) < 0 },
    'close',
  )
  await clock.until(() => consumer.lag({ topic: 'later', partition: 0 }) === 0)
  assert.deepEqual(asked, [bench.broker.coordinatorOf('group')])
  silent.remove()
  await clock.during(consumer.stop())
  await running
})

test('a partition whose position nobody tells holds up none that is asked of the same broker', async () => {
  await using bench = await Bench.open({ topics: { orders: 3 } })
  await bench.fill('orders', 3, 1)
  const stuck = bench.broker.faults.on(
    { api: 'ListOffsets', topic: 'orders', partition: 1 },
    { error: 'LEADER_NOT_AVAILABLE' },
  )
  for (const startFrom of ['earliest', { timestamp: 1 }] as const) {
    const seen: number[] = []
    const consumer = bench.consumer({ topics: ['orders'], startFrom, groupId: `${startFrom}` })
    const running = consumer.run(({ partition }) => void seen.push(partition))
    await until(() => seen.length === 2, 'the others', 5000)
    assert.deepEqual(seen.sort(), [0, 2])
    await consumer.stop()
    await running
  }
  assert.ok(stuck.hits > 0)
})

test('a partition that is given up before its position is found is not asked for any more', async () => {
  const { clock, bench, member } = await still(undefined, { topics: { orders: 1, gone: 1 } })
  await using _ = bench
  bench.broker.faults.on({ api: 'ListOffsets', topic: 'gone' }, { error: 'LEADER_NOT_AVAILABLE' })
  const consumer = member(
    { topics: ['orders', 'gone'], heartbeatIntervalMs: 300 },
    { clientId: 'watched', metadataMaxAgeMs: 600_000 },
  )
  const running = consumer.run(() => undefined)
  await clock.until(() => consumer.lag({ topic: 'orders', partition: 0 }) === 0)
  await bench.cluster.refresh({ topics: ['orders', 'gone'], force: true })
  bench.broker.deleteTopic('gone')
  await clock.until(() => consumer.assignment().length === 1)
  await clock.advance(5000)
  const metadata = bench.broker.faults.on({ api: 'Metadata', clientId: 'watched' }, { delayMs: 0 })
  const lists = bench.broker.faults.on({ api: 'ListOffsets', clientId: 'watched' }, { delayMs: 0 })
  await clock.advance(60_000)
  assert.deepEqual([metadata.hits, lists.hits], [0, 0])
  await bench.append('orders', 0, values(1))
  await clock.during(consumer.stop())
  await running
})

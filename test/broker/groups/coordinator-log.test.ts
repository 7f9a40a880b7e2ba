/** What a coordinator keeps in `__consumer_offsets`, when it answers, and what it loads. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EmbeddedCluster, StartClusterOptions } from '../../../src/broker/index.ts'
import {
  alterPartitionReassignments,
  deleteGroups,
  findCoordinator,
  heartbeat,
  incrementalAlterConfigs,
  listGroups,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  offsetForLeaderEpoch,
} from '../../../src/protocol/messages/index.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'
import { joinAs, syncAs } from '../../conformance/group-requests.ts'
import { named } from '../../conformance/target.ts'
import type { RawConnection } from '../../support/raw-connection.ts'
import { batchOf, type Kit, send, topicsOf, until, withCluster } from '../kit.ts'

const GROUP = 'g'
const OFFSETS = '__consumer_offsets'

interface Bench extends Kit {
  readonly clock: VirtualClock
  /** A new connection to the group's coordinator. */
  toCoordinator(): Promise<RawConnection>
  readonly partition: number
  /** Nodes by their part in the group's partition. */
  leader(): number
  followers(): number[]
}

/** Three nodes, a topic, and one partition for all groups. */
async function withGroups(options: StartClusterOptions, run: (bench: Bench) => Promise<void>): Promise<void> {
  const clock = new VirtualClock()
  const configs = { 'offsets.topic.num.partitions': 1, ...options.configs }
  const topics = { orders: 4, ...options.topics }
  await withCluster({ brokers: 3, clock, ...options, topics, configs }, async (kit) => {
    const { cluster } = kit
    cluster.coordinatorOf(GROUP)
    const leader = () => cluster.coordinatorOf(GROUP)
    const followers = () => cluster.brokers.map((_, index) => index + 1).filter((id) => id !== leader())
    await run({ ...kit, clock, partition: 0, leader, followers, toCoordinator: () => kit.to(leader()) })
  })
}

/** Commits as a consumer that assigns itself; the error. */
async function commit(connection: RawConnection, offset: number, partition = 0, groupId = GROUP) {
  const partitions = [{ partitionIndex: partition, committedOffset: offset, committedMetadata: '' }]
  const topics = [{ name: 'orders', partitions }]
  const answer = await connection.send(offsetCommit, 8, { groupId, memberId: '', topics })
  return named(answer.topics[0]?.partitions[0]?.errorCode)
}

/** The committed offset, or the error. */
async function fetchOffset(
  connection: RawConnection,
  partition = 0,
  { groupId = GROUP, requireStable = false } = {},
) {
  const topics = [{ name: 'orders', partitionIndexes: [partition] }]
  const answer = await connection.send(offsetFetch, 7, { groupId, topics, requireStable })
  if (answer.errorCode !== 0) return named(answer.errorCode)
  return answer.topics[0]?.partitions[0]?.committedOffset
}

/** What the log says, record by record. */
const logged = (cluster: EmbeddedCluster, partition = 0) =>
  cluster.records(OFFSETS, partition).map(({ key, value }) => {
    const kind = key?.readInt16BE(0) === 2 ? 'group' : 'offset'
    return value === null ? `no ${kind}` : kind
  })

/** Whether the promise has settled by now. */
async function isSettled(clock: VirtualClock, promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.finally(() => (settled = true)).catch(() => undefined)
  await clock.advance(1)
  return settled
}

describe('the topic', () => {
  test('it is made when a coordinator is first asked for: internal, compacted, on three nodes', async () => {
    await withCluster({ brokers: 4 }, async ({ to }) => {
      const connection = await to(1)
      const names = async () => (await topicsOf(connection, null)).map(({ name }) => name)
      assert.deepEqual(await names(), [])
      const beat = await connection.send(heartbeat, 4, { groupId: GROUP, generationId: 1, memberId: 'm' })
      assert.equal(named(beat.errorCode), 'NOT_COORDINATOR')
      assert.deepEqual(await names(), [], 'other requests make nothing')
      await connection.send(findCoordinator, 4, { coordinatorKeys: [GROUP] })
      const [topic] = await topicsOf(connection, [OFFSETS])
      assert.equal(topic?.isInternal, true)
      assert.equal(topic.partitions.length, 8)
      assert.ok(topic.partitions.every(({ replicaNodes }) => replicaNodes.length === 3))
    })
  })

  test('it may be made by hand', async () => {
    await withCluster({ brokers: 2, topics: { orders: 1, [OFFSETS]: 3 } }, async ({ cluster, to }) => {
      for (const groupId of ['a', 'b', 'c', 'd', 'e']) {
        const connection = await to(cluster.coordinatorOf(groupId))
        assert.equal(await commit(connection, 7, 0, groupId), 'NONE')
      }
    })
  })

  test('it keeps the partitions that it was made with', async () => {
    await withCluster({ brokers: 1, topics: { orders: 1 } }, async ({ to }) => {
      const connection = await to(1)
      await connection.send(findCoordinator, 4, { coordinatorKeys: ['a'] })
      assert.equal(await commit(connection, 7, 0, 'a'), 'NONE')
      const configs = [{ name: 'offsets.topic.num.partitions', configOperation: 0, value: '3' }]
      const resources = [{ resourceType: 4, resourceName: '', configs }]
      const altered = await connection.send(incrementalAlterConfigs, 1, { resources, validateOnly: false })
      assert.equal(named(altered.responses[0]?.errorCode), 'NONE')
      assert.equal(await fetchOffset(connection, 0, { groupId: 'a' }), 7)
    })
  })
})

describe('a commit', () => {
  test('is answered, and to be seen, when every in-sync replica has it', async () => {
    await withGroups({}, async ({ clock, cluster, toCoordinator, followers }) => {
      const connection = await toCoordinator()
      assert.equal(await clock.during(commit(connection, 1)), 'NONE')
      const release = cluster.holdReplica(followers()[0] as number, OFFSETS, 0)
      const waiting = commit(connection, 2)
      assert.equal(await isSettled(clock, waiting), false)
      const other = await toCoordinator()
      assert.equal(await clock.during(fetchOffset(other)), 1, 'what may yet be lost is not told')
      release()
      assert.equal(await clock.during(waiting), 'NONE')
      assert.equal(await clock.during(fetchOffset(other)), 2)
    })
  })

  test('is waited for by who asks for stable offsets, also of a coordinator that has just loaded', async () => {
    const configs = { 'offsets.commit.timeout.ms': 2_000 }
    await withGroups({ configs }, async ({ clock, cluster, toCoordinator, followers }) => {
      const stable = { requireStable: true }
      const connection = await toCoordinator()
      assert.equal(await clock.during(commit(connection, 1)), 'NONE')
      assert.equal(await fetchOffset(connection, 0, stable), 1, 'at once when nothing is on its way')
      const [next, held] = followers() as [number, number]
      const release = cluster.holdReplica(held, OFFSETS, 0)
      const waiting = commit(connection, 2)
      assert.equal(await isSettled(clock, waiting), false)
      const other = await toCoordinator()
      const fetched = fetchOffset(other, 0, stable)
      assert.equal(await isSettled(clock, fetched), false)
      await clock.advance(3_000)
      assert.equal(await fetched, 'NOT_COORDINATOR', 'after the time that a commit is given')
      cluster.moveCoordinator(GROUP, next)
      await clock.advance(1)
      const loaded = fetchOffset(await toCoordinator(), 0, stable)
      assert.equal(await isSettled(clock, loaded), false)
      release()
      assert.equal(await clock.during(loaded), 2)
      await waiting
    })
  })

  test('that the followers do not get in time is COORDINATOR_NOT_AVAILABLE, and may come true later', async () => {
    const configs = { 'offsets.commit.timeout.ms': 2_000 }
    await withGroups({ configs }, async ({ clock, cluster, toCoordinator, followers }) => {
      const connection = await toCoordinator()
      const release = cluster.holdReplica(followers()[0] as number, OFFSETS, 0)
      const [first, second] = [commit(connection, 1), toCoordinator().then((other) => commit(other, 5, 1))]
      await clock.advance(1_900)
      assert.equal(await isSettled(clock, Promise.race([first, second])), false)
      assert.equal(await clock.during(first), 'COORDINATOR_NOT_AVAILABLE')
      assert.equal(await clock.during(second), 'COORDINATOR_NOT_AVAILABLE')
      const other = await toCoordinator()
      assert.equal(await clock.during(fetchOffset(other)), -1)
      release()
      await clock.advance(1)
      assert.deepEqual([await fetchOffset(other), await fetchOffset(other, 1)], [1, 5])
    })
  })

  test('with too few replicas in sync waits for them, as since Kafka 4.0', async () => {
    const configs = { 'min.insync.replicas': 2, 'offsets.commit.timeout.ms': 2_000 }
    await withGroups({ configs }, async ({ clock, cluster, toCoordinator, followers }) => {
      const down = followers()
      for (const node of down) await cluster.stopNode(node)
      const [connection, other] = [await toCoordinator(), await toCoordinator()]
      const waiting = commit(connection, 1)
      await clock.advance(1_900)
      assert.equal(await isSettled(clock, waiting), false)
      assert.equal(await clock.during(waiting), 'COORDINATOR_NOT_AVAILABLE')
      const second = commit(connection, 2)
      assert.equal(await isSettled(clock, second), false)
      assert.equal(await fetchOffset(other), -1)
      await cluster.startNode(down[0] as number)
      assert.equal(await clock.during(second), 'NONE')
      assert.equal(await fetchOffset(other), 2)
      assert.deepEqual(logged(cluster), ['offset', 'offset'], 'both are in the log')
    })
  })

  test('before Kafka 4.0 it is refused at once then, and leaves nothing behind', async () => {
    await withGroups({ configs: { 'min.insync.replicas': 2 }, kafkaVersion: '3.9' }, async (bench) => {
      const { clock, cluster, toCoordinator, followers } = bench
      const down = followers()
      for (const node of down) await cluster.stopNode(node)
      const connection = await toCoordinator()
      assert.equal(await commit(connection, 1), 'COORDINATOR_NOT_AVAILABLE')
      assert.equal(named((await joinAs(connection, GROUP)).errorCode), 'COORDINATOR_NOT_AVAILABLE')
      assert.deepEqual((await connection.send(listGroups, 4, {})).groups, [])
      for (const node of down) await cluster.startNode(node)
      await clock.advance(1)
      assert.equal(await clock.during(commit(connection, 2)), 'NONE')
      assert.deepEqual(logged(cluster), ['offset'])
    })
  })

  test('too large for the log is UNKNOWN_SERVER_ERROR', async () => {
    const configs = { 'offset.metadata.max.bytes': 40_000, 'message.max.bytes': 10_000 }
    await withGroups({ configs }, async ({ toCoordinator }) => {
      const connection = await toCoordinator()
      const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: 'x'.repeat(20_000) }]
      const topics = [{ name: 'orders', partitions }]
      const answer = await connection.send(offsetCommit, 8, { groupId: GROUP, memberId: '', topics })
      assert.equal(named(answer.topics[0]?.partitions[0]?.errorCode), 'UNKNOWN_SERVER_ERROR')
      assert.equal(await fetchOffset(connection), -1)
    })
  })

  test('under way when the leadership ends is NOT_COORDINATOR, and is lost with the tail of the log', async () => {
    await withGroups({}, async ({ clock, cluster, leader, followers, toCoordinator }) => {
      const connection = await toCoordinator()
      assert.equal(await clock.during(commit(connection, 1)), 'NONE')
      const [next, last] = followers() as [number, number]
      const releases = [next, last].map((node) => cluster.holdReplica(node, OFFSETS, 0))
      const old = leader()
      const waiting = commit(connection, 2)
      assert.equal(await isSettled(clock, waiting), false)
      cluster.moveCoordinator(GROUP, next)
      assert.equal(await clock.during(waiting), 'NOT_COORDINATOR')
      for (const release of releases) release()
      await clock.advance(1)
      assert.equal(await clock.during(fetchOffset(await toCoordinator())), 1)
      cluster.moveCoordinator(GROUP, old)
      await clock.advance(1)
      assert.equal(await clock.during(fetchOffset(await toCoordinator())), 1, 'on the old leader too')
    })
  })
})

describe('an assignment', () => {
  test('is given out when every in-sync replica has it', async () => {
    await withGroups({}, async ({ clock, cluster, toCoordinator, followers }) => {
      const connection = await toCoordinator()
      const joined = await clock.during(joinAs(connection, GROUP))
      const release = cluster.holdReplica(followers()[0] as number, OFFSETS, 0)
      const assignments = [{ memberId: joined.memberId, assignment: Buffer.from('mine') }]
      const waiting = syncAs(connection, GROUP, joined, { assignments })
      assert.equal(await isSettled(clock, waiting), false)
      release()
      const synced = await clock.during(waiting)
      assert.deepEqual([named(synced.errorCode), String(synced.assignment)], ['NONE', 'mine'])
      assert.deepEqual(logged(cluster), ['group', 'group'])
    })
  })

  test('that cannot be written is refused to all, and a rebalance begins', async () => {
    await withGroups({ configs: { 'min.insync.replicas': 2 } }, async (bench) => {
      const { clock, cluster, toCoordinator, followers } = bench
      const connection = await toCoordinator()
      const joined = await clock.during(joinAs(connection, GROUP))
      const down = followers()
      for (const node of down) await cluster.stopNode(node)
      const assignments = [{ memberId: joined.memberId, assignment: Buffer.from('mine') }]
      const synced = await clock.during(syncAs(connection, GROUP, joined, { assignments }))
      assert.equal(named(synced.errorCode), 'COORDINATOR_NOT_AVAILABLE')
      const { memberId, generationId } = joined
      const beat = () => connection.send(heartbeat, 4, { groupId: GROUP, memberId, generationId })
      const waiting = beat()
      assert.equal(await isSettled(clock, waiting), false, 'what is written already is waited for')
      for (const node of down) await cluster.startNode(node)
      assert.equal(named((await clock.during(waiting)).errorCode), 'REBALANCE_IN_PROGRESS')
      assert.equal(named((await beat()).errorCode), 'REBALANCE_IN_PROGRESS')
    })
  })

  test('a static member takes its place when that is written, and keeps its old id when it cannot be', async () => {
    await withGroups({ configs: { 'min.insync.replicas': 2 } }, async (bench) => {
      const { clock, cluster, toCoordinator, followers } = bench
      const given = { groupInstanceId: 'one' }
      const connection = await toCoordinator()
      const joined = await clock.during(joinAs(connection, GROUP, 9, given))
      const assignments = [{ memberId: joined.memberId, assignment: Buffer.from('mine') }]
      await clock.during(syncAs(connection, GROUP, joined, { assignments, ...given }))
      const [held, other] = followers() as [number, number]
      const release = cluster.holdReplica(held, OFFSETS, 0)
      const second = await toCoordinator()
      const waiting = joinAs(second, GROUP, 9, given)
      assert.equal(await isSettled(clock, waiting), false)
      release()
      const replaced = await clock.during(waiting)
      assert.equal(named(replaced.errorCode), 'NONE')
      const beatAs = async (memberId: string) => {
        const { generationId } = joined
        const request = { groupId: GROUP, memberId, generationId, ...given }
        return named((await second.send(heartbeat, 4, request)).errorCode)
      }
      assert.equal(await beatAs(joined.memberId), 'FENCED_INSTANCE_ID')
      for (const node of [held, other]) await cluster.stopNode(node)
      const refused = await clock.during(joinAs(await toCoordinator(), GROUP, 9, given))
      assert.equal(named(refused.errorCode), 'COORDINATOR_NOT_AVAILABLE')
      for (const node of [held, other]) await cluster.startNode(node)
      await clock.advance(1)
      assert.equal(await beatAs(replaced.memberId), 'NONE', 'it has its old id')
    })
  })
})

describe('loading', () => {
  test('is COORDINATOR_LOAD_IN_PROGRESS until it is done', async () => {
    await withGroups({}, async ({ clock, cluster, followers, toCoordinator, to }) => {
      assert.equal(await clock.during(commit(await toCoordinator(), 7)), 'NONE')
      const release = cluster.holdCoordinator(GROUP)
      assert.equal(await fetchOffset(await toCoordinator()), 7, 'who has loaded is not concerned')
      const [next] = followers() as [number]
      cluster.moveCoordinator(GROUP, next)
      await clock.advance(60_000)
      const connection = await to(next)
      assert.equal(await fetchOffset(connection), 'COORDINATOR_LOAD_IN_PROGRESS')
      assert.equal(await commit(connection, 8), 'COORDINATOR_LOAD_IN_PROGRESS')
      const listed = await connection.send(listGroups, 4, {})
      assert.equal(named(listed.errorCode), 'COORDINATOR_LOAD_IN_PROGRESS')
      const found = await connection.send(findCoordinator, 3, { key: GROUP })
      assert.deepEqual(
        [named(found.errorCode), found.nodeId],
        ['NONE', next],
        'it is the coordinator already',
      )
      release()
      release()
      await clock.advance(0)
      assert.equal(await fetchOffset(connection), 7)
    })
  })

  test('can be held when there is nothing to load, too', async () => {
    await withGroups({}, async ({ clock, cluster, followers, to }) => {
      const release = cluster.holdCoordinator(GROUP)
      const [next] = followers() as [number]
      cluster.moveCoordinator(GROUP, next)
      const connection = await to(next)
      assert.equal(await commit(connection, 1), 'COORDINATOR_LOAD_IN_PROGRESS')
      release()
      assert.equal(await clock.during(commit(connection, 1)), 'NONE')
    })
  })

  test('is done at once for a member that is made to expire, unless it is held', async () => {
    await withGroups({}, async ({ clock, cluster, followers, toCoordinator }) => {
      const connection = await toCoordinator()
      const joined = await clock.during(joinAs(connection, GROUP))
      const assignments = [{ memberId: joined.memberId, assignment: Buffer.from('mine') }]
      await clock.during(syncAs(connection, GROUP, joined, { assignments }))
      const release = cluster.holdCoordinator(GROUP)
      cluster.moveCoordinator(GROUP, followers()[0] as number)
      assert.throws(() => cluster.expireMember(GROUP, joined.memberId), {
        code: 'INVALID_ARGUMENT',
        message: /end the hold of holdCoordinator first/,
      })
      release()
      cluster.moveCoordinator(GROUP, followers()[0] as number)
      cluster.expireMember(GROUP, joined.memberId)
      const { memberId, generationId } = joined
      const request = { groupId: GROUP, memberId, generationId }
      const beat = await clock.during((await toCoordinator()).send(heartbeat, 4, request))
      assert.equal(named(beat.errorCode), 'UNKNOWN_MEMBER_ID')
      for (const node of [1, 2, 3]) await cluster.stopNode(node)
      assert.throws(() => cluster.expireMember(GROUP, memberId), /start a node that has __consumer_offsets-0/)
    })
  })

  test('finds the offsets of a topic that was deleted meanwhile, and takes them back', async () => {
    await withGroups({ topics: { payments: 1 } }, async (bench) => {
      const { clock, cluster, followers, toCoordinator } = bench
      const connection = await toCoordinator()
      await clock.during(commit(connection, 7))
      const partitions = [{ partitionIndex: 0, committedOffset: 8, committedMetadata: '' }]
      const topics = [{ name: 'payments', partitions }]
      await clock.during(connection.send(offsetCommit, 8, { groupId: GROUP, memberId: '', topics }))
      const release = cluster.holdCoordinator(GROUP)
      cluster.moveCoordinator(GROUP, followers()[0] as number)
      cluster.deleteTopic('orders')
      cluster.createTopic('orders', 1)
      release()
      await clock.advance(1)
      const next = await toCoordinator()
      const answer = await next.send(offsetFetch, 7, { groupId: GROUP, topics: null })
      assert.deepEqual(
        answer.topics.map(({ name }) => name),
        ['payments'],
      )
      assert.equal(logged(cluster).at(-1), 'no offset')
      assert.equal(await clock.during(commit(next, 1)), 'NONE')
      assert.equal(await fetchOffset(next), 1)
    })
  })

  test('that leadership ends again before it is done leaves nothing', async () => {
    await withGroups({}, async ({ clock, cluster, followers, leader, toCoordinator, to }) => {
      await clock.during(commit(await toCoordinator(), 7))
      const first = leader()
      const release = cluster.holdCoordinator(GROUP)
      const [next] = followers() as [number]
      cluster.moveCoordinator(GROUP, next)
      release()
      cluster.moveCoordinator(GROUP, first)
      await clock.advance(0)
      assert.equal(await fetchOffset(await to(next)), 'NOT_COORDINATOR')
      assert.equal(await fetchOffset(await to(first)), 7)
    })
  })

  test('takes what is not committed yet for written, and tells it when it is committed', async () => {
    await withGroups({}, async ({ clock, cluster, leader, followers, toCoordinator }) => {
      const first = leader()
      const [next, held] = followers() as [number, number]
      await clock.during(commit(await toCoordinator(), 1))
      const release = cluster.holdReplica(held, OFFSETS, 0)
      const waiting = commit(await toCoordinator(), 2)
      await clock.advance(1)
      cluster.moveCoordinator(GROUP, next)
      assert.equal(await clock.during(waiting), 'NOT_COORDINATOR')
      await clock.advance(1)
      const connection = await toCoordinator()
      assert.equal(await fetchOffset(connection), 1)
      release()
      await clock.advance(1)
      assert.equal(await fetchOffset(connection), 2)
      assert.notEqual(leader(), first)
    })
  })

  test('of a node that was killed: what was answered is there', async () => {
    await withGroups({}, async ({ clock, cluster, leader, toCoordinator }) => {
      for (let offset = 1; offset <= 20; offset++) {
        const old = leader()
        assert.equal(await clock.during(commit(await toCoordinator(), offset)), 'NONE')
        await clock.during(cluster.stopNode(old, { kill: true }))
        await clock.advance(1)
        assert.equal(await clock.during(fetchOffset(await toCoordinator())), offset)
        await clock.during(cluster.startNode(old))
        await clock.advance(1)
      }
    })
  })

  test('of the only node, which stopped and started again: the log is its disk', async () => {
    await withGroups({ brokers: 1 }, async ({ clock, cluster, toCoordinator }) => {
      assert.equal(await commit(await toCoordinator(), 7), 'NONE')
      await cluster.stopNode(1)
      await cluster.startNode(1)
      await clock.advance(0)
      assert.equal(await fetchOffset(await toCoordinator()), 7)
    })
  })

  test('of a log longer than one turn reads', async () => {
    const configs = { 'offsets.topic.segment.bytes': 1 << 30, 'offset.metadata.max.bytes': 32_000 }
    await withGroups({ brokers: 2, configs }, async ({ clock, cluster, followers, toCoordinator }) => {
      const connection = await toCoordinator()
      const committedMetadata = 'x'.repeat(32_000)
      for (let offset = 0; offset < 150; offset += 10) {
        const partitions = Array.from({ length: 4 }, (_, partitionIndex) => {
          return { partitionIndex, committedOffset: offset + partitionIndex, committedMetadata }
        })
        const topics = [{ name: 'orders', partitions }]
        await clock.during(connection.send(offsetCommit, 8, { groupId: GROUP, memberId: '', topics }))
      }
      cluster.moveCoordinator(GROUP, followers()[0] as number)
      await clock.advance(0)
      const next = await toCoordinator()
      const found = await Promise.all([0, 1, 2, 3].map((partition) => fetchOffset(next, partition)))
      assert.deepEqual(found, [140, 141, 142, 143])
    })
  })
})

describe('what is taken back', () => {
  test('a deleted group: its offsets and itself, for the next coordinator too', async () => {
    await withGroups({}, async ({ clock, cluster, followers, toCoordinator }) => {
      const connection = await toCoordinator()
      await clock.during(commit(connection, 1))
      await clock.during(commit(connection, 2, 1))
      const release = cluster.holdReplica(followers()[0] as number, OFFSETS, 0)
      const waiting = connection.send(deleteGroups, 1, { groupsNames: [GROUP] })
      assert.equal(await isSettled(clock, waiting), false)
      release()
      assert.equal(named((await clock.during(waiting)).results[0]?.errorCode), 'NONE')
      assert.deepEqual(logged(cluster), ['offset', 'offset', 'no offset', 'no offset', 'no group'])
      cluster.moveCoordinator(GROUP, followers()[0] as number)
      await clock.advance(1)
      const next = await toCoordinator()
      assert.equal(await fetchOffset(next), -1)
      assert.deepEqual((await next.send(listGroups, 4, {})).groups, [])
    })
  })

  test('a deleted group that has read more than the log takes at once', async () => {
    const configs = { 'message.max.bytes': 50_000 }
    await withGroups({ topics: { orders: 2_100 }, configs }, async ({ clock, cluster, toCoordinator }) => {
      const connection = await toCoordinator()
      for (let first = 0; first < 2_100; first += 300) {
        const partitions = Array.from({ length: 300 }, (_, index) => {
          return { partitionIndex: first + index, committedOffset: 1, committedMetadata: '' }
        })
        const topics = [{ name: 'orders', partitions }]
        await clock.during(connection.send(offsetCommit, 8, { groupId: GROUP, memberId: '', topics }))
      }
      assert.equal(logged(cluster).length, 2_100)
      const deleted = connection.send(deleteGroups, 1, { groupsNames: [GROUP] })
      assert.equal(named((await clock.during(deleted)).results[0]?.errorCode), 'NONE')
      assert.equal(logged(cluster).filter((what) => what === 'no offset').length, 2_100)
      assert.equal(await fetchOffset(connection), -1)
    })
  })

  test('single offsets', async () => {
    await withGroups({}, async ({ clock, cluster, followers, toCoordinator }) => {
      const connection = await toCoordinator()
      await clock.during(commit(connection, 1))
      await clock.during(commit(connection, 2, 1))
      const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0 }, { partitionIndex: 3 }] }]
      const answer = await clock.during(connection.send(offsetDelete, 0, { groupId: GROUP, topics }))
      assert.equal(named(answer.errorCode), 'NONE')
      assert.deepEqual(logged(cluster), ['offset', 'offset', 'no offset'], 'only of what was there')
      cluster.moveCoordinator(GROUP, followers()[0] as number)
      await clock.advance(1)
      const next = await toCoordinator()
      assert.deepEqual([await fetchOffset(next), await fetchOffset(next, 1)], [-1, 2])
    })
  })

  test('offsets of a deleted topic, and offsets that are too old', async () => {
    const configs = { 'offsets.retention.minutes': 10, 'offsets.retention.check.interval.ms': 60_000 }
    await withGroups({ brokers: 1, configs }, async ({ clock, cluster, toCoordinator }) => {
      const connection = await toCoordinator()
      await commit(connection, 1, 0, 'old')
      await clock.advance(5 * 60_000)
      await commit(connection, 1)
      assert.deepEqual(logged(cluster), ['offset', 'offset'])
      cluster.deleteTopic('orders')
      assert.deepEqual(logged(cluster).slice(2), ['no offset', 'no offset'])
      cluster.createTopic('orders', 4)
      await commit(connection, 9)
      await clock.advance(3 * 60_000)
      assert.deepEqual(logged(cluster).slice(4), ['offset', 'no group'], 'nothing is left of the other group')
      await clock.advance(10 * 60_000)
      assert.deepEqual(logged(cluster).slice(6), ['no offset', 'no group'])
      assert.deepEqual((await connection.send(listGroups, 4, {})).groups, [])
    })
  })

  test('with too few replicas in sync what is taken back is gone when they have it', async () => {
    await withGroups({ configs: { 'min.insync.replicas': 2 } }, async (bench) => {
      const { clock, cluster, followers, toCoordinator } = bench
      const connection = await toCoordinator()
      await clock.during(commit(connection, 1))
      const down = followers()
      for (const node of down) await cluster.stopNode(node)
      const deleted = await clock.during(connection.send(deleteGroups, 1, { groupsNames: [GROUP] }))
      assert.equal(named(deleted.results[0]?.errorCode), 'COORDINATOR_NOT_AVAILABLE')
      assert.equal(await fetchOffset(connection), 1)
      await cluster.startNode(down[0] as number)
      await clock.advance(1)
      assert.equal(await fetchOffset(connection), -1)
      assert.deepEqual((await connection.send(listGroups, 4, {})).groups, [])
    })
  })

  test('what cannot be written is not taken back', async () => {
    await withGroups({ configs: { 'min.insync.replicas': 2 }, kafkaVersion: '3.9' }, async (bench) => {
      const { clock, cluster, followers, toCoordinator } = bench
      const connection = await toCoordinator()
      await clock.during(commit(connection, 1))
      for (const node of followers()) await cluster.stopNode(node)
      const deleted = await connection.send(deleteGroups, 1, { groupsNames: [GROUP] })
      assert.equal(named(deleted.results[0]?.errorCode), 'COORDINATOR_NOT_AVAILABLE')
      const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0 }] }]
      const answer = await connection.send(offsetDelete, 0, { groupId: GROUP, topics })
      assert.equal(named(answer.errorCode), 'COORDINATOR_NOT_AVAILABLE')
      assert.equal(await fetchOffset(connection), 1)
      assert.equal((await connection.send(listGroups, 4, {})).groups.length, 1)
    })
  })
})

describe('the log is bounded', () => {
  test('by compaction, on every replica, and nothing that counts is lost', async () => {
    const configs = { 'offsets.topic.segment.bytes': 20_000 }
    await withGroups({ brokers: 2, configs }, async ({ clock, cluster, followers, toCoordinator }) => {
      const connection = await toCoordinator()
      const sizes: number[] = []
      for (let offset = 0; offset < 1_000; offset++) {
        assert.equal(await clock.during(commit(connection, offset, offset % 4)), 'NONE')
        for (const node of [1, 2]) {
          const { batches } = cluster.replicaOf(node, OFFSETS, 0)
          sizes.push(batches.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
        }
      }
      assert.ok(Math.max(...sizes) < 21_000, `${Math.max(...sizes)} bytes`)
      assert.equal(cluster.replicaOf(1, OFFSETS, 0).logEnd, 1_000, 'offsets go on')
      cluster.moveCoordinator(GROUP, followers()[0] as number)
      await clock.advance(1)
      const next = await toCoordinator()
      const found = await Promise.all([0, 1, 2, 3].map((partition) => fetchOffset(next, partition)))
      assert.deepEqual(found, [996, 997, 998, 999])
    })
  })

  test('and a replica that is copied afterwards knows where each epoch began', async () => {
    const configs = { 'offsets.topic.segment.bytes': 10_000, 'offsets.topic.replication.factor': 2 }
    await withGroups({ configs }, async ({ clock, cluster, toCoordinator, to, leader }) => {
      const first = leader()
      const { replicaNodes } = (await topicsOf(await to(first), [OFFSETS]))[0]?.partitions[0] ?? {}
      const second = replicaNodes?.find((id) => id !== first) as number
      const commitMany = async (partition: number, count: number) => {
        const connection = await toCoordinator()
        for (let offset = 0; offset < count; offset++)
          await clock.during(commit(connection, offset, partition))
      }
      await commitMany(0, 5)
      cluster.moveCoordinator(GROUP, second)
      await clock.advance(1)
      await commitMany(1, 5)
      cluster.moveCoordinator(GROUP, first)
      await clock.advance(1)
      await commitMany(1, 300)
      const epochs = new Set(cluster.replicaOf(first, OFFSETS, 0).batches.map((batch) => batch.leaderEpoch))
      assert.deepEqual([...epochs], [0, 2], 'nothing is left of epoch 1')
      const ends = async (nodeId: number) => {
        const connection = await to(nodeId)
        const asked = [0, 1].map((leaderEpoch) => ({ partition: 0, leaderEpoch }))
        const answers: unknown[] = []
        for (const one of asked) {
          const topics = [{ topic: OFFSETS, partitions: [one] }]
          const answer = await connection.send(offsetForLeaderEpoch, 4, { topics })
          const found = answer.topics[0]?.partitions[0]
          answers.push([found?.leaderEpoch, found?.endOffset])
        }
        return answers
      }
      const before = await ends(first)
      assert.deepEqual(before, [
        [0, 5],
        [1, 10],
      ])
      const fresh = [1, 2, 3].find((id) => id !== first && id !== second) as number
      const partitions = [{ partitionIndex: 0, replicas: [fresh] }]
      const topics = [{ name: OFFSETS, partitions }]
      const admin = await to(first)
      await admin.send(alterPartitionReassignments, 1, { topics, timeoutMs: 1_000 })
      await clock.until(() => leader() === fresh)
      assert.deepEqual(await ends(fresh), before)
    })
  })

  test("and stands apart from logBytes: users' records never push it out", async () => {
    await withGroups(
      { brokers: 1, logBytes: 1 << 20 },
      async ({ cluster, clock, toCoordinator, toLeader }) => {
        assert.equal(await commit(await toCoordinator(), 7), 'NONE')
        const connection = await toLeader('orders')
        const value = 'x'.repeat(100_000)
        for (let count = 0; count < 20; count++) await send(connection, 'orders', batchOf([value]))
        await until(() => cluster.replicaOf(1, 'orders', 0).logStart > 0, 'the log is full')
        await cluster.stopNode(1)
        await cluster.startNode(1)
        await clock.advance(0)
        assert.equal(await fetchOffset(await toCoordinator()), 7)
      },
    )
  })
})

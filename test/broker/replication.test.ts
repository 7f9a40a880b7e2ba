import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../src/protocol/error-codes.ts'
import { describeProducers } from '../../src/protocol/messages/describe-producers.ts'
import { fetch } from '../../src/protocol/messages/fetch.ts'
import { listOffsets } from '../../src/protocol/messages/list-offsets.ts'
import { offsetForLeaderEpoch } from '../../src/protocol/messages/offset-for-leader-epoch.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import {
  batchOf,
  fetchRequest,
  type Kit,
  read,
  send,
  sendError,
  sequenced,
  spansOf,
  topicsOf,
  until,
  valuesOf,
  withCluster,
} from './kit.ts'

const three = (configs: Record<string, string | number> = {}) => ({
  brokers: 3,
  topics: { t: { partitions: 1, configs } },
})

/** The leader of t-0, and its followers in the order of the replicas. */
const rolesOf = ({ cluster }: Kit) => {
  const leader = cluster.leaderOf('t', 0)
  return { leader, followers: [1, 2, 3].filter((id) => id !== leader) as [number, number] }
}

const isrOf = async (connection: RawConnection) =>
  (await topicsOf(connection, ['t']))[0]?.partitions[0]?.isrNodes

test('every in-sync replica has a record before acks all is answered', async () => {
  await withCluster(three(), async (kit) => {
    await send(await kit.toLeader('t'), 't', batchOf(['a', 'b']))
    for (const id of [1, 2, 3]) assert.equal(kit.cluster.replicaOf(id, 't', 0).logEnd, 2)
  })
})

test('a held follower holds the high watermark: consumers see nothing, acks all times out, the record is there', async () => {
  await withCluster(three(), async (kit) => {
    const { leader, followers } = rolesOf(kit)
    const node = await kit.to(leader)
    const release = kit.cluster.holdReplica(followers[1], 't', 0)
    const answer = await send(node, 't', batchOf(['a']), { timeoutMs: 20 })
    assert.equal(errorName(answer.errorCode), 'REQUEST_TIMED_OUT')
    assert.equal(kit.cluster.replicaOf(followers[0], 't', 0).logEnd, 1)
    assert.equal(kit.cluster.replicaOf(leader, 't', 0).highWatermark, 0)
    assert.equal(spansOf(await read(node, 't', 0)), '')
    assert.equal(valuesOf(kit.cluster, 't'), '')
    release()
    await until(() => kit.cluster.replicaOf(leader, 't', 0).highWatermark === 1)
    assert.equal(spansOf(await read(node, 't', 0)), '0-0')
  })
})

test('a follower learns the high watermark one fetch later, and serves what it knows to be committed', async () => {
  await withCluster(three(), async (kit) => {
    const { followers } = rolesOf(kit)
    await send(await kit.toLeader('t'), 't', batchOf(['a']))
    await until(() => kit.cluster.replicaOf(followers[0], 't', 0).highWatermark === 1)
    const follower = await kit.to(followers[0])
    assert.equal(spansOf(await read(follower, 't', 0)), '0-0', 'KIP-392')
    const old = await read(follower, 't', 0, { version: 10 })
    assert.equal(errorName(old.errorCode), 'NOT_LEADER_OR_FOLLOWER')
  })
})

test('who lags longer than replica.lag.time.max.ms leaves the in-sync replicas, and comes back', async () => {
  const clock = new VirtualClock()
  const configs = { 'replica.lag.time.max.ms': 10_000 }
  await withCluster({ ...three(), configs, clock }, async (kit) => {
    const { leader, followers } = rolesOf(kit)
    const node = await kit.to(leader)
    const release = kit.cluster.holdReplica(followers[1], 't', 0)
    const answer = send(node, 't', batchOf(['a']), { timeoutMs: 60_000 })
    await clock.advance(9_999)
    assert.equal(kit.cluster.replicaOf(followers[1], 't', 0).isInSync, true)
    await clock.advance(2)
    assert.equal(kit.cluster.replicaOf(followers[1], 't', 0).isInSync, false)
    assert.equal((await answer).errorCode, 0)
    assert.equal((await isrOf(node))?.length, 2)
    release()
    await clock.advance(1)
    assert.equal(kit.cluster.replicaOf(followers[1], 't', 0).isInSync, true)
    assert.equal(kit.cluster.replicaOf(followers[1], 't', 0).logEnd, 1)
  })
})

test('with too few in-sync replicas acks all is refused, acks 1 is taken and stays unseen', async () => {
  await withCluster(three({ 'min.insync.replicas': 2 }), async (kit) => {
    const { leader, followers } = rolesOf(kit)
    const node = await kit.to(leader)
    for (const id of followers) await kit.cluster.stopNode(id)
    assert.equal(await sendError(node, 't', batchOf(['a'])), 'NOT_ENOUGH_REPLICAS')
    assert.equal(await sendError(node, 't', batchOf(['b']), { acks: 1 }), 'NONE')
    assert.equal(spansOf(await read(node, 't', 0)), '', 'KIP-966: the high watermark stands still')
    await kit.cluster.startNode(followers[0])
    await until(() => kit.cluster.replicaOf(leader, 't', 0).highWatermark === 1)
    assert.equal(valuesOf(kit.cluster, 't'), 'b')
  })
})

test('replicas that fall out while a request waits are told of when the high watermark got there', async () => {
  await withCluster(three(), async (kit) => {
    const { leader, followers } = rolesOf(kit)
    const node = await kit.to(leader)
    const releases = followers.map((id) => kit.cluster.holdReplica(id, 't', 0))
    const answer = sendError(node, 't', batchOf(['a']), { timeoutMs: 5_000 })
    await until(() => kit.cluster.replicaOf(leader, 't', 0).logEnd === 1)
    for (const id of followers) await kit.cluster.stopNode(id)
    assert.equal(await answer, 'NONE', 'one in-sync replica is enough by default')
    for (const release of releases) release()
  })
})

for (const [kafkaVersion, error] of [
  ['3.6', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'],
  ['3.7', 'REQUEST_TIMED_OUT'],
] as const) {
  test(`replicas fall out while a request waits, and too few are left: in Kafka ${kafkaVersion} ${error}`, async () => {
    const clock = new VirtualClock()
    const options = three({ 'min.insync.replicas': 2 })
    const configs = { 'replica.lag.time.max.ms': 1_000 }
    await withCluster({ ...options, configs, clock, kafkaVersion }, async (kit) => {
      const { leader, followers } = rolesOf(kit)
      const node = await kit.to(leader)
      assert.equal(await clock.during(sendError(node, 't', batchOf(['a']))), 'NONE')
      const releases = followers.map((id) => kit.cluster.holdReplica(id, 't', 0))
      const answer = sendError(node, 't', batchOf(['b']), { timeoutMs: 5_000 })
      await clock.until(() => followers.every((id) => !kit.cluster.replicaOf(id, 't', 0).isInSync))
      assert.equal(kit.cluster.replicaOf(leader, 't', 0).logEnd, 2, 'it is in the log of the leader')
      assert.equal(await clock.during(answer), error)
      assert.equal(valuesOf(kit.cluster, 't'), kafkaVersion === '3.6' ? 'a b' : 'a', 'and there alone')
      assert.equal(await sendError(node, 't', batchOf(['c'])), 'NOT_ENOUGH_REPLICAS')
      for (const release of releases) release()
      await clock.advance(1)
      assert.equal(valuesOf(kit.cluster, 't'), 'a b')
    })
  })
}

test('before Kafka 3.7 min.insync.replicas may ask for more replicas than there are', async () => {
  const topics = { t: { partitions: 1, replicas: 1, configs: { 'min.insync.replicas': 2 } } }
  for (const [kafkaVersion, error] of [
    ['3.6', 'NOT_ENOUGH_REPLICAS'],
    ['4.1', 'NONE'],
  ]) {
    await withCluster({ topics, kafkaVersion: kafkaVersion as string }, async ({ to }) => {
      assert.equal(await sendError(await to(1), 't', batchOf(['a'])), error)
    })
  }
})

test('a new leader: the epoch rises, waiting requests are sent away, what was not copied is gone', async () => {
  await withCluster(three(), async (kit) => {
    const { leader, followers } = rolesOf(kit)
    const node = await kit.to(leader)
    await send(node, 't', sequenced(1, 0, 1))
    const releases = followers.map((id) => kit.cluster.holdReplica(id, 't', 0))
    const waiting = send(node, 't', sequenced(1, 1, 2))
    await until(() => kit.cluster.replicaOf(leader, 't', 0).logEnd === 3)
    kit.cluster.moveLeader('t', 0, followers[0])
    assert.equal(errorName((await waiting).errorCode), 'NOT_LEADER_OR_FOLLOWER')
    for (const release of releases) release()
    const next = await kit.to(followers[0])
    const known = async (connection: RawConnection) =>
      (
        await connection.send(describeProducers, 0, { topics: [{ name: 't', partitionIndexes: [0] }] })
      ).topics[0]?.partitions[0]?.activeProducers.map(({ lastSequence }) => lastSequence)
    await until(() => kit.cluster.replicaOf(leader, 't', 0).logEnd === 1, 'the old leader cuts its log')
    assert.deepEqual(await known(next), [0])
    assert.deepEqual(await known(node), [0], 'producer state went with the records')
    assert.equal((await send(next, 't', sequenced(1, 1, 1))).baseOffset, 1)
    assert.deepEqual(kit.cluster.replicaOf(leader, 't', 0).leaderEpoch, 1)
    assert.deepEqual(
      kit.cluster.records('t', 0).map(({ leaderEpoch, sequence }) => [leaderEpoch, sequence]),
      [
        [0, 0],
        [1, 1],
      ],
    )
  })
})

test('fetches know the epoch: older is fenced with a hint, newer is unknown, a diverging log is told', async () => {
  await withCluster(three(), async (kit) => {
    const { leader, followers } = rolesOf(kit)
    await send(await kit.to(leader), 't', batchOf(['a']))
    await until(() => kit.cluster.replicaOf(followers[0], 't', 0).highWatermark === 1)
    kit.cluster.moveLeader('t', 0, followers[0])
    const node = await kit.to(followers[0])
    await send(node, 't', batchOf(['b']))
    const [topic] = await topicsOf(node, ['t'])
    const byId = fetchRequest('', 0, { currentLeaderEpoch: 0, topicId: topic?.topicId ?? '' })
    const fenced = await node.send(fetch, 16, byId)
    const hint = { leaderId: followers[0], leaderEpoch: 1 }
    assert.deepEqual(fenced.responses[0]?.partitions[0]?.currentLeader, hint, 'KIP-951')
    assert.equal(fenced.nodeEndpoints[0]?.nodeId, followers[0])
    const old = await read(node, 't', 0, { currentLeaderEpoch: 0 })
    assert.equal(errorName(old.errorCode), 'FENCED_LEADER_EPOCH')
    const early = await read(node, 't', 0, { currentLeaderEpoch: 2 })
    assert.equal(errorName(early.errorCode), 'UNKNOWN_LEADER_EPOCH')
    const ahead = await read(node, 't', 5, { lastFetchedEpoch: 0 })
    assert.deepEqual([ahead.errorCode, ahead.divergingEpoch], [0, { epoch: 0, endOffset: 1 }])
    const level = await read(node, 't', 1, { lastFetchedEpoch: 0 })
    assert.equal(spansOf(level), '1-1')
  })
})

test('OffsetForLeaderEpoch gives the end of an epoch, up to the end of the log', async () => {
  await withCluster(three(), async (kit) => {
    const { leader, followers } = rolesOf(kit)
    await send(await kit.to(leader), 't', batchOf(['a', 'b']))
    kit.cluster.moveLeader('t', 0, followers[0])
    const node = await kit.to(followers[0])
    const release = kit.cluster.holdReplica(leader, 't', 0)
    await send(node, 't', batchOf(['c']), { acks: 1 })
    const ask = async (leaderEpoch: number, currentLeaderEpoch = 1) => {
      const partitions = [{ partition: 0, currentLeaderEpoch, leaderEpoch }]
      const answer = await node.send(offsetForLeaderEpoch, 4, { topics: [{ topic: 't', partitions }] })
      const one = answer.topics[0]?.partitions[0]
      return one?.errorCode ? errorName(one.errorCode) : [one?.leaderEpoch, one?.endOffset]
    }
    assert.deepEqual(await ask(0), [0, 2])
    assert.deepEqual(await ask(1), [1, 3], 'not the high watermark, which is 2')
    assert.deepEqual(await ask(7), [-1, -1])
    assert.equal(await ask(0, 0), 'FENCED_LEADER_EPOCH')
    assert.equal(await ask(0, 2), 'UNKNOWN_LEADER_EPOCH')
    release()
  })
})

test('a new leader that knows less of what is committed says so for the latest offset', async () => {
  await withCluster(three(), async (kit) => {
    const { leader, followers } = rolesOf(kit)
    await send(await kit.to(leader), 't', batchOf(['a']))
    const releases = followers.map((id) => kit.cluster.holdReplica(id, 't', 0))
    releases[0]?.()
    await send(await kit.to(leader), 't', batchOf(['b']), { acks: 1 })
    await until(() => kit.cluster.replicaOf(followers[0], 't', 0).logEnd === 2)
    kit.cluster.holdReplica(leader, 't', 0)
    kit.cluster.moveLeader('t', 0, followers[0])
    const node = await kit.to(followers[0])
    const latest = async (version: number) => {
      const partitions = [{ partitionIndex: 0, timestamp: -1 }]
      const answer = await node.send(listOffsets, version, {
        replicaId: -1,
        ...(version >= 2 ? { isolationLevel: 0 } : {}),
        topics: [{ name: 't', partitions }],
      })
      return errorName(answer.topics[0]?.partitions[0]?.errorCode ?? -1)
    }
    assert.equal(await latest(5), 'OFFSET_NOT_AVAILABLE')
    assert.equal(await latest(4), 'LEADER_NOT_AVAILABLE')
  })
})

test('a node that stops hands over its partitions; its log is there when it comes back', async () => {
  await withCluster(three(), async (kit) => {
    const { leader } = rolesOf(kit)
    const node = await kit.to(leader)
    await send(node, 't', batchOf(['a']))
    await kit.cluster.stopNode(leader)
    await node.closed
    const next = kit.cluster.leaderOf('t', 0)
    assert.notEqual(next, leader)
    await send(await kit.to(next), 't', batchOf(['b']))
    assert.equal(kit.cluster.replicaOf(leader, 't', 0).logEnd, 1, 'as on its disk')
    await kit.cluster.startNode(leader)
    await until(() => kit.cluster.replicaOf(leader, 't', 0).isInSync)
    assert.equal(kit.cluster.replicaOf(leader, 't', 0).logEnd, 2)
  })
})

test('after a restart one batch of each producer is known, where four more were before', async () => {
  // Producers are forgotten by the time of their records: the clock stands where the records are.
  const clock = new VirtualClock(1_700_000_000_000)
  await withCluster({ topics: { t: 1 }, clock }, async ({ cluster, to }) => {
    const before = await to(1)
    for (let index = 0; index < 5; index++) await send(before, 't', sequenced(1, index, 1))
    assert.equal((await send(before, 't', sequenced(1, 0, 1))).baseOffset, 0)
    await cluster.stopNode(1, { kill: true })
    await cluster.startNode(1)
    const after = await to(1)
    assert.equal((await send(after, 't', sequenced(1, 4, 1))).baseOffset, 4)
    assert.equal(await sendError(after, 't', sequenced(1, 3, 1)), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
    assert.equal((await send(after, 't', sequenced(1, 5, 1))).baseOffset, 5)
  })
})

test('the last in-sync replica keeps its place: without it there is no leader, unless unclean ones may lead', async () => {
  for (const unclean of ['false', 'true']) {
    await withCluster(three({ 'unclean.leader.election.enable': unclean }), async (kit) => {
      const { leader, followers } = rolesOf(kit)
      const releases = followers.map((id) => kit.cluster.holdReplica(id, 't', 0))
      for (const id of followers) await kit.cluster.stopNode(id)
      await send(await kit.to(leader), 't', batchOf(['a']))
      for (const id of followers) await kit.cluster.startNode(id)
      await kit.cluster.stopNode(leader)
      const next = kit.cluster.leaderOf('t', 0)
      if (unclean === 'false') {
        assert.equal(next, -1)
        const [topic] = await topicsOf(await kit.to(followers[0]), ['t'])
        assert.equal(errorName(topic?.partitions[0]?.errorCode ?? 0), 'LEADER_NOT_AVAILABLE')
        assert.deepEqual(topic?.partitions[0]?.isrNodes, [leader])
        await kit.cluster.startNode(leader)
        assert.equal(kit.cluster.leaderOf('t', 0), leader)
        assert.equal(valuesOf(kit.cluster, 't'), 'a')
      } else {
        assert.equal(next, followers[0])
        assert.equal(valuesOf(kit.cluster, 't'), '', 'that is what unclean means')
        for (const release of releases) release()
        await kit.cluster.startNode(leader)
        await until(() => kit.cluster.replicaOf(leader, 't', 0).logEnd === 0)
      }
    })
  }
})

test('a killed node is missed only after the session timeout', async () => {
  const clock = new VirtualClock()
  const configs = { 'broker.session.timeout.ms': 9000 }
  await withCluster({ ...three(), clock, configs }, async (kit) => {
    const { leader, followers } = rolesOf(kit)
    const node = await kit.to(leader)
    const other = await kit.to(followers[0])
    await kit.cluster.stopNode(leader, { kill: true })
    await node.closed
    assert.equal(kit.cluster.leaderOf('t', 0), leader, 'nobody has noticed')
    const stale = await read(other, 't', 0, { version: 10 })
    assert.equal(errorName(stale.errorCode), 'NOT_LEADER_OR_FOLLOWER')
    await clock.advance(9000)
    assert.equal(kit.cluster.leaderOf('t', 0), followers[0])
  })
})

test('a follower that missed more than the leader still has begins where the leader begins', async () => {
  await withCluster({ ...three(), logBytes: 1 << 20 }, async (kit) => {
    const { leader, followers } = rolesOf(kit)
    await kit.cluster.stopNode(followers[0])
    const node = await kit.to(leader)
    for (let index = 0; index < 40; index++) await send(node, 't', batchOf(['x'.repeat(60_000)]))
    const { logStart } = kit.cluster.replicaOf(leader, 't', 0)
    assert.ok(logStart > 0, 'the bound on bytes moved the start')
    await kit.cluster.startNode(followers[0])
    await until(() => kit.cluster.replicaOf(followers[0], 't', 0).logEnd === 40)
    assert.ok(kit.cluster.replicaOf(followers[0], 't', 0).logStart >= logStart)
  })
})

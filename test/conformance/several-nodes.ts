/**
 * What needs more than one node, or settings of its own: the wrong node is asked, leaders and coordinators move,
 * groups have a size, sessions end.
 */
import assert from 'node:assert/strict'
import {
  alterPartitionReassignments,
  createTopics,
  deleteGroups,
  deleteRecords,
  describeGroups,
  describeProducers,
  fetch,
  heartbeat,
  joinGroup,
  leaveGroup,
  listOffsets,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  offsetForLeaderEpoch,
  produce,
  syncGroup,
} from '../../src/protocol/messages/index.ts'
import { caseOn, suiteOn, type Targeted } from './case.ts'
import { joinAs, joinRequest, rebalanceBegins, stableGroup, syncAs } from './group-requests.ts'
import { batchOf, fetchOne, produceTo } from './log-requests.ts'
import { leaderOf } from './metadata.ts'
import { movingCases } from './moving.ts'
import { replicaCases } from './replicas.ts'
import { eventually, named, type Place, type Target, type TopicInfo } from './target.ts'
import { tooFewReplicasCases } from './too-few-replicas.ts'

/** What the broker under test has to be set to, besides having three nodes. */
export const severalNodesSettings = {
  'group.max.size': 3,
  'group.initial.rebalance.delay.ms': 300,
  'group.min.session.timeout.ms': 100,
  'offsets.commit.timeout.ms': 2_000,
} as const

/** A topic of one partition on these nodes, the first of which leads it. */
export async function topicOn(at: Target, ...nodes: number[]): Promise<TopicInfo> {
  const connection = await at.connect()
  const name = at.name('placed')
  const assignments = [{ partitionIndex: 0, brokerIds: nodes }]
  const topics = [{ name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }]
  const answer = await connection.send(createTopics, 7, { topics, timeoutMs: 10_000, validateOnly: false })
  assert.equal(named(answer.topics[0]?.errorCode), 'NONE')
  const topic = { name, id: answer.topics[0]?.topicId ?? '', leaders: [nodes[0] as number] }
  // A replica that does not know of it yet answers with something else than it will.
  for (const node of nodes) {
    const replica = await at.connect(node)
    await eventually(`${name} on ${node}`, async () => {
      const { error } = await fetchOne(replica, { version: 11, topic })
      return error === 'NONE' || undefined
    })
  }
  for (const node of at.nodeIds.filter((id) => !nodes.includes(id))) {
    const other = await at.connect(node)
    await eventually(`${name} as seen by ${node}`, async () => {
      const { error } = await fetchOne(other, { version: 11, topic })
      return error === 'NOT_LEADER_OR_FOLLOWER' || undefined
    })
  }
  return topic
}

function leaderCases(target: Targeted): void {
  const check = caseOn(target)
  const NONE = { leaderId: -1, leaderEpoch: -1 }

  check('Produce to a node that does not lead: from version 10 on with the leader (KIP-951)', async (at) => {
    const [leader, other] = at.nodeIds as [number, number]
    for (const topic of [await topicOn(at, leader), await topicOn(at, leader, other)]) {
      const connection = await at.connect(other)
      for (const version of at.versions(produce)) {
        const answer = await produceTo(connection, { version, topic, records: batchOf('v') })
        assert.deepEqual([answer.error, answer.baseOffset], ['NOT_LEADER_OR_FOLLOWER', -1])
        const hint = version >= 10 ? { leaderId: leader, leaderEpoch: 0 } : NONE
        assert.deepEqual(answer.currentLeader, hint)
        assert.deepEqual(
          answer.nodeEndpoints.map(({ nodeId }) => nodeId),
          version >= 10 ? [leader] : [],
        )
      }
    }
  })

  check('Fetch from a node without a replica: from version 16 on with the leader (KIP-951)', async (at) => {
    const [leader, other] = at.nodeIds as [number, number]
    const topic = await topicOn(at, leader)
    const connection = await at.connect(other)
    for (const version of at.versions(fetch)) {
      const answer = await fetchOne(connection, { version, topic })
      assert.equal(answer.error, 'NOT_LEADER_OR_FOLLOWER')
      const hint = version >= 16 ? { leaderId: leader, leaderEpoch: 0 } : NONE
      assert.deepEqual(answer.currentLeader, hint)
      assert.deepEqual(
        answer.nodeEndpoints.map(({ nodeId }) => nodeId),
        version >= 16 ? [leader] : [],
      )
    }
  })

  check('Fetch from a follower: from version 11 on (KIP-392), up to its high watermark', async (at) => {
    const [leader, follower] = at.nodeIds as [number, number]
    const topic = await topicOn(at, leader, follower)
    await produceTo(await at.connect(leader), { topic, records: batchOf('v') })
    const connection = await at.connect(follower)
    for (const version of at.versions(fetch)) {
      if (version < 11) {
        assert.equal((await fetchOne(connection, { version, topic })).error, 'NOT_LEADER_OR_FOLLOWER')
        continue
      }
      const values = await eventually('the record at the follower', async () => {
        const answer = await fetchOne(connection, { version, topic, maxWaitMs: 200 })
        assert.equal(answer.error, 'NONE')
        return answer.values.length > 0 ? answer.values : undefined
      })
      assert.deepEqual(values, ['0:v'])
    }
  })

  check('what only the leader answers', async (at) => {
    const [leader, other] = at.nodeIds as [number, number]
    const alone = await topicOn(at, leader)
    const copied = await topicOn(at, leader, other)
    const connection = await at.connect(other)
    for (const { name } of [alone, copied]) {
      for (const version of at.versions(listOffsets)) {
        const topics = [{ name, partitions: [{ partitionIndex: 0, timestamp: -1 }] }]
        const answer = await connection.send(listOffsets, version, { replicaId: -1, topics })
        assert.equal(named(answer.topics[0]?.partitions[0]?.errorCode), 'NOT_LEADER_OR_FOLLOWER')
      }
      for (const version of at.versions(offsetForLeaderEpoch)) {
        const topics = [{ topic: name, partitions: [{ partition: 0, leaderEpoch: 0 }] }]
        const answer = await connection.send(offsetForLeaderEpoch, version, { topics })
        assert.equal(named(answer.topics[0]?.partitions[0]?.errorCode), 'NOT_LEADER_OR_FOLLOWER')
      }
      for (const version of at.versions(deleteRecords)) {
        const topics = [{ name, partitions: [{ partitionIndex: 0, offset: 0 }] }]
        const answer = await connection.send(deleteRecords, version, { topics, timeoutMs: 5_000 })
        assert.equal(named(answer.topics[0]?.partitions[0]?.errorCode), 'NOT_LEADER_OR_FOLLOWER')
      }
      const topics = [{ name, partitionIndexes: [0] }]
      const described = await connection.send(describeProducers, 0, { topics })
      const error = name === alone.name ? 'NOT_LEADER_OR_FOLLOWER' : 'NONE'
      assert.equal(
        named(described.topics[0]?.partitions[0]?.errorCode),
        error,
        'a replica knows its producers',
      )
    }
  })

  check('AlterPartitionReassignments: from version 1 on the number of replicas may be held', async (at) => {
    const [first, second] = at.nodeIds as [number, number]
    const { name } = await topicOn(at, first)
    const connection = await at.connect()
    for (const version of at.versions(alterPartitionReassignments, 1)) {
      const alter = async (...replicas: number[]) => {
        const topics = [{ name, partitions: [{ partitionIndex: 0, replicas }] }]
        const request = { timeoutMs: 10_000, allowReplicationFactorChange: false, topics }
        const answer = await connection.send(alterPartitionReassignments, version, request)
        return named(answer.responses[0]?.partitions[0]?.errorCode)
      }
      assert.equal(await alter(first, second), 'INVALID_REPLICATION_FACTOR')
      assert.equal(await alter(first), 'NONE')
    }
  })

  check('a partition that moves to another node: epochs are fenced', async (at) => {
    const [from, to] = at.nodeIds as [number, number]
    const topic = await topicOn(at, from)
    const connection = await at.connect()
    await produceTo(await at.connect(from), { topic, records: batchOf('before') })
    const topics = [{ name: topic.name, partitions: [{ partitionIndex: 0, replicas: [to] }] }]
    const moved = await connection.send(alterPartitionReassignments, 0, { timeoutMs: 10_000, topics })
    assert.equal(named(moved.responses[0]?.partitions[0]?.errorCode), 'NONE')
    const { leaderEpoch } = await eventually('the move', async () => {
      const leader = await leaderOf(connection, topic.name)
      return leader.leaderId === to ? leader : undefined
    })
    assert.ok(leaderEpoch > 0)
    const leader = await at.connect(to)
    const answer = await eventually('the new leader', async () => {
      const produced = await produceTo(leader, { topic, records: batchOf('after') })
      return produced.error === 'NOT_LEADER_OR_FOLLOWER' ? undefined : produced
    })
    assert.deepEqual([answer.error, answer.baseOffset], ['NONE', 1])
    for (const version of at.versions(fetch, 9)) {
      const old = await fetchOne(leader, { version, topic, partitions: [{ currentLeaderEpoch: 0 }] })
      assert.equal(old.error, 'FENCED_LEADER_EPOCH')
      const hint = version >= 16 ? { leaderId: to, leaderEpoch: leaderEpoch } : NONE
      assert.deepEqual(old.currentLeader, hint)
    }
    const listed = await leader.send(listOffsets, 5, {
      replicaId: -1,
      topics: [
        { name: topic.name, partitions: [{ partitionIndex: 0, timestamp: -1, currentLeaderEpoch: 0 }] },
      ],
    })
    assert.equal(named(listed.topics[0]?.partitions[0]?.errorCode), 'FENCED_LEADER_EPOCH')
    const ends = async (epoch: number, current = -1) => {
      const partitions = [{ partition: 0, leaderEpoch: epoch, currentLeaderEpoch: current }]
      const { topics: answered } = await leader.send(offsetForLeaderEpoch, 4, {
        topics: [{ topic: topic.name, partitions }],
      })
      const one = answered[0]?.partitions[0]
      return [named(one?.errorCode), one?.leaderEpoch, one?.endOffset]
    }
    assert.deepEqual(await ends(0), ['NONE', 0, 1])
    assert.deepEqual(await ends(leaderEpoch), ['NONE', leaderEpoch, 2])
    assert.deepEqual(await ends(leaderEpoch + 9), ['NONE', -1, -1])
    assert.deepEqual(await ends(0, 0), ['FENCED_LEADER_EPOCH', -1, -1])
  })
}

function coordinatorCases(target: Targeted): void {
  const check = caseOn(target)

  check('every group API of a node that is not the coordinator answers NOT_COORDINATOR', async (at) => {
    const groupId = at.name('group')
    const topic = await at.topic()
    const coordinator = await at.coordinator(groupId)
    const connection = await at.connect(at.nodeIds.find((id) => id !== coordinator))
    const member = { groupId, generationId: 1, memberId: 'anybody' }
    const wrong = (code: number | undefined, what: string) =>
      assert.equal(named(code), 'NOT_COORDINATOR', what)
    for (const version of at.versions(joinGroup)) {
      const answer = await connection.send(joinGroup, version, joinRequest(groupId, version))
      wrong(answer.errorCode, `JoinGroup ${version}`)
      assert.equal(answer.memberId, '')
    }
    for (const version of at.versions(syncGroup)) {
      const said = version >= 5 ? { protocolType: 'consumer', protocolName: 'range' } : {}
      wrong(
        (await connection.send(syncGroup, version, { ...member, assignments: [], ...said })).errorCode,
        'SyncGroup',
      )
    }
    for (const version of at.versions(heartbeat)) {
      wrong((await connection.send(heartbeat, version, member)).errorCode, 'Heartbeat')
    }
    for (const version of at.versions(leaveGroup)) {
      const who = version >= 3 ? { members: [{ memberId: 'anybody' }] } : { memberId: 'anybody' }
      const answer = await connection.send(leaveGroup, version, { groupId, ...who })
      wrong(answer.errorCode, 'LeaveGroup')
      assert.deepEqual(answer.members, [])
    }
    for (const version of at.versions(offsetCommit)) {
      const key = version >= 10 ? { topicId: topic.id } : { name: topic.name }
      const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }]
      const { topics } = await connection.send(offsetCommit, version, {
        groupId,
        memberId: '',
        topics: [{ ...key, partitions }],
      })
      wrong(topics[0]?.partitions[0]?.errorCode, 'OffsetCommit')
    }
    for (const version of at.versions(offsetFetch)) {
      const key = version >= 10 ? { topicId: topic.id } : { name: topic.name }
      const asked = [{ ...key, partitionIndexes: [0] }]
      const old = { groupId, topics: [{ name: topic.name, partitionIndexes: [0] }] }
      const answer = await connection.send(
        offsetFetch,
        version,
        version >= 8 ? { groups: [{ groupId, topics: asked }] } : old,
      )
      const partition = answer.topics[0]?.partitions[0]
      const error =
        version >= 8 ? answer.groups[0]?.errorCode : version >= 2 ? answer.errorCode : partition?.errorCode
      wrong(error, `OffsetFetch ${version}`)
    }
    for (const version of at.versions(describeGroups)) {
      const { groups } = await connection.send(describeGroups, version, { groups: [groupId] })
      wrong(groups[0]?.errorCode, 'DescribeGroups')
      assert.deepEqual([groups[0]?.groupState, groups[0]?.errorMessage], ['', null])
    }
    for (const version of at.versions(deleteGroups)) {
      const { results } = await connection.send(deleteGroups, version, { groupsNames: [groupId] })
      wrong(results[0]?.errorCode, 'DeleteGroups')
    }
    wrong((await connection.send(offsetDelete, 0, { groupId, topics: [] })).errorCode, 'OffsetDelete')
  })
}

function settingCases(target: Targeted): void {
  const check = caseOn(target)

  check('JoinGroup: members that come within the initial delay share the first generation', async (at) => {
    const groupId = at.name('group')
    const connections = await Promise.all([0, 1, 2].map(() => at.connectToCoordinator(groupId)))
    const started = performance.now()
    const joined = await Promise.all(connections.map((connection) => joinAs(connection, groupId)))
    assert.ok(performance.now() - started >= 290)
    assert.deepEqual(
      joined.map(({ errorCode, generationId }) => [named(errorCode), generationId]),
      joined.map(() => ['NONE', 1]),
    )
    const leader = joined.find(({ memberId, leader: id }) => memberId === id)
    assert.equal(leader?.members.length, 3)
    assert.equal(joined.filter(({ members }) => members.length > 0).length, 1, 'followers hear of nobody')
    assert.equal(new Set(joined.map(({ leader: id }) => id)).size, 1)
  })

  check('JoinGroup: a group takes no more than group.max.size members', async (at) => {
    const groupId = at.name('group')
    await stableGroup(at, groupId, [{}, {}, {}])
    const connection = await at.connectToCoordinator(groupId)
    for (const version of at.versions(joinGroup)) {
      const answer = await connection.send(joinGroup, version, joinRequest(groupId, version))
      assert.deepEqual([named(answer.errorCode), answer.memberId], ['GROUP_MAX_SIZE_REACHED', ''])
    }
  })

  check('a member that is silent for its session is out, and the others begin a rebalance', async (at) => {
    const groupId = at.name('group')
    const [alive, silent] = await stableGroup(at, groupId, [{}, { sessionTimeoutMs: 300 }])
    assert.ok(alive && silent)
    await rebalanceBegins(alive.connection, groupId, alive.joined)
    const { memberId, generationId } = silent.joined
    const beat = await silent.connection.send(heartbeat, 4, { groupId, memberId, generationId })
    assert.equal(named(beat.errorCode), 'UNKNOWN_MEMBER_ID')
    const again = await joinAs(alive.connection, groupId, 9, { memberId: alive.joined.memberId })
    assert.equal(again.members.length, 1)
  })

  check('an id that is given out and not used ends with its session', async (at) => {
    const groupId = at.name('group')
    const connection = await at.connectToCoordinator(groupId)
    const { memberId } = await connection.send(
      joinGroup,
      9,
      joinRequest(groupId, 9, { sessionTimeoutMs: 150 }),
    )
    await new Promise((resolve) => setTimeout(resolve, 400))
    const late = await connection.send(
      joinGroup,
      9,
      joinRequest(groupId, 9, { memberId, sessionTimeoutMs: 150 }),
    )
    assert.equal(named(late.errorCode), 'UNKNOWN_MEMBER_ID')
  })

  check('members that take the generation and never sync are out after the rebalance timeout', async (at) => {
    const groupId = at.name('group')
    const connections = await Promise.all([0, 1].map(() => at.connectToCoordinator(groupId)))
    const given = { rebalanceTimeoutMs: 600 }
    const joined = await Promise.all(connections.map((connection) => joinAs(connection, groupId, 9, given)))
    const index = joined.findIndex(({ members }) => members.length > 0)
    const [leader, connection] = [joined[index], connections[index]]
    const silent = joined[1 - index]
    assert.ok(leader && connection && silent)
    await syncAs(connection, groupId, leader)
    await rebalanceBegins(connection, groupId, leader)
    const { memberId, generationId } = silent
    const beat = await connection.send(heartbeat, 4, { groupId, memberId, generationId })
    assert.equal(named(beat.errorCode), 'UNKNOWN_MEMBER_ID')
  })
}

export const severalNodes = (name: string, makePlace: () => Promise<Place>): void =>
  suiteOn(
    `several nodes: ${name}`,
    makePlace,
    leaderCases,
    coordinatorCases,
    settingCases,
    movingCases,
    replicaCases,
    tooFewReplicasCases,
  )

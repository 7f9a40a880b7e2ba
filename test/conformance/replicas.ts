/** What replicas that lag, or whose nodes are down, come to: only an embedded cluster can be put into these states. */
import assert from 'node:assert/strict'
import type { EmbeddedCluster } from '../../src/broker/index.ts'
import {
  createTopics,
  deleteRecords,
  describeTopicPartitions,
  electLeaders,
  joinGroup,
  listOffsets,
  metadata,
  produce,
} from '../../src/protocol/messages/index.ts'
import { embeddedCaseOn, suiteOn, type Targeted } from './case.ts'
import { joinRequest, stableGroup } from './group-requests.ts'
import { batchOf, offsetOf, produceTo } from './log-requests.ts'
import { eventually, named, type Place, type Target, type TopicInfo } from './target.ts'

interface Scene {
  readonly cluster: EmbeddedCluster
  readonly topic: TopicInfo
  readonly leader: number
  readonly followers: readonly number[]
}

/** A topic of one partition with a replica on every node. */
function onAllNodes(at: Target, configs: Record<string, number> = {}): Scene {
  const { cluster } = at
  assert.ok(cluster)
  const name = at.name('replicated')
  cluster.createTopic(name, 1, configs)
  const leader = cluster.leaderOf(name, 0)
  const followers = at.nodeIds.filter((id) => id !== leader)
  return { cluster, topic: { name, id: '', leaders: [leader] }, leader, followers }
}

function writingCases(target: Targeted): void {
  const check = embeddedCaseOn(target)

  check('Produce: too few replicas in sync, and a replica that lags', async (at) => {
    const { cluster, topic, leader, followers } = onAllNodes(at, { 'min.insync.replicas': 2 })
    const connection = await at.connect(leader)
    const send = async (acks: number, timeoutMs = 5_000) =>
      (await produceTo(connection, { topic, records: batchOf('v'), acks, timeoutMs })).error
    assert.equal(await send(-1), 'NONE')
    const releases = followers.map((node) => cluster.holdReplica(node, topic.name, 0))
    assert.equal(await send(-1, 200), 'REQUEST_TIMED_OUT')
    assert.equal(await send(1), 'NONE', 'acks 1 asks nobody')
    for (const release of releases) release()
    assert.equal(await send(-1), 'NONE')
    for (const node of followers) await cluster.stopNode(node)
    assert.equal(await send(-1), 'NOT_ENOUGH_REPLICAS')
    assert.equal(await send(1), 'NONE')
    for (const node of followers) await cluster.startNode(node)
    await eventually('the replicas', async () => ((await send(-1)) === 'NONE' ? true : undefined))
  })

  check('Produce: too few replicas in sync, in every version', async (at) => {
    const { topic, leader } = onAllNodes(at, { 'min.insync.replicas': 3 })
    const other = at.nodeIds.find((id) => id !== leader) as number
    const byId = { ...topic, id: await idOf(at, topic.name) }
    await at.cluster?.stopNode(other)
    const connection = await at.connect(leader)
    for (const version of at.versions(produce)) {
      const { error } = await produceTo(connection, { version, topic: byId, records: batchOf('v') })
      assert.equal(error, 'NOT_ENOUGH_REPLICAS', `version ${version}`)
    }
    await at.cluster?.startNode(other)
  })

  check('DeleteRecords: a replica that does not follow in time', async (at) => {
    const { cluster, topic, leader, followers } = onAllNodes(at)
    const connection = await at.connect(leader)
    await produceTo(connection, { topic, records: batchOf('a', 'b', 'c') })
    const release = cluster.holdReplica(followers[0] as number, topic.name, 0)
    const cut = async (version: number, offset: number, timeoutMs: number) => {
      const topics = [{ name: topic.name, partitions: [{ partitionIndex: 0, offset }] }]
      const answer = await connection.send(deleteRecords, version, { topics, timeoutMs })
      return named(answer.topics[0]?.partitions[0]?.errorCode)
    }
    for (const version of at.versions(deleteRecords)) {
      assert.equal(await cut(version, 1 + version, 50), 'REQUEST_TIMED_OUT')
    }
    release()
    assert.equal(await cut(2, 3, 5_000), 'NONE')
  })
}

async function idOf(at: Target, name: string): Promise<string> {
  const connection = await at.connect()
  const { topics } = await connection.send(metadata, 12, { topics: [{ name }] })
  return topics[0]?.topicId ?? ''
}

function leadingCases(target: Targeted): void {
  const check = embeddedCaseOn(target)

  check('ListOffsets: a new leader that knows less than clients may (KIP-207)', async (at) => {
    const { cluster, topic, leader, followers } = onAllNodes(at)
    const [next, late] = followers as [number, number]
    const release = cluster.holdReplica(late, topic.name, 0)
    await produceTo(await at.connect(leader), { topic, records: batchOf('v'), acks: 1 })
    await eventually('the copy', async () => {
      return cluster.replicaOf(next, topic.name, 0).logEnd === 1 || undefined
    })
    cluster.moveLeader(topic.name, 0, next)
    const connection = await at.connect(next)
    for (const version of at.versions(listOffsets)) {
      const expected = version >= 5 ? 'OFFSET_NOT_AVAILABLE' : 'LEADER_NOT_AVAILABLE'
      for (const timestamp of [-1, 5_000_000_000_000]) {
        const topics = [{ name: topic.name, partitions: [{ partitionIndex: 0, timestamp }] }]
        const answer = await connection.send(listOffsets, version, { replicaId: -1, topics })
        const partition = answer.topics[0]?.partitions[0]
        assert.deepEqual([named(partition?.errorCode), partition?.offset], [expected, -1], `${version}`)
      }
    }
    release()
    await eventually('the offset', async () => ((await offsetOf(connection, topic)) === 1 ? true : undefined))
  })

  check('ElectLeaders: the preferred leader is down', async (at) => {
    const { cluster, topic, leader, followers } = onAllNodes(at)
    const connection = await at.connect(followers[0])
    const elect = async (version: number, electionType: number) => {
      const topicPartitions = [{ topic: topic.name, partitions: [0] }]
      const type = version >= 1 ? { electionType } : {}
      const answer = await connection.send(electLeaders, version, {
        topicPartitions,
        timeoutMs: 5_000,
        ...type,
      })
      return named(answer.replicaElectionResults[0]?.partitionResult[0]?.errorCode)
    }
    await cluster.stopNode(leader)
    for (const version of at.versions(electLeaders)) {
      assert.equal(await elect(version, 0), 'PREFERRED_LEADER_NOT_AVAILABLE', `ElectLeaders ${version}`)
    }
    await cluster.startNode(leader)
  })

  check('a partition without any replica alive', async (at) => {
    const { cluster } = at
    assert.ok(cluster)
    const [node, other] = at.nodeIds as [number, number]
    const topic = await placedOn(at, node)
    const connection = await at.connect(other)
    await cluster.stopNode(node)
    for (const version of at.versions(metadata)) {
      const { topics } = await connection.send(metadata, version, { topics: [{ name: topic }] })
      const partition = topics[0]?.partitions[0]
      assert.equal(named(topics[0]?.errorCode), 'NONE')
      assert.deepEqual(
        [named(partition?.errorCode), partition?.leaderId, partition?.replicaNodes],
        ['LEADER_NOT_AVAILABLE', -1, [node]],
      )
      assert.deepEqual(partition?.offlineReplicas, version >= 5 ? [node] : [])
    }
    const { topics } = await connection.send(describeTopicPartitions, 0, { topics: [{ name: topic }] })
    assert.equal(named(topics[0]?.partitions[0]?.errorCode), 'LEADER_NOT_AVAILABLE')
    for (const version of at.versions(electLeaders, 1)) {
      const topicPartitions = [{ topic, partitions: [0] }]
      const request = { topicPartitions, timeoutMs: 5_000, electionType: 1 }
      const answer = await connection.send(electLeaders, version, request)
      const result = answer.replicaElectionResults[0]?.partitionResult[0]
      assert.equal(named(result?.errorCode), 'ELIGIBLE_LEADERS_NOT_AVAILABLE', `ElectLeaders ${version}`)
    }
    await cluster.startNode(node)
  })
}

/** A topic whose one replica is on this node. */
async function placedOn(at: Target, node: number): Promise<string> {
  const { cluster } = at
  assert.ok(cluster)
  const name = at.name('placed')
  const connection = await at.connect()
  const assignments = [{ partitionIndex: 0, brokerIds: [node] }]
  const topic = { name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }
  const request = { topics: [topic], timeoutMs: 5_000, validateOnly: false }
  const answer = await connection.send(createTopics, 5, request)
  assert.equal(named(answer.topics[0]?.errorCode), 'NONE')
  return name
}

function joiningCases(target: Targeted): void {
  embeddedCaseOn(target)(
    'JoinGroup: sent again on a new connection, the older one is answered too',
    async (at) => {
      const groupId = at.name('group')
      const [, follower] = await stableGroup(at, groupId, [{}, {}])
      assert.ok(follower)
      const { memberId } = follower.joined
      const ask = async (version: number) => {
        const protocols = [{ name: 'range', metadata: Buffer.from(`news ${version}`) }]
        const connection = await at.connectToCoordinator(groupId)
        const answer = connection.send(
          joinGroup,
          version,
          joinRequest(groupId, version, { memberId, protocols }),
        )
        return { connection, version, answer }
      }
      const [lowest = 0, ...later] = at.versions(joinGroup)
      let older = await ask(lowest)
      for (const version of [...later, lowest]) {
        const newer = await ask(version)
        const { errorCode, memberId: told } = await older.answer
        assert.deepEqual([named(errorCode), told], ['REBALANCE_IN_PROGRESS', memberId], `${older.version}`)
        older = newer
      }
      older.connection.close()
      await assert.rejects(older.answer)
    },
  )
}

/** Before KIP-966 a leader with too few replicas in sync went on alone. */
function olderRuleCases(target: Targeted): void {
  embeddedCaseOn(target)(
    'Produce: too few replicas in sync after the append, in every version',
    async (at) => {
      const { cluster, topic, leader, followers } = onAllNodes(at, { 'min.insync.replicas': 2 })
      const connection = await at.connect(leader)
      const known = { ...topic, id: await idOf(at, topic.name) }
      const [follower] = followers as [number]
      for (const version of at.versions(produce)) {
        const release = cluster.holdReplica(follower, topic.name, 0)
        const waiting = produceTo(connection, { version, topic: known, records: batchOf('v') })
        await eventually('the append', async () => {
          const { logEnd, highWatermark } = cluster.replicaOf(leader, topic.name, 0)
          return logEnd > highWatermark || undefined
        })
        await cluster.stopNode(follower)
        assert.equal((await waiting).error, 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', `version ${version}`)
        release()
        await cluster.startNode(follower)
        await eventually('the replica', async () => {
          return cluster.replicaOf(follower, topic.name, 0).isInSync || undefined
        })
        if (cluster.leaderOf(topic.name, 0) !== leader) cluster.moveLeader(topic.name, 0, leader)
      }
    },
  )
}

/** What only the rules of an older Kafka can show. Two nodes. */
export const olderRules = (name: string, makePlace: () => Promise<Place>): void =>
  suiteOn(`older rules: ${name}`, makePlace, olderRuleCases)

export function replicaCases(target: Targeted): void {
  writingCases(target)
  leadingCases(target)
  joiningCases(target)
}

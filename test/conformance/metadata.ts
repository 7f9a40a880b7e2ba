/** Metadata (3), DescribeCluster (60), DescribeTopicPartitions (75): what there is. */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { describeCluster, describeTopicPartitions, metadata } from '../../src/protocol/messages/index.ts'
import { type RequestOf, zeroUuid } from '../../src/protocol/schema.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { type Case, caseOn, type Targeted } from './case.ts'
import { NOWHERE } from './log-requests.ts'
import { eventually, named } from './target.ts'

const NOT_ASKED = -0x8000_0000
/** READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS as bits of AclOperation. */
const TOPIC_OPERATIONS = 3576
/** CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE. */
const CLUSTER_OPERATIONS = 8096

const noCreation = (version: number) => (version >= 4 ? { allowAutoTopicCreation: false } : {})

function metadataCases(check: Case): void {
  check('Metadata: nodes, cluster and topics in every version', async (at) => {
    const topic = await at.topic({ partitions: 3 })
    const connection = await at.connect()
    for (const version of at.versions(metadata)) {
      const answer = await connection.send(metadata, version, {
        topics: [{ name: topic.name }],
        ...noCreation(version),
      })
      assert.deepEqual(
        answer.brokers.map(({ nodeId }) => nodeId).toSorted((a, b) => a - b),
        [...at.nodeIds].toSorted((a, b) => a - b),
      )
      assert.equal(answer.clusterId?.length, version >= 2 ? 22 : undefined)
      assert.equal(at.nodeIds.includes(answer.controllerId), version >= 1)
      const [found] = answer.topics
      assert.equal(answer.topics.length, 1)
      assert.deepEqual([named(found?.errorCode), found?.name, found?.isInternal], ['NONE', topic.name, false])
      assert.equal(found?.topicId, version >= 10 ? topic.id : zeroUuid)
      assert.notEqual(topic.id, zeroUuid)
      assert.equal(found?.topicAuthorizedOperations, NOT_ASKED)
      for (const partition of found?.partitions ?? []) {
        assert.equal(partition.leaderId, topic.leaders[partition.partitionIndex])
        assert.equal(partition.leaderEpoch, version >= 7 ? 0 : -1)
        assert.ok(partition.replicaNodes.includes(partition.leaderId))
        assert.deepEqual(partition.isrNodes.toSorted(), partition.replicaNodes.toSorted())
        assert.deepEqual(partition.offlineReplicas, [])
      }
    }
  })

  check('Metadata: no topics, all topics, and a topic named twice', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect()
    for (const version of at.versions(metadata)) {
      const ask = async (topics: { name: string }[] | null) =>
        (await connection.send(metadata, version, { topics, ...noCreation(version) })).topics
      const all = await ask(version === 0 ? [] : null)
      assert.ok(all.some(({ name }) => name === topic.name))
      if (version > 0) assert.deepEqual(await ask([]), [])
      assert.equal((await ask([{ name: topic.name }, { name: topic.name }])).length, 1)
    }
  })

  check('Metadata: unknown topics, bad names, ids', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect()
    for (const version of at.versions(metadata)) {
      const ask = async (asked: { name: string | null; topicId?: string }) => {
        const { topics } = await connection.send(metadata, version, {
          topics: [asked],
          ...noCreation(version),
        })
        return [named(topics[0]?.errorCode), topics[0]?.name]
      }
      const name = at.name('none')
      if (version >= 4) assert.deepEqual(await ask({ name }), ['UNKNOWN_TOPIC_OR_PARTITION', name])
      assert.deepEqual(await ask({ name: 'a b' }), ['INVALID_TOPIC_EXCEPTION', 'a b'])
      if (version < 10) continue
      const byId = await ask({ name: null, topicId: topic.id })
      assert.deepEqual(byId, version >= 12 ? ['NONE', topic.name] : ['INVALID_REQUEST', ''])
      const byWrongId = await ask({ name: null, topicId: NOWHERE.id })
      assert.deepEqual(byWrongId, version >= 12 ? ['UNKNOWN_TOPIC_ID', null] : ['INVALID_REQUEST', ''])
    }
  })

  check('Metadata: what the client may do, when it asks', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect()
    for (const version of at.versions(metadata, 8)) {
      const cluster = version <= 10 ? { includeClusterAuthorizedOperations: true } : {}
      const request = { topics: [{ name: topic.name }], includeTopicAuthorizedOperations: true, ...cluster }
      const answer = await connection.send(metadata, version, request)
      assert.equal(answer.topics[0]?.topicAuthorizedOperations, TOPIC_OPERATIONS)
      assert.equal(answer.clusterAuthorizedOperations, version <= 10 ? CLUSTER_OPERATIONS : NOT_ASKED)
    }
  })

  check('Metadata: a topic that is asked for is made, if both sides allow it', async (at, context) => {
    const connection = await at.connect()
    const ask = async (name: string, allowAutoTopicCreation: boolean) => {
      const { topics } = await connection.send(metadata, 9, { topics: [{ name }], allowAutoTopicCreation })
      return named(topics[0]?.errorCode)
    }
    const [wanted, unwanted] = [at.name('auto'), at.name('none')]
    const first = await ask(wanted, true)
    if (first === 'UNKNOWN_TOPIC_OR_PARTITION') {
      const again = await ask(wanted, false)
      if (again === 'UNKNOWN_TOPIC_OR_PARTITION') return context.skip('auto.create.topics.enable is off')
    }
    await eventually(wanted, async () => ((await ask(wanted, false)) === 'NONE' ? true : undefined))
    assert.equal(await ask(unwanted, false), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await ask(unwanted, false), 'UNKNOWN_TOPIC_OR_PARTITION')
  })

  check('Metadata: the topic of committed offsets is internal', async (at) => {
    await at.coordinator(at.name('group'))
    const connection = await at.connect()
    const { topics } = await connection.send(metadata, 9, { topics: [{ name: '__consumer_offsets' }] })
    assert.deepEqual([named(topics[0]?.errorCode), topics[0]?.isInternal], ['NONE', true])
  })
}

function describeCases(check: Case): void {
  check('DescribeCluster: nodes, and the kind of endpoint', async (at) => {
    const connection = await at.connect()
    for (const version of at.versions(describeCluster)) {
      for (const includeClusterAuthorizedOperations of [false, true]) {
        const answer = await connection.send(describeCluster, version, { includeClusterAuthorizedOperations })
        assert.equal(named(answer.errorCode), 'NONE')
        assert.equal(answer.errorMessage, null)
        assert.equal(answer.clusterId.length, 22)
        assert.ok(at.nodeIds.includes(answer.controllerId))
        assert.equal(answer.brokers.length, at.nodeIds.length)
        const operations = includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : NOT_ASKED
        assert.equal(answer.clusterAuthorizedOperations, operations)
      }
      if (version < 1) continue
      for (const [endpointType, error] of [
        [2, 'MISMATCHED_ENDPOINT_TYPE'],
        [9, 'UNSUPPORTED_ENDPOINT_TYPE'],
      ] as const) {
        const request = { includeClusterAuthorizedOperations: false, endpointType }
        const answer = await connection.send(describeCluster, version, request)
        assert.deepEqual([named(answer.errorCode), answer.clusterId, answer.brokers], [error, '', []])
      }
    }
  })

  check('DescribeTopicPartitions: in order, cut into pages', async (at) => {
    const topic = await at.topic({ partitions: 5 })
    const none = at.name('none')
    const connection = await at.connect()
    const ask = async (request: RequestOf<typeof describeTopicPartitions>) => {
      const { topics, nextCursor } = await connection.send(describeTopicPartitions, 0, request)
      const found = topics.map((one) => [
        named(one.errorCode),
        one.name,
        one.partitions.map(({ partitionIndex }) => partitionIndex),
      ])
      return { topics: found, nextCursor, answered: topics }
    }
    const topics = [{ name: topic.name }]
    const { name: topicName } = topic
    const whole = await ask({ topics })
    assert.deepEqual(whole.topics, [['NONE', topicName, [0, 1, 2, 3, 4]]])
    assert.equal(whole.nextCursor, null)
    const [described] = whole.answered
    assert.deepEqual([described?.topicId, described?.isInternal], [topic.id, false])
    assert.equal(described?.topicAuthorizedOperations, TOPIC_OPERATIONS)
    assert.equal(described?.partitions[0]?.leaderId, topic.leaders[0])
    assert.deepEqual(described?.partitions[0]?.eligibleLeaderReplicas, [])
    const first = await ask({ topics, responsePartitionLimit: 2 })
    assert.deepEqual(first.topics, [['NONE', topicName, [0, 1]]])
    assert.deepEqual(first.nextCursor, { topicName, partitionIndex: 2 })
    const second = await ask({ topics, responsePartitionLimit: 2, cursor: { topicName, partitionIndex: 2 } })
    assert.deepEqual(second.topics, [['NONE', topicName, [2, 3]]])
    const beyond = await ask({ topics, cursor: { topicName, partitionIndex: 9 } })
    assert.deepEqual([beyond.topics, beyond.nextCursor], [[['NONE', topicName, []]], null])
    const before = await ask({ topics, cursor: { topicName, partitionIndex: -1 } })
    assert.deepEqual(before.topics, [['INVALID_REQUEST', topicName, []]])
    const bad = await ask({ topics: [{ name: none }, { name: 'a b' }] })
    assert.deepEqual(bad.topics, [
      ['INVALID_TOPIC_EXCEPTION', 'a b', []],
      ['UNKNOWN_TOPIC_OR_PARTITION', none, []],
    ])
    assert.ok((await ask({ topics: [] })).topics.length > 0, 'none named: all')
  })
}

export function metadataConformance(target: Targeted): void {
  describe('metadata', () => {
    const check = caseOn(target)
    metadataCases(check)
    describeCases(check)
  })
}

/** The leader and its epoch as the metadata of this moment has them. */
export async function leaderOf(connection: RawConnection, topic: string, partition = 0) {
  const { topics } = await connection.send(metadata, 9, {
    topics: [{ name: topic }],
    allowAutoTopicCreation: false,
  })
  const found = topics[0]?.partitions.find(({ partitionIndex }) => partitionIndex === partition)
  return { leaderId: found?.leaderId ?? -1, leaderEpoch: found?.leaderEpoch ?? -1 }
}

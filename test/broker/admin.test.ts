import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../src/protocol/error-codes.ts'
import { alterConfigs } from '../../src/protocol/messages/alter-configs.ts'
import { alterPartitionReassignments } from '../../src/protocol/messages/alter-partition-reassignments.ts'
import { createPartitions } from '../../src/protocol/messages/create-partitions.ts'
import { createTopics } from '../../src/protocol/messages/create-topics.ts'
import { deleteTopics } from '../../src/protocol/messages/delete-topics.ts'
import { describeCluster } from '../../src/protocol/messages/describe-cluster.ts'
import { describeConfigs } from '../../src/protocol/messages/describe-configs.ts'
import { describeTopicPartitions } from '../../src/protocol/messages/describe-topic-partitions.ts'
import { electLeaders } from '../../src/protocol/messages/elect-leaders.ts'
import { incrementalAlterConfigs } from '../../src/protocol/messages/incremental-alter-configs.ts'
import { listPartitionReassignments } from '../../src/protocol/messages/list-partition-reassignments.ts'
import { metadata } from '../../src/protocol/messages/metadata.ts'
import { type RequestOf, zeroUuid } from '../../src/protocol/schema.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { batchOf, read, send, sendError, spansOf, topicsOf, until, valuesOf, withCluster } from './kit.ts'

type TopicSpec = RequestOf<typeof createTopics>['topics'][number]

const spec = (name: string, more: Partial<TopicSpec> = {}): TopicSpec => ({
  name,
  numPartitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [],
  ...more,
})

const create = async (node: RawConnection, topics: readonly TopicSpec[], validateOnly = false, version = 7) =>
  (await node.send(createTopics, version, { topics, timeoutMs: 1000, validateOnly })).topics

const byName = (answers: readonly { name: string | null; errorCode: number }[]) =>
  answers.map(({ name, errorCode }) => `${name} ${errorName(errorCode)}`).join(', ')

test('topics are made as asked, each with its own answer', async () => {
  await withCluster({ brokers: 3 }, async ({ cluster, to }) => {
    const node = await to(2)
    const configs = [{ name: 'retention.ms', value: '1000' }]
    const assignments = [
      { partitionIndex: 1, brokerIds: [2, 3] },
      { partitionIndex: 0, brokerIds: [3, 1] },
    ]
    const answers = await create(node, [
      spec('plain', { numPartitions: 4, replicationFactor: 3, configs }),
      spec('implied', { numPartitions: -1, replicationFactor: -1 }),
      spec('by-hand', { numPartitions: -1, replicationFactor: -1, assignments }),
      spec('bad name'),
      spec('..'),
      spec('a'.repeat(250)),
      spec('none', { numPartitions: 0 }),
      spec('wide', { replicationFactor: 4 }),
      spec('narrow', { replicationFactor: 0 }),
      spec('odd', { configs: [{ name: 'no.such', value: '1' }] }),
      spec('worse', { configs: [{ name: 'retention.ms', value: 'soon' }] }),
      spec('null', { configs: [{ name: 'retention.ms', value: null }] }),
      spec('elsewhere', {
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 0, brokerIds: [9] }],
      }),
      spec('gap', {
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 1, brokerIds: [1] }],
      }),
      spec('both', { assignments: [{ partitionIndex: 0, brokerIds: [1] }] }),
      spec('twice'),
      spec('twice'),
    ])
    const errors = new Map(answers.map(({ name, errorCode }) => [name, errorName(errorCode)]))
    assert.deepEqual(Object.fromEntries(errors), {
      twice: 'INVALID_REQUEST',
      plain: 'NONE',
      implied: 'NONE',
      'by-hand': 'NONE',
      'bad name': 'INVALID_TOPIC_EXCEPTION',
      '..': 'INVALID_TOPIC_EXCEPTION',
      ['a'.repeat(250)]: 'INVALID_TOPIC_EXCEPTION',
      none: 'INVALID_PARTITIONS',
      wide: 'INVALID_REPLICATION_FACTOR',
      narrow: 'INVALID_REPLICATION_FACTOR',
      odd: 'INVALID_CONFIG',
      worse: 'INVALID_CONFIG',
      null: 'INVALID_CONFIG',
      elsewhere: 'INVALID_REPLICA_ASSIGNMENT',
      gap: 'INVALID_REPLICA_ASSIGNMENT',
      both: 'INVALID_REQUEST',
    })
    const plain = answers.find(({ name }) => name === 'plain')
    assert.deepEqual([plain?.numPartitions, plain?.replicationFactor], [4, 3])
    const retention = plain?.configs?.find(({ name }) => name === 'retention.ms')
    assert.deepEqual([retention?.value, retention?.configSource], ['1000', 1])
    assert.deepEqual([cluster.leaderOf('by-hand', 0), cluster.leaderOf('by-hand', 1)], [3, 2])
    assert.equal(byName(await create(node, [spec('plain')])), 'plain TOPIC_ALREADY_EXISTS')
  })
})

test('validate_only makes nothing; -1 is the default in every version', async () => {
  await withCluster({}, async ({ to }) => {
    const node = await to(1)
    const [checked] = await create(node, [spec('t', { numPartitions: 3 })], true)
    assert.deepEqual([checked?.errorCode, checked?.numPartitions, checked?.topicId], [0, 3, zeroUuid])
    assert.equal(byName(await topicsOf(node, null)), '')
    const early = await create(node, [spec('t', { numPartitions: -1, replicationFactor: -1 })], false, 3)
    assert.equal(byName(early), 't NONE')
  })
})

test('metadata makes topics where it may, and knows names, ids and errors', async () => {
  await withCluster({ defaultPartitions: 2 }, async ({ to }) => {
    const node = await to(1)
    const ask = (names: string[], version = 12, allowAutoTopicCreation = true) =>
      node.send(metadata, version, {
        topics: names.map((name) => ({ name })),
        ...(version >= 4 ? { allowAutoTopicCreation } : {}),
        ...(version >= 8 ? { includeTopicAuthorizedOperations: false } : {}),
      })
    assert.equal(byName((await ask(['t'], 12, false)).topics), 't UNKNOWN_TOPIC_OR_PARTITION')
    const [made] = (await ask(['t'])).topics
    assert.deepEqual([made?.errorCode, made?.partitions.length], [0, 2])
    assert.equal(byName((await ask(['no name'])).topics), 'no name INVALID_TOPIC_EXCEPTION')
    assert.equal(byName((await ask(['u'], 0)).topics), 'u NONE')
    const byId = async (topicId: string) =>
      (
        await node.send(metadata, 12, {
          topics: [{ topicId, name: null }],
          includeTopicAuthorizedOperations: false,
        })
      ).topics
    assert.equal(byName(await byId(made?.topicId ?? '')), 't NONE')
    assert.equal(byName(await byId('AAAAAAAAAAAAAAAAAAAAAQ')), 'null UNKNOWN_TOPIC_ID')
    assert.equal(byName((await node.send(metadata, 0, { topics: [] })).topics), 't NONE, u NONE')
    assert.equal((await node.send(metadata, 1, { topics: [] })).topics.length, 0)
  })
  await withCluster({ autoCreateTopics: false }, async ({ to }) => {
    assert.equal(byName(await topicsOf(await to(1), ['t'])), 't UNKNOWN_TOPIC_OR_PARTITION')
  })
})

test('topics are deleted by name and by id', async () => {
  await withCluster({ topics: { a: 1, b: 1, c: 1 } }, async ({ cluster, to }) => {
    const node = await to(1)
    const ids = new Map((await topicsOf(node, null)).map(({ name, topicId }) => [name, topicId]))
    const remove = async (topics: readonly { name: string | null; topicId: string }[]) =>
      byName((await node.send(deleteTopics, 6, { topics, timeoutMs: 1000 })).responses)
    const named = (name: string) => ({ name, topicId: zeroUuid })
    assert.equal(await remove([named('nowhere')]), 'nowhere UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await remove([named('a'), named('a')]), 'a INVALID_REQUEST')
    assert.equal(await remove([{ name: 'a', topicId: ids.get('a') ?? '' }]), 'a INVALID_REQUEST')
    assert.equal(await remove([{ name: null, topicId: ids.get('a') ?? '' }]), 'a NONE')
    assert.equal(await remove([{ name: null, topicId: ids.get('a') ?? '' }]), 'null UNKNOWN_TOPIC_ID')
    const old = await node.send(deleteTopics, 1, { topicNames: ['b'], timeoutMs: 1000 })
    assert.equal(byName(old.responses), 'b NONE')
    assert.throws(() => cluster.leaderOf('b', 0), { code: 'INVALID_ARGUMENT' })
  })
  await withCluster({ topics: { t: 1 }, configs: { 'delete.topic.enable': false } }, async ({ to }) => {
    const node = await to(1)
    for (const version of [1, 2, 3, 5]) {
      const answer = await node.send(deleteTopics, version, { topicNames: ['t'], timeoutMs: 1000 })
      const error = version >= 3 ? 'TOPIC_DELETION_DISABLED' : 'INVALID_REQUEST'
      assert.equal(byName(answer.responses), `t ${error}`)
    }
  })
})

test('topics grow, with each wrong wish refused', async () => {
  await withCluster({ brokers: 2, topics: { t: 2 } }, async ({ cluster, to }) => {
    const node = await to(1)
    const grow = async (
      count: number,
      brokers: number[][] | null = null,
      name = 't',
      validateOnly = false,
    ) => {
      const assignments = brokers?.map((brokerIds) => ({ brokerIds })) ?? null
      const request = { topics: [{ name, count, assignments }], timeoutMs: 1000, validateOnly }
      return errorName((await node.send(createPartitions, 3, request)).results[0]?.errorCode ?? -1)
    }
    assert.equal(await grow(2), 'INVALID_PARTITIONS')
    assert.equal(await grow(1), 'INVALID_PARTITIONS')
    assert.equal(await grow(100_000), 'INVALID_PARTITIONS')
    assert.equal(await grow(3, null, 'nowhere'), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await grow(4, [[1, 2]]), 'INVALID_REPLICA_ASSIGNMENT')
    assert.equal(await grow(3, [[1, 7]]), 'INVALID_REPLICA_ASSIGNMENT')
    assert.equal(await grow(3, [[1]]), 'INVALID_REPLICA_ASSIGNMENT')
    assert.equal(await grow(3, null, 't', true), 'NONE')
    assert.throws(() => cluster.leaderOf('t', 2))
    assert.equal(
      await grow(4, [
        [2, 1],
        [1, 2],
      ]),
      'NONE',
    )
    assert.deepEqual([cluster.leaderOf('t', 2), cluster.leaderOf('t', 3)], [2, 1])
  })
})

const TOPIC = 2
const BROKER = 4

test('configs are described with where they come from, and take effect when they change', async () => {
  await withCluster({ topics: { t: { partitions: 1, configs: { 'retention.ms': 5 } } } }, async ({ to }) => {
    const node = await to(1)
    const describe = async (resourceType: number, resourceName: string, key: string, version = 4) => {
      const resources = [{ resourceType, resourceName, configurationKeys: [key] }]
      const more = {
        ...(version >= 1 ? { includeSynonyms: true } : {}),
        ...(version >= 3 ? { includeDocumentation: false } : {}),
      }
      const [result] = (await node.send(describeConfigs, version, { resources, ...more })).results
      const [config] = result?.configs ?? []
      return result?.errorCode === 0 ? config : errorName(result?.errorCode ?? -1)
    }
    const value = async (...args: Parameters<typeof describe>) => {
      const config = await describe(...args)
      return typeof config === 'string' ? config : [config?.value, config?.configSource]
    }
    assert.deepEqual(await value(TOPIC, 't', 'retention.ms'), ['5', 1])
    assert.deepEqual(await value(TOPIC, 't', 'max.message.bytes'), ['1048588', 5])
    assert.equal(await value(TOPIC, 'nowhere', 'retention.ms'), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await value(TOPIC, 'no name', 'retention.ms'), 'INVALID_TOPIC_EXCEPTION')
    assert.equal(await value(BROKER, '7', 'message.max.bytes'), 'INVALID_REQUEST')
    assert.equal(await value(99, 'x', 'retention.ms'), 'INVALID_REQUEST')
    assert.deepEqual(await value(BROKER, '1', 'auto.create.topics.enable'), ['true', 4])
    const old = await describe(TOPIC, 't', 'max.message.bytes', 0)
    assert.equal(typeof old === 'object' && old.isDefault, true)

    const change = async (
      configs: RequestOf<typeof incrementalAlterConfigs>['resources'][number]['configs'],
      more = {},
    ) => {
      const resources = [{ resourceType: TOPIC, resourceName: 't', configs, ...more }]
      const request = { resources, validateOnly: false }
      return errorName((await node.send(incrementalAlterConfigs, 1, request)).responses[0]?.errorCode ?? -1)
    }
    const set = (name: string, to: string | null, configOperation = 0) => [
      { name, value: to, configOperation },
    ]
    assert.equal(await change(set('max.message.bytes', '100')), 'NONE')
    assert.equal(await sendError(node, 't', batchOf(['x'.repeat(100)])), 'MESSAGE_TOO_LARGE')
    assert.equal(await change(set('max.message.bytes', null, 1)), 'NONE')
    assert.equal(await sendError(node, 't', batchOf(['x'.repeat(100)])), 'NONE')
    assert.equal(await change(set('cleanup.policy', 'compact', 2)), 'NONE')
    assert.deepEqual(await value(TOPIC, 't', 'cleanup.policy'), ['delete,compact', 1])
    assert.equal(await change(set('cleanup.policy', 'delete', 3)), 'NONE')
    assert.deepEqual(await value(TOPIC, 't', 'cleanup.policy'), ['compact', 1])
    assert.equal(await change(set('retention.ms', '7', 2)), 'INVALID_CONFIG')
    assert.equal(await change(set('retention.ms', 'x')), 'INVALID_CONFIG')
    assert.equal(await change(set('no.such', '1')), 'INVALID_CONFIG')
    assert.equal(await change(set('retention.ms', null)), 'INVALID_REQUEST')
    assert.equal(await change(set('retention.ms', '1', 9)), 'INVALID_REQUEST')
    assert.equal(await change([...set('retention.ms', '1'), ...set('retention.ms', '2')]), 'INVALID_REQUEST')
    assert.equal(await change(set('a', 'b'), { resourceName: 'nowhere' }), 'UNKNOWN_TOPIC_OR_PARTITION')

    const replace = async (
      configs: { name: string; value: string | null }[],
      validateOnly = false,
      resource = TOPIC,
    ) => {
      const resourceName = resource === TOPIC ? 't' : ''
      const resources = [{ resourceType: resource, resourceName, configs }]
      return errorName(
        (await node.send(alterConfigs, 2, { resources, validateOnly })).responses[0]?.errorCode ?? -1,
      )
    }
    assert.equal(await replace([{ name: 'segment.bytes', value: '1000' }], true), 'NONE')
    assert.deepEqual(await value(TOPIC, 't', 'segment.bytes'), ['1073741824', 5])
    assert.equal(await replace([{ name: 'segment.bytes', value: '1000' }]), 'NONE')
    assert.deepEqual(await value(TOPIC, 't', 'segment.bytes'), ['1000', 1])
    assert.deepEqual(await value(TOPIC, 't', 'retention.ms'), ['604800000', 5], 'what is not named is reset')
    assert.equal(await replace([{ name: 'segment.bytes', value: null }]), 'INVALID_REQUEST')
    assert.equal(await replace([{ name: 'message.max.bytes', value: '90' }], false, BROKER), 'NONE')
    assert.deepEqual(await value(TOPIC, 't', 'max.message.bytes'), ['90', 4])
    assert.equal(await sendError(node, 't', batchOf(['x'.repeat(100)])), 'MESSAGE_TOO_LARGE')
  })
})

test('a cluster holds so many partitions and no more', async () => {
  await withCluster({ topics: { t: 1 } }, async ({ cluster, to }) => {
    const node = await to(1)
    for (let index = 0; index < 4; index++) cluster.createTopic(`large-${index}`, 10_000)
    assert.equal(
      byName(await create(node, [spec('more', { numPartitions: 10_000 })])),
      'more POLICY_VIOLATION',
    )
    const topics = [{ name: 't', count: 10_000, assignments: null }]
    const grown = await node.send(createPartitions, 3, { topics, timeoutMs: 1000, validateOnly: false })
    assert.equal(byName(grown.results), 't NONE')
    assert.equal(byName(await create(node, [spec('one')])), 'one POLICY_VIOLATION')
    cluster.deleteTopic('large-0')
    assert.equal(byName(await create(node, [spec('one')])), 'one NONE')
  })
})

test('a resource that is named twice is refused', async () => {
  await withCluster({ topics: { t: 1 } }, async ({ to }) => {
    const resource = { resourceType: TOPIC, resourceName: 't', configs: [] }
    const request = { resources: [resource, resource], validateOnly: false }
    const { responses } = await (await to(1)).send(alterConfigs, 1, request)
    assert.deepEqual(
      responses.map(({ errorCode }) => errorName(errorCode)),
      ['INVALID_REQUEST', 'INVALID_REQUEST'],
    )
  })
})

test('DescribeCluster tells the nodes, also those that are down, but no controllers', async () => {
  await withCluster({ brokers: 2, racks: ['a', 'b'] }, async ({ cluster, to }) => {
    const node = await to(2)
    const describe = (more: object = {}, version = 2) =>
      node.send(describeCluster, version, { includeClusterAuthorizedOperations: false, ...more })
    const up = await describe()
    assert.deepEqual(
      [up.clusterId, up.controllerId, up.brokers.map(({ rack }) => rack)],
      [cluster.clusterId, 1, ['a', 'b']],
    )
    await cluster.stopNode(1)
    assert.deepEqual(
      (await describe()).brokers.map(({ brokerId }) => brokerId),
      [2],
    )
    const all = await describe({ includeFencedBrokers: true })
    assert.deepEqual(
      all.brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced]),
      [
        [1, true],
        [2, false],
      ],
    )
    assert.equal(errorName((await describe({ endpointType: 2 })).errorCode), 'MISMATCHED_ENDPOINT_TYPE')
    assert.equal(errorName((await describe({ endpointType: 7 })).errorCode), 'UNSUPPORTED_ENDPOINT_TYPE')
    assert.equal((await describe({}, 0)).errorCode, 0)
  })
})

test('DescribeTopicPartitions goes page by page', async () => {
  await withCluster({ topics: { b: 3, a: 2, c: 1 } }, async ({ to }) => {
    const node = await to(1)
    const page = async (
      names: string[],
      limit: number,
      cursor: { topicName: string; partitionIndex: number } | null = null,
    ) => {
      const topics = names.map((name) => ({ name }))
      const answer = await node.send(describeTopicPartitions, 0, {
        topics,
        responsePartitionLimit: limit,
        cursor,
      })
      const told = answer.topics.map((one) =>
        one.errorCode
          ? `${one.name} ${errorName(one.errorCode)}`
          : `${one.name}:${one.partitions.map((p) => p.partitionIndex)}`,
      )
      return { told: told.join(' '), next: answer.nextCursor }
    }
    const first = await page([], 3)
    assert.deepEqual(first, { told: 'a:0,1 b:0', next: { topicName: 'b', partitionIndex: 1 } })
    assert.deepEqual(await page([], 2, first.next), {
      told: 'b:1,2',
      next: { topicName: 'c', partitionIndex: 0 },
    })
    assert.deepEqual(await page([], 3, first.next), { told: 'b:1,2 c:0', next: null })
    assert.deepEqual(await page(['nowhere', 'c'], 9), {
      told: 'c:0 nowhere UNKNOWN_TOPIC_OR_PARTITION',
      next: null,
    })
  })
})

test('elections: the preferred leader, or any where nobody leads', async () => {
  await withCluster({ brokers: 2, topics: { t: 1 } }, async ({ cluster, to }) => {
    const preferred = cluster.leaderOf('t', 0)
    const other = 3 - preferred
    const node = await to(other)
    const elect = async (electionType: number, partition = 0) => {
      const topicPartitions = [{ topic: 't', partitions: [partition] }]
      const answer = await node.send(electLeaders, 2, { electionType, topicPartitions, timeoutMs: 1000 })
      return errorName(answer.replicaElectionResults[0]?.partitionResult[0]?.errorCode ?? answer.errorCode)
    }
    assert.equal(await elect(0), 'ELECTION_NOT_NEEDED')
    cluster.moveLeader('t', 0, other)
    assert.equal(await elect(0), 'NONE')
    assert.equal(cluster.leaderOf('t', 0), preferred)
    assert.equal(await elect(0, 5), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await elect(1), 'ELECTION_NOT_NEEDED')
    assert.equal(await elect(5), 'INVALID_REQUEST')
    const release = cluster.holdReplica(preferred, 't', 0)
    await cluster.stopNode(preferred)
    await cluster.startNode(preferred)
    assert.equal(await elect(0), 'PREFERRED_LEADER_NOT_AVAILABLE', 'it is not in sync yet')
    release()
    await until(() => cluster.replicaOf(preferred, 't', 0).isInSync)
    const all = { electionType: 0, topicPartitions: null, timeoutMs: 1000 }
    assert.equal((await node.send(electLeaders, 2, all)).replicaElectionResults.length, 1)
    assert.equal((await node.send(electLeaders, 2, all)).replicaElectionResults.length, 0)
  })
})

test('a reassignment adds replicas, and drops the others when the new ones are in sync', async () => {
  await withCluster(
    { brokers: 3, topics: { t: { partitions: 1, replicas: 1 } } },
    async ({ cluster, to }) => {
      const [from, toNode] = [cluster.leaderOf('t', 0), (cluster.leaderOf('t', 0) % 3) + 1]
      await send(await to(from), 't', batchOf(['a']))
      const node = await to(from)
      const assign = async (replicas: number[] | null, more: object = {}) => {
        const topics = [{ name: 't', partitions: [{ partitionIndex: 0, replicas }] }]
        const answer = await node.send(alterPartitionReassignments, 1, { topics, timeoutMs: 1000, ...more })
        return errorName(answer.responses[0]?.partitions[0]?.errorCode ?? -1)
      }
      const under = async () =>
        (await node.send(listPartitionReassignments, 0, { topics: null, timeoutMs: 1000 })).topics[0]
          ?.partitions[0]
      assert.equal(await assign(null), 'NO_REASSIGNMENT_IN_PROGRESS')
      assert.equal(await assign([9]), 'INVALID_REPLICA_ASSIGNMENT')
      assert.equal(
        await assign([1, 2], { allowReplicationFactorChange: false }),
        'INVALID_REPLICATION_FACTOR',
      )
      const down = 6 - from - toNode
      await cluster.stopNode(down)
      assert.equal(await assign([down]), 'NONE')
      const moving = {
        partitionIndex: 0,
        replicas: [down, from],
        addingReplicas: [down],
        removingReplicas: [from],
      }
      assert.deepEqual(await under(), moving)
      assert.equal(await assign(null), 'NONE', 'given up')
      assert.equal(await under(), undefined)
      assert.equal(await assign([toNode]), 'NONE')
      await until(() => cluster.leaderOf('t', 0) === toNode)
      assert.equal(await under(), undefined)
      assert.equal(valuesOf(cluster, 't'), 'a')
      assert.throws(() => cluster.replicaOf(from, 't', 0), { code: 'INVALID_ARGUMENT' })
      assert.equal(spansOf(await read(await to(toNode), 't', 0)), '0-0')
    },
  )
})

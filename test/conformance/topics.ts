/** CreateTopics (19), DeleteTopics (20), CreatePartitions (37), ElectLeaders (43), reassignments (45, 46). */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import {
  alterPartitionReassignments,
  createPartitions,
  createTopics,
  deleteTopics,
  electLeaders,
  listPartitionReassignments,
} from '../../src/protocol/messages/index.ts'
import { type RequestOf, zeroUuid } from '../../src/protocol/schema.ts'
import { type Case, caseOn, type Targeted } from './case.ts'
import { NOWHERE } from './log-requests.ts'
import { leaderOf } from './metadata.ts'
import { eventually, named, type Target } from './target.ts'

type NewTopic = RequestOf<typeof createTopics>['topics'][number]

const newTopic = (name: string, given: Partial<NewTopic> = {}): NewTopic => ({
  name,
  numPartitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [],
  ...given,
})

async function create(at: Target, version: number, topics: NewTopic[], validateOnly = false) {
  const connection = await at.connect()
  const answer = await connection.send(createTopics, version, { topics, timeoutMs: 10_000, validateOnly })
  connection.close()
  return answer.topics.map((one) => ({ ...one, error: named(one.errorCode) }))
}

function createCases(check: Case): void {
  check(
    'CreateTopics: what was made is told, from version 5 with its configs, from 7 with its id',
    async (at) => {
      for (const version of at.versions(createTopics)) {
        const configs = [{ name: 'retention.ms', value: '1234' }]
        const [made] = await create(at, version, [newTopic(at.name('made'), { numPartitions: 3, configs })])
        assert.equal(made?.error, 'NONE')
        assert.equal(made?.errorMessage, null)
        assert.equal(made?.topicId === zeroUuid, version < 7)
        assert.deepEqual([made?.numPartitions, made?.replicationFactor], version >= 5 ? [3, 1] : [-1, -1])
        if (version < 5) continue
        const retention = made?.configs?.find(({ name }) => name === 'retention.ms')
        assert.deepEqual(retention, {
          name: 'retention.ms',
          value: '1234',
          readOnly: false,
          configSource: 1,
          isSensitive: false,
        })
        const policy = made?.configs?.find(({ name }) => name === 'cleanup.policy')
        assert.deepEqual([policy?.value, policy?.configSource], ['delete', 5])
      }
    },
  )

  check('CreateTopics: validateOnly makes nothing', async (at) => {
    const connection = await at.connect()
    for (const version of at.versions(createTopics)) {
      const name = at.name('validated')
      const [answer] = await create(at, version, [newTopic(name, { numPartitions: 2 })], true)
      assert.deepEqual([answer?.error, answer?.numPartitions], ['NONE', version >= 5 ? 2 : -1])
      assert.equal((await leaderOf(connection, name)).leaderId, -1)
    }
  })

  check(
    'CreateTopics: more than 10,000 records for topics, partitions and configs make nothing',
    async (at) => {
      const sized = (numPartitions: number, given: Partial<NewTopic> = {}) =>
        newTopic(at.name('large'), { numPartitions, replicationFactor: 1, ...given })
      const configs = [{ name: 'retention.ms', value: '1000' }]
      const cases: [topics: NewTopic[], error: string][] = [
        [[sized(9_999)], 'NONE'],
        [[sized(9_998, { configs })], 'NONE'],
        [[sized(5_000), sized(4_998)], 'NONE'],
        [[sized(10_000)], 'POLICY_VIOLATION'],
        [[sized(9_999, { configs })], 'POLICY_VIOLATION'],
        [[sized(5_000), sized(4_999)], 'POLICY_VIOLATION'],
        [[sized(0), sized(10_000)], 'POLICY_VIOLATION'],
        [[sized(10_001)], 'POLICY_VIOLATION'],
        [[sized(1_000_000)], 'POLICY_VIOLATION'],
        [[sized(-5), sized(10_001)], 'POLICY_VIOLATION'],
        [[sized(-1), sized(10_000)], 'POLICY_VIOLATION'],
      ]
      for (const [topics, expected] of cases) {
        for (const { error } of await create(at, 7, topics, true)) {
          assert.equal(error, expected, topics.map((one) => one.numPartitions).join())
        }
      }
      const twice = sized(1)
      const answers = await create(at, 7, [sized(10_001), twice, twice])
      assert.deepEqual(
        answers.map(({ error }) => error),
        Array.from({ length: 3 }, () => 'POLICY_VIOLATION'),
      )
      for (const version of at.versions(createTopics)) {
        const [answer] = await create(at, version, [sized(10_001)])
        assert.equal(answer?.error, 'POLICY_VIOLATION', `version ${version}`)
      }
      // A topic that is refused is not counted.
      const mixed = await create(at, 7, [sized(9_999), newTopic('a b')], true)
      assert.deepEqual(mixed.map(({ error }) => error).sort(), ['INVALID_TOPIC_EXCEPTION', 'NONE'])
    },
  )

  check('CreateTopics: what is refused', async (at) => {
    const existing = await at.topic()
    const nodeId = at.nodeIds[0] as number
    const byHand = { numPartitions: -1, replicationFactor: -1 }
    const assigned = (...brokerIds: number[][]) => ({
      ...byHand,
      assignments: brokerIds.map((ids, partitionIndex) => ({ partitionIndex, brokerIds: ids })),
    })
    const gap = {
      ...byHand,
      assignments: [0, 2].map((partitionIndex) => ({ partitionIndex, brokerIds: [nodeId] })),
    }
    const configured = (name: string, value: string | null) => ({ configs: [{ name, value }] })
    for (const version of at.versions(createTopics)) {
      const dotted = at.name('dotted')
      await create(at, version, [newTopic(`${dotted}.x`)])
      const cases: [topic: NewTopic, error: string][] = [
        [newTopic(existing.name), 'TOPIC_ALREADY_EXISTS'],
        [newTopic('a b'), 'INVALID_TOPIC_EXCEPTION'],
        [newTopic(''), 'INVALID_TOPIC_EXCEPTION'],
        [newTopic('..'), 'INVALID_TOPIC_EXCEPTION'],
        [newTopic('x'.repeat(250)), 'INVALID_TOPIC_EXCEPTION'],
        [newTopic(`${dotted}_x`), 'INVALID_TOPIC_EXCEPTION'],
        [newTopic(at.name('t'), { numPartitions: 0 }), 'INVALID_PARTITIONS'],
        [newTopic(at.name('t'), { numPartitions: -2 }), 'INVALID_PARTITIONS'],
        [newTopic(at.name('t'), { replicationFactor: 0 }), 'INVALID_REPLICATION_FACTOR'],
        [newTopic(at.name('t'), { replicationFactor: 99 }), 'INVALID_REPLICATION_FACTOR'],
        [newTopic(at.name('t'), { ...assigned([nodeId]), numPartitions: 1 }), 'INVALID_REQUEST'],
        [newTopic(at.name('t'), gap), 'INVALID_REPLICA_ASSIGNMENT'],
        [newTopic(at.name('t'), assigned([77])), 'INVALID_REPLICA_ASSIGNMENT'],
        [newTopic(at.name('t'), assigned([nodeId, nodeId])), 'INVALID_REPLICA_ASSIGNMENT'],
        [newTopic(at.name('t'), assigned([])), 'INVALID_REPLICA_ASSIGNMENT'],
        [newTopic(at.name('t'), configured('no.such.config', '1')), 'INVALID_CONFIG'],
        [newTopic(at.name('t'), configured('retention.ms', 'much')), 'INVALID_CONFIG'],
        [newTopic(at.name('t'), configured('retention.ms', null)), 'INVALID_CONFIG'],
      ]
      for (const [topic, error] of cases) {
        const [answer] = await create(at, version, [topic])
        assert.equal(answer?.error, error, `${topic.name}, version ${version}: ${answer?.errorMessage}`)
        assert.ok(answer?.errorMessage, 'there is a reason')
        assert.deepEqual([answer?.numPartitions, answer?.replicationFactor, answer?.configs], [-1, -1, []])
      }
    }
  })

  check('CreateTopics: defaults, replicas by hand, and a topic named twice', async (at) => {
    const nodeId = at.nodeIds[0] as number
    for (const version of at.versions(createTopics)) {
      const assignments = [0, 1].map((partitionIndex) => ({ partitionIndex, brokerIds: [nodeId] }))
      const byHand = newTopic(at.name('t'), { numPartitions: -1, replicationFactor: -1, assignments })
      const [made] = await create(at, version, [byHand])
      assert.deepEqual([made?.error, made?.numPartitions], ['NONE', version >= 5 ? 2 : -1])
      const defaults = newTopic(at.name('t'), { numPartitions: -1, replicationFactor: -1 })
      assert.equal((await create(at, version, [defaults]))[0]?.error, 'NONE')
      const twice = newTopic(at.name('t'))
      const answers = await create(at, version, [twice, twice])
      assert.deepEqual(
        answers.map(({ error }) => error),
        ['INVALID_REQUEST'],
      )
    }
  })
}

function deleteCases(check: Case): void {
  check('DeleteTopics: by name, from version 6 by id too', async (at) => {
    for (const version of at.versions(deleteTopics)) {
      const connection = await at.connect()
      const remove = async (...topics: { name: string | null; topicId?: string }[]) => {
        const request =
          version >= 6
            ? { topics: topics.map(({ name, topicId = zeroUuid }) => ({ name, topicId })), timeoutMs: 10_000 }
            : { topicNames: topics.map(({ name }) => name ?? ''), timeoutMs: 10_000 }
        const { responses } = await connection.send(deleteTopics, version, request)
        return responses.map((one) => [one.name, named(one.errorCode)])
      }
      const topic = await at.topic()
      assert.deepEqual(
        await remove({ name: topic.name, topicId: topic.id }),
        [[topic.name, version >= 6 ? 'INVALID_REQUEST' : 'NONE']],
        'name and id',
      )
      if (version >= 6) {
        assert.deepEqual(await remove({ name: null, topicId: topic.id }), [[topic.name, 'NONE']])
        assert.deepEqual(await remove({ name: null, topicId: NOWHERE.id }), [[null, 'UNKNOWN_TOPIC_ID']])
        const both = await at.topic()
        assert.deepEqual(await remove({ name: both.name }, { name: null, topicId: both.id }), [
          [both.name, 'INVALID_REQUEST'],
        ])
      }
      await eventually('the topic is gone', async () => {
        const { leaderId } = await leaderOf(connection, topic.name)
        return leaderId === -1 || undefined
      })
      const none = at.name('none')
      assert.deepEqual(await remove({ name: none }), [[none, 'UNKNOWN_TOPIC_OR_PARTITION']])
      const twice = await at.topic()
      const named2 = { name: twice.name }
      assert.deepEqual(await remove(named2, named2), [[twice.name, 'INVALID_REQUEST']])
      assert.deepEqual(await remove(named2), [[twice.name, 'NONE']])
    }
  })
}

function growCases(check: Case): void {
  check('CreatePartitions: more, and never less', async (at) => {
    const nodeId = at.nodeIds[0] as number
    for (const version of at.versions(createPartitions)) {
      const { name } = await at.topic({ partitions: 2 })
      const connection = await at.connect()
      const grow = async (
        topics: { name: string; count: number; assignments?: { brokerIds: number[] }[] | null }[],
        validateOnly = false,
      ) => {
        const request = {
          topics: topics.map((one) => ({ assignments: null, ...one })),
          timeoutMs: 10_000,
          validateOnly,
        }
        const { results } = await connection.send(createPartitions, version, request)
        return results.map((one) => named(one.errorCode))
      }
      assert.deepEqual(await grow([{ name, count: 4 }], true), ['NONE'])
      assert.deepEqual(await grow([{ name, count: 3 }]), ['NONE'])
      for (const count of [3, 2, 0]) assert.deepEqual(await grow([{ name, count }]), ['INVALID_PARTITIONS'])
      assert.deepEqual(await grow([{ name: at.name('none'), count: 3 }]), ['UNKNOWN_TOPIC_OR_PARTITION'])
      assert.deepEqual(
        await grow([
          { name, count: 5 },
          { name, count: 6 },
        ]),
        ['INVALID_REQUEST'],
      )
      for (const brokerIds of [[99], [nodeId, nodeId], []]) {
        assert.deepEqual(await grow([{ name, count: 4, assignments: [{ brokerIds }] }]), [
          'INVALID_REPLICA_ASSIGNMENT',
        ])
      }
      const few = { name, count: 5, assignments: [{ brokerIds: [nodeId] }] }
      assert.deepEqual(await grow([few]), ['INVALID_REPLICA_ASSIGNMENT'])
      await eventually('the third partition', async () => {
        const { leaderId } = await leaderOf(connection, name, 2)
        return leaderId >= 0 || undefined
      })
      assert.equal((await leaderOf(connection, name, 3)).leaderId, -1)
    }
  })
}

function leaderCases(check: Case): void {
  check('ElectLeaders: not needed, unknown, of an unknown kind', async (at, context) => {
    if (at.versions(electLeaders).length === 0) return context.skip('not advertised')
    const topic = await at.topic()
    const connection = await at.connect()
    const none = at.name('none')
    for (const version of at.versions(electLeaders)) {
      const ask = async (
        topicPartitions: { topic: string; partitions: number[] }[],
        electionType?: number,
      ) => {
        const type = electionType === undefined ? {} : { electionType }
        const answer = await connection.send(electLeaders, version, {
          topicPartitions,
          timeoutMs: 10_000,
          ...type,
        })
        const results = answer.replicaElectionResults.flatMap((one) =>
          one.partitionResult.map(
            ({ partitionId, errorCode }) => `${one.topic}/${partitionId} ${named(errorCode)}`,
          ),
        )
        return [named(answer.errorCode), results.toSorted()]
      }
      const asked = [
        { topic: topic.name, partitions: [0, 9] },
        { topic: none, partitions: [0] },
      ]
      const expected = [
        `${topic.name}/0 ELECTION_NOT_NEEDED`,
        `${topic.name}/9 UNKNOWN_TOPIC_OR_PARTITION`,
        `${none}/0 UNKNOWN_TOPIC_OR_PARTITION`,
      ]
      assert.deepEqual(await ask(asked), ['NONE', expected.toSorted()])
      if (version < 1) continue
      const one = [{ topic: topic.name, partitions: [0] }]
      assert.deepEqual(await ask(one, 1), ['NONE', [`${topic.name}/0 ELECTION_NOT_NEEDED`]])
      assert.deepEqual(await ask(one, 5), ['INVALID_REQUEST', [`${topic.name}/0 INVALID_REQUEST`]])
    }
  })

  check(
    'AlterPartitionReassignments: what is refused; ListPartitionReassignments: none under way',
    async (at, context) => {
      if (at.versions(alterPartitionReassignments).length === 0) return context.skip('not advertised')
      const topic = await at.topic()
      const connection = await at.connect()
      const alter = async (name: string, partitionIndex: number, replicas: number[] | null) => {
        const topics = [{ name, partitions: [{ partitionIndex, replicas }] }]
        const answer = await connection.send(alterPartitionReassignments, 0, { timeoutMs: 10_000, topics })
        assert.equal(named(answer.errorCode), 'NONE')
        return named(answer.responses[0]?.partitions[0]?.errorCode)
      }
      const [leader] = topic.leaders
      assert.equal(await alter(topic.name, 0, null), 'NO_REASSIGNMENT_IN_PROGRESS')
      assert.equal(await alter(topic.name, 9, null), 'UNKNOWN_TOPIC_OR_PARTITION')
      assert.equal(await alter(at.name('none'), 0, [leader as number]), 'UNKNOWN_TOPIC_OR_PARTITION')
      assert.equal(await alter(topic.name, 0, [99]), 'INVALID_REPLICA_ASSIGNMENT')
      assert.equal(await alter(topic.name, 0, []), 'INVALID_REPLICA_ASSIGNMENT')
      assert.equal(
        await alter(topic.name, 0, [leader as number, leader as number]),
        'INVALID_REPLICA_ASSIGNMENT',
      )
      const listed = await connection.send(listPartitionReassignments, 0, { timeoutMs: 10_000, topics: null })
      assert.deepEqual([named(listed.errorCode), listed.topics], ['NONE', []])
    },
  )
}

export function topicConformance(target: Targeted): void {
  describe('topics', () => {
    const check = caseOn(target)
    createCases(check)
    deleteCases(check)
    growCases(check)
    leaderCases(check)
  })
}

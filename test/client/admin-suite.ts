/** What an admin does, on whichever broker the factory starts. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { Admin, PartialFailureError } from '../../src/client/admin.ts'
import { Cluster } from '../../src/client/cluster.ts'
import { resolveClientOptions } from '../../src/client/options.ts'
import { Consumer } from '../../src/consumer/consumer.ts'
import { initProducerId, produce } from '../../src/protocol/messages/index.ts'
import { encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import { eventually, rejection } from './support.ts'

export interface Target {
  readonly brokers: readonly string[]
  readonly stop: () => Promise<void>
}

const BASE = 1_700_000_000_000

export function adminSuite(name: string, start: () => Promise<Target>): void {
  describe(`admin on ${name}`, () => {
    let target: Target
    let cluster: Cluster
    let admin: Admin
    before(async () => {
      target = await start()
      cluster = new Cluster(resolveClientOptions({ brokers: target.brokers }))
      admin = new Admin(cluster)
    })
    after(async () => {
      await cluster?.stop()
      await target?.stop()
    })
    const fresh = (what = 'topic') => `${what}-${randomUUID().slice(0, 8)}`

    /** A topic with this many records of rising timestamps in partition 0. */
    async function topicWith(
      count: number,
      producer = { producerId: -1, producerEpoch: -1 },
    ): Promise<string> {
      const topic = fresh()
      await admin.createTopics([{ name: topic, partitions: 2, replicas: 1 }])
      if (count === 0) return topic
      const records = encodeRecordBatch(
        Array.from({ length: count }, (_, index) => ({ value: `${index}`, timestamp: BASE + index * 1_000 })),
        { ...producer, baseSequence: producer.producerId < 0 ? -1 : 0 },
      )
      const { topicId, partitions } = await cluster.ensureTopic(topic)
      const connection = await cluster.connection(partitions[0]?.leaderId ?? -1)
      await eventually(async () => {
        const response = await connection.request(produce, {
          acks: -1,
          timeoutMs: 10_000,
          topicData: [{ name: topic, topicId, partitionData: [{ index: 0, records }] }],
        })
        assert.equal(response.responses[0]?.partitionResponses[0]?.errorCode, 0)
      })
      return topic
    }

    test('topics: created with configs, described, listed, deleted', async () => {
      const name = fresh()
      const [created] = await admin.createTopics([
        { name, partitions: 3, replicas: 1, configs: { 'retention.ms': '1000000' } },
      ])
      assert.equal(created?.partitions, 3)
      assert.equal(created?.replicas, 1)
      const [described] = await admin.describeTopics([name])
      assert.equal(described?.topicId, created?.topicId)
      assert.equal(described?.partitions.length, 3)
      assert.ok(
        described?.partitions.every(({ leaderId, replicas }) => leaderId >= 0 && replicas.length === 1),
      )
      const [{ entries = [] } = {}] = await eventually(() =>
        admin.describeConfigs([{ type: 'topic', name }], { names: ['retention.ms', 'cleanup.policy'] }),
      )
      assert.deepEqual(
        entries.map((entry) => [entry.name, entry.value, entry.isDefault]).sort(),
        [
          ['cleanup.policy', 'delete', true],
          ['retention.ms', '1000000', false],
        ],
        'what was said is set, and nothing else',
      )
      // Each call asks any broker: another one may still lag behind.
      await eventually(async () => assert.ok((await admin.listTopics()).some((topic) => topic.name === name)))
      await rejection(admin.createTopics([{ name }]), 'TOPIC_ALREADY_EXISTS')
      await admin.deleteTopics([name])
      await rejection(admin.deleteTopics([name]), 'UNKNOWN_TOPIC_OR_PARTITION')
      const gone = () => rejection(admin.describeTopics([name]), 'UNKNOWN_TOPIC_OR_PARTITION')
      assert.equal((await eventually(gone)).topic, name)
    })

    test('topics: with replicas where they are said, as many as are said, with the broker’s defaults where nothing is', async () => {
      const [said, counted, unsaid] = [fresh(), fresh(), fresh()]
      const nodes = (await admin.describeCluster()).brokers.map(({ nodeId }) => nodeId)
      // No broker would choose this by itself: the last one leads throughout.
      const backwards = nodes.toReversed()
      const assignments = [backwards, backwards, backwards]
      await admin.createTopics([
        { name: said, assignments },
        { name: counted, partitions: 2, replicas: nodes.length },
        { name: unsaid },
      ])
      const [first, second, third] = await admin.describeTopics([said, counted, unsaid])
      assert.deepEqual(
        first?.partitions.map(({ replicas }) => replicas),
        assignments,
      )
      assert.deepEqual(
        second?.partitions.map(({ replicas }) => replicas.toSorted()),
        [nodes, nodes].map((all) => all.toSorted()),
      )
      assert.ok((third?.partitions.length ?? 0) >= 1)
    })

    test('topics: only asking whether it would work changes nothing', async () => {
      const name = fresh()
      await admin.createTopics([{ name, partitions: 1, replicas: 1 }], { validateOnly: true })
      await rejection(admin.describeTopics([name]), 'UNKNOWN_TOPIC_OR_PARTITION')
      await rejection(
        admin.createTopics([{ name, partitions: 1, replicas: 99 }], { validateOnly: true }),
        'INVALID_REPLICATION_FACTOR',
      )
    })

    test('topics: when some fail, the error tells what became of each', async () => {
      const [good, bad] = [fresh(), 'not a topic']
      const error = await rejection(admin.createTopics([{ name: good }, { name: bad }]), 'PARTIAL_FAILURE')
      assert.ok(error instanceof PartialFailureError)
      assert.deepEqual(
        error.results.map(({ subject, error: reason }) => [subject, reason?.code]),
        [
          [good, undefined],
          [bad, 'INVALID_TOPIC_EXCEPTION'],
        ],
      )
      assert.equal((await admin.describeTopics([good])).length, 1)
    })

    test('topics: numbers and booleans as settings, at creation and later', async () => {
      const name = fresh()
      const given = { 'retention.ms': 5_000_000, 'min.cleanable.dirty.ratio': 0.25, preallocate: true }
      await admin.createTopics([{ name, partitions: 1, replicas: 1, configs: given }])
      const names = Object.keys(given)
      const read = async () => {
        const [found] = await admin.describeConfigs([{ type: 'topic', name }], { names })
        return Object.fromEntries(found?.entries.map((entry) => [entry.name, entry.value]) ?? [])
      }
      const expected = { 'retention.ms': '5000000', 'min.cleanable.dirty.ratio': '0.25', preallocate: 'true' }
      await eventually(async () => assert.deepEqual(await read(), expected))
      const configs = { 'retention.ms': 6_000_000, preallocate: false }
      await admin.alterConfigs([{ type: 'topic', name, configs }])
      const altered = { ...expected, 'retention.ms': '6000000', preallocate: 'false' }
      await eventually(async () => assert.deepEqual(await read(), altered))
    })

    test('topics: one that is there already is no error where that is said, and is told as it is', async () => {
      const [old, young] = [fresh(), fresh()]
      const [made] = await admin.createTopics([{ name: old, partitions: 3, replicas: 1 }])
      const wanted = [
        { name: young, partitions: 2, replicas: 1 },
        { name: old, partitions: 5, replicas: 1 },
      ]
      await rejection(admin.createTopics(wanted.slice(1)), 'TOPIC_ALREADY_EXISTS')
      const created = await admin.createTopics(wanted, { ifNotExists: true })
      assert.deepEqual(
        created.map(({ name, partitions, replicas }) => ({ name, partitions, replicas })),
        [wanted[0], { name: old, partitions: 3, replicas: 1 }],
      )
      assert.equal(created[1]?.topicId, made?.topicId)
      const [again] = await admin.createTopics([{ name: old }], { ifNotExists: true, validateOnly: true })
      assert.equal(again?.partitions, 3)
      await rejection(
        admin.createTopics([{ name: 'not a topic' }], { ifNotExists: true }),
        'INVALID_TOPIC_EXCEPTION',
      )
    })

    test('partitions: added, never fewer', async () => {
      const topic = await topicWith(0)
      await admin.createPartitions([{ name: topic, partitions: 5 }], { validateOnly: true })
      assert.equal((await admin.describeTopics([topic]))[0]?.partitions.length, 2)
      await admin.createPartitions([{ name: topic, partitions: 5 }])
      await eventually(async () =>
        assert.equal((await admin.describeTopics([topic]))[0]?.partitions.length, 5),
      )
      await rejection(admin.createPartitions([{ name: topic, partitions: 3 }]), 'INVALID_PARTITIONS')
    })

    test('offsets: earliest, latest and by timestamp, several of one partition in one call', async () => {
      const topic = await topicWith(10)
      const query = (position: Parameters<Admin['listOffsets']>[0][number]['position'], partition = 0) => ({
        topic,
        partition,
        position,
      })
      const found = await admin.listOffsets([
        query('earliest'),
        query('latest'),
        query({ timestamp: BASE + 3_500 }),
        query({ timestamp: BASE + 100_000 }),
        query('maxTimestamp'),
        query('latest', 1),
      ])
      assert.deepEqual(
        found.map(({ offset }) => offset),
        [0, 10, 4, -1, 9, 0],
      )
      assert.equal(found[2]?.timestamp, BASE + 4_000)
      assert.deepEqual(
        (await admin.listOffsets([query('latest')], { isolation: 'read_committed' })).map(
          ({ offset }) => offset,
        ),
        [10],
      )
      const error = await rejection(admin.listOffsets([query('latest', 7)]), 'UNKNOWN_TOPIC_OR_PARTITION')
      assert.equal(error.partition, 7)
    })

    test('records: deleted before an offset, and all', async () => {
      const topic = await topicWith(10)
      const [deleted] = await admin.deleteRecords([{ topic, partition: 0, beforeOffset: 4 }])
      assert.equal(deleted?.lowWatermark, 4)
      const earliest = { topic, partition: 0, position: 'earliest' } as const
      assert.equal((await admin.listOffsets([earliest]))[0]?.offset, 4)
      await rejection(admin.deleteRecords([{ topic, partition: 0, beforeOffset: 11 }]), 'OFFSET_OUT_OF_RANGE')
      const [all] = await admin.deleteRecords([{ topic, partition: 0, beforeOffset: 'latest' }])
      assert.equal(all?.lowWatermark, 10)
    })

    test('groups: offsets set, read, listed, described, deleted', async () => {
      const topic = await topicWith(5)
      const groupId = fresh('group')
      await admin.alterGroupOffsets(groupId, [
        { topic, partition: 0, offset: 3, metadata: 'note' },
        { topic, partition: 1, offset: 0 },
      ])
      const offsets = await admin.groupOffsets(groupId)
      assert.deepEqual(
        offsets.map(({ partition, offset, metadata }) => [partition, offset, metadata]).sort(),
        [
          [0, 3, 'note'],
          [1, 0, ''],
        ],
      )
      const one = await admin.groupOffsets(groupId, { partitions: [{ topic, partition: 0 }] })
      assert.equal(one.length, 1)
      assert.ok(
        (await admin.listGroups()).some((group) => group.groupId === groupId && group.state === 'Empty'),
      )
      assert.ok((await admin.listGroups({ states: ['Stable'] })).every((group) => group.groupId !== groupId))
      const typed = async (type: string) =>
        (await admin.listGroups({ types: [type] })).some((group) => group.groupId === groupId)
      assert.deepEqual([await typed('classic'), await typed('consumer')], [true, false])
      const [described] = await admin.describeGroups([groupId])
      assert.equal(described?.state, 'Empty')
      assert.deepEqual(described?.members, [])
      await admin.deleteGroupOffsets(groupId, [{ topic, partition: 1 }])
      assert.equal((await admin.groupOffsets(groupId)).length, 1)
      await admin.deleteGroups([groupId])
      await rejection(admin.deleteGroups([groupId]), 'GROUP_ID_NOT_FOUND')
      await rejection(admin.describeGroups([groupId]), 'GROUP_ID_NOT_FOUND')
      assert.deepEqual(await admin.groupOffsets(groupId), [])
    })

    test('groups: how far one is behind, also where it has committed nothing or there is no such place', async () => {
      const [topic, other] = [await topicWith(10), await topicWith(1)]
      const groupId = fresh('group')
      assert.deepEqual(await admin.groupLag(groupId), [])
      await admin.alterGroupOffsets(groupId, [
        { topic, partition: 1, offset: 0 },
        { topic, partition: 0, offset: 3 },
        { topic: other, partition: 0, offset: 1 },
      ])
      const places = (await admin.groupOffsets(groupId)).map((one) => `${one.topic} ${one.partition}`)
      assert.deepEqual(places, places.toSorted())
      const row = async (partition: number, options = {}) => {
        const rows = await admin.groupLag(groupId, options)
        return rows.find((each) => each.topic === topic && each.partition === partition)
      }
      const ends = { logStartOffset: 0, logEndOffset: 10 }
      assert.deepEqual(await row(0), { topic, partition: 0, committedOffset: 3, ...ends, lag: 7 })
      assert.equal((await row(1))?.lag, 0)
      await admin.deleteRecords([{ topic, partition: 0, beforeOffset: 5 }])
      assert.equal((await row(0))?.lag, 5, 'what the log holds no longer is not to be done')
      await admin.deleteGroupOffsets(groupId, [{ topic, partition: 0 }])
      assert.equal(await row(0), undefined)
      const asked = await row(0, { partitions: [{ topic, partition: 0 }] })
      assert.deepEqual([asked?.committedOffset, asked?.lag], [null, 5])
      const nowhere = { topic: `${topic}-never`, partition: 0 }
      const rows = await admin.groupLag(groupId, { partitions: [nowhere, { topic, partition: 7 }] })
      const unknown = { committedOffset: null, logStartOffset: null, logEndOffset: null, lag: null }
      for (const place of [nowhere, { topic, partition: 7 }]) {
        assert.deepEqual(
          rows.find((each) => each.topic === place.topic && each.partition === place.partition),
          { ...place, ...unknown },
        )
      }
    })

    test('groups: offsets of one that has members are not set, and the error says why', async () => {
      const topic = await topicWith(1)
      const groupId = fresh('group')
      const consumer = new Consumer(cluster, { groupId, topics: [topic] })
      const running = consumer.run(async () => undefined)
      await eventually(async () => assert.equal(consumer.assignment().length, 2))
      const [one, other] = [0, 1].map((partition) => ({ topic, partition, offset: 0 }))
      for (const offsets of [[one], [one, other]]) {
        const error = await rejection(admin.alterGroupOffsets(groupId, offsets as never), 'NON_EMPTY_GROUP')
        assert.match(
          error.message,
          /only be set while it has no members, and it has some: stop its consumers/,
        )
        assert.equal(error.groupId, groupId)
        assert.equal((error.cause as { code?: string }).code, 'UNKNOWN_MEMBER_ID')
      }
      const [described] = await admin.describeGroups([groupId])
      assert.deepEqual(
        described?.members.map(({ assignment }) => assignment),
        [[0, 1].map((partition) => ({ topic, partition }))],
      )
      await consumer.stop()
      await running
      await admin.alterGroupOffsets(groupId, [one as never])
    })

    test('configs: only what is named changes, and null goes back to the default', async () => {
      const topic = await topicWith(0)
      const names = ['retention.ms', 'cleanup.policy', 'max.message.bytes']
      const read = async () => {
        const [described] = await admin.describeConfigs([{ type: 'topic', name: topic }], { names })
        return new Map(
          described?.entries.map(({ name: key, value, isDefault }) => [key, { value, isDefault }]),
        )
      }
      const initial = await read()
      assert.equal(initial.get('retention.ms')?.isDefault, true)
      await admin.alterConfigs([{ type: 'topic', name: topic, configs: { 'retention.ms': '5000000' } }])
      await admin.alterConfigs([
        {
          type: 'topic',
          name: topic,
          configs: { 'cleanup.policy': { append: 'compact' }, 'max.message.bytes': '2000000' },
        },
      ])
      const altered = await eventually(async () => {
        const now = await read()
        assert.equal(now.get('max.message.bytes')?.value, '2000000')
        return now
      })
      assert.deepEqual(altered.get('retention.ms'), { value: '5000000', isDefault: false })
      assert.equal(altered.get('cleanup.policy')?.value, 'delete,compact')
      const back = { 'retention.ms': null, 'cleanup.policy': { subtract: 'compact' } }
      await admin.alterConfigs([{ type: 'topic', name: topic, configs: back }])
      await eventually(async () => {
        const now = await read()
        assert.equal(now.get('cleanup.policy')?.value, 'delete')
        assert.deepEqual(now.get('retention.ms'), initial.get('retention.ms'))
      })
      const wrong = [{ type: 'topic', name: topic, configs: { 'no.such.config': '1' } }] as const
      await rejection(admin.alterConfigs(wrong), 'INVALID_CONFIG')
      await rejection(admin.alterConfigs(wrong, { validateOnly: true }), 'INVALID_CONFIG')
      const right = { 'retention.ms': '7000000' }
      await admin.alterConfigs([{ type: 'topic', name: topic, configs: right }], { validateOnly: true })
      assert.deepEqual((await read()).get('retention.ms'), initial.get('retention.ms'))
      const [broker] = (await admin.describeCluster()).brokers
      const [ofBroker] = await admin.describeConfigs([{ type: 'broker', name: `${broker?.nodeId}` }])
      assert.ok((ofBroker?.entries.length ?? 0) > 10)
    })

    test('the cluster: its id, its controller, its brokers', async () => {
      const { clusterId, controllerId, brokers } = await admin.describeCluster()
      assert.equal(clusterId, cluster.clusterId)
      assert.ok(brokers.some(({ nodeId }) => nodeId === controllerId))
    })

    test('producers that a partition remembers, asked of the leader or of a replica', async () => {
      const connection = await cluster.anyConnection()
      const { producerId, producerEpoch } = await eventually(async () => {
        const body = { transactionalId: null, transactionTimeoutMs: 60_000 }
        const given = await connection.request(initProducerId, body)
        assert.equal(given.errorCode, 0)
        return given
      })
      const topic = await topicWith(3, { producerId, producerEpoch })
      const nodeId = cluster.topic(topic)?.partitions[0]?.leaderId as number
      const found = await admin.describeProducers([
        { topic, partition: 0 },
        { topic, partition: 1, nodeId: cluster.topic(topic)?.partitions[1]?.leaderId as number },
      ])
      assert.ok(nodeId > 0)
      assert.equal(found[0]?.producers[0]?.producerId, producerId)
      assert.equal(found[0]?.producers[0]?.lastSequence, 2)
      assert.deepEqual(found[1]?.producers, [])
    })

    test('a call may be given up', async () => {
      const signal = AbortSignal.abort()
      await rejection(admin.listTopics({ signal }), 'ABORTED')
      await rejection(admin.createTopics([{ name: fresh() }], { signal }), 'ABORTED')
      await rejection(admin.listGroups({ signal }), 'ABORTED')
    })
  })
}

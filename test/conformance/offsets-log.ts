/** `__consumer_offsets` as anybody may read it: what a group leaves there, and what becomes of it. */
import assert from 'node:assert/strict'
import { coordinatorPartition } from '../../src/broker/groups/coordinator-partition.ts'
import {
  type CoordinatorRecord,
  decodeCoordinatorRecord,
} from '../../src/broker/groups/coordinator-record.ts'
import {
  deleteGroups,
  deleteTopics,
  describeConfigs,
  leaveGroup,
  metadata,
  offsetCommit,
  offsetDelete,
  offsetFetch,
} from '../../src/protocol/messages/index.ts'
import { RecordCursor, readBatches } from '../../src/protocol/record-batch.ts'
import { caseOn, type Targeted } from './case.ts'
import { stableGroup } from './group-requests.ts'
import { fetchOne } from './log-requests.ts'
import { eventually, named, type Target } from './target.ts'

const OFFSETS = '__consumer_offsets'

/** Everything that the log says of a group, in order. */
async function recordsOf(at: Target, groupId: string): Promise<CoordinatorRecord[]> {
  const connection = await at.connectToCoordinator(groupId)
  const { topics } = await connection.send(metadata, 10, { topics: [{ name: OFFSETS }] })
  const [topic] = topics
  assert.ok(topic)
  const partition = coordinatorPartition(groupId, topic.partitions.length)
  const records: CoordinatorRecord[] = []
  for (let fetchOffset = 0; ; ) {
    const partitions = [{ partition, fetchOffset }]
    const answer = await fetchOne(connection, { topic: { name: OFFSETS, id: topic.topicId }, partitions })
    assert.equal(answer.error, 'NONE')
    const batches = [...readBatches(answer.records ?? Buffer.alloc(0))]
    for (const batch of batches) {
      const cursor = new RecordCursor(batch, { maxDecompressedBytes: 1 << 24 })
      while (cursor.next()) {
        const record = decodeCoordinatorRecord(cursor.key(), cursor.value())
        if (record?.groupId === groupId) records.push(record)
      }
    }
    const last = batches.at(-1)?.lastOffset
    if (last === undefined) return records
    fetchOffset = last + 1
  }
}

/** A record in short. */
function told(record: CoordinatorRecord): string {
  if (record.kind === 'offset') {
    const { topic, partition, committed } = record
    const said = committed && `${committed.offset} ${committed.leaderEpoch} ${committed.metadata}`
    return `${topic}/${partition} ${said ?? 'deleted'}`
  }
  const { group } = record
  if (group === undefined) return 'group deleted'
  const { generationId, protocolType, protocolName, leader, members } = group
  const assigned = members.map(({ memberId, assignment }) => `${memberId} ${assignment}`)
  const parts = ['group', generationId, protocolType, protocolName, leader, ...assigned]
  return parts.filter((part) => part !== null).join(' ')
}

export function offsetsLogCases(target: Targeted): void {
  const check = caseOn(target)

  check('__consumer_offsets: what a group leaves there, from its first member to its end', async (at) => {
    const groupId = at.name('group')
    const topic = await at.topic({ partitions: 2 })
    const [member] = await stableGroup(at, groupId, [{}])
    assert.ok(member)
    const { connection, joined } = member
    const { memberId, generationId } = joined
    const partitions = [0, 1].map((partitionIndex) => ({
      partitionIndex,
      committedOffset: 7 + partitionIndex,
      committedLeaderEpoch: 0,
      committedMetadata: 'note',
    }))
    const topics = [{ name: topic.name, partitions }]
    const request = { groupId, memberId, generationIdOrMemberEpoch: generationId, topics }
    await connection.send(offsetCommit, 8, request)
    await connection.send(leaveGroup, 3, { groupId, members: [{ memberId }] })
    const { results } = await connection.send(deleteGroups, 1, { groupsNames: [groupId] })
    assert.equal(named(results[0]?.errorCode), 'NONE')
    const records = await recordsOf(at, groupId)
    // Kafka names the deleted partitions in an order of its own.
    assert.deepEqual(
      [
        ...records.slice(0, 5).map(told),
        ...records.slice(5, 7).map(told).toSorted(),
        ...records.slice(7).map(told),
      ],
      [
        'group 0',
        `group 1 consumer range ${memberId} ${memberId} part 0`,
        `${topic.name}/0 7 0 note`,
        `${topic.name}/1 8 0 note`,
        'group 2 consumer',
        `${topic.name}/0 deleted`,
        `${topic.name}/1 deleted`,
        'group deleted',
      ],
    )
  })

  check('__consumer_offsets: it is compacted', async (at) => {
    await at.coordinator(at.name('group'))
    const connection = await at.connect()
    const resources = [{ resourceType: 2, resourceName: OFFSETS, configurationKeys: ['cleanup.policy'] }]
    const { results } = await connection.send(describeConfigs, 4, { resources })
    assert.deepEqual(
      results[0]?.configs.map(({ name, value }) => [name, value]),
      [['cleanup.policy', 'compact']],
    )
  })

  check('OffsetCommit: more than its log takes at once', async (at) => {
    const groupId = at.name('group')
    const topic = await at.topic()
    const connection = await at.connectToCoordinator(groupId)
    const one = { partitionIndex: 0, committedOffset: 1, committedMetadata: 'x'.repeat(4096) }
    const topics = [{ name: topic.name, partitions: Array.from({ length: 300 }, () => one) }]
    const answer = await connection.send(offsetCommit, 8, { groupId, memberId: '', topics })
    const errors = answer.topics[0]?.partitions.map(({ errorCode }) => named(errorCode)) ?? []
    assert.deepEqual([...new Set(errors)], ['UNKNOWN_SERVER_ERROR'])
    const fetched = await connection.send(offsetFetch, 7, { groupId, topics: null })
    assert.deepEqual(fetched.topics, [], 'none of it is there')
  })

  check('OffsetDelete and DeleteGroups: more than the log takes at once', async (at) => {
    // Each record of a group has the group's name in its key.
    const groupId = at.name('group').padEnd(30_000, '.')
    const topic = await at.topic({ partitions: 40 })
    const connection = await at.connectToCoordinator(groupId)
    const indexes = Array.from({ length: 40 }, (_, partitionIndex) => ({ partitionIndex }))
    for (const half of [indexes.slice(0, 20), indexes.slice(20)]) {
      const partitions = half.map((one) => ({ ...one, committedOffset: 1, committedMetadata: '' }))
      const topics = [{ name: topic.name, partitions }]
      const { topics: committed } = await connection.send(offsetCommit, 8, { groupId, memberId: '', topics })
      assert.equal(named(committed[0]?.partitions[0]?.errorCode), 'NONE')
    }
    const topics = [{ name: topic.name, partitions: indexes }]
    const removed = await connection.send(offsetDelete, 0, { groupId, topics })
    assert.equal(named(removed.errorCode), 'UNKNOWN_SERVER_ERROR', 'OffsetDelete')
    for (const version of at.versions(deleteGroups)) {
      const { results } = await connection.send(deleteGroups, version, { groupsNames: [groupId] })
      assert.equal(named(results[0]?.errorCode), 'UNKNOWN_SERVER_ERROR', `DeleteGroups ${version}`)
    }
    const { topics: left } = await connection.send(offsetFetch, 7, { groupId, topics: null })
    // Kafka 4.3 names each twice then.
    const indexesLeft = new Set(left[0]?.partitions.map(({ partitionIndex }) => partitionIndex))
    assert.equal(indexesLeft.size, 40, 'all of it is there')
  })

  check('OffsetFetch: the offsets of a deleted topic go', async (at) => {
    const groupId = at.name('group')
    const topic = await at.topic()
    const connection = await at.connectToCoordinator(groupId)
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: '' }]
    const topics = [{ name: topic.name, partitions }]
    await connection.send(offsetCommit, 8, { groupId, memberId: '', topics })
    const offsets = async () => (await connection.send(offsetFetch, 7, { groupId, topics: null })).topics
    assert.equal((await offsets()).length, 1)
    const admin = await at.connect()
    await admin.send(deleteTopics, 4, { topicNames: [topic.name], timeoutMs: 10_000 })
    await eventually('the offsets gone', async () => ((await offsets()).length === 0 ? true : undefined))
  })
}

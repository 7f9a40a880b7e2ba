/** ListOffsets (2), OffsetForLeaderEpoch (23), DeleteRecords (21), DescribeProducers (61): where a log stands. */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import {
  deleteRecords,
  describeLogDirs,
  describeProducers,
  listOffsets,
  offsetForLeaderEpoch,
} from '../../src/protocol/messages/index.ts'
import { encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { type Case, caseOn, type Targeted } from './case.ts'
import { batchOf, fetchOne, newProducer, offsetOf, produceTo, sequenced } from './log-requests.ts'
import { named, type Target } from './target.ts'

const [EARLIEST, LATEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING] = [
  -2, -1, -3, -4, -5, -6,
]
const T = 1_700_000_000_000

async function timestamped(at: Target) {
  const topic = await at.topic({ partitions: 2 })
  const connection = await at.connect(topic.leaders[0])
  const append = (...timestamps: number[]) =>
    produceTo(connection, {
      topic,
      records: encodeRecordBatch(timestamps.map((timestamp) => ({ value: 'v', timestamp: T + timestamp }))),
    })
  await append(0)
  await append(0, 10, 5)
  await append(20)
  return { topic, connection }
}

async function list(
  connection: RawConnection,
  version: number,
  topic: string,
  given: object,
  request: object = {},
) {
  const partition = { partitionIndex: 0, timestamp: LATEST, ...given }
  const answer = await connection.send(listOffsets, version, {
    replicaId: -1,
    ...request,
    topics: [{ name: topic, partitions: [partition] }],
  })
  const one = answer.topics[0]?.partitions[0]
  assert.ok(one)
  return {
    error: named(one.errorCode),
    offset: one.offset,
    timestamp: one.timestamp,
    leaderEpoch: one.leaderEpoch,
  }
}

function listOffsetsCases(check: Case): void {
  check('ListOffsets: start, end and timestamps, inside batches too, in every version', async (at) => {
    const { topic, connection } = await timestamped(at)
    for (const version of at.versions(listOffsets)) {
      const leaderEpoch = version >= 4 ? 0 : -1
      const find = (timestamp: number) => list(connection, version, topic.name, { timestamp })
      const found = (offset: number, timestamp: number) => ({ error: 'NONE', offset, timestamp, leaderEpoch })
      assert.deepEqual(await find(EARLIEST), found(0, -1))
      assert.deepEqual(await find(LATEST), found(5, -1))
      for (const [asked, offset, timestamp] of [
        [0, 0, 0],
        [1, 2, 10],
        [10, 2, 10],
        [11, 4, 20],
        [20, 4, 20],
      ] as const) {
        assert.deepEqual(await find(T + asked), found(offset, T + timestamp), `T + ${asked}`)
      }
      assert.deepEqual(await find(T + 21), { error: 'NONE', offset: -1, timestamp: -1, leaderEpoch: -1 })
      if (version >= 2) {
        const committed = await list(connection, version, topic.name, {}, { isolationLevel: 1 })
        assert.deepEqual(committed, found(5, -1))
      }
    }
  })

  check('ListOffsets: the special timestamps of later versions', async (at) => {
    const { topic, connection } = await timestamped(at)
    const unsupported = { error: 'UNSUPPORTED_VERSION', offset: -1, timestamp: -1, leaderEpoch: -1 }
    const nothing = { error: 'NONE', offset: -1, timestamp: -1, leaderEpoch: -1 }
    const special: [timestamp: number, since: number, answer: object][] = [
      [MAX_TIMESTAMP, 7, { error: 'NONE', offset: 4, timestamp: T + 20, leaderEpoch: 0 }],
      [EARLIEST_LOCAL, 8, { error: 'NONE', offset: 0, timestamp: -1, leaderEpoch: 0 }],
      [LATEST_TIERED, 9, nothing],
      [EARLIEST_PENDING, 11, nothing],
      [-7, Number.POSITIVE_INFINITY, nothing],
    ]
    for (const version of at.versions(listOffsets)) {
      for (const [timestamp, since, answer] of special) {
        const expected = version >= since ? answer : unsupported
        assert.deepEqual(
          await list(connection, version, topic.name, { timestamp }),
          expected,
          `${timestamp} in ${version}`,
        )
      }
    }
  })

  check('ListOffsets: what is refused', async (at) => {
    const { topic, connection } = await timestamped(at)
    for (const version of at.versions(listOffsets)) {
      const refusal = async (given: object, name = topic.name) => {
        const { error, offset } = await list(connection, version, name, given)
        assert.ok(error === 'NONE' || offset === -1)
        return error
      }
      assert.equal(await refusal({}, at.name('none')), 'UNKNOWN_TOPIC_OR_PARTITION')
      assert.equal(await refusal({ partitionIndex: 2 }), 'UNKNOWN_TOPIC_OR_PARTITION')
      if (version < 4) continue
      assert.equal(await refusal({ currentLeaderEpoch: 0 }), 'NONE')
      assert.equal(await refusal({ currentLeaderEpoch: 9 }), 'UNKNOWN_LEADER_EPOCH')
      assert.equal(await refusal({ currentLeaderEpoch: -2 }), 'FENCED_LEADER_EPOCH')
    }
  })

  check('ListOffsets: a partition named twice is INVALID_REQUEST, once', async (at) => {
    const { topic, connection } = await timestamped(at)
    const partitions = [EARLIEST, LATEST].map((timestamp) => ({ partitionIndex: 0, timestamp }))
    for (const version of at.versions(listOffsets)) {
      const topics = [{ name: topic.name, partitions }]
      const answer = await connection.send(listOffsets, version, { replicaId: -1, topics })
      assert.deepEqual(
        answer.topics[0]?.partitions.map((one) => named(one.errorCode)),
        ['INVALID_REQUEST'],
      )
    }
  })
}

function epochCases(check: Case): void {
  check('OffsetForLeaderEpoch: where an epoch ends, and what is refused', async (at) => {
    const { topic, connection } = await timestamped(at)
    for (const version of at.versions(offsetForLeaderEpoch)) {
      const ask = async (given: object, name = topic.name) => {
        const partition = { partition: 0, leaderEpoch: 0, ...given }
        const request = { topics: [{ topic: name, partitions: [partition] }] }
        const { topics } = await connection.send(offsetForLeaderEpoch, version, request)
        const one = topics[0]?.partitions[0]
        return [named(one?.errorCode), one?.leaderEpoch, one?.endOffset]
      }
      assert.deepEqual(await ask({}), ['NONE', 0, 5])
      assert.deepEqual(await ask({ currentLeaderEpoch: 0 }), ['NONE', 0, 5])
      assert.deepEqual(await ask({ leaderEpoch: 5 }), ['NONE', -1, -1])
      assert.deepEqual(await ask({ leaderEpoch: -1 }), ['NONE', -1, -1])
      assert.deepEqual(await ask({ currentLeaderEpoch: 5 }), ['UNKNOWN_LEADER_EPOCH', -1, -1])
      assert.deepEqual(await ask({ currentLeaderEpoch: -2 }), ['FENCED_LEADER_EPOCH', -1, -1])
      assert.deepEqual(await ask({ partition: 7 }), ['UNKNOWN_TOPIC_OR_PARTITION', -1, -1])
      assert.deepEqual(await ask({}, at.name('none')), ['UNKNOWN_TOPIC_OR_PARTITION', -1, -1])
    }
  })
}

function deleteRecordsCases(check: Case): void {
  check('DeleteRecords: the log starts later, in every version', async (at) => {
    for (const version of at.versions(deleteRecords)) {
      const { topic, connection } = await timestamped(at)
      const remove = async (offset: number, given: { partition?: number; name?: string } = {}) => {
        const { partition = 0, name = topic.name } = given
        const topics = [{ name, partitions: [{ partitionIndex: partition, offset }] }]
        const answer = await connection.send(deleteRecords, version, { topics, timeoutMs: 5_000 })
        const one = answer.topics[0]?.partitions[0]
        return [named(one?.errorCode), one?.lowWatermark]
      }
      assert.deepEqual(await remove(2), ['NONE', 2])
      assert.equal(await offsetOf(connection, topic, EARLIEST), 2)
      assert.equal(
        (await fetchOne(connection, { topic, partitions: [{ fetchOffset: 1 }] })).error,
        'OFFSET_OUT_OF_RANGE',
      )
      const rest = await fetchOne(connection, { topic, partitions: [{ fetchOffset: 2 }] })
      assert.equal(rest.logStartOffset, 2)
      assert.equal((await produceTo(connection, { topic, records: batchOf('v') })).logStartOffset, 2)
      assert.deepEqual(await remove(1), ['NONE', 2], 'never back')
      assert.deepEqual(await remove(99), ['OFFSET_OUT_OF_RANGE', -1])
      assert.deepEqual(await remove(-2), ['OFFSET_OUT_OF_RANGE', -1])
      assert.deepEqual(await remove(-1), ['NONE', 6], 'all that is committed')
      assert.deepEqual(await remove(0, { partition: 7 }), ['UNKNOWN_TOPIC_OR_PARTITION', -1])
      assert.deepEqual(await remove(0, { name: at.name('none') }), ['UNKNOWN_TOPIC_OR_PARTITION', -1])
    }
  })

  check('DeleteRecords: a compacted topic is not cut', async (at) => {
    const topic = await at.topic({ configs: { 'cleanup.policy': 'compact' } })
    const connection = await at.connect(topic.leaders[0])
    const topics = [{ name: topic.name, partitions: [{ partitionIndex: 0, offset: -1 }] }]
    const answer = await connection.send(deleteRecords, 1, { topics, timeoutMs: 5_000 })
    assert.equal(named(answer.topics[0]?.partitions[0]?.errorCode), 'POLICY_VIOLATION')
  })
}

function producerCases(check: Case): void {
  check('DescribeProducers: who has written, and how far', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect(topic.leaders[0])
    const ask = async (name: string, partitionIndexes: number[]) => {
      const { topics } = await connection.send(describeProducers, 0, { topics: [{ name, partitionIndexes }] })
      assert.equal(topics[0]?.name, name)
      return topics[0]?.partitions ?? []
    }
    assert.deepEqual((await ask(topic.name, [0]))[0]?.activeProducers, [])
    const producer = await newProducer(connection)
    await produceTo(connection, { topic, records: sequenced(producer, 0, 3) })
    await produceTo(connection, { topic, records: sequenced(producer, 3, 2) })
    const [partition] = await ask(topic.name, [0])
    assert.equal(named(partition?.errorCode), 'NONE')
    const [active] = partition?.activeProducers ?? []
    assert.deepEqual(
      [active?.producerId, active?.producerEpoch, active?.lastSequence],
      [producer.producerId, 0, 4],
    )
    assert.deepEqual([active?.coordinatorEpoch, active?.currentTxnStartOffset], [-1, -1])
    assert.equal(named((await ask(topic.name, [7]))[0]?.errorCode), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(named((await ask(at.name('none'), [0]))[0]?.errorCode), 'UNKNOWN_TOPIC_OR_PARTITION')
  })
}

function logDirCases(check: Case): void {
  check('DescribeLogDirs: how large the replicas of a node are, in every version', async (at) => {
    const topic = await at.topic({ partitions: 2 })
    const node = topic.leaders[0] as number
    const connection = await at.connect(node)
    await produceTo(connection, { topic, records: batchOf('a', 'b') })
    const ask = async (version: number, topics: { topic: string; partitions: number[] }[] | null) => {
      const { errorCode, results } = await connection.send(describeLogDirs, version, { topics })
      assert.deepEqual([errorCode, results.length], [0, 1])
      assert.equal(named(results[0]?.errorCode), 'NONE')
      return results[0]
    }
    for (const version of at.versions(describeLogDirs)) {
      const found = await ask(version, [{ topic: topic.name, partitions: [0, 1, 7] }])
      assert.match(found?.logDir ?? '', /^\//)
      assert.deepEqual(
        found?.topics.map(({ name }) => name),
        [topic.name],
      )
      const partitions = found?.topics[0]?.partitions.toSorted((a, b) => a.partitionIndex - b.partitionIndex)
      assert.deepEqual(
        partitions?.map(({ partitionSize, ...rest }) => ({ ...rest, isEmpty: partitionSize === 0 })),
        [0, 1].map((index) => ({
          partitionIndex: index,
          offsetLag: 0,
          isFutureKey: false,
          isEmpty: index === 1,
        })),
      )
      const isTold = version >= 4
      assert.deepEqual([Number(found?.totalBytes) > 0, Number(found?.usableBytes) > 0], [isTold, isTold])
      const all = await ask(version, null)
      assert.ok(all?.topics.some(({ name }) => name === topic.name))
      for (const nothing of [[], [{ topic: at.name('none'), partitions: [0] }]]) {
        assert.deepEqual((await ask(version, nothing))?.topics, [], 'what is not there is left out')
      }
    }
  })
}

export function logOffsetConformance(target: Targeted): void {
  describe('offsets of logs', () => {
    const check = caseOn(target)
    listOffsetsCases(check)
    epochCases(check)
    deleteRecordsCases(check)
    producerCases(check)
    logDirCases(check)
  })
}

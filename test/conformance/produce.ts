/** Produce (0): what gets into a log, and where. */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { writeCrc } from '../../src/protocol/encode-batch.ts'
import { apiVersions, produce } from '../../src/protocol/messages/index.ts'
import { type Compression, encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import { type Case, caseOn, type Targeted } from './case.ts'
import { idempotenceCases } from './idempotence.ts'
import { batchOf, fetchOne, NOWHERE, offsetOf, produceRequest, produceTo } from './log-requests.ts'
import { named } from './target.ts'

/** A batch with something written over it. */
function altered(change: (batch: Buffer) => void, keepsCrc = false): Buffer {
  const batch = batchOf('value')
  change(batch)
  if (!keepsCrc) writeCrc(batch)
  return batch
}

const COUNT_AT = 57
const LAST_DELTA_AT = 23
const MAGIC_AT = 16

function plainCases(check: Case): void {
  check(
    'Produce: offsets are given one after the other, in every version, by topic id from 13',
    async (at) => {
      const topic = await at.topic()
      const connection = await at.connect(topic.leaders[0])
      let next = 0
      for (const version of at.versions(produce)) {
        for (const acks of [-1, 1]) {
          const answer = await produceTo(connection, {
            version,
            topic,
            records: batchOf('a', 'b', 'c'),
            acks,
          })
          assert.equal(answer.error, 'NONE')
          assert.equal(answer.baseOffset, next)
          assert.equal(answer.logAppendTimeMs, -1)
          assert.equal(answer.logStartOffset, version >= 5 ? 0 : -1)
          assert.deepEqual([answer.recordErrors, answer.errorMessage, answer.nodeEndpoints], [[], null, []])
          next += 3
        }
      }
      assert.equal(await offsetOf(connection, topic), next)
    },
  )

  check('Produce: unknown topics and partitions', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect(topic.leaders[0])
    const records = batchOf('a')
    for (const version of at.versions(produce)) {
      const error = version >= 13 ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION'
      const unknown = await produceTo(connection, {
        version,
        topic: { ...NOWHERE, name: at.name('none') },
        records,
      })
      assert.deepEqual([unknown.error, unknown.baseOffset], [error, -1])
      for (const partition of [1, -1]) {
        const beyond = await produceTo(connection, { version, topic, partition, records })
        assert.deepEqual([beyond.error, beyond.baseOffset], ['UNKNOWN_TOPIC_OR_PARTITION', -1])
      }
    }
  })

  check('Produce: the broker keeps its own topics to itself', async (at) => {
    await at.coordinator(at.name('group'))
    const connection = await at.connect()
    const answer = await produceTo(connection, {
      topic: { ...NOWHERE, name: '__consumer_offsets' },
      records: batchOf('a'),
    })
    assert.equal(answer.error, 'INVALID_TOPIC_EXCEPTION')
  })

  check('Produce: acks other than -1, 0 and 1', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect(topic.leaders[0])
    for (const version of at.versions(produce)) {
      for (const acks of [5, -2]) {
        const answer = await produceTo(connection, { version, topic, records: batchOf('a'), acks })
        assert.equal(answer.error, 'INVALID_REQUIRED_ACKS')
      }
    }
    assert.equal(await offsetOf(connection, topic), 0)
  })

  check('Produce: acks 0 is not answered, and an error closes the connection', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect(topic.leaders[0])
    connection.tell(produce, 9, produceRequest({ topic, records: batchOf('a'), acks: 0 }))
    assert.equal(named((await connection.send(apiVersions, 0, {})).errorCode), 'NONE')
    assert.equal(await offsetOf(connection, topic), 1)
    connection.tell(
      produce,
      9,
      produceRequest({ topic: { ...topic, name: at.name('none') }, records: batchOf('a'), acks: 0 }),
    )
    await connection.closed
  })

  check('Produce: several partitions and topics, each with its own answer', async (at) => {
    const topic = await at.topic({ partitions: 2 })
    const other = at.name('none')
    const connection = await at.connect(topic.leaders[0])
    const records = batchOf('a')
    const damaged = altered((batch) => batch.writeUInt8((batch[66] ?? 0) ^ 1, 66), true)
    const { responses } = await connection.send(produce, 9, {
      acks: -1,
      timeoutMs: 5_000,
      topicData: [
        {
          name: topic.name,
          partitionData: [
            { index: 0, records: damaged },
            { index: 1, records },
          ],
        },
        { name: other, partitionData: [{ index: 0, records }] },
      ],
    })
    const answers = responses.flatMap(({ name, partitionResponses }) =>
      partitionResponses.map(({ index, errorCode }) => `${name}/${index} ${named(errorCode)}`),
    )
    const one = topic.leaders[0] === topic.leaders[1] ? 'NONE' : 'NOT_LEADER_OR_FOLLOWER'
    const expected = [
      `${topic.name}/0 CORRUPT_MESSAGE`,
      `${topic.name}/1 ${one}`,
      `${other}/0 UNKNOWN_TOPIC_OR_PARTITION`,
    ]
    assert.deepEqual(answers.toSorted(), expected.toSorted())
  })
}

function batchCases(check: Case): void {
  check('Produce: what is not a valid batch', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect(topic.leaders[0])
    const whole = batchOf('value')
    const cases: [what: string, records: Buffer, error: string, reachesThePartition?: boolean][] = [
      ['nothing', Buffer.alloc(0), 'INVALID_RECORD'],
      ['two batches', Buffer.concat([whole, whole]), 'INVALID_RECORD'],
      ['cut off', whole.subarray(0, 65), 'INVALID_RECORD'],
      ['no batch at all', Buffer.from('hello world'), 'INVALID_RECORD'],
      [
        'a bit turned',
        altered((batch) => batch.writeUInt8((batch[66] ?? 0) ^ 1, 66), true),
        'CORRUPT_MESSAGE',
      ],
      ['an old format', altered((batch) => batch.writeUInt8(1, MAGIC_AT), true), 'INVALID_RECORD'],
      ['a wrong count', altered((batch) => batch.writeInt32BE(7, COUNT_AT)), 'INVALID_RECORD', true],
      [
        'a wrong last delta',
        altered((batch) => batch.writeInt32BE(7, LAST_DELTA_AT)),
        'INVALID_RECORD',
        true,
      ],
      ['a base offset', encodeRecordBatch([{ value: 'a' }], { baseOffset: 7 }), 'INVALID_RECORD', true],
      ['a control batch', encodeRecordBatch([{ value: 'a' }], { control: true }), 'INVALID_RECORD', true],
      [
        'a record longer than its batch',
        altered((batch) => batch.writeUInt8(0x7e, 61)),
        'INVALID_RECORD',
        true,
      ],
    ]
    for (const version of at.versions(produce)) {
      for (const [what, records, error, reachesThePartition = false] of cases) {
        const answer = await produceTo(connection, { version, topic, records })
        assert.equal(answer.error, error, `${what}, version ${version}`)
        assert.equal(answer.baseOffset, -1)
        assert.equal(
          answer.logStartOffset,
          reachesThePartition && version >= 5 ? 0 : -1,
          `${what}: log start`,
        )
      }
    }
    assert.equal(await offsetOf(connection, topic), 0)
  })

  check('Produce: every codec, stored as it came; zstd only from version 7 on', async (at) => {
    const codecs: Compression[] = ['gzip', 'snappy', 'lz4', 'zstd']
    for (const compression of codecs) {
      const topic = await at.topic()
      const connection = await at.connect(topic.leaders[0])
      const values = Array.from({ length: 40 }, () => 'the same again and again')
      const records = encodeRecordBatch(
        values.map((value) => ({ value })),
        { compression },
      )
      let appended = 0
      for (const version of at.versions(produce)) {
        const { error } = await produceTo(connection, { version, topic, records })
        const isTooOld = compression === 'zstd' && version < 7
        assert.equal(
          error,
          isTooOld ? 'UNSUPPORTED_COMPRESSION_TYPE' : 'NONE',
          `${compression}, version ${version}`,
        )
        if (!isTooOld) appended += values.length
      }
      const fetched = await fetchOne(connection, { topic })
      assert.equal(fetched.values.length, appended)
      // From its attributes on, a batch is stored byte for byte.
      const stored = fetched.records?.subarray(0, records.length)
      assert.ok(stored?.subarray(17).equals(records.subarray(17)), 'the batch is stored as it came')
    }
  })

  check('Produce: larger than segment.bytes', async (at) => {
    const configs = { 'max.message.bytes': String(4 << 20), 'segment.bytes': String(1 << 20) }
    const topic = await at.topic({ configs })
    const connection = await at.connect(topic.leaders[0])
    for (const version of at.versions(produce)) {
      const large = await produceTo(connection, { version, topic, records: batchOf('x'.repeat(1 << 20)) })
      assert.deepEqual([large.error, large.logStartOffset], ['RECORD_LIST_TOO_LARGE', -1])
    }
  })

  check('Produce: larger than max.message.bytes', async (at) => {
    const topic = await at.topic({ configs: { 'max.message.bytes': '200' } })
    const connection = await at.connect(topic.leaders[0])
    for (const version of at.versions(produce)) {
      const large = await produceTo(connection, { version, topic, records: batchOf('x'.repeat(200)) })
      assert.deepEqual([large.error, large.logStartOffset], ['MESSAGE_TOO_LARGE', -1])
      const fitting = await produceTo(connection, { version, topic, records: batchOf('x'.repeat(50)) })
      assert.equal(fitting.error, 'NONE')
    }
  })

  check(
    'Produce: a compacted topic takes no record without a key, and names them from version 8 on',
    async (at) => {
      const topic = await at.topic({ configs: { 'cleanup.policy': 'compact' } })
      const connection = await at.connect(topic.leaders[0])
      const records = encodeRecordBatch([
        { key: 'k', value: '1' },
        { value: '2' },
        { key: 'k', value: '3' },
        { value: '4' },
      ])
      for (const version of at.versions(produce)) {
        const answer = await produceTo(connection, { version, topic, records })
        assert.deepEqual([answer.error, answer.logStartOffset], ['INVALID_RECORD', version >= 5 ? 0 : -1])
        assert.deepEqual(
          answer.recordErrors.map(({ batchIndex }) => batchIndex),
          version >= 8 ? [1, 3] : [],
        )
        if (version >= 8) assert.match(answer.errorMessage ?? '', /One or more records have been rejected/)
      }
    },
  )

  check('Produce: timestamps out of bounds, named from version 8 on', async (at) => {
    const bounds = { 'message.timestamp.before.max.ms': '60000', 'message.timestamp.after.max.ms': '60000' }
    const topic = await at.topic({ configs: bounds })
    const connection = await at.connect(topic.leaders[0])
    const now = Date.now()
    const stamped = (...timestamps: number[]) =>
      encodeRecordBatch(timestamps.map((timestamp) => ({ value: 'v', timestamp })))
    for (const version of at.versions(produce)) {
      const mixed = stamped(now - 3_600_000, now, now + 3_600_000)
      const answer = await produceTo(connection, { version, topic, records: mixed })
      assert.deepEqual([answer.error, answer.logStartOffset], ['INVALID_TIMESTAMP', version >= 5 ? 0 : -1])
      assert.deepEqual(
        answer.recordErrors.map(({ batchIndex }) => batchIndex),
        version >= 8 ? [0, 2] : [],
      )
      const fine = await produceTo(connection, { version, topic, records: stamped(now - 1_000, now + 1_000) })
      assert.equal(fine.error, 'NONE')
    }
  })

  check('Produce: a topic that stamps records itself says so', async (at) => {
    const topic = await at.topic({ configs: { 'message.timestamp.type': 'LogAppendTime' } })
    const connection = await at.connect(topic.leaders[0])
    const records = encodeRecordBatch([{ value: 'v', timestamp: 1_000 }])
    for (const version of at.versions(produce)) {
      const answer = await produceTo(connection, { version, topic, records })
      assert.equal(answer.error, 'NONE')
      assert.ok(Math.abs(answer.logAppendTimeMs - Date.now()) < 60_000, `${answer.logAppendTimeMs}`)
    }
  })
}

export function produceConformance(target: Targeted): void {
  describe('produce', () => {
    const check = caseOn(target)
    plainCases(check)
    batchCases(check)
    idempotenceCases(target)
  })
}

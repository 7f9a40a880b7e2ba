/** From the bytes of a response to records and batches: what is left out, where reading begins and ends, copying. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveConsumerOptions } from '../../src/consumer/consumer-options.ts'
import { type PartitionAnswer, readAnswer, troubleOf } from '../../src/consumer/fetch-answer.ts'
import type { FetchedChunk } from '../../src/consumer/fetched-chunk.ts'
import { errorCode } from '../../src/protocol/error-codes.ts'
import { encodeControlBatch, encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import { rounds } from '../support/seed.ts'

const owner = { topic: 't', partition: 0 }

const answer = (records: Buffer, more: Partial<PartitionAnswer> = {}) =>
  ({ records, abortedTransactions: null, highWatermark: 1000, errorCode: 0, ...more }) as PartitionAnswer

const options = (more: object = {}) => resolveConsumerOptions({ groupId: 'g', topics: ['t'], ...more })

/** Records with these offsets, which compaction may have thinned out. */
function batch(first: number, count: number, more: object = {}): Buffer {
  const records = Array.from({ length: count }, (_, index) => ({ value: `v${first + index}` }))
  return encodeRecordBatch(records, { baseOffset: first, partitionLeaderEpoch: 0, ...more })
}

const read = (
  records: Buffer,
  offset = 0,
  more: Partial<PartitionAnswer> = {},
  checkCrc = true,
  given: object = {},
) => readAnswer(owner, answer(records, more), { offset, checkCrc, options: options(given) })

function drain(chunk: FetchedChunk | undefined): string[] {
  const seen: string[] = []
  for (let record = chunk?.next(); record !== undefined; record = chunk?.next()) seen.push(`${record.value}`)
  return seen
}

test('a batch comes whole also when its middle was asked for', () => {
  const { chunk, epochs } = read(Buffer.concat([batch(0, 5), batch(5, 3, { partitionLeaderEpoch: 2 })]), 3)
  assert.deepEqual(drain(chunk), ['v3', 'v4', 'v5', 'v6', 'v7'])
  assert.equal(chunk?.endOffset, 8)
  assert.deepEqual(epochs, [
    { from: 0, leaderEpoch: 0 },
    { from: 5, leaderEpoch: 2 },
  ])
})

test('a last batch that is cut off waits for the next fetch; one that does not fit asks for more', () => {
  const two = Buffer.concat([batch(0, 2), batch(2, 100)])
  const cut = read(two.subarray(0, two.length - 1))
  assert.equal(cut.chunk?.endOffset, 2)
  const big = batch(2, 100)
  const none = read(big.subarray(0, 50), 2)
  assert.equal(none.chunk, undefined)
  assert.equal(none.neededBytes, big.length)
  assert.equal(read(Buffer.alloc(0)).neededBytes, undefined)
})

const transactional = (first: number, count: number, producerId: number) =>
  batch(first, count, { transactional: true, producerId, producerEpoch: 0, baseSequence: 0 })
const marker = (baseOffset: number, producerId: number, type: 'abort' | 'commit') =>
  encodeControlBatch({ baseOffset, producerId, producerEpoch: 0, type, timestamp: 1 })

/** Two producers side by side: 7 aborts, 8 commits, then 7 commits. */
const mixed = Buffer.concat([
  transactional(0, 2, 7),
  transactional(2, 2, 8),
  batch(4, 1),
  transactional(5, 1, 7),
  marker(6, 7, 'abort'),
  marker(7, 8, 'commit'),
  transactional(8, 1, 7),
  marker(9, 7, 'commit'),
])

test('read_committed: aborted records and markers are left out, the position passes them', () => {
  const { chunk } = read(mixed, 0, { abortedTransactions: [{ producerId: 7, firstOffset: 0 }] })
  assert.deepEqual(drain(chunk), ['v2', 'v3', 'v4', 'v8'])
  assert.equal(chunk?.endOffset, 10)
})

test('read_uncommitted: only markers are left out', () => {
  const aborted = { abortedTransactions: [{ producerId: 7, firstOffset: 0 }] }
  const { chunk } = read(mixed, 0, aborted, true, { isolation: 'read_uncommitted' })
  assert.deepEqual(drain(chunk), ['v0', 'v1', 'v2', 'v3', 'v4', 'v5', 'v8'])
})

test('a chunk without any record still moves the position', () => {
  const { chunk } = read(marker(6, 7, 'commit'), 6)
  assert.deepEqual(drain(chunk), [])
  assert.equal(chunk?.endOffset, 7)
  assert.equal(chunk?.nextBatch(10), undefined)
})

test('damage: what is before it is delivered, then it is told', () => {
  const bytes = Buffer.concat([batch(0, 2), batch(2, 2)])
  bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 0xff
  const first = read(bytes)
  assert.deepEqual(drain(first.chunk), ['v0', 'v1'])
  const second = read(bytes.subarray(batch(0, 2).length), 2)
  assert.equal(second.chunk, undefined)
  assert.equal(second.damage?.code, 'CORRUPT_BATCH')
  const trusted = read(bytes, 0, {}, false)
  assert.equal(trusted.damage, undefined)
  assert.equal(trusted.chunk?.endOffset, 4)
})

test('errors of a partition: each asks for its own thing', () => {
  assert.equal(troubleOf(errorCode.NONE), 'none')
  assert.equal(troubleOf(errorCode.OFFSET_OUT_OF_RANGE), 'range')
  assert.equal(troubleOf(errorCode.UNKNOWN_LEADER_EPOCH), 'retry')
  for (const code of [
    errorCode.NOT_LEADER_OR_FOLLOWER,
    errorCode.FENCED_LEADER_EPOCH,
    errorCode.UNKNOWN_TOPIC_ID,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.KAFKA_STORAGE_ERROR,
    errorCode.OFFSET_NOT_AVAILABLE,
    errorCode.INCONSISTENT_TOPIC_ID,
  ]) {
    assert.equal(troubleOf(code), 'metadata')
  }
  assert.equal(troubleOf(errorCode.TOPIC_AUTHORIZATION_FAILED), 'fatal')
})

test('what is not read yet can be copied out of the response at any point', () => {
  rounds(60, (random) => {
    const parts: Buffer[] = []
    let next = 0
    for (let count = 1 + random.below(5); count > 0; count--) {
      const size = 1 + random.below(6)
      parts.push(batch(next, size, { compression: random.below(2) === 0 ? 'none' : 'gzip' }))
      next += size
    }
    const from = random.below(next)
    const { chunk } = read(Buffer.concat(parts), from)
    const seen: string[] = []
    const detachAt = random.below(next - from + 1)
    for (let index = 0; ; index++) {
      if (index === detachAt) chunk?.detach()
      const record = chunk?.next()
      if (record === undefined) break
      seen.push(`${record.value}`)
    }
    assert.deepEqual(
      seen,
      Array.from({ length: next - from }, (_, index) => `v${from + index}`),
    )
  })
})

test('batches of any size cover everything once, and their parts too', () => {
  rounds(80, (random) => {
    const parts: Buffer[] = []
    let next = 0
    for (let count = 1 + random.below(5); count > 0; count--) {
      const size = 1 + random.below(6)
      parts.push(batch(next, size))
      // A hole of up to two offsets, as compaction leaves it.
      next += size + random.below(3)
    }
    const from = random.below(next)
    const { chunk } = read(Buffer.concat(parts), from)
    const whole = drain(read(Buffer.concat(parts), from).chunk)
    const seen: string[] = []
    let covered = from
    for (let made = chunk?.nextBatch(1 + random.below(7)); made !== undefined; ) {
      const values = [...made].map(({ value }) => `${value}`)
      assert.equal(values.length, made.length)
      assert.ok(made.firstOffset >= covered && made.lastOffset < made.endOffset)
      const middle = made.firstOffset + random.below(made.lastOffset - made.firstOffset + 1)
      const rest = [...(made.from(middle) ?? [])].map(({ value }) => `${value}`)
      assert.deepEqual(
        rest,
        values.filter((value) => Number(value.slice(1)) >= middle),
      )
      seen.push(...values)
      covered = made.endOffset
      made = chunk?.nextBatch(1 + random.below(7))
    }
    assert.deepEqual(seen, whole)
    if (whole.length > 0) assert.equal(covered, chunk?.endOffset)
  })
})

/**
 * Frames captured from Kafka's own tools and a real Kafka (`test/golden/capture.ts`): every one is decoded to its
 * last byte, and encoded again it is the same bytes. Client and broker of this project share one codec, so a
 * mistake could hide in both; it cannot hide from these.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { encodeRequest, encodeResponse } from '../../src/protocol/frame.ts'
import {
  assignment,
  decodeConsumerProtocol,
  encodeConsumerProtocol,
  subscription,
} from '../../src/protocol/messages/consumer-protocol.ts'
import { apiOfKey } from '../../src/protocol/messages/index.ts'
import {
  abortedTransactionFilter,
  type BatchView,
  controlTypeOf,
  encodeControlBatch,
  encodeRecordBatch,
  RecordCursor,
  readBatches,
} from '../../src/protocol/record-batch.ts'
import type { Api, RequestOf, SentResponseOf } from '../../src/protocol/schema.ts'
import { type GoldenFile, type GoldenFrame, goldenFrames } from '../golden/format.ts'
import { readRequest, readResponse } from '../support/frames.ts'

const folder = join(import.meta.dirname, '../golden')
const conversations = globSync('*.json', { cwd: folder })
  .sort()
  .map((name) => ({
    name: name.replace('.json', ''),
    file: JSON.parse(readFileSync(join(folder, name), 'utf8')) as GoldenFile,
  }))

const apiOf = (frame: GoldenFrame): Api => apiOfKey(frame.apiKey) as Api

function decoded(frame: GoldenFrame): unknown {
  const bytes = frame.bytes.subarray(4)
  if (frame.direction === 'request') return readRequest(bytes).body
  return readResponse(apiOf(frame), frame.version, bytes).body
}

function encodedAgain(frame: GoldenFrame): Buffer {
  const bytes = frame.bytes.subarray(4)
  if (frame.direction === 'request') {
    const { api, header, body } = readRequest(bytes)
    return Buffer.concat(encodeRequest(api, header, body as RequestOf<Api>))
  }
  const { correlationId, body } = readResponse(apiOf(frame), frame.version, bytes)
  const answer = { correlationId, body: body as SentResponseOf<Api> }
  return Buffer.concat(encodeResponse(apiOf(frame), frame.version, answer))
}

for (const { name, file } of conversations) {
  test(`${name}: ${file.about}`, () => {
    const frames = goldenFrames(file)
    assert.ok(frames.length > 0)
    for (const frame of frames) {
      const what = `${apiOf(frame).name} ${frame.direction} ${frame.version}`
      const again = encodedAgain(frame)
      assert.equal(again.toString('hex'), frame.bytes.toString('hex'), what)
    }
  })
}

const allFrames = conversations.flatMap(({ name, file }) =>
  goldenFrames(file).map((frame) => ({ name, frame })),
)

const bodies = (api: string, direction: GoldenFrame['direction']) =>
  allFrames
    .filter(({ frame }) => apiOf(frame).name === api && frame.direction === direction)
    .map(({ name, frame }) => ({ name, body: decoded(frame) as Record<string, unknown> }))

/** Every record set inside of a message. */
function* recordSets(message: unknown): Generator<Buffer> {
  if (Array.isArray(message)) for (const part of message) yield* recordSets(part)
  else if (message !== null && typeof message === 'object' && !Buffer.isBuffer(message)) {
    for (const [name, part] of Object.entries(message)) {
      if (name === 'records' && Buffer.isBuffer(part)) yield part
      else yield* recordSets(part)
    }
  }
}

const batchesOf = (api: string, direction: GoldenFrame['direction']) =>
  bodies(api, direction).flatMap(({ name, body }) =>
    [...recordSets(body)].flatMap((records) => [...readBatches(records)].map((batch) => ({ name, batch }))),
  )

function recordsOf(batch: BatchView) {
  const cursor = new RecordCursor(batch, { maxDecompressedBytes: 1e6 })
  const records = []
  while (cursor.next()) {
    const { timestamp } = cursor
    records.push({ key: cursor.key(), value: cursor.value(), headers: cursor.headers(), timestamp })
  }
  return records
}

test("Java's batches are read in every compression, and the uncompressed ones written byte for byte", () => {
  const read = new Map<string, number>()
  for (const { batch } of [...batchesOf('Produce', 'request'), ...batchesOf('Fetch', 'response')]) {
    const records = recordsOf(batch)
    read.set(batch.compression, (read.get(batch.compression) ?? 0) + records.length)
    if (batch.compression !== 'none' || batch.isControl) continue
    const { baseOffset, partitionLeaderEpoch, producerId, producerEpoch, baseSequence } = batch
    const stamp = { producerId, producerEpoch, baseSequence, transactional: batch.isTransactional }
    const again = encodeRecordBatch(records, { baseOffset, partitionLeaderEpoch, ...stamp })
    assert.equal(again.toString('hex'), batch.bytes.toString('hex'))
  }
  assert.deepEqual([...read.keys()].sort(), ['gzip', 'lz4', 'none', 'snappy', 'zstd'])
  for (const [codec, count] of read) assert.ok(count >= 40, `${count} records with ${codec}`)
})

test('the records are what the console producer was given', () => {
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    const batches = batchesOf('Produce', 'request').filter(({ name }) => name === `produce-${codec}`)
    const values = batches
      .flatMap(({ batch }) => recordsOf(batch))
      .map(({ key, value, headers }) => [
        key?.toString(),
        value?.toString(),
        headers.map(([name, content]) => [name, content?.toString()]),
      ])
    assert.equal(values.length, 40)
    values.sort((a, b) => Number(/\d+/.exec(String(a[1]))) - Number(/\d+/.exec(String(b[1]))))
    for (const [index, value] of values.entries()) {
      const headers = [
        ['h1', `v${index}`],
        ['h2', 'ü'],
      ]
      assert.deepEqual(value, [`key-${index % 5}`, `value number ${index} of many, käse`, headers])
    }
  }
})

test('the markers of transactions are what ours are', () => {
  const markers = batchesOf('Fetch', 'response').filter(({ batch }) => batch.isControl)
  assert.ok(markers.length > 0)
  for (const { batch } of markers) {
    const { baseOffset, producerId, producerEpoch, baseTimestamp: timestamp, partitionLeaderEpoch } = batch
    const type = controlTypeOf(batch)
    assert.ok(type !== undefined)
    const ours = encodeControlBatch({
      baseOffset,
      producerId,
      producerEpoch,
      type,
      timestamp,
      partitionLeaderEpoch,
    })
    assert.equal(ours.toString('hex'), batch.bytes.toString('hex'))
  }
})

test('read_committed drops exactly what the broker says was aborted', () => {
  interface FetchedPartition {
    readonly abortedTransactions: { producerId: number; firstOffset: number }[] | null
    readonly records: Buffer | null
  }
  const partitions = bodies('Fetch', 'response')
    .flatMap(({ body }) => body['responses'] as { partitions: FetchedPartition[] }[])
    .flatMap((topic) => topic.partitions)
    .filter(({ abortedTransactions }) => (abortedTransactions?.length ?? 0) > 0)
  assert.ok(partitions.length > 0)
  for (const { abortedTransactions, records } of partitions) {
    const drops = abortedTransactionFilter(abortedTransactions)
    const batches = [...readBatches(records as Buffer)]
    const kept = batches.filter((batch) => !drops(batch))
    const aborted = batches.findIndex((batch) => controlTypeOf(batch) === 'abort')
    assert.ok(aborted > 0 && kept.length > 0)
    const committed = batches.slice(aborted).filter((batch) => !batch.isControl)
    assert.deepEqual(
      kept.map((batch) => batch.baseOffset),
      committed.map((batch) => batch.baseOffset),
    )
  }
})

test("subscriptions and assignments of Java's consumer are read and written again", () => {
  const isConsume = ({ name }: { readonly name: string }) => name === 'consume'
  const subscriptions = bodies('JoinGroup', 'request')
    .filter(isConsume)
    .flatMap(({ body }) => body['protocols'] as { metadata: Buffer }[])
  assert.ok(subscriptions.length > 0)
  for (const { metadata } of subscriptions) {
    const read = decodeConsumerProtocol(subscription, metadata)
    assert.deepEqual(read.topics, ['golden'])
    assert.equal(encodeConsumerProtocol(subscription, read).toString('hex'), metadata.toString('hex'))
  }
  const assignments = bodies('SyncGroup', 'response')
    .filter(isConsume)
    .map(({ body }) => body['assignment'] as Buffer)
  assert.ok(assignments.length > 0)
  for (const bytes of assignments) {
    const read = decodeConsumerProtocol(assignment, bytes)
    assert.deepEqual(read.assignedPartitions, [{ topic: 'golden', partitions: [0, 1, 2, 3] }])
    assert.equal(encodeConsumerProtocol(assignment, read).toString('hex'), bytes.toString('hex'))
  }
})

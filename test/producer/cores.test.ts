/** The small parts that decide without a broker: numbers, memory, flushes, the queue, calls. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { OttlaError } from '../../src/errors.ts'
import { Bounds, CALL_BYTES } from '../../src/producer/bounds.ts'
import { BufferPool, capacityFor } from '../../src/producer/buffer-pool.ts'
import { cutRuns, ManyCall, ManyRun, QuietRun, SingleRun } from '../../src/producer/calls.ts'
import { Generations } from '../../src/producer/generations.ts'
import { MemoryQueue } from '../../src/producer/queue/memory-queue.ts'
import type { QueuedBatch } from '../../src/producer/queue/queue.ts'
import { PartialDeliveryError, type Receipt } from '../../src/producer/receipts.ts'
import { rankAfter, sequenceOf } from '../../src/producer/sequence.ts'
import { halvesOf, without } from '../../src/producer/smaller-batches.ts'
import { BatchView, RecordCursor } from '../../src/protocol/record-batch.ts'
import { rounds } from '../support/seed.ts'
import { batchOf } from './support/batches.ts'

const isBug = (error: unknown) => error instanceof OttlaError && error.code === 'ASSERTION_FAILED'
const landing = { topic: 't', partition: 2, baseOffset: 10, appendTime: -1 }

test('sequences run to 2^31 - 1 and then from 0, and ranks are found back around the edge', () => {
  const mapping = { producerId: 1, producerEpoch: 0, baseRank: 100 }
  assert.equal(sequenceOf(mapping, 100), 0)
  assert.equal(sequenceOf(mapping, 100 + 2 ** 31 - 1), 2 ** 31 - 1)
  assert.equal(sequenceOf(mapping, 100 + 2 ** 31), 0)
  rounds(200, (random) => {
    const rank = 100 + random.below(5 * 2 ** 31)
    const near = Math.max(100, rank + random.below(2_000_000) - 1_000_000)
    assert.equal(rankAfter(mapping, sequenceOf(mapping, rank), near), rank + 1)
  })
})

test('buffers come in powers of two, are counted by capacity and used again', () => {
  assert.deepEqual([1, 1024, 1025, 1_000_000].map(capacityFor), [1024, 1024, 2048, 1_048_576])
  const pool = new BufferPool()
  const first = pool.allocate(5_000)
  assert.equal(pool.heldBytes, 8192)
  pool.release(first)
  assert.equal(pool.heldBytes, 0)
  assert.equal(pool.allocate(8_192), first)
  assert.throws(() => pool.release(Buffer.alloc(16_384)), isBug)
})

test('idle buffers go when the need is less, or of other sizes', () => {
  const pool = new BufferPool()
  const large = Array.from({ length: 8 }, () => pool.allocate(1_048_576))
  for (const buffer of large) pool.release(buffer)
  assert.ok(large.includes(pool.allocate(1_048_576)))
  for (let loan = 0; loan < 20_000; loan++) pool.release(pool.allocate(1_024))
  assert.equal(pool.heldBytes, 1_048_576)
  const more = [pool.allocate(1_048_576), pool.allocate(1_048_576)]
  assert.ok(!more.every((buffer) => large.includes(buffer)), 'of the seven others one is kept at most')
})

test('the bound counts capacity and calls, and always admits something', () => {
  const bounds = new Bounds(1024 + 2 * CALL_BYTES + 1000)
  assert.equal(bounds.fits(1_000_000), true)
  bounds.pool.allocate(1024)
  bounds.calls = 2
  assert.equal(bounds.heldBytes, 1024 + 2 * CALL_BYTES)
  assert.equal(bounds.fits(1000), true)
  assert.equal(bounds.fits(1001), false)
})

test('a flush waits for its generation and all before it', async () => {
  const generations = new Generations()
  const seen: string[] = []
  const flush = (name: string) => generations.flushed().then(() => seen.push(name))
  await flush('nothing to wait for')
  const a = generations.enter()
  const first = flush('first')
  const b = generations.enter()
  generations.join(a)
  const second = flush('second')
  generations.leave(b)
  generations.leave(a)
  await Promise.resolve()
  assert.deepEqual(seen, ['nothing to wait for'])
  generations.leave(a)
  await Promise.all([first, second])
  assert.deepEqual(seen, ['nothing to wait for', 'first', 'second'])
  assert.throws(() => generations.leave(a), isBug)
})

const queued = (count: number): QueuedBatch => ({ count, position: -1, rank: -1, taken: false })

test('the queue numbers positions over all, ranks per stream, and gives each stream in order', () => {
  const queue = new MemoryQueue<QueuedBatch>()
  const [a, b] = [queue.stream('t', 0), queue.stream('t', 1)]
  assert.equal(queue.stream('t', 0), a)
  const batches = [2, 3, 1].map(queued)
  for (const [index, batch] of batches.entries()) queue.append(index === 1 ? b : a, batch)
  assert.deepEqual(
    batches.map(({ position, rank }) => [position, rank]),
    [
      [0, 0],
      [2, 0],
      [5, 2],
    ],
  )
  assert.equal(a.peek(), batches[0])
  assert.deepEqual([a.take(), a.take(), a.take()], [batches[0], batches[2], undefined])
  assert.throws(() => queue.append(a, batches[0] as QueuedBatch), isBug)
})

test('ranges are settled in any order; the low-water mark is contiguous; nothing is settled twice', () => {
  rounds(50, (random) => {
    const queue = new MemoryQueue<QueuedBatch>()
    const stream = queue.stream('t', 0)
    const left = Array.from({ length: 30 }, () => queued(1 + random.below(5)))
    for (const batch of left) queue.append(stream, batch)
    while (left.length > 0) {
      const [batch] = left.splice(random.below(left.length), 1) as [QueuedBatch]
      queue.settle(batch.position, batch.count)
      assert.throws(() => queue.settle(batch.position, batch.count), isBug)
      const lowest = Math.min(queue.nextPosition, ...left.map(({ position }) => position))
      assert.equal(queue.lowWater, lowest)
    }
  })
})

test('the oldest that was never taken is dropped first, whatever its stream', () => {
  const queue = new MemoryQueue<QueuedBatch>()
  const [a, b] = [queue.stream('t', 0), queue.stream('t', 1)]
  const [first, second, third] = [queued(1), queued(1), queued(1)]
  queue.append(a, first)
  queue.append(b, second)
  queue.append(a, third)
  a.take()
  assert.equal(queue.takeOldest(), second)
  assert.equal(queue.takeOldest(), third)
  assert.equal(queue.takeOldest(), undefined)
})

test('a call is settled once: a second time is a bug', () => {
  const single = new SingleRun(0)
  void single.add(1)
  single.delivered(landing, 0)
  assert.throws(() => single.delivered(landing, 0), isBug)
  assert.throws(() => single.failed(new OttlaError('DROPPED', '')), isBug)
  const call = new ManyCall(
    () => undefined,
    () => undefined,
    2,
  )
  const run = new ManyRun(call, [0], 1)
  assert.equal(run.delivered(landing, 0), 0)
  assert.throws(() => run.delivered(landing, 0), isBug)
})

test('a call for several answers in its own order, however its records came to lie', () => {
  let receipts: Receipt[] = []
  const call = new ManyCall(
    (all) => {
      receipts = all
    },
    () => assert.fail(),
    3,
  )
  assert.equal(new ManyRun(call, [2], 7).delivered(landing, 4), 0)
  const run = new ManyRun(call, [0], 7)
  assert.equal(run.takes(call, 1, 8), false)
  assert.equal(run.takes(call, 1, 7), true)
  assert.equal(run.delivered({ ...landing, appendTime: 99 }, 0), 1)
  assert.deepEqual(
    receipts.map(({ offset, timestamp }) => [offset, timestamp]),
    [
      [10, 99],
      [11, 99],
      [14, 7],
    ],
  )
})

test('a call for several that failed in part tells each outcome', () => {
  let error: unknown
  const call = new ManyCall(
    () => assert.fail(),
    (reason) => {
      error = reason
    },
    2,
  )
  call.failed([0], new OttlaError('DROPPED', 'dropped'))
  assert.equal(new ManyRun(call, [1], 7).delivered({ ...landing, baseOffset: -1 }, 3), 1)
  assert.ok(error instanceof PartialDeliveryError)
  assert.deepEqual(
    error.results.map((result) => (result.status === 'failed' ? result.error.code : result.offset)),
    ['DROPPED', -1],
  )
})

test('runs are cut where a batch is cut', () => {
  const quiet = new QuietRun(1)
  quiet.count = 5
  const single = new SingleRun(0)
  for (let index = 0; index < 3; index++) void single.add(index)
  const [first, rest] = cutRuns([quiet, single], 6)
  assert.deepEqual([first.map(({ count }) => count), rest.map(({ count }) => count)], [[5, 1], [2]])
  assert.deepEqual(
    [0, 1].map((place) => rest[0]?.timestampAt(place)),
    [1, 2],
  )
})

test('calls for one record each have a promise in common, and a receipt of their own', async () => {
  const run = new SingleRun(0)
  const sent = [1, 1, 2, 1].map((timestamp) => run.add(timestamp))
  assert.equal(run.delivered(landing, 3), 4)
  const receipts = await Promise.all(sent)
  const places = receipts.map(({ offset, timestamp }) => [offset, timestamp])
  assert.deepEqual(places, [
    [13, 1],
    [14, 1],
    [15, 2],
    [16, 1],
  ])
})

test('calls that were cut apart end apart, in any order', async () => {
  const outcomes: string[] = []
  const whole = new SingleRun(0)
  for (let index = 0; index < 5; index++) {
    whole.add(index).then(
      ({ offset, timestamp }) => outcomes.push(`${index}: ${offset} at ${timestamp}`),
      (error: OttlaError) => outcomes.push(`${index}: ${error.code}`),
    )
  }
  const [first, others] = whole.cut(2)
  const [middle, last] = others.cut(2)
  assert.deepEqual([first.count, middle.count, last.count], [2, 2, 1])
  // At once, when no call has followed its part yet.
  assert.equal(middle.failed(new OttlaError('DROPPED', '')), 2)
  await setImmediate()
  assert.deepEqual(outcomes.splice(0), ['2: DROPPED', '3: DROPPED'])
  last.delivered(landing, 0)
  await setImmediate()
  first.delivered(landing, 7)
  await setImmediate()
  assert.deepEqual(outcomes, ['4: 10 at 4', '0: 17 at 0', '1: 18 at 1'])
  assert.throws(() => whole.delivered(landing, 0), isBug)
})

const valuesOf = (bytes: Buffer) => {
  const cursor = new RecordCursor(new BatchView(bytes, 0, bytes.length), { maxDecompressedBytes: 1e6 })
  const values: string[] = []
  while (cursor.next()) values.push(`${cursor.value()}`)
  return values
}

test('halves share the ranks, positions and runs of the whole', () => {
  const whole = batchOf({ count: 5, rank: 7 })
  whole.position = 40
  const [first, rest] = halvesOf(whole, new BufferPool(), 'none')
  assert.deepEqual(
    [valuesOf(first.bytes), valuesOf(rest.bytes)],
    [
      ['0', '1'],
      ['2', '3', '4'],
    ],
  )
  assert.deepEqual(
    [first, rest].map(({ rank, count, position, span }) => [rank, count, position, span]),
    [
      [7, 2, 40, 2],
      [9, 3, 42, 3],
    ],
  )
  assert.deepEqual(
    [first, rest].map(({ runs }) => runs.map(({ count }) => count)),
    [[2], [3]],
  )
})

test('what is left when records are refused takes the last ranks and all positions', () => {
  const whole = batchOf({ count: 5, rank: 7 })
  whole.position = 40
  const { rest, refused } = without(whole, [0, 3], { pool: new BufferPool(), compression: 'none' })
  assert.deepEqual(valuesOf(rest?.bytes as Buffer), ['1', '2', '4'])
  assert.deepEqual([rest?.rank, rest?.position, rest?.span], [9, 40, 5])
  assert.deepEqual(
    refused.map(({ count }) => count),
    [1, 1],
  )
  assert.equal(
    rest?.runs.reduce((sum, { count }) => sum + count, 0),
    3,
  )
})

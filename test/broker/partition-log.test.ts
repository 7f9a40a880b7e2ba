import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogBudget } from '../../src/broker/log-budget.ts'
import { PartitionLog } from '../../src/broker/partition-log.ts'
import { StoredBatch } from '../../src/broker/stored-batch.ts'
import { encodeRecordBatch } from '../../src/protocol/record-batch.ts'

interface Given {
  readonly count?: number
  readonly epoch?: number
  readonly timestamp?: number
  readonly bytes?: number
}

/** A log with one batch for each entry, everything committed unless said otherwise. */
function logOf(given: readonly Given[], options: { limit?: number; committedTo?: number } = {}) {
  const budget = new LogBudget(options.limit ?? 1 << 30)
  const log = new PartitionLog(budget, () => options.committedTo ?? log.end)
  for (const one of given) append(log, one)
  return { log, budget }
}

function append(log: PartitionLog, { count = 1, epoch = 0, timestamp = 1000, bytes = 10 }: Given) {
  const value = 'x'.repeat(bytes)
  const records = Array.from({ length: count }, () => ({ key: null, value, timestamp }))
  const batch = encodeRecordBatch(records, { baseOffset: log.end, partitionLeaderEpoch: epoch })
  log.append(new StoredBatch(batch))
}

const spans = (batches: readonly StoredBatch[]) =>
  batches.map(({ baseOffset, lastOffset }) => `${baseOffset}-${lastOffset}`).join(' ')

const all = { maxBytes: 1 << 20, atLeastOne: true, upTo: Number.MAX_SAFE_INTEGER }

test('a read begins with the batch that holds the offset, and ends before the bound', () => {
  const { log } = logOf([{ count: 3 }, { count: 2 }, { count: 4 }])
  assert.equal(spans(log.read({ ...all, offset: 0 })), '0-2 3-4 5-8')
  assert.equal(spans(log.read({ ...all, offset: 4 })), '3-4 5-8')
  assert.equal(spans(log.read({ ...all, offset: 4, upTo: 8 })), '3-4', 'a batch behind the bound stays')
  assert.equal(spans(log.read({ ...all, offset: 9 })), '')
})

test('bytes bound a read, but for the first batch when it must not be empty', () => {
  const { log } = logOf([{ bytes: 500 }, { bytes: 500 }, { bytes: 500 }])
  assert.equal(spans(log.read({ ...all, offset: 0, maxBytes: 1200 })), '0-0 1-1')
  assert.equal(spans(log.read({ ...all, offset: 0, maxBytes: 10 })), '0-0')
  assert.equal(spans(log.read({ ...all, offset: 0, maxBytes: 10, atLeastOne: false })), '')
})

test('a truncation takes whole batches and the epochs that began there', () => {
  const { log } = logOf([{ epoch: 0 }, { epoch: 2 }, { epoch: 5 }, { epoch: 5 }])
  assert.equal(log.truncateTo(2), 2)
  assert.equal(log.end, 2)
  assert.equal(log.epochs.latest, 2)
  assert.deepEqual(log.epochs.endOf(2, log.end), { epoch: 2, endOffset: 2 })
  assert.equal(log.truncateTo(7), 0, 'nothing lies behind the end')
})

test('the end of an epoch is where the next one begins, also for epochs that the log does not know', () => {
  const { log } = logOf([{ epoch: 1 }, { epoch: 1 }, { epoch: 4 }, { epoch: 6 }])
  const endOf = (epoch: number) => log.epochs.endOf(epoch, log.end)
  assert.deepEqual(endOf(1), { epoch: 1, endOffset: 2 })
  assert.deepEqual(endOf(3), { epoch: 1, endOffset: 2 }, 'the largest epoch below, and its end')
  assert.deepEqual(endOf(6), { epoch: 6, endOffset: 4 })
  assert.deepEqual(endOf(0), { epoch: 0, endOffset: 0 }, 'older than the log')
  assert.deepEqual(endOf(9), { epoch: -1, endOffset: -1 }, 'newer than the log')
  assert.equal(log.epochs.epochAt(2), 4)
})

test('an epoch under which nothing was written leaves no trace after a truncation at its start', () => {
  const { log } = logOf([{ epoch: 1 }])
  log.epochs.assign(3, log.end)
  assert.equal(log.epochs.latest, 3)
  log.truncateTo(log.end)
  assert.equal(log.epochs.latest, 1)
})

test('moving the start keeps the batch that the start stands in', () => {
  const { log, budget } = logOf([{ count: 3 }, { count: 3 }])
  const before = budget.usedBytes
  assert.equal(log.advanceStart(4), true)
  assert.equal(spans(log.read({ ...all, offset: 4 })), '3-5')
  assert.ok(budget.usedBytes < before)
  assert.equal(log.advanceStart(2), false, 'a start never moves back')
  assert.equal(log.start, 4)
})

test('a time is looked up in the first batch that reaches it', () => {
  const { log } = logOf([{ timestamp: 100 }, { timestamp: 300 }, { timestamp: 200 }])
  assert.equal(log.findByTimestamp(150, log.end)?.baseOffset, 1)
  assert.equal(log.findByTimestamp(301, log.end), undefined)
  assert.equal(log.findByTimestamp(150, 1), undefined, 'not committed yet')
  assert.equal(log.findLargestTimestamp(log.end)?.baseOffset, 1)
})

test('retention by bytes keeps at least what is asked for; by time it goes by the records', () => {
  const { log } = logOf([{ bytes: 1000 }, { bytes: 1000 }, { bytes: 1000 }])
  const batch = log.sizeBytes / 3
  log.retain({ retentionBytes: batch * 1.5, retentionMs: -1, now: 0 })
  assert.equal(log.start, 1)
  const aged = logOf([{ timestamp: 100 }, { timestamp: 900 }, { timestamp: 100 }]).log
  aged.retain({ retentionBytes: -1, retentionMs: 500, now: 1000 })
  assert.equal(aged.start, 1, 'a young batch keeps what lies behind it')
})

test('retention leaves what is not committed', () => {
  const { log } = logOf([{ timestamp: 1 }, { timestamp: 1 }], { committedTo: 1 })
  log.retain({ retentionBytes: 0, retentionMs: 0, now: 1e6 })
  assert.equal(log.start, 1)
})

test('the budget counts a batch of several logs once, and lets the oldest of all logs go first', () => {
  const budget = new LogBudget(2500)
  const [first, second] = [0, 1].map(() => {
    const log: PartitionLog = new PartitionLog(budget, () => log.end)
    return log
  }) as [PartitionLog, PartitionLog]
  append(first, { bytes: 900 })
  for (const batch of first.batches()) second.append(batch)
  const one = first.sizeBytes
  assert.equal(budget.usedBytes, one)
  append(first, { bytes: 900 })
  assert.equal(budget.makeRoom(one), true)
  assert.deepEqual([first.start, second.start], [1, 1], 'both copies of the oldest batch went')
  assert.ok(budget.usedBytes + one <= 2500)
})

test('the budget refuses when nothing may go', () => {
  const { log, budget } = logOf([{ bytes: 900 }, { bytes: 900 }], { limit: 2000, committedTo: 0 })
  assert.equal(budget.makeRoom(900), false)
  assert.equal(log.start, 0)
})

test('long use under a small retention leaves nothing behind in the budget', () => {
  const { log, budget } = logOf([], { limit: 1 << 20 })
  for (let index = 0; index < 20_000; index++) {
    append(log, { bytes: 10 })
    if (log.batchCount > 10) log.advanceStart(log.end - 10)
  }
  assert.equal(log.batchCount, 10)
  assert.equal(budget.usedBytes, log.sizeBytes)
  assert.ok(budget.entryCount < 5000, `${budget.entryCount} entries are kept for 10 batches`)
})

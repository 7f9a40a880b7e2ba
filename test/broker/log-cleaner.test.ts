import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogBudget } from '../../src/broker/log-budget.ts'
import { PartitionLog } from '../../src/broker/partition-log.ts'
import { StoredBatch } from '../../src/broker/stored-batch.ts'
import { encodeRecordBatch, RecordCursor, readBatches } from '../../src/protocol/record-batch.ts'
import { rounds } from '../support/seed.ts'

/** `a=1` sets, `a` takes back; each text is a batch. Timestamps are the offsets. */
function logOf(batches: readonly string[], committedTo?: number): PartitionLog {
  const budget = new LogBudget(1 << 30)
  const log: PartitionLog = new PartitionLog(budget, () => committedTo ?? log.end)
  for (const text of batches) append(log, text)
  return log
}

function append(log: PartitionLog, text: string, producerId = -1): void {
  const records = text.split(' ').map((record, index) => {
    const [key, value = null] = record.split('=') as [string, string | undefined]
    return { key, value, timestamp: log.end + index }
  })
  const producer = { producerId, producerEpoch: 0, baseSequence: producerId < 0 ? -1 : 0 }
  log.append(new StoredBatch(encodeRecordBatch(records, { baseOffset: log.end, ...producer })))
}

/** Each record that is there as `offset:key=value`, batches apart. */
const told = (log: PartitionLog) =>
  Array.from(log.batches(), (batch) => {
    const cursor = new RecordCursor(batch.view(), { maxDecompressedBytes: 1 << 20 })
    const records: string[] = []
    while (cursor.next()) records.push(`${cursor.offset}:${cursor.key()}=${cursor.value() ?? ''}`)
    return records.join(' ')
  }).join(' | ')

const NEVER = { tombstonesBefore: -1 }

test('of each key the last record stays, at its offset, in a batch that ends where it did', () => {
  const log = logOf(['a=1 b=1 a=2', 'c=1 b=2', 'a=3', 'd=1'])
  const [, , untouched] = log.batches()
  log.clean(NEVER)
  assert.equal(told(log), '3:c=1 4:b=2 | 5:a=3 | 6:d=1')
  assert.equal([...log.batches()][1], untouched, 'what loses nothing is not copied')
  append(log, 'c=2')
  append(log, 'e=1')
  log.clean(NEVER)
  assert.equal(told(log), '4:b=2 | 5:a=3 | 6:d=1 | 7:c=2 | 8:e=1')
  const [thinned] = log.batches()
  assert.ok(thinned)
  assert.deepEqual([thinned.baseOffset, thinned.lastOffset, thinned.maxTimestamp], [3, 4, 4])
  assert.equal(log.end, 9)
  assert.equal(
    log.sizeBytes,
    [...log.batches()].reduce((sum, { bytes }) => sum + bytes.length, 0),
  )
})

test('what is thinned reads like any batch of Kafka', () => {
  const log = logOf(['a=1 b=1 c=1', 'b=2', 'x=1'])
  log.clean(NEVER)
  assert.equal(told(log), '0:a=1 2:c=1 | 3:b=2 | 4:x=1')
  const bytes = Buffer.concat(Array.from(log.batches(), (batch) => batch.bytes))
  const read = [...readBatches(bytes)].map(({ count, baseOffset, lastOffset }) => [
    count,
    baseOffset,
    lastOffset,
  ])
  assert.deepEqual(read, [
    [2, 0, 2],
    [1, 3, 3],
    [1, 4, 4],
  ])
})

test('what is not committed, and the last batch, are left alone', () => {
  const log = logOf(['a=1', 'a=2', 'a=3', 'a=4'], 2)
  log.clean(NEVER)
  assert.equal(told(log), '1:a=2 | 2:a=3 | 3:a=4')
  const whole = logOf(['a=1', 'a=2 a=3'])
  whole.clean(NEVER)
  assert.equal(told(whole), '0:a=1 | 1:a=2 2:a=3')
})

test('a record without a value stays until it is old, and then goes with all that it took back', () => {
  const log = logOf(['a=1', 'b=1', 'a', 'x=1'])
  log.clean({ tombstonesBefore: 2 })
  assert.equal(told(log), '1:b=1 | 2:a= | 3:x=1')
  log.clean({ tombstonesBefore: 3 })
  assert.equal(told(log), '1:b=1 | 3:x=1')
})

test('batches of producers are left as they are', () => {
  const log = logOf(['a=1'])
  append(log, 'a=2', 7)
  append(log, 'a=3')
  append(log, 'x=1')
  log.clean(NEVER)
  assert.equal(told(log), '1:a=2 | 2:a=3 | 3:x=1')
})

test('a log is dirty when enough has come since it was cleaned', () => {
  const rule = { segmentBytes: 1000, cleanableRatio: 0.5 }
  const log = logOf([])
  while (!log.isDirty(rule)) append(log, `k${log.end % 3}=${'x'.repeat(50)}`)
  assert.ok(log.sizeBytes >= 1000 && log.sizeBytes < 1200)
  log.clean(NEVER)
  assert.equal(log.batchCount, 4)
  assert.equal(log.isDirty(rule), false)
  const many = logOf(Array.from({ length: 30 }, (_, index) => `k${index}=${'x'.repeat(50)}`))
  many.clean(NEVER)
  const size = many.sizeBytes
  while (!many.isDirty(rule)) append(many, 'k0=1')
  assert.ok(many.sizeBytes > 2 * size, 'and no less than half of it')
})

test('whoever reads a log from its beginning comes to the same, however often it was cleaned', () => {
  rounds(100, (random) => {
    const log = logOf([])
    const expected = new Map<string, string>()
    for (let step = 0; step < 60; step++) {
      const records = Array.from({ length: 1 + random.below(3) }, () => {
        const key = `k${random.below(6)}`
        const value = random.below(4) === 0 ? undefined : `${random.below(1000)}`
        if (value === undefined) expected.delete(key)
        else expected.set(key, value)
        return value === undefined ? key : `${key}=${value}`
      })
      append(log, records.join(' '))
      if (random.below(5) === 0) log.clean({ tombstonesBefore: log.end - random.below(20) })
    }
    const found = new Map<string, string>()
    for (const batch of told(log).split(' | ')) {
      for (const record of batch.split(' ')) {
        const [key = '', value = ''] = record.slice(record.indexOf(':') + 1).split('=')
        if (value === '') found.delete(key)
        else found.set(key, value)
      }
    }
    assert.deepEqual([...found].toSorted(), [...expected].toSorted())
  })
})

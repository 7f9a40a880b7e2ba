import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProducerStates } from '../../src/broker/producer-states.ts'
import { StoredBatch } from '../../src/broker/stored-batch.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { encodeRecordBatch } from '../../src/protocol/record-batch.ts'

const PRODUCER = 7

/** A small partition: batches of one producer that the states judge and, when they may, take in. */
class Partition {
  readonly states = new ProducerStates()
  readonly batches: StoredBatch[] = []
  #end = 0

  /** Judges a batch of `count` records; appends it if it may. The answer as a word, or the error's name. */
  write(baseSequence: number, count = 1, epoch = 0, timestamp = 1000): string {
    const records = Array.from({ length: count }, () => ({ key: null, value: 'v', timestamp }))
    const producer = { producerId: PRODUCER, producerEpoch: epoch, baseSequence }
    const batch = new StoredBatch(encodeRecordBatch(records, { baseOffset: this.#end, ...producer }))
    const verdict = this.states.judge(batch, false)
    if (verdict.kind === 'refuse') return errorName(verdict.errorCode) ?? ''
    if (verdict.kind === 'duplicate') return `duplicate of ${verdict.of.baseOffset}`
    this.states.record(batch)
    this.batches.push(batch)
    this.#end += count
    return `at ${batch.baseOffset}`
  }
}

const OUT_OF_ORDER = 'OUT_OF_ORDER_SEQUENCE_NUMBER'

test('the last five batches are known as duplicates, with their offsets; older ones are out of order', () => {
  const partition = new Partition()
  for (let index = 0; index < 7; index++) partition.write(index * 2, 2)
  assert.equal(partition.write(4, 2), 'duplicate of 4')
  assert.equal(partition.write(12, 2), 'duplicate of 12')
  assert.equal(partition.write(2, 2), OUT_OF_ORDER)
  assert.equal(partition.write(14, 1), 'at 14')
  assert.equal(partition.write(4, 2), OUT_OF_ORDER, 'the window moved on')
})

test('a gap, and every overlap that is not exactly a known batch, is out of order', () => {
  const partition = new Partition()
  partition.write(10, 5)
  partition.write(15, 5)
  for (const [base, count] of [
    [21, 1],
    [10, 10],
    [10, 3],
    [12, 3],
    [17, 5],
    [15, 10],
  ] as const) {
    assert.equal(partition.write(base, count), OUT_OF_ORDER, `${count} records from ${base}`)
  }
  assert.equal(partition.write(20, 1), 'at 10')
})

test('an older epoch is refused, also for what is there; a newer one begins with 0, at any distance', () => {
  const partition = new Partition()
  partition.write(0, 2, 3)
  assert.equal(partition.write(0, 2, 2), 'INVALID_PRODUCER_EPOCH')
  assert.equal(partition.write(2, 1, 4), OUT_OF_ORDER)
  assert.equal(partition.write(0, 1, 9), 'at 2')
  assert.equal(partition.write(1, 1, 9), 'at 3')
  assert.equal(partition.write(2, 1, 3), 'INVALID_PRODUCER_EPOCH')
})

test('an unknown producer may begin anywhere; 4.5 asks for 0 where no record ever was', () => {
  assert.equal(new Partition().write(7), 'at 0')
  const states = new ProducerStates()
  const batch = { producerId: PRODUCER, producerEpoch: 0, baseSequence: 7, lastSequence: 7 }
  const verdict = states.judge(batch, true)
  assert.equal(verdict.kind === 'refuse' && errorName(verdict.errorCode), OUT_OF_ORDER)
  assert.equal(states.judge({ ...batch, baseSequence: 0, lastSequence: 0 }, true).kind, 'append')
})

test('sequences wrap from 2147483647 to 0, also inside of a batch', () => {
  const within = new Partition()
  assert.equal(within.write(2147483645, 6), 'at 0')
  assert.equal(within.write(2147483645, 6), 'duplicate of 0')
  assert.equal(within.write(3), 'at 6')
  const between = new Partition()
  between.write(2147483646, 2)
  assert.equal(between.write(0), 'at 2')
})

test('producers are forgotten by the time of their last record', () => {
  const kept = new Partition()
  kept.write(0, 1, 0, 5000)
  kept.states.expire(5999, 1000)
  assert.equal(kept.states.size, 1)
  kept.states.expire(6000, 1000)
  assert.equal(kept.states.size, 0)
  assert.equal(kept.write(0), 'at 1', 'a repeat is taken for new then')
})

test('a rebuild after a restart knows one batch, after a truncation five', () => {
  const partition = new Partition()
  for (let index = 0; index < 6; index++) partition.write(index)
  partition.states.rebuild(partition.batches.slice(0, 4))
  assert.equal(partition.write(1), 'duplicate of 1')
  assert.equal(partition.write(0), 'duplicate of 0')
  partition.states.rebuild(partition.batches.slice(0, 4), 1)
  assert.equal(partition.write(3), 'duplicate of 3')
  assert.equal(partition.write(2), OUT_OF_ORDER)
})

test('a description has the sequence and time of the last record', () => {
  const partition = new Partition()
  partition.write(0, 3, 2, 1234)
  partition.write(3, 2, 2, 999)
  assert.deepEqual(partition.states.describe(), [
    { producerId: PRODUCER, producerEpoch: 2, lastSequence: 4, lastTimestamp: 999 },
  ])
})

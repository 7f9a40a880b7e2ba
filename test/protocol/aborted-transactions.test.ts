/** What read_committed leaves out, on logs that are written by hand and by chance. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  abortedTransactionFilter,
  controlTypeOf,
  encodeControlBatch,
  encodeRecordBatch,
  readBatches,
} from '../../src/protocol/record-batch.ts'
import { rounds } from '../support/seed.ts'

const data = (baseOffset: number, producerId: number, transactional = true) =>
  encodeRecordBatch([{ value: 'a' }, { value: 'b' }], {
    baseOffset,
    producerId,
    transactional,
    producerEpoch: 0,
  })
const end = (baseOffset: number, producerId: number, type: 'abort' | 'commit') =>
  encodeControlBatch({ baseOffset, producerId, producerEpoch: 0, type, timestamp: 1 })

const keptOffsets = (log: Buffer[], aborted: { producerId: number; firstOffset: number }[] | null) => {
  const drops = abortedTransactionFilter(aborted)
  return [...readBatches(Buffer.concat(log))]
    .filter((batch) => !drops(batch))
    .map((batch) => batch.baseOffset)
}

test('a control batch says how its transaction ended', () => {
  const [aborted, committed, plain] = [
    ...readBatches(Buffer.concat([end(0, 1, 'abort'), end(1, 1, 'commit'), data(2, 1)])),
  ]
  assert.ok(aborted && committed && plain)
  assert.deepEqual([aborted, committed, plain].map(controlTypeOf), ['abort', 'commit', undefined])
  assert.equal(aborted.isControl && aborted.isTransactional, true)
  assert.equal(aborted.baseSequence, -1)
})

test('an aborted transaction is dropped from its first offset to its marker, other producers are not', () => {
  const log = [
    data(0, 1),
    data(2, 2),
    data(4, 1),
    end(6, 1, 'abort'),
    data(7, 1),
    end(9, 2, 'commit'),
    end(10, 1, 'commit'),
  ]
  assert.deepEqual(keptOffsets(log, [{ producerId: 1, firstOffset: 0 }]), [2, 7])
})

test('the same producer may abort twice in one response', () => {
  const log = [
    data(0, 1),
    end(2, 1, 'abort'),
    data(3, 1),
    end(5, 1, 'commit'),
    data(6, 1),
    end(8, 1, 'abort'),
  ]
  const aborted = [
    { producerId: 1, firstOffset: 6 },
    { producerId: 1, firstOffset: 0 },
  ]
  assert.deepEqual(keptOffsets(log, aborted), [3])
})

test('records outside of any transaction stay, of the same producer id too', () => {
  const log = [data(0, 1), data(2, 1, false), end(4, 1, 'abort')]
  assert.deepEqual(keptOffsets(log, [{ producerId: 1, firstOffset: 0 }]), [2])
})

test('without a list only markers are dropped', () => {
  const log = [data(0, 1), end(2, 1, 'abort'), data(3, 2)]
  assert.deepEqual(keptOffsets(log, null), [0, 3])
  assert.deepEqual(keptOffsets(log, []), [0, 3])
})

test('on any log exactly the committed and the plain batches are kept, wherever the fetch begins', () => {
  rounds(200, (random) => {
    const log: { bytes: Buffer; keep: boolean; at: number }[] = []
    const aborted: { producerId: number; firstOffset: number; last: number }[] = []
    const open = new Map<number, number[]>()
    let offset = 0
    for (let step = 0; step < 60; step++) {
      const producerId = 1 + random.below(4)
      const mine = open.get(producerId) ?? []
      if (mine.length > 0 && random.below(3) === 0) {
        const type = random.below(2) === 0 ? 'abort' : 'commit'
        for (const index of mine) (log[index] as { keep: boolean }).keep = type === 'commit'
        const firstOffset = log[mine[0] as number]?.at as number
        if (type === 'abort') aborted.push({ producerId, firstOffset, last: offset })
        log.push({ bytes: end(offset, producerId, type), keep: false, at: offset })
        open.delete(producerId)
        offset += 1
      } else {
        const transactional = random.below(4) > 0
        if (transactional) open.set(producerId, [...mine, log.length])
        log.push({ bytes: data(offset, producerId, transactional), keep: !transactional, at: offset })
        offset += 2
      }
    }
    // A broker answers up to the last stable offset only, so what is open at the end is not in the response.
    const stable = Math.min(
      ...[...open.values()].map((indexes) => log[indexes[0] as number]?.at as number),
      offset,
    )
    const from = random.below(log.length)
    const fetched = log.slice(from).filter((entry) => entry.at < stable)
    const start = log[from]?.at as number
    const listed = aborted.filter(
      (transaction) => transaction.last >= start && transaction.firstOffset < stable,
    )
    const kept = keptOffsets(
      fetched.map((entry) => entry.bytes),
      listed,
    )
    assert.deepEqual(
      kept,
      fetched.filter((entry) => entry.keep).map((entry) => entry.at),
    )
  })
})

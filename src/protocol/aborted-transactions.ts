/**
 * What read_committed leaves out of a fetch (KIP-98). The broker lists the aborted transactions that overlap a
 * partition's records; batches are dropped from a transaction's first offset up to its marker.
 */
import type { BatchView } from './batch-view.ts'
import { type ControlType, controlTypes } from './encode-batch.ts'
import { RecordCursor } from './record-cursor.ts'

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

/** A control record is a few bytes; Kafka writes it uncompressed. */
const MAX_CONTROL_BYTES = 4096

/** What a control batch says; undefined when it is of a kind that concerns no consumer, or damaged. */
export function controlTypeOf(batch: BatchView): ControlType | undefined {
  if (!batch.isControl || batch.count < 1) return undefined
  const cursor = new RecordCursor(batch, { maxDecompressedBytes: MAX_CONTROL_BYTES })
  if (!cursor.next() || cursor.keyLength < 4) return undefined
  return controlTypes[cursor.payload.readInt16BE(cursor.keyStart + 2)]
}

/**
 * For the records of one partition in one response: says of each batch, asked in the order of their offsets,
 * whether its records are none of the application's: it is a control batch, or of an aborted transaction.
 * Without a list (read_uncommitted) only control batches are dropped.
 */
export function abortedTransactionFilter(
  aborted: readonly AbortedTransaction[] | null,
): (batch: BatchView) => boolean {
  if (aborted === null || aborted.length === 0) return (batch) => batch.isControl
  const waiting = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  const open = new Set<number>()
  let next = 0
  return (batch) => {
    // As the Java client: a transaction counts as begun when a batch reaches up to its first offset.
    for (; next < waiting.length; next++) {
      const transaction = waiting[next] as AbortedTransaction
      if (transaction.firstOffset > batch.lastOffset) break
      open.add(transaction.producerId)
    }
    if (!batch.isControl) return batch.isTransactional && open.has(batch.producerId)
    if (controlTypeOf(batch) === 'abort') open.delete(batch.producerId)
    return true
  }
}

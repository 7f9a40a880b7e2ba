/**
 * Compaction of a log: of each key the last record stays, at its offset, and the others go.
 *
 *     before   [a b a] [c b] [a]          after   [· b ·] [c ·] [a]      offsets stay, gaps come
 *
 * A record without a value says that its key is gone. It stays for a while, so that a replica that was away hears of
 * it before it goes too. A batch of which nothing is left goes whole; one of which a part is left keeps its first and
 * last offset, as in Kafka. Batches of idempotent producers are left as they are: their sequences are needed.
 */
import { at, BATCH_OVERHEAD, LOG_OVERHEAD } from '../protocol/batch-layout.ts'
import { writeInt64 } from '../protocol/big-endian.ts'
import { writeCrc } from '../protocol/encode-batch.ts'
import { RecordCursor } from '../protocol/record-cursor.ts'
import { StoredBatch } from './stored-batch.ts'

export interface CleaningRule {
  /** Records without a value that are older than this go too. */
  readonly tombstonesBefore: number
}

const MAX_DECOMPRESSED_BYTES = 1 << 30

const isCleanable = (batch: StoredBatch) => batch.producerId < 0 && batch.view().compression === 'none'

/** What is left of these batches, oldest first; those that lose nothing are the same objects. */
export function cleaned(batches: readonly StoredBatch[], rule: CleaningRule): StoredBatch[] {
  const cleanable = batches.map(isCleanable)
  const latest = new Map<string, number>()
  for (const [index, batch] of batches.entries()) {
    if (!cleanable[index]) continue
    const cursor = cursorOf(batch)
    while (cursor.next()) latest.set(keyOf(cursor), cursor.offset)
  }
  const isKept = (cursor: RecordCursor) =>
    latest.get(keyOf(cursor)) === cursor.offset &&
    (cursor.valueLength >= 0 || cursor.timestamp >= rule.tombstonesBefore)
  return batches.flatMap((batch, index) => (cleanable[index] ? thinned(batch, isKept) : [batch]))
}

const cursorOf = (batch: StoredBatch) =>
  new RecordCursor(batch.view(), { maxDecompressedBytes: MAX_DECOMPRESSED_BYTES })

const keyOf = (cursor: RecordCursor) => cursor.key()?.toString('latin1') ?? ''

/** The batch with these records only: none, all, or a new one around the bytes of those that stay. */
function thinned(batch: StoredBatch, isKept: (cursor: RecordCursor) => boolean): StoredBatch[] {
  const cursor = cursorOf(batch)
  const kept: Buffer[] = []
  let total = 0
  let maxTimestamp = -1
  for (let start = cursor.recordEnd; cursor.next(); start = cursor.recordEnd) {
    total++
    if (!isKept(cursor)) continue
    kept.push(cursor.payload.subarray(start, cursor.recordEnd))
    maxTimestamp = Math.max(maxTimestamp, cursor.timestamp)
  }
  if (kept.length === total) return [batch]
  if (kept.length === 0) return []
  const bytes = Buffer.concat([batch.bytes.subarray(0, BATCH_OVERHEAD), ...kept])
  bytes.writeInt32BE(bytes.length - LOG_OVERHEAD, at.batchLength)
  bytes.writeInt32BE(kept.length, at.count)
  writeInt64(bytes, at.maxTimestamp, maxTimestamp)
  writeCrc(bytes)
  return [new StoredBatch(bytes)]
}

/** Cuts a batch in two at a record boundary: what a producer does when a broker finds the batch too large. */
import { BatchBuilder } from './batch-builder.ts'
import { addToSequence, at, type Compression } from './batch-layout.ts'
import { BatchView } from './batch-view.ts'
import { writeInt32, writeInt64 } from './big-endian.ts'
import { stampBatch } from './encode-batch.ts'
import { RecordCursor } from './record-cursor.ts'

/** The batch is the producer's own, so only the format's limit bounds it. */
const MAX_BYTES = 0x3fff_ffff

/**
 * The first `firstHalfCount` records and the others. The sequence goes on over the cut and offsets count from
 * the first half's base, so that both together say exactly what the one batch said.
 */
export function splitBatch(
  batch: Buffer,
  firstHalfCount: number,
  compression: Compression = 'none',
): [Buffer, Buffer] {
  const whole = new BatchView(batch, 0, batch.length)
  const cursor = new RecordCursor(whole, { maxDecompressedBytes: MAX_BYTES })
  const first = half(whole, cursor, { count: firstHalfCount, skipped: 0, compression })
  const rest = whole.count - firstHalfCount
  return [first, half(whole, cursor, { count: rest, skipped: firstHalfCount, compression })]
}

interface Half {
  readonly count: number
  /** Records of the whole batch before this half. */
  readonly skipped: number
  readonly compression: Compression
}

function half(whole: BatchView, cursor: RecordCursor, { count, skipped, compression }: Half): Buffer {
  const builder = new BatchBuilder({ capacity: whole.sizeBytes })
  for (let left = count; left > 0 && cursor.next(); left--) {
    builder.append(cursor.key(), cursor.value(), cursor.headers(), cursor.timestamp)
  }
  const batch = builder.seal({ compression, timestampType: whole.timestampType })
  writeInt64(batch, at.baseOffset, whole.baseOffset + skipped)
  writeInt32(batch, at.leaderEpoch, whole.partitionLeaderEpoch)
  stampBatch(batch, {
    producerId: whole.producerId,
    producerEpoch: whole.producerEpoch,
    baseSequence: addToSequence(whole.baseSequence, skipped),
    transactional: whole.isTransactional,
  })
  return batch
}

/**
 * A record batch at rest: its bytes, which never change any more, and the fields that the log asks for.
 *
 * Replicas of one process hold the same object. That is safe because nothing is rewritten after the leader has
 * given it an offset and an epoch; each log decides for itself which batches it holds, and in which order.
 */
import { at, attribute } from '../protocol/batch-layout.ts'
import { BatchView } from '../protocol/batch-view.ts'
import { writeInt64 } from '../protocol/big-endian.ts'
import { crc32c } from '../protocol/crc32c.ts'

export class StoredBatch {
  readonly bytes: Buffer
  readonly baseOffset: number
  readonly lastOffset: number
  readonly leaderEpoch: number
  readonly maxTimestamp: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly lastSequence: number
  /** How many logs hold it: its bytes count once. */
  holders = 0

  constructor(bytes: Buffer) {
    const view = new BatchView(bytes, 0, bytes.length)
    this.bytes = bytes
    this.baseOffset = view.baseOffset
    this.lastOffset = view.lastOffset
    this.leaderEpoch = view.partitionLeaderEpoch
    this.maxTimestamp = view.maxTimestamp
    this.producerId = view.producerId
    this.producerEpoch = view.producerEpoch
    this.baseSequence = view.baseSequence
    this.lastSequence = view.lastSequence
  }

  view(): BatchView {
    return new BatchView(this.bytes, 0, this.bytes.length)
  }
}

/** Where and when the leader puts a batch. */
export interface Placement {
  readonly baseOffset: number
  readonly leaderEpoch: number
  /** Set for message.timestamp.type=LogAppendTime. */
  readonly appendTimeMs?: number | undefined
}

/**
 * Takes a batch from a request into the log's keeping: bytes of its own, with offset and epoch written in. Both lie
 * outside the crc; an append time does not, so then the crc is computed again.
 */
export function placeBatch(view: BatchView, placement: Placement): StoredBatch {
  const bytes = ownBytes(view)
  writeInt64(bytes, at.baseOffset, placement.baseOffset)
  bytes.writeInt32BE(placement.leaderEpoch, at.leaderEpoch)
  if (placement.appendTimeMs !== undefined) {
    bytes.writeInt16BE(view.attributes | attribute.logAppendTime, at.attributes)
    writeInt64(bytes, at.maxTimestamp, placement.appendTimeMs)
    bytes.writeUInt32BE(crc32c(bytes, at.attributes), at.crc)
  }
  return new StoredBatch(bytes)
}

/**
 * The request's own memory when the batch is most of it, so that large batches are not copied; a copy otherwise, so
 * that a small batch does not pin a large piece of network input. At most twice the counted bytes are held.
 */
function ownBytes(view: BatchView): Buffer {
  const { bytes } = view
  return bytes.length * 2 >= bytes.buffer.byteLength ? bytes : Buffer.from(bytes)
}

/**
 * Record batches as they stand in a response or in a log: a view of each header, nothing copied.
 *
 * Total: any bytes give views or a typed error, and each step moves at least 61 bytes on.
 */
import { OttlaError } from '../errors.ts'
import {
  addToSequence,
  at,
  attribute,
  BATCH_OVERHEAD,
  type Compression,
  compressions,
  corrupt,
  LOG_OVERHEAD,
  MAGIC,
  readExact64,
  readTimestamp,
  type TimestampType,
} from './batch-layout.ts'
import { readInt16, readInt32, readUint32 } from './big-endian.ts'
import { crc32c } from './crc32c.ts'

/** One batch inside a larger buffer. Its bytes are `buffer[start, end)`. */
export class BatchView {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
  readonly baseOffset: number
  /** Of the batch as it was written: compaction may have removed the record itself. */
  readonly lastOffset: number
  readonly attributes: number
  /** Records that are there. Compaction may leave none. */
  readonly count: number
  readonly producerId: number
  readonly magic = MAGIC

  /** Takes a range that `readBatches` has measured. CORRUPT_BATCH when its offsets run backwards. */
  constructor(buffer: Buffer, start: number, end: number) {
    this.buffer = buffer
    this.start = start
    this.end = end
    this.baseOffset = readExact64(buffer, start + at.baseOffset)
    const span = readInt32(buffer, start + at.lastOffsetDelta)
    this.lastOffset = this.baseOffset + span
    // Whoever goes on from the last offset must never be led back.
    if (span < 0 || this.lastOffset > Number.MAX_SAFE_INTEGER) {
      throw corrupt(`the batch at offset ${this.baseOffset} ends at offset ${this.lastOffset}`)
    }
    this.attributes = readInt16(buffer, start + at.attributes)
    this.count = readInt32(buffer, start + at.count)
    this.producerId = readExact64(buffer, start + at.producerId)
  }

  get partitionLeaderEpoch(): number {
    return readInt32(this.buffer, this.start + at.leaderEpoch)
  }

  /** UNSUPPORTED_COMPRESSION when Kafka has no codec of this number. */
  get compression(): Compression {
    const codec = compressions[this.attributes & attribute.codecMask]
    if (codec !== undefined) return codec
    const number = this.attributes & attribute.codecMask
    throw new OttlaError('UNSUPPORTED_COMPRESSION', `a batch is compressed with the unknown codec ${number}`)
  }

  get timestampType(): TimestampType {
    return (this.attributes & attribute.logAppendTime) === 0 ? 'create' : 'append'
  }

  get isTransactional(): boolean {
    return (this.attributes & attribute.transactional) !== 0
  }

  get isControl(): boolean {
    return (this.attributes & attribute.control) !== 0
  }

  get baseTimestamp(): number {
    return readTimestamp(this.buffer, this.start + at.baseTimestamp)
  }

  get maxTimestamp(): number {
    return readTimestamp(this.buffer, this.start + at.maxTimestamp)
  }

  get producerEpoch(): number {
    return readInt16(this.buffer, this.start + at.producerEpoch)
  }

  /** -1 without an idempotent producer. */
  get baseSequence(): number {
    return readInt32(this.buffer, this.start + at.baseSequence)
  }

  /** -1 without an idempotent producer. */
  get lastSequence(): number {
    return addToSequence(this.baseSequence, this.lastOffset - this.baseOffset)
  }

  /** A view of the whole batch. */
  get bytes(): Buffer {
    return this.buffer.subarray(this.start, this.end)
  }

  get sizeBytes(): number {
    return this.end - this.start
  }
}

export interface ReadBatchesOptions {
  /** Default true. */
  readonly checkCrc?: boolean
}

/**
 * The batches of a record set, in order. A last batch that is cut off is left out: brokers cut where the bytes
 * asked for end. UNSUPPORTED_MAGIC for sets of format 0 and 1, CORRUPT_BATCH for damage.
 */
export function* readBatches(buffer: Buffer, options: ReadBatchesOptions = {}): Generator<BatchView, void> {
  const checkCrc = options.checkCrc ?? true
  let start = 0
  while (buffer.length - start > at.magic) {
    const end = endOfBatch(buffer, start)
    if (end > buffer.length) return
    if (checkCrc) verifyCrc(buffer, start, end)
    yield new BatchView(buffer, start, end)
    start = end
  }
}

/** Whether the checksums are right of all batches that `readBatches` would give. Nothing else is looked at. */
export function haveRightCrcs(buffer: Buffer): boolean {
  let start = 0
  while (buffer.length - start > at.magic) {
    const end = endOfBatch(buffer, start)
    if (end > buffer.length) break
    if (!hasRightCrc(buffer, start, end)) return false
    start = end
  }
  return true
}

function endOfBatch(buffer: Buffer, start: number): number {
  const magic = buffer[start + at.magic]
  if (magic === 0 || magic === 1) {
    throw new OttlaError(
      'UNSUPPORTED_MAGIC',
      `the records at byte ${start} are of format ${magic}, from before Kafka 0.11; only format 2 is read`,
    )
  }
  if (magic !== MAGIC) throw corrupt(`no record batch at byte ${start}: its format would be ${magic}`)
  const length = readInt32(buffer, start + at.batchLength)
  if (length < BATCH_OVERHEAD - LOG_OVERHEAD) {
    throw corrupt(`the batch at byte ${start} says that it has ${length} bytes`)
  }
  return start + LOG_OVERHEAD + length
}

const crcOf = (buffer: Buffer, start: number, end: number) => crc32c(buffer, start + at.attributes, end)

const hasRightCrc = (buffer: Buffer, start: number, end: number) =>
  readUint32(buffer, start + at.crc) === crcOf(buffer, start, end)

function verifyCrc(buffer: Buffer, start: number, end: number): void {
  if (hasRightCrc(buffer, start, end)) return
  const stored = readUint32(buffer, start + at.crc)
  const computed = crcOf(buffer, start, end)
  throw corrupt(`the batch at byte ${start} has the checksum ${hex(computed)}, and says ${hex(stored)}`)
}

const hex = (value: number) => value.toString(16).padStart(8, '0')

/**
 * What a broker checks of a batch before it decompresses it: the length, the crc, and that its count is the span
 * of its offsets. CORRUPT_BATCH.
 */
export function validateBatch(batch: BatchView): void {
  const { buffer, start, end, count } = batch
  const length = end - start
  if (length < BATCH_OVERHEAD || readInt32(buffer, start + at.batchLength) !== length - LOG_OVERHEAD) {
    throw corrupt(`a batch of ${length} bytes says another length`)
  }
  verifyCrc(buffer, start, end)
  const span = batch.lastOffset - batch.baseOffset + 1
  if (count <= 0 || count !== span) {
    throw corrupt(`a batch says ${count} records over ${span} offsets`)
  }
}

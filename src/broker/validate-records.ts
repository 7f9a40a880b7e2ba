/**
 * What a leader checks of the records in a Produce request before its log sees them: Kafka's checks, in its order.
 *
 * An entry holds exactly one batch of format 2 (Kafka: since Produce 3). Keys and timestamps are read only where a
 * topic's configs make them matter, and compressed batches are opened, as Kafka does; everything else is read from
 * the header and from the lengths of the records.
 */
import { OttlaError } from '../errors.ts'
import { at, BATCH_OVERHEAD, LOG_OVERHEAD, MAGIC } from '../protocol/batch-layout.ts'
import { BatchView, validateBatch } from '../protocol/batch-view.ts'
import { errorCode } from '../protocol/error-codes.ts'
import { RecordCursor } from '../protocol/record-cursor.ts'
import type { TopicSettings } from './topic-settings.ts'

/** Beyond this a compressed batch is refused: nothing real has it, and it would exhaust the process. */
const MAX_DECOMPRESSED_BYTES = 128 << 20
/** Per-record errors told in one answer. */
const MAX_RECORD_ERRORS = 1000
/** Compressed with zstd (KIP-110). */
const ZSTD_SINCE = 7
/** Kafka's: the shortest record of format 0. */
const LEAST_LENGTH = 14
const CODEC_MASK = 0x07
const MAX_CODEC = 4
const ZSTD = 4

export interface RecordError {
  readonly batchIndex: number
  readonly batchIndexErrorMessage: string
}

/** Why records are not taken. */
export interface Refusal {
  readonly errorCode: number
  readonly errorMessage?: string | undefined
  /** The request was refused before the partition saw it. */
  readonly isEarly?: boolean
  /** KIP-467: the records that are to blame; without them the whole batch is. */
  readonly recordErrors?: readonly RecordError[]
}

export interface ValidationRules {
  readonly settings: TopicSettings
  readonly apiVersion: number
  readonly now: number
}

export class RefusedRecords extends Error {
  readonly refusal: Refusal
  constructor(refusal: Refusal) {
    super(refusal.errorMessage)
    this.refusal = refusal
  }
}

const refuse = (code: number, errorMessage: string) => new RefusedRecords({ errorCode: code, errorMessage })
const early = (code: number, errorMessage: string) =>
  new RefusedRecords({ errorCode: code, errorMessage, isEarly: true })
const invalid = (message: string) => refuse(errorCode.INVALID_RECORD, message)
const corrupt = (message: string) => refuse(errorCode.CORRUPT_MESSAGE, message)

/** The one batch of an entry; throws RefusedRecords. */
export function validateRecords(records: Buffer | null, rules: ValidationRules): BatchView {
  const batch = onlyBatch(records)
  checkHeader(batch, rules)
  checkCrc(batch)
  checkFields(batch)
  checkRecords(batch, rules)
  return batch
}

/** What Kafka asks of the request, before the partition sees it. */
function onlyBatch(records: Buffer | null): BatchView {
  const end = records === null ? 0 : endOfBatch(records, 0)
  if (records === null || end === 0) throw early(errorCode.INVALID_RECORD, 'the entry holds no record batch')
  const magic = records.readInt8(at.magic)
  if (magic !== MAGIC) {
    throw early(errorCode.INVALID_RECORD, `record batches must be of format ${MAGIC}, not ${magic}`)
  }
  if (endOfBatch(records, end) !== 0) {
    throw early(errorCode.INVALID_RECORD, 'an entry must hold exactly one record batch')
  }
  if (end < BATCH_OVERHEAD) throw corrupt(`the batch says a length of ${end} bytes`)
  try {
    return new BatchView(records, 0, end)
  } catch (error) {
    throw corrupt((error as Error).message)
  }
}

/** Where the batch at `start` ends; 0 when it is cut off, which counts as none. */
function endOfBatch(records: Buffer, start: number): number {
  if (records.length - start <= at.magic) return 0
  const length = records.readInt32BE(start + at.batchLength)
  if (length < LEAST_LENGTH) throw early(errorCode.CORRUPT_MESSAGE, `a batch says a length of ${length}`)
  const end = start + LOG_OVERHEAD + length
  return end > records.length ? 0 : end
}

function checkHeader(batch: BatchView, { settings, apiVersion }: ValidationRules): void {
  const codec = batch.attributes & CODEC_MASK
  if (codec === ZSTD && apiVersion < ZSTD_SINCE) {
    throw early(errorCode.UNSUPPORTED_COMPRESSION_TYPE, `zstd needs Produce ${ZSTD_SINCE} or later`)
  }
  if (batch.baseOffset !== 0) throw invalid(`the base offset of a new batch is ${batch.baseOffset}, not 0`)
  if (batch.sizeBytes > settings.maxMessageBytes) {
    const message = `a batch of ${batch.sizeBytes} bytes is larger than max.message.bytes, ${settings.maxMessageBytes}`
    throw refuse(errorCode.MESSAGE_TOO_LARGE, message)
  }
  if (batch.sizeBytes > settings.segmentBytes) {
    const message = `a batch of ${batch.sizeBytes} bytes is larger than segment.bytes, ${settings.segmentBytes}`
    throw refuse(errorCode.RECORD_LIST_TOO_LARGE, message)
  }
}

function checkCrc(batch: BatchView): void {
  try {
    validateBatch(batch)
  } catch (error) {
    const message = error instanceof OttlaError ? error.message : String(error)
    // A count that is not the span of the offsets is INVALID_RECORD in Kafka; damage is CORRUPT_MESSAGE.
    if (batch.count <= 0 || batch.count !== batch.lastOffset - batch.baseOffset + 1) throw invalid(message)
    throw corrupt(message)
  }
}

function checkFields(batch: BatchView): void {
  if ((batch.attributes & CODEC_MASK) > MAX_CODEC)
    throw invalid(`no codec has the number ${batch.attributes & 7}`)
  if (batch.isControl) throw invalid('clients must not write control batches')
  if (batch.producerId >= 0 && batch.baseSequence < 0) {
    throw invalid(`producer ${batch.producerId} gives the sequence ${batch.baseSequence}`)
  }
  if (batch.isTransactional) {
    throw refuse(errorCode.INVALID_TXN_STATE, 'this broker has no transactions')
  }
}

function checkRecords(batch: BatchView, rules: ValidationRules): void {
  const { settings, now } = rules
  const checksTimes =
    !settings.stampsAppendTime &&
    (settings.timestampBeforeMaxMs < Number.MAX_SAFE_INTEGER ||
      batch.maxTimestamp > now + settings.timestampAfterMaxMs)
  const isCompressed = (batch.attributes & CODEC_MASK) !== 0
  if (!settings.isCompacted && !checksTimes && !isCompressed) return checkLengths(batch)
  try {
    const errors = recordErrors(batch, rules, checksTimes)
    if (errors === undefined) return
    throw new RefusedRecords(errors)
  } catch (error) {
    if (error instanceof RefusedRecords) throw error
    throw invalid(error instanceof OttlaError ? error.message : String(error))
  }
}

/** That the records fill the batch exactly: one varint read for each. */
function checkLengths(batch: BatchView): void {
  const { buffer, end } = batch
  let position = batch.start + BATCH_OVERHEAD
  for (let left = batch.count; left > 0; left--) {
    let length = 0
    let shift = 0
    let byte = 0x80
    while (byte >= 0x80) {
      if (position >= end || shift > 28) throw invalid('a record runs past its batch')
      byte = buffer[position++] as number
      length |= (byte & 0x7f) << shift
      shift += 7
    }
    length = (length >>> 1) ^ -(length & 1)
    position += length
    if (length < 0 || position > end) throw invalid('a record runs past its batch')
  }
  if (position !== end) throw invalid('the batch holds more bytes than its records')
}

function recordErrors(batch: BatchView, rules: ValidationRules, checksTimes: boolean): Refusal | undefined {
  const { settings, now } = rules
  const cursor = new RecordCursor(batch, { maxDecompressedBytes: MAX_DECOMPRESSED_BYTES })
  const errors: RecordError[] = []
  let code: number = errorCode.INVALID_RECORD
  const blame = (batchIndex: number, batchIndexErrorMessage: string) => {
    if (errors.length < MAX_RECORD_ERRORS) errors.push({ batchIndex, batchIndexErrorMessage })
  }
  for (let index = 0; cursor.next(); index++) {
    if (cursor.offset !== batch.baseOffset + index) throw invalid(`record ${index} has another offset`)
    if (settings.isCompacted && cursor.keyLength < 0) {
      blame(index, 'Compacted topic cannot accept message without key')
    } else if (checksTimes && cursor.timestamp !== -1 && isOutOfBounds(cursor.timestamp, settings, now)) {
      code = errorCode.INVALID_TIMESTAMP
      blame(index, `Timestamp ${cursor.timestamp} of message is out of range`)
    }
  }
  if (errors.length === 0) return undefined
  const errorMessage = 'One or more records have been rejected'
  return { errorCode: code, errorMessage, recordErrors: errors }
}

const isOutOfBounds = (timestamp: number, settings: TopicSettings, now: number) =>
  timestamp > now + settings.timestampAfterMaxMs || timestamp < now - settings.timestampBeforeMaxMs

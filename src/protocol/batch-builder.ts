/**
 * Builds a record batch: each record is encoded once, when it arrives, behind 61 bytes left free for the header.
 *
 *     | 61 free | record | record | … | room |
 *     0                               sizeBytes  capacityBytes
 *
 * Invariants: `sizeBytes` is exactly what an uncompressed `seal` gives; nothing is allocated per record; the
 * sealed batch is a view of the builder's buffer unless it was compressed, so that buffer belongs to the batch
 * until `release`.
 */
import { OttlaError } from '../errors.ts'
import { assert } from '../util/assert.ts'
import {
  at,
  attribute,
  BATCH_OVERHEAD,
  type Compression,
  compressions,
  type HeaderList,
  LOG_OVERHEAD,
  MAGIC,
  type TimestampType,
} from './batch-layout.ts'
import { writeInt16, writeInt32, writeInt64 } from './big-endian.ts'
import { compress } from './compression.ts'

/** What a key, a value or a header's value may be. */
export type Payload = string | Uint8Array | null

export interface BatchBuilderOptions {
  /** Bytes of the first buffer; it doubles from there. Default 1024. */
  readonly capacity?: number
  /** Where buffers come from. It may give a larger one than asked for. */
  readonly allocate?: (bytes: number) => Buffer
  /** Where a buffer goes that is no longer needed. */
  readonly release?: (buffer: Buffer) => void
}

export interface SealOptions {
  /** Default `none`. Kept only when it makes the batch smaller. */
  readonly compression?: Compression
  /** For gzip and zstd. Default the codec's own. */
  readonly level?: number
  /** Default `create`. */
  readonly timestampType?: TimestampType
}

/** Far above what any broker takes (its own bound is an int32), and where one-shift zig-zag still holds. */
const MAX_BATCH_BYTES = 0x3fff_ffff
/** Length, attributes, timestamp delta, offset delta, key length, value length, header count at their longest. */
const MAX_RECORD_OVERHEAD = 5 + 1 + 10 + 5 + 5 + 5 + 5
/** Strings up to here are measured and written by a loop, longer ones by the runtime. */
const SHORT_TEXT = 10
const SHORT_BYTES = 8

const EMPTY = Buffer.alloc(0)

export class BatchBuilder {
  #buffer: Buffer = EMPTY
  #offset = BATCH_OVERHEAD
  #count = 0
  #baseTimestamp = -1
  #maxTimestamp = -1
  readonly #capacity: number
  readonly #allocate: (bytes: number) => Buffer
  readonly #release: ((buffer: Buffer) => void) | undefined

  constructor(options: BatchBuilderOptions = {}) {
    this.#capacity = options.capacity ?? 1024
    this.#allocate = options.allocate ?? Buffer.allocUnsafeSlow
    this.#release = options.release
  }

  /** Records so far. */
  get count(): number {
    return this.#count
  }

  /** Bytes of the batch so far, its header included. */
  get sizeBytes(): number {
    return this.#offset
  }

  /** Bytes held; 0 before the first record. */
  get capacityBytes(): number {
    return this.#buffer.length
  }

  /** Of the first record; -1 while there is none. */
  get baseTimestamp(): number {
    return this.#baseTimestamp
  }

  /** The latest of all records; -1 while there is none. */
  get maxTimestamp(): number {
    return this.#maxTimestamp
  }

  /** An upper bound of what `append` adds, from lengths alone: no string is measured. */
  static maxSizeOf(key: Payload, value: Payload, headers: HeaderList): number {
    let size = MAX_RECORD_OVERHEAD + maxLengthOf(key) + maxLengthOf(value)
    for (const [name, content] of headers) size += 10 + name.length * 3 + maxLengthOf(content)
    return size
  }

  /**
   * Copies one record in and returns the bytes that it takes. The timestamp may be before or after the first
   * record's. RECORD_TOO_LARGE at 1 GiB; the builder is then unchanged.
   */
  append(key: Payload, value: Payload, headers: HeaderList, timestamp: number): number {
    const delta = this.#count === 0 ? 0 : timestamp - this.#baseTimestamp
    if (!Number.isSafeInteger(timestamp) || !Number.isSafeInteger(delta)) throw badTimestamp(timestamp)
    const start = this.#offset
    const keyLength = payloadLength(key)
    const before = 1 + varlongSize(delta) + varintSize(this.#count) + payloadSize(keyLength)
    const behind = headers.length === 0 ? 1 : headersSize(headers)
    let valueLength = value === null ? -1 : value.length
    let written = false
    if (typeof value === 'string') {
      if (value.length <= SHORT_TEXT || !this.#hasRoom(before + behind + value.length * 3)) {
        valueLength = textLength(value)
      } else {
        valueLength = this.#writeValue(value, before, behind)
        written = true
      }
    }
    const body = before + payloadSize(valueLength) + behind
    const end = start + varintSize(body) + body
    if (end > this.#buffer.length) this.#grow(end)
    const buffer = this.#buffer
    let offset = writeVarint(buffer, start, body)
    buffer[offset++] = 0
    offset = writeVarlong(buffer, offset, delta)
    offset = writeVarint(buffer, offset, this.#count)
    offset = writePayload(buffer, writeVarint(buffer, offset, keyLength), key)
    offset = writeVarint(buffer, offset, valueLength)
    offset = written ? offset + valueLength : writePayload(buffer, offset, value)
    if (headers.length === 0) buffer[offset++] = 0
    else offset = writeHeaders(buffer, offset, headers)
    assert(offset === end, 'a record took other bytes than were counted for it')
    if (this.#count === 0) this.#baseTimestamp = this.#maxTimestamp = timestamp
    else if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp
    this.#count++
    this.#offset = end
    return end - start
  }

  /**
   * The batch as Kafka stores it: the header is complete but for the producer's fields (-1) and the crc, which
   * `stampBatch` writes. Uncompressed it is a view of the builder's buffer.
   */
  seal(options: SealOptions = {}): Buffer {
    assert(this.#count > 0, 'an empty batch was sealed')
    const packed = this.#compressed(options)
    const codec = packed === undefined ? 0 : compressions.indexOf(options.compression ?? 'none')
    const batch = packed ?? this.#buffer.subarray(0, this.#offset)
    writeInt64(batch, at.baseOffset, 0)
    writeInt32(batch, at.batchLength, batch.length - LOG_OVERHEAD)
    writeInt32(batch, at.leaderEpoch, -1)
    batch[at.magic] = MAGIC
    writeInt32(batch, at.crc, 0)
    const timestampType = options.timestampType === 'append' ? attribute.logAppendTime : 0
    writeInt16(batch, at.attributes, codec | timestampType)
    writeInt32(batch, at.lastOffsetDelta, this.#count - 1)
    writeInt64(batch, at.baseTimestamp, this.#baseTimestamp)
    writeInt64(batch, at.maxTimestamp, this.#maxTimestamp)
    writeInt64(batch, at.producerId, -1)
    writeInt16(batch, at.producerEpoch, -1)
    writeInt32(batch, at.baseSequence, -1)
    writeInt32(batch, at.count, this.#count)
    return batch
  }

  /** Gives the buffer back; what an uncompressed `seal` returned is then void. The builder may be used anew. */
  release(): void {
    const held = this.#buffer
    this.#buffer = EMPTY
    this.#offset = BATCH_OVERHEAD
    this.#count = 0
    this.#baseTimestamp = this.#maxTimestamp = -1
    if (held !== EMPTY) this.#release?.(held)
  }

  #compressed({ compression = 'none', level }: SealOptions): Buffer | undefined {
    if (compression === 'none') return undefined
    const plain = this.#buffer.subarray(BATCH_OVERHEAD, this.#offset)
    const batch = compress(compression, plain, { level, lead: BATCH_OVERHEAD })
    return batch.length < this.#offset ? batch : undefined
  }

  #hasRoom(bytes: number): boolean {
    return this.#offset + MAX_RECORD_OVERHEAD + bytes <= this.#buffer.length
  }

  /**
   * Writes a text where it stands if it is ASCII, and so measures it: one pass instead of two. Longer in UTF-8,
   * the lengths in front of it may need more bytes, and it is moved on. Returns its bytes.
   */
  #writeValue(value: string, before: number, behind: number): number {
    const guess = value.length
    const place = this.#offset + placeOf(before, guess, behind)
    const length = this.#buffer.write(value, place)
    if (length !== guess) {
      const moved = this.#offset + placeOf(before, length, behind)
      if (moved !== place) this.#buffer.copyWithin(moved, place, place + length)
    }
    return length
  }

  #grow(needed: number): void {
    if (needed > MAX_BATCH_BYTES) {
      throw new OttlaError('RECORD_TOO_LARGE', `a batch of ${needed} bytes is larger than ${MAX_BATCH_BYTES}`)
    }
    const old = this.#buffer
    const wanted = old === EMPTY ? this.#capacity : old.length * 2
    const grown = this.#allocate(Math.max(needed, Math.min(wanted, MAX_BATCH_BYTES)))
    this.#buffer = grown
    if (old === EMPTY) return
    old.copy(grown, BATCH_OVERHEAD, BATCH_OVERHEAD, this.#offset)
    this.#release?.(old)
  }
}

const badTimestamp = (timestamp: number) =>
  new OttlaError(
    'INVALID_ARGUMENT',
    `the timestamp ${timestamp} is no safe integer, or too far from the first`,
  )

/** In UTF-8 a UTF-16 unit takes three bytes at most. */
const maxLengthOf = (payload: Payload): number =>
  payload === null ? 0 : typeof payload === 'string' ? payload.length * 3 : payload.length

/** The length in UTF-8; a lone surrogate counts as the replacement character that is written for it. */
function textLength(text: string): number {
  const units = text.length
  if (units > SHORT_TEXT) return Buffer.byteLength(text)
  for (let index = 0; index < units; index++) {
    if (text.charCodeAt(index) >= 0x80) return Buffer.byteLength(text)
  }
  return units
}

/** Where a value begins, from its record's beginning. */
const placeOf = (before: number, valueLength: number, behind: number): number =>
  varintSize(before + payloadSize(valueLength) + behind) + before + varintSize(valueLength)

function payloadSize(length: number): number {
  return length > 0 ? varintSize(length) + length : 1
}

/** In bytes; -1 for null. */
function payloadLength(payload: Payload): number {
  return payload === null ? -1 : typeof payload === 'string' ? textLength(payload) : payload.length
}

function headersSize(headers: HeaderList): number {
  let size = varintSize(headers.length)
  for (const [name, content] of headers) {
    const nameLength = textLength(name)
    size += varintSize(nameLength) + nameLength
    size += payloadSize(payloadLength(content))
  }
  return size
}

function writeHeaders(buffer: Buffer, start: number, headers: HeaderList): number {
  let offset = writeVarint(buffer, start, headers.length)
  for (const [name, content] of headers) {
    offset = writePayload(buffer, writeVarint(buffer, offset, textLength(name)), name)
    offset = writePayload(buffer, writeVarint(buffer, offset, payloadLength(content)), content)
  }
  return offset
}

/** The bytes themselves, none for null; their length stands in front already. */
function writePayload(buffer: Buffer, start: number, payload: Payload): number {
  if (payload === null) return start
  const { length } = payload
  if (typeof payload !== 'string') {
    if (length > SHORT_BYTES) buffer.set(payload, start)
    else for (let index = 0; index < length; index++) buffer[start + index] = payload[index] as number
    return start + length
  }
  if (length > SHORT_TEXT) return start + buffer.write(payload, start)
  for (let index = 0; index < length; index++) {
    const unit = payload.charCodeAt(index)
    if (unit >= 0x80) return start + buffer.write(payload, start)
    buffer[start + index] = unit
  }
  return start + length
}

/** Bytes of a zig-zag varint; the value is below 2^30 in magnitude (MAX_BATCH_BYTES). */
function varintSize(value: number): number {
  const zigzag = (value << 1) ^ (value >> 31)
  return zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x20_0000 ? 3 : zigzag < 0x1000_0000 ? 4 : 5
}

function writeVarint(buffer: Buffer, start: number, value: number): number {
  let offset = start
  let zigzag = (value << 1) ^ (value >> 31)
  while (zigzag >= 0x80) {
    buffer[offset++] = (zigzag & 0x7f) | 0x80
    zigzag >>>= 7
  }
  buffer[offset++] = zigzag
  return offset
}

const isSmall = (value: number) => value < 0x2000_0000 && value >= -0x2000_0000

function varlongSize(value: number): number {
  if (isSmall(value)) return varintSize(value)
  let size = 1
  for (let rest = Math.floor(magnitude(value) / 64); rest > 0; rest = Math.floor(rest / 128)) size++
  return size
}

/**
 * A zig-zag varint of a safe integer. The zig-zag number itself may take 54 bits, which a double cannot hold, so
 * its lowest bit (the sign) is kept apart from the rest.
 */
function writeVarlong(buffer: Buffer, start: number, value: number): number {
  if (isSmall(value)) return writeVarint(buffer, start, value)
  const bits = magnitude(value)
  let rest = Math.floor(bits / 64)
  let offset = start
  buffer[offset++] = ((bits % 64) << 1) | (value < 0 ? 1 : 0) | (rest > 0 ? 0x80 : 0)
  while (rest > 0) {
    const next = Math.floor(rest / 128)
    buffer[offset++] = (rest % 128) | (next > 0 ? 0x80 : 0)
    rest = next
  }
  return offset
}

const magnitude = (value: number) => (value < 0 ? -(value + 1) : value)

/**
 * Walks over the records of one batch without making an object per record: the fields of the cursor are those of
 * the record it stands on, and keys, values and headers become views only when asked for.
 *
 * Total: every length is checked against the record's end, and the record's against the batch's.
 */
import { BATCH_OVERHEAD, corrupt, saturate } from './batch-layout.ts'
import type { BatchView } from './batch-view.ts'
import { decompress } from './compression.ts'

export interface RecordCursorOptions {
  /** DECOMPRESSED_TOO_LARGE beyond this. */
  readonly maxDecompressedBytes: number
}

export class RecordCursor {
  /** Where the positions point into: the response itself, or the decompressed records. */
  readonly payload: Buffer
  /** Of the current record. */
  keyStart = 0
  /** -1: null. */
  keyLength = -1
  valueStart = 0
  /** -1: null. */
  valueLength = -1
  headersStart = 0
  headerCount = 0
  /** Where the current record ends. */
  recordEnd: number

  #position: number
  readonly #end: number
  #left: number
  #offsetDelta = 0
  #timestampDelta = 0
  readonly #baseOffset: number
  readonly #lastOffsetDelta: number
  readonly #baseTimestamp: number
  readonly #appendTime: number | undefined

  /** Decompresses at once, within the bound. */
  constructor(batch: BatchView, options: RecordCursorOptions) {
    const start = batch.start + BATCH_OVERHEAD
    const { compression } = batch
    if (batch.count < 0) throw corrupt(`a batch says ${batch.count} records`)
    if (compression === 'none') {
      this.payload = batch.buffer
      this.#position = start
      this.#end = batch.end
    } else {
      const packed = batch.buffer.subarray(start, batch.end)
      this.payload =
        batch.count === 0 ? packed : decompress(compression, packed, options.maxDecompressedBytes)
      this.#position = 0
      this.#end = batch.count === 0 ? 0 : this.payload.length
    }
    this.recordEnd = this.#position
    this.#left = batch.count
    this.#baseOffset = batch.baseOffset
    this.#lastOffsetDelta = batch.lastOffset - batch.baseOffset
    this.#baseTimestamp = batch.baseTimestamp
    this.#appendTime = batch.timestampType === 'append' ? batch.maxTimestamp : undefined
  }

  /** Moves to the next record; false behind the last one. */
  next(): boolean {
    if (this.#left === 0) {
      if (this.#position !== this.#end) throw corrupt('a batch holds more than its records')
      return false
    }
    this.#left--
    // The bytes are read with a local position, and each varint of one byte in line: most are. A byte past the
    // end is undefined or another record's; the checks of `end` below come before anything read is believed.
    const bytes = this.payload
    let byte = bytes[this.#position] as number
    let at = this.#position + 1
    const length = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#varint(at - 1)
    if (byte >= 0x80) at = this.#position
    const end = at + length
    if (!(length > 0 && end <= this.#end)) throw corrupt(`a record of ${length} bytes runs past its batch`)
    this.recordEnd = end
    byte = bytes[++at] as number
    const timestampDelta = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#varlong(at)
    at = byte < 0x80 ? at + 1 : this.#position
    byte = bytes[at] as number
    const offsetDelta = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#varint(at)
    at = byte < 0x80 ? at + 1 : this.#position
    byte = bytes[at] as number
    const keyLength = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#varint(at)
    at = byte < 0x80 ? at + 1 : this.#position
    this.keyStart = at
    this.keyLength = keyLength
    if (keyLength > 0) at += keyLength
    byte = bytes[at] as number
    const valueLength = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#varint(at)
    at = byte < 0x80 ? at + 1 : this.#position
    this.valueStart = at
    this.valueLength = valueLength
    if (valueLength > 0) at += valueLength
    byte = bytes[at] as number
    const headerCount = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#varint(at)
    at = byte < 0x80 ? at + 1 : this.#position
    this.headersStart = at
    this.headerCount = headerCount
    const room = end - at
    if (!(headerCount >= 0 && headerCount * 2 <= room) || (headerCount === 0 && room > 0)) {
      throw corrupt(`a record says ${headerCount} headers in ${room} bytes`)
    }
    this.#timestampDelta = timestampDelta
    this.#offsetDelta = offsetDelta
    if (!(offsetDelta >= 0 && offsetDelta <= this.#lastOffsetDelta)) {
      throw corrupt(`a record has an offset outside of its batch, which begins at ${this.#baseOffset}`)
    }
    this.#position = end
    return true
  }

  /** Of the current record. */
  get offset(): number {
    return this.#baseOffset + this.#offsetDelta
  }

  /** Of the current record; the batch's one time when the broker set it. */
  get timestamp(): number {
    return this.#appendTime ?? saturate(this.#baseTimestamp + this.#timestampDelta)
  }

  /** A view of the key. */
  key(): Buffer | null {
    return this.keyLength < 0 ? null : this.payload.subarray(this.keyStart, this.keyStart + this.keyLength)
  }

  /** A view of the value. */
  value(): Buffer | null {
    if (this.valueLength < 0) return null
    return this.payload.subarray(this.valueStart, this.valueStart + this.valueLength)
  }

  /** In their order; the values are views. */
  headers(): [string, Buffer | null][] {
    const headers: [string, Buffer | null][] = []
    if (this.headerCount === 0) return headers
    const resume = this.#position
    this.#position = this.headersStart
    try {
      for (let left = this.headerCount; left > 0; left--) headers.push(this.#header())
      if (this.#position !== this.recordEnd) throw corrupt('a record holds more than its headers')
    } finally {
      this.#position = resume
    }
    return headers
  }

  #header(): [string, Buffer | null] {
    const nameLength = this.#varint(this.#position)
    if (nameLength < 0) throw corrupt('a header has no name')
    const nameStart = this.#skip(nameLength)
    const name = this.payload.toString('utf8', nameStart, nameStart + nameLength)
    const length = this.#varint(this.#position)
    if (length < 0) return [name, null]
    const start = this.#skip(length)
    return [name, this.payload.subarray(start, start + length)]
  }

  /** Moves past bytes of a header and returns where they begin. */
  #skip(length: number): number {
    const start = this.#position
    if (length > this.recordEnd - start) throw corrupt('a header runs past its record')
    this.#position = start + length
    return start
  }

  /** A zig-zag varint of 32 bits; moves the position behind it. */
  #varint(start: number): number {
    // Two bytes carry every length and delta from 64 to 8191.
    if (start + 1 < this.#end) {
      const low = this.payload[start] as number
      const high = this.payload[start + 1] as number
      if (low >= 0x80 && high < 0x80) {
        this.#position = start + 2
        return (((low & 0x7f) >>> 1) | (high << 6)) ^ -(low & 1)
      }
    }
    let zigzag = 0
    let at = start
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= this.#end) throw corrupt('a varint runs past its batch')
      const byte = this.payload[at++] as number
      zigzag |= (byte & 0x7f) << shift
      if (byte >= 0x80) continue
      this.#position = at
      return (zigzag >>> 1) ^ -(zigzag & 1)
    }
    throw corrupt('a varint is longer than 32 bits')
  }

  /** The same of 64 bits, as a double: exact up to 2^53, and what is beyond is saturated afterwards. */
  #varlong(start: number): number {
    if (start >= this.#end) throw corrupt('a varint runs past its batch')
    const first = this.payload[start] as number
    let magnitude = (first & 0x7f) >>> 1
    let byte = first
    let at = start + 1
    for (let scale = 64; byte >= 0x80; scale *= 128) {
      if (at >= this.#end || scale > 2 ** 62) throw corrupt('a varint is longer than 64 bits or its batch')
      byte = this.payload[at++] as number
      magnitude += (byte & 0x7f) * scale
    }
    this.#position = at
    return (first & 1) === 1 ? -magnitude - 1 : magnitude
  }
}

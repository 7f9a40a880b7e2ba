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
  offset = -1
  timestamp = -1
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
  readonly #baseOffset: number
  readonly #lastOffset: number
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
    this.#lastOffset = batch.lastOffset
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
    this.recordEnd = this.#end
    const length = this.#varint()
    const end = this.#position + length
    if (length < 0 || end > this.#end) throw corrupt(`a record of ${length} bytes runs past its batch`)
    this.recordEnd = end
    this.#skip(1)
    const timestampDelta = this.#varlong()
    this.timestamp = this.#appendTime ?? saturate(this.#baseTimestamp + timestampDelta)
    const offsetDelta = this.#varint()
    this.offset = this.#baseOffset + offsetDelta
    if (offsetDelta < 0 || this.offset > this.#lastOffset) {
      throw corrupt(`a record has an offset outside of its batch, which begins at ${this.#baseOffset}`)
    }
    this.keyLength = this.#varint()
    this.keyStart = this.#position
    if (this.keyLength > 0) this.#skip(this.keyLength)
    this.valueLength = this.#varint()
    this.valueStart = this.#position
    if (this.valueLength > 0) this.#skip(this.valueLength)
    this.headerCount = this.#varint()
    this.headersStart = this.#position
    const room = end - this.#position
    if (this.headerCount < 0 || this.headerCount * 2 > room || (this.headerCount === 0 && room > 0)) {
      throw corrupt(`a record says ${this.headerCount} headers in ${room} bytes`)
    }
    this.#position = end
    return true
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
    const nameLength = this.#varint()
    const nameStart = this.#position
    if (nameLength < 0) throw corrupt('a header has no name')
    this.#skip(nameLength)
    const name = this.payload.toString('utf8', nameStart, this.#position)
    const length = this.#varint()
    if (length < 0) return [name, null]
    const start = this.#position
    this.#skip(length)
    return [name, this.payload.subarray(start, this.#position)]
  }

  #skip(length: number): void {
    const position = this.#position + length
    if (position > this.recordEnd) throw corrupt('a field runs past its record')
    this.#position = position
  }

  #byte(): number {
    if (this.#position >= this.recordEnd) throw corrupt('a varint runs past its record')
    return this.payload[this.#position++] as number
  }

  /** A zig-zag varint of 32 bits. */
  #varint(): number {
    let byte = this.#byte()
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    let zigzag = byte & 0x7f
    for (let shift = 7; ; shift += 7) {
      byte = this.#byte()
      zigzag |= (byte & 0x7f) << shift
      if (byte < 0x80) return (zigzag >>> 1) ^ -(zigzag & 1)
      if (shift === 28) throw corrupt('a varint is longer than 32 bits')
    }
  }

  /** A zig-zag varint of 64 bits as a double: exact up to 2^53, beyond that it is saturated by the caller. */
  #varlong(): number {
    let byte = this.#byte()
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    const negative = (byte & 1) === 1
    let magnitude = (byte & 0x7f) >>> 1
    for (let scale = 64; ; scale *= 128) {
      byte = this.#byte()
      magnitude += (byte & 0x7f) * scale
      if (byte < 0x80) return negative ? -magnitude - 1 : magnitude
      if (scale >= 2 ** 62) throw corrupt('a varint is longer than 64 bits')
    }
  }
}

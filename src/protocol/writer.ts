/**
 * Writes the protocol's primitive types into a growing buffer.
 *
 * Large byte fields are not copied: the buffer is cut there and the caller's bytes become a piece of their own,
 * so a frame is a list of pieces that go to the socket with one writev.
 */
import { OttlaError } from '../errors.ts'
import { writeInt16, writeInt32, writeInt64 } from './big-endian.ts'
import type { Bytes } from './schema.ts'
import { writeUuid } from './uuid.ts'

/** Below this a copy is cheaper than a piece of its own. */
const ATTACH_FROM = 4096

export class Writer {
  #buffer: Buffer
  #start = 0
  #offset = 0
  /** What was cut off so far: most frames are one piece. */
  #pieces: Uint8Array[] | undefined
  #pieceBytes = 0

  constructor(capacity = 512) {
    this.#buffer = Buffer.allocUnsafe(capacity)
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#pieceBytes + this.#offset - this.#start
  }

  /** The pieces written, in order. The writer must not be used afterwards. */
  finish(): Uint8Array[] {
    this.#cut()
    return this.#pieces ?? []
  }

  /** The pieces with their total length in front: a frame. Room for it was left with `int32(0)` at the start. */
  finishFrame(): Uint8Array[] {
    const size = this.length - 4
    const pieces = this.finish()
    const first = pieces[0] as Buffer
    writeInt32(first, 0, size)
    return pieces
  }

  bool(value: boolean): void {
    this.int8(value ? 1 : 0)
  }

  int8(value: number): void {
    if (value !== (value << 24) >> 24) throw notA('int8', value)
    const at = this.#reserve(1)
    this.#buffer[at] = value
  }

  int16(value: number): void {
    if (value !== (value << 16) >> 16) throw notA('int16', value)
    const at = this.#reserve(2)
    writeInt16(this.#buffer, at, value)
  }

  uint16(value: number): void {
    if (value !== (value & 0xffff)) throw notA('uint16', value)
    const at = this.#reserve(2)
    writeInt16(this.#buffer, at, value)
  }

  int32(value: number): void {
    if (value !== (value | 0)) throw notA('int32', value)
    const at = this.#reserve(4)
    writeInt32(this.#buffer, at, value)
  }

  uint32(value: number): void {
    if (value !== value >>> 0) throw notA('uint32', value)
    const at = this.#reserve(4)
    writeInt32(this.#buffer, at, value)
  }

  /** A safe integer. */
  int64(value: number): void {
    if (!Number.isSafeInteger(value)) throw notA('safe 64-bit', value)
    const at = this.#reserve(8)
    writeInt64(this.#buffer, at, value)
  }

  float64(value: number): void {
    const at = this.#reserve(8)
    this.#buffer.writeDoubleBE(value, at)
  }

  /** An unsigned varint of up to 32 bits. */
  varuint(value: number): void {
    let at = this.#reserve(varuintLength(value))
    while (value >= 0x80) {
      this.#buffer[at++] = (value & 0x7f) | 0x80
      value = Math.floor(value / 128)
    }
    this.#buffer[at] = value
  }

  uuid(value: string): void {
    const at = this.#reserve(16)
    if (!writeUuid(this.#buffer, at, value)) {
      throw new OttlaError(
        'INVALID_ARGUMENT',
        `'${value}' is no uuid in Kafka's form, 22 letters of base64url`,
      )
    }
  }

  /** UTF-8 without a length; `length` is the count of bytes that `Buffer.byteLength` gave. */
  text(value: string, length: number): void {
    const at = this.#reserve(length)
    this.#buffer.write(value, at, length, 'utf8')
  }

  /** Bytes without a length. Large ones are attached, not copied: they must not change until they are sent. */
  raw(value: Uint8Array): void {
    if (value.length >= ATTACH_FROM) {
      this.#cut()
      this.#attach(value)
    } else {
      const at = this.#reserve(value.length)
      this.#buffer.set(value, at)
    }
  }

  #cut(): void {
    if (this.#offset === this.#start) return
    this.#attach(this.#buffer.subarray(this.#start, this.#offset))
    this.#start = this.#offset
  }

  #attach(piece: Uint8Array): void {
    this.#pieceBytes += piece.length
    if (this.#pieces === undefined) this.#pieces = [piece]
    else this.#pieces.push(piece)
  }

  #reserve(length: number): number {
    const at = this.#offset
    if (at + length > this.#buffer.length) return this.#grow(length)
    this.#offset = at + length
    return at
  }

  #grow(length: number): number {
    const written = this.#offset - this.#start
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, written + length + 256))
    this.#buffer.copy(grown, 0, this.#start, this.#offset)
    this.#buffer = grown
    this.#start = 0
    this.#offset = written + length
    return written
  }
}

/** What a message says is the caller's: a number that does not fit is refused, never cut. */
const notA = (type: string, value: number) =>
  new OttlaError('INVALID_ARGUMENT', `${value} is no ${type} integer`)

export const varuintLength = (value: number): number =>
  value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5

export const bytesLength = (value: Bytes): number =>
  value instanceof Uint8Array ? value.length : value.reduce((sum, piece) => sum + piece.length, 0)

/**
 * Writes the protocol's primitive types into a growing buffer.
 *
 * Large byte fields are not copied: the buffer is cut there and the caller's bytes become a piece of their own,
 * so a frame is a list of pieces that go to the socket with one writev.
 */
import type { Bytes } from './schema.ts'

/** Below this a copy is cheaper than a piece of its own. */
const ATTACH_FROM = 4096
const TWO_32 = 0x1_0000_0000

export class Writer {
  #buffer: Buffer
  #start = 0
  #offset = 0
  #pieces: Uint8Array[] = []
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
    return this.#pieces
  }

  /** The pieces with their total length in front: a frame. Room for it was left with `int32(0)` at the start. */
  finishFrame(): Uint8Array[] {
    const size = this.length - 4
    const pieces = this.finish()
    const first = pieces[0] as Buffer
    first.writeInt32BE(size, 0)
    return pieces
  }

  bool(value: boolean): void {
    this.int8(value ? 1 : 0)
  }

  int8(value: number): void {
    const at = this.#reserve(1)
    this.#buffer.writeInt8(value, at)
  }

  int16(value: number): void {
    const at = this.#reserve(2)
    this.#buffer.writeInt16BE(value, at)
  }

  uint16(value: number): void {
    const at = this.#reserve(2)
    this.#buffer.writeUInt16BE(value, at)
  }

  int32(value: number): void {
    const at = this.#reserve(4)
    this.#buffer.writeInt32BE(value, at)
  }

  uint32(value: number): void {
    const at = this.#reserve(4)
    this.#buffer.writeUInt32BE(value, at)
  }

  int64(value: number): void {
    const at = this.#reserve(8)
    this.#buffer.writeInt32BE(Math.floor(value / TWO_32), at)
    this.#buffer.writeUInt32BE(value - Math.floor(value / TWO_32) * TWO_32, at + 4)
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
    this.#buffer.fill(0, at, at + 16)
    this.#buffer.write(value, at, 16, 'base64url')
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
      this.#pieces.push(value)
      this.#pieceBytes += value.length
    } else {
      const at = this.#reserve(value.length)
      this.#buffer.set(value, at)
    }
  }

  #cut(): void {
    if (this.#offset === this.#start) return
    this.#pieces.push(this.#buffer.subarray(this.#start, this.#offset))
    this.#pieceBytes += this.#offset - this.#start
    this.#start = this.#offset
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

export const varuintLength = (value: number): number =>
  value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5

export const bytesLength = (value: Bytes): number =>
  value instanceof Uint8Array ? value.length : value.reduce((sum, piece) => sum + piece.length, 0)

/**
 * Reads the protocol's primitive types from a buffer.
 *
 * Total: any bytes give a value or MALFORMED_FRAME. Nothing is read past `end`, and nothing is allocated that is
 * larger than what is left of the input.
 */
import { OttlaError } from '../errors.ts'
import { readInt16, readInt32, readInt64, readUint32 } from './big-endian.ts'
import { readUuid } from './uuid.ts'

export class Reader {
  readonly buffer: Buffer
  offset: number
  readonly end: number

  constructor(buffer: Buffer, offset = 0, end = buffer.length) {
    this.buffer = buffer
    this.offset = offset
    this.end = end
  }

  get remaining(): number {
    return this.end - this.offset
  }

  /** Moves past `length` bytes and returns where they begin. */
  take(length: number): number {
    const start = this.offset
    if (length < 0 || length > this.end - start) {
      throw malformed(`${length} bytes wanted at ${start}, ${this.end - start} left`)
    }
    this.offset = start + length
    return start
  }

  bool(): boolean {
    return this.int8() !== 0
  }

  int8(): number {
    return ((this.buffer[this.take(1)] as number) << 24) >> 24
  }

  int16(): number {
    return readInt16(this.buffer, this.take(2))
  }

  uint16(): number {
    return readInt16(this.buffer, this.take(2)) & 0xffff
  }

  int32(): number {
    return readInt32(this.buffer, this.take(4))
  }

  uint32(): number {
    return readUint32(this.buffer, this.take(4))
  }

  /** A 64-bit number that fits into a safe integer; NUMBER_OUT_OF_RANGE otherwise. */
  int64(): number {
    const at = this.take(8)
    const value = readInt64(this.buffer, at)
    if (!Number.isSafeInteger(value)) {
      throw new OttlaError('NUMBER_OUT_OF_RANGE', `the 64-bit number at byte ${at} does not fit into 2^53`)
    }
    return value
  }

  /** A 64-bit number that saturates at the largest safe integer. */
  timestamp(): number {
    const value = readInt64(this.buffer, this.take(8))
    return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value))
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.take(8))
  }

  /** An unsigned varint of up to 32 bits. */
  varuint(): number {
    const first = this.buffer[this.take(1)] as number
    if (first < 0x80) return first
    let value = first & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      const byte = this.buffer[this.take(1)] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break
        return value
      }
    }
    throw malformed(`a varint at ${this.offset} is longer than 32 bits`)
  }

  uuid(): string {
    return readUuid(this.buffer, this.take(16))
  }

  text(length: number): string {
    const at = this.take(length)
    return this.buffer.toString('utf8', at, at + length)
  }

  /** A view; the bytes stay where they are. */
  view(length: number): Buffer {
    const at = this.take(length)
    return this.buffer.subarray(at, at + length)
  }

  /** Checks an announced count of elements, each of which takes at least one byte. */
  count(announced: number): number {
    if (announced < 0 || announced > this.remaining) {
      throw malformed(`${announced} elements announced at ${this.offset}, ${this.remaining} bytes left`)
    }
    return announced
  }
}

export const malformed = (message: string) => new OttlaError('MALFORMED_FRAME', message)

/**
 * Reads the headers of one record. Total: any bytes between `start` and `end` give headers or CORRUPT_BATCH.
 *
 *     each header: varint name length | name | varint value length, -1 for null | value
 */
import { OttlaError } from '../errors.ts'

export function readHeaders(
  payload: Buffer,
  { start, end, count }: { readonly start: number; readonly end: number; readonly count: number },
): [name: string, value: Buffer | null][] {
  const headers: [string, Buffer | null][] = []
  const at = { payload, position: start, end }
  for (let left = count; left > 0; left--) {
    const name = take(at, varint(at))
    const length = varint(at)
    headers.push([name.toString('utf8'), length < 0 ? null : take(at, length)])
  }
  if (at.position !== end) throw corrupt('a record holds more than its headers')
  return headers
}

interface Position {
  readonly payload: Buffer
  position: number
  readonly end: number
}

function take(at: Position, length: number): Buffer {
  const start = at.position
  if (length < 0 || length > at.end - start) throw corrupt('a header runs past its record')
  at.position = start + length
  return at.payload.subarray(start, at.position)
}

/** A zig-zag varint of 32 bits. */
function varint(at: Position): number {
  let zigzag = 0
  for (let shift = 0; shift < 35; shift += 7) {
    if (at.position >= at.end) throw corrupt('a varint runs past its record')
    const byte = at.payload[at.position++] as number
    zigzag |= (byte & 0x7f) << shift
    if (byte < 0x80) return (zigzag >>> 1) ^ -(zigzag & 1)
  }
  throw corrupt('a varint is longer than 32 bits')
}

const corrupt = (message: string) => new OttlaError('CORRUPT_BATCH', message)

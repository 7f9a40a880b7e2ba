/** What identifies the bytes of a record in a history: the crc32 of its key, then of its value. */
import { crc32 } from 'node:zlib'

export const digestOf = (key: string | Uint8Array | null, value: string | Uint8Array | null): number =>
  crc32(value ?? '', crc32(key ?? ''))

/** The id that a value begins with: everything before its first space. */
export function idOf(value: Buffer | null): string {
  if (value === null) return '(null)'
  const end = value.indexOf(0x20)
  return value.toString('latin1', 0, end === -1 ? Math.min(value.length, 64) : end)
}

/** A value that carries its id, filled up with deterministic text to `bytes`. */
export function valueFor(id: string, bytes: number): string {
  const start = `${id} `
  if (start.length >= bytes) return start
  return start + filler.slice(0, bytes - start.length).padEnd(bytes - start.length, '.')
}

const filler = 'all that is left is the writing; '.repeat(64)

/** Ascending offsets as ranges, both ends included. */
export function toRanges(offsets: readonly number[]): [first: number, last: number][] {
  const ranges: [number, number][] = []
  for (const offset of offsets) {
    const open = ranges.at(-1)
    if (open !== undefined && offset === open[1] + 1) open[1] = offset
    else ranges.push([offset, offset])
  }
  return ranges
}

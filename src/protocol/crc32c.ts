/**
 * CRC-32C (Castagnoli), the checksum of a record batch.
 *
 * Large inputs go to the native module where it is installed; small ones, and every input without it, to a
 * slicing-by-8 table in plain JavaScript, which is faster than the crossing below a few hundred bytes. The module
 * and the tables are made when first needed: importing this file costs nothing.
 */
import { createRequire } from 'node:module'

type Checksum = (bytes: Uint8Array) => number

/** Below this many bytes the call into native code costs more than it saves. */
const NATIVE_FROM = 256
/** The polynomial, with its bits reversed. */
const POLYNOMIAL = 0x82f6_3b78

let native: Checksum | null | undefined
let tables: Int32Array[] | undefined

/** The checksum of `bytes[start, end)` as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  if (end - start >= NATIVE_FROM) {
    if (native === undefined) native = loadNative()
    if (native !== null) {
      return native(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end))
    }
  }
  return crc32cSliced(bytes, start, end)
}

/** Whether the native module is there; loads it. */
export function hasNativeCrc32c(): boolean {
  if (native === undefined) native = loadNative()
  return native !== null
}

/** An optional dependency: without it the sums are the same, only slower, so its absence is no error. */
function loadNative(): Checksum | null {
  try {
    const loaded = createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: Checksum }
    return loaded.crc32c
  } catch {
    return null
  }
}

/** The fall-back in plain JavaScript; `crc32c` chooses between it and native code. */
export function crc32cSliced(bytes: Uint8Array, start = 0, end = bytes.length): number {
  if (tables === undefined) tables = makeTables()
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as unknown as EightTables
  let crc = -1
  let at = start
  const last = end - 8
  while (at <= last) {
    crc ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    crc =
      (t7[crc & 0xff] as number) ^
      (t6[(crc >>> 8) & 0xff] as number) ^
      (t5[(crc >>> 16) & 0xff] as number) ^
      (t4[crc >>> 24] as number) ^
      (t3[bytes[at + 4] as number] as number) ^
      (t2[bytes[at + 5] as number] as number) ^
      (t1[bytes[at + 6] as number] as number) ^
      (t0[bytes[at + 7] as number] as number)
    at += 8
  }
  while (at < end) crc = (t0[(crc ^ (bytes[at++] as number)) & 0xff] as number) ^ (crc >>> 8)
  return ~crc >>> 0
}

type T = Int32Array
type EightTables = readonly [T, T, T, T, T, T, T, T]

/** Table k holds the effect of a byte followed by k zero bytes. */
function makeTables(): Int32Array[] {
  const made = Array.from({ length: 8 }, () => new Int32Array(256))
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
    ;(made[0] as Int32Array)[byte] = crc
  }
  const first = made[0] as Int32Array
  for (let slice = 1; slice < 8; slice++) {
    const previous = made[slice - 1] as Int32Array
    for (let byte = 0; byte < 256; byte++) {
      const crc = previous[byte] as number
      ;(made[slice] as Int32Array)[byte] = (first[crc & 0xff] as number) ^ (crc >>> 8)
    }
  }
  return made
}

/**
 * Numbers of fixed width in a buffer, most significant byte first.
 *
 * By hand, because a Buffer's own methods look at their arguments in several steps, which costs more than the bytes
 * do as long as the code around them is not optimized, and a rare call never is. Whoever calls has made sure that
 * the bytes are there, and that a number to be written fits.
 */

const TWO_32 = 0x1_0000_0000

export const readInt16 = (buffer: Uint8Array, at: number): number =>
  (((buffer[at] as number) << 24) >> 16) | (buffer[at + 1] as number)

export const readInt32 = (buffer: Uint8Array, at: number): number =>
  ((buffer[at] as number) << 24) |
  ((buffer[at + 1] as number) << 16) |
  ((buffer[at + 2] as number) << 8) |
  (buffer[at + 3] as number)

export const readUint32 = (buffer: Uint8Array, at: number): number => readInt32(buffer, at) >>> 0

/** Not exact where it does not fit into 2^53. */
export const readInt64 = (buffer: Uint8Array, at: number): number =>
  readInt32(buffer, at) * TWO_32 + readUint32(buffer, at + 4)

export function writeInt16(buffer: Uint8Array, at: number, value: number): void {
  buffer[at] = value >>> 8
  buffer[at + 1] = value
}

/** Signed or unsigned. */
export function writeInt32(buffer: Uint8Array, at: number, value: number): void {
  buffer[at] = value >>> 24
  buffer[at + 1] = value >>> 16
  buffer[at + 2] = value >>> 8
  buffer[at + 3] = value
}

/** A safe integer. */
export function writeInt64(buffer: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / TWO_32)
  writeInt32(buffer, at, high)
  writeInt32(buffer, at + 4, value - high * TWO_32)
}

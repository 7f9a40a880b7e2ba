/**
 * The hash by which Kafka's Java client spreads keys over partitions (`Utils.murmur2`, seed 0x9747b28c). Every
 * client that wants the same key in the same partition must compute exactly this.
 */
const M = 0x5bd1_e995
const SEED = 0x9747_b28c

/** Java's murmur2 of the first `length` bytes: a signed 32-bit number. */
export function murmur2(bytes: Uint8Array, length: number = bytes.length): number {
  const whole = length & ~3
  let hash = SEED ^ length
  for (let at = 0; at < whole; at += 4) {
    let word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    word = Math.imul(word, M)
    word ^= word >>> 24
    hash = Math.imul(hash, M) ^ Math.imul(word, M)
  }
  const rest = length - whole
  if (rest > 0) {
    if (rest === 3) hash ^= (bytes[whole + 2] as number) << 16
    if (rest >= 2) hash ^= (bytes[whole + 1] as number) << 8
    hash = Math.imul(hash ^ (bytes[whole] as number), M)
  }
  hash = Math.imul(hash ^ (hash >>> 13), M)
  return hash ^ (hash >>> 15)
}

/** The partition that Java's default partitioner gives a key: the sign bit is dropped, not negated. */
export const partitionOfKey = (key: Uint8Array, partitions: number): number =>
  (murmur2(key) & 0x7fff_ffff) % partitions

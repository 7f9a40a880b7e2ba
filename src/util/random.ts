/** Randomness as a port: the machine's own, or a sequence that a seed fixes. */
import { type Check, is } from './options.ts'

export interface Random {
  /** A number in [0, 1). */
  next(): number
  /** A whole number in [0, bound). */
  below(bound: number): number
  /** Bytes for ids and nonces. */
  bytes(length: number): Buffer
}

export const systemRandom: Random = {
  next: () => Math.random(),
  below: (bound) => Math.floor(Math.random() * bound),
  bytes: (length) => Buffer.from(crypto.getRandomValues(new Uint8Array(length))),
}

/** For the option. */
export const injectedRandom: Check<Random> = is.having<Random>('next', 'below', 'bytes')

/** The same numbers for the same seed, on every machine (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
  const below = (bound: number) => Math.floor(next() * bound)
  return { next, below, bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))) }
}

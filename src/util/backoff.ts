/** Delays between attempts: doubling from a minimum to a maximum, with jitter. */
import type { Random } from './random.ts'

export interface BackoffOptions {
  readonly minMs: number
  readonly maxMs: number
  /** Share of the delay that is random, 0 to 1. Default 0.2 (Kafka's retry.backoff jitter, KIP-580). */
  readonly jitter?: number
}

/** The delay before attempt `attempt` (0 for the first retry). */
export function backoffMs(attempt: number, options: BackoffOptions, random: Random): number {
  const { minMs, maxMs, jitter = 0.2 } = options
  const exact = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30))
  return exact * (1 - jitter + 2 * jitter * random.next())
}

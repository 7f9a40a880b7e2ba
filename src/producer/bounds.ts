/**
 * How much a producer may hold: `bufferBytes` over everything that is accepted and not settled.
 *
 *     held = capacity of the batches' buffers (compressed copies included) + spooled records + 3,072 per unsettled send
 *
 * Capacity counts, not content, so the figure is what the process really pays. Something is always admitted when
 * nothing is held, however large: a record is refused for its size by maxBatchBytes, not by this bound.
 */
import { BufferPool } from './buffer-pool.ts'

/**
 * What a promise, its receipt and V8's room for collecting them cost a process, besides the bytes (measured:
 * docs/decisions/producer-memory.md).
 */
export const CALL_BYTES = 3072

export class Bounds {
  readonly pool: BufferPool
  readonly #bufferBytes: number
  /** Calls of `send` that are accepted, at least in part, and not settled. */
  calls = 0
  /** Bytes of records that wait for their topic's partitions. */
  spooledBytes = 0

  constructor(bufferBytes: number) {
    this.#bufferBytes = bufferBytes
    this.pool = new BufferPool(bufferBytes)
  }

  get heldBytes(): number {
    return this.pool.heldBytes + this.spooledBytes + this.calls * CALL_BYTES
  }

  /** Whether so much more may be held. */
  fits(bytes: number): boolean {
    const held = this.heldBytes
    return held + bytes <= this.#bufferBytes || held === 0
  }
}

/**
 * The memory of batches: buffers in powers of two, lent to a batch's builder and used again after its answer.
 *
 * `heldBytes` counts capacity, not content: what is lent, and what batches hold besides (compressed copies, halves
 * of a split). Idle buffers are kept while lent and idle together are not much more than what was lent lately, and
 * never beyond the limit.
 */
import { assert } from '../util/assert.ts'

const SMALLEST = 1024
/** So much is kept in any case. */
const KEPT_BYTES = 1024 * 1024
/** After so many loans, the peak of what is lent is forgotten by a quarter. */
const PEAK_LOANS = 1024

/** The size of the buffer that a request for so many bytes gets. */
export function capacityFor(bytes: number): number {
  return bytes <= SMALLEST ? SMALLEST : 2 ** (32 - Math.clz32(bytes - 1))
}

export class BufferPool {
  readonly #limitBytes: number
  readonly #idle = new Map<number, Buffer[]>()
  #heldBytes = 0
  #idleBytes = 0
  #peakBytes = KEPT_BYTES
  #loans = 0

  constructor(limitBytes: number = Number.POSITIVE_INFINITY) {
    this.#limitBytes = limitBytes
  }

  /** Bytes in use: what counts against bufferBytes. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  readonly allocate = (bytes: number): Buffer => {
    const capacity = capacityFor(bytes)
    this.#heldBytes += capacity
    this.#notePeak()
    const reused = this.#idle.get(capacity)?.pop()
    if (reused !== undefined) {
      this.#idleBytes -= capacity
      return reused
    }
    // What is idle has other sizes than are asked for now.
    this.#shrink()
    return Buffer.allocUnsafeSlow(capacity)
  }

  readonly release = (buffer: Buffer): void => {
    const capacity = buffer.length
    this.#heldBytes -= capacity
    assert(this.#heldBytes >= 0, 'a buffer was given back twice')
    if (this.#heldBytes + this.#idleBytes + capacity > this.#keptBytes()) return
    let stack = this.#idle.get(capacity)
    if (stack === undefined) this.#idle.set(capacity, (stack = []))
    stack.push(buffer)
    this.#idleBytes += capacity
  }

  /** Counts memory that did not come from here; negative when it goes. */
  charge(bytes: number): void {
    this.#heldBytes += bytes
  }

  /** A lent buffer goes to the garbage collector: a socket may still read from it. */
  abandon(bytes: number): void {
    this.#heldBytes -= bytes
    assert(this.#heldBytes >= 0, 'a buffer was given back twice')
  }

  /** Lets go of what nobody uses. */
  clear(): void {
    this.#idle.clear()
    this.#idleBytes = 0
  }

  #notePeak(): void {
    if (this.#heldBytes > this.#peakBytes) this.#peakBytes = this.#heldBytes
    if (++this.#loans < PEAK_LOANS) return
    this.#loans = 0
    this.#peakBytes = Math.max(KEPT_BYTES, this.#heldBytes, Math.floor(this.#peakBytes * 0.75))
    this.#shrink()
  }

  /** Sizes change from batch to batch, so somewhat more is kept than was ever lent at once. */
  #keptBytes(): number {
    return Math.min(this.#limitBytes, KEPT_BYTES + this.#peakBytes * 1.5)
  }

  /** Lets idle buffers go, the largest first, until no more is there than is to be kept. */
  #shrink(): void {
    const keptBytes = this.#keptBytes()
    if (this.#heldBytes + this.#idleBytes <= keptBytes) return
    const sizes = [...this.#idle.keys()].sort((a, b) => b - a)
    for (const capacity of sizes) {
      const stack = this.#idle.get(capacity) as Buffer[]
      while (stack.length > 0 && this.#heldBytes + this.#idleBytes > keptBytes) {
        stack.pop()
        this.#idleBytes -= capacity
      }
    }
  }
}

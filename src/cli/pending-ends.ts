/** How far each partition still has to be read until the end that it had at the start. */
import { systemClock, type Timer } from '../util/clock.ts'

export interface Pending {
  readonly partition: number
  /** The next offset to read. */
  readonly position: number
  /** The first offset that need not be read. */
  readonly end: number
}

const LOOK_EVERY_MS = 250

export class PendingEnds {
  readonly #ends = new Map<number, number>()
  #onOver: (() => void) | undefined

  constructor(pending: readonly Pending[]) {
    for (const { partition, position, end } of pending) if (position < end) this.#ends.set(partition, end)
  }

  get isOver(): boolean {
    return this.#ends.size === 0
  }

  /** A partition was read up to, and without, this offset. */
  reached(partition: number, offset: number): void {
    const end = this.#ends.get(partition)
    if (end === undefined || offset < end) return
    this.#ends.delete(partition)
    if (this.isOver) this.#onOver?.()
  }

  /** Calls `onOver` when nothing is pending. `caughtUp` is asked now and then which of the pending are done. */
  watch(
    onOver: () => void,
    caughtUp: (pending: readonly number[]) => Promise<readonly number[]>,
  ): () => void {
    this.#onOver = onOver
    let timer: Timer | undefined
    let stopped = false
    const look = async () => {
      // A broker that does not answer now is asked again.
      const done = await caughtUp([...this.#ends.keys()]).catch(() => [])
      for (const partition of done) this.reached(partition, Number.POSITIVE_INFINITY)
      if (!stopped && !this.isOver) timer = systemClock.setTimeout(() => void look(), LOOK_EVERY_MS)
    }
    timer = systemClock.setTimeout(() => void look(), LOOK_EVERY_MS)
    return () => {
      stopped = true
      systemClock.clearTimeout(timer)
    }
  }
}

/**
 * The topics that this client has created in the last seconds. One broker knows of a new topic before another one does: that
 * a broker does not know such a topic means that it lags behind, and it is asked again.
 */
import type { Clock } from '../util/clock.ts'

/** Longer than a broker that is well lags behind its controller. */
const RECENT_MS = 10_000

export class RecentTopics {
  readonly #clock: Clock
  /** By name, in the order of their making: monotonic time until which they are recent. */
  readonly #until = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(name: string): void {
    this.#forgetOld()
    this.#until.delete(name)
    this.#until.set(name, this.#clock.monotonic() + RECENT_MS)
  }

  /** It was deleted: not to be found is what it should be from now on. */
  delete(name: string): void {
    this.#until.delete(name)
  }

  has(name: string): boolean {
    return (this.#until.get(name) ?? Number.NEGATIVE_INFINITY) > this.#clock.monotonic()
  }

  #forgetOld(): void {
    const now = this.#clock.monotonic()
    for (const [name, until] of this.#until) {
      if (until > now) return
      this.#until.delete(name)
    }
  }
}

/**
 * Calls of the user's that come one at a time, in the order in which they were asked for. Who has no time does not wait
 * for one that takes too long: then all that were asked for before begin, too, so the order holds even so.
 */
import type { Clock, Timer } from '../util/clock.ts'
import { deferred } from '../util/deferred.ts'

export class CallQueue {
  readonly #clock: Clock
  readonly #waiting: (() => void)[] = []
  readonly #running = new Set<Promise<void>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `call` must not reject; it begins within `patienceMs`. Resolves when it has ended. */
  add(call: () => Promise<void>, patienceMs: number): Promise<void> {
    const { promise, resolve } = deferred<void>()
    let timer: Timer | undefined
    const begin = () => {
      if (timer !== undefined) this.#clock.clearTimeout(timer)
      const running = call().then(() => {
        this.#running.delete(running)
        resolve()
        if (this.#running.size === 0) this.#next()
      })
      this.#running.add(running)
    }
    this.#waiting.push(begin)
    if (this.#running.size === 0) this.#next()
    else if (patienceMs <= 0) this.hurry()
    else timer = this.#clock.setTimeout(() => this.#hurryTo(begin), patienceMs)
    return promise
  }

  /** Resolves when all that run have ended, and those that wait for them. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  /** Whatever waits begins; what runs is not waited for any longer. */
  hurry(): void {
    this.#running.clear()
    while (this.#waiting.length > 0) this.#next()
  }

  #hurryTo(begin: () => void): void {
    this.#running.clear()
    while (this.#waiting.includes(begin)) this.#next()
  }

  #next(): void {
    this.#waiting.shift()?.()
  }
}

/**
 * Handlers whose promises are settled already run one after the other without the event loop ever turning: no
 * heartbeat would leave, no socket would be read. So a loop over records asks here whether its turn has lasted long
 * enough, and goes on in the next one.
 */
import type { Clock } from '../util/clock.ts'

/** Long enough to be cheap, short enough for heartbeats, sockets and everything else in the process. */
const TURN_MS = 5
/** The clock is read for every so many questions, at most: fewer where the answer turns out to come too late. */
const MOST_QUESTIONS = 16

export class Turns {
  readonly #clock: Clock
  #startedAt: number
  #asked = 0
  #askAfter = 1
  #next: Promise<void> | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#startedAt = clock.monotonic()
  }

  /** Says that the loop has just turned. */
  begin(): void {
    this.#startedAt = this.#clock.monotonic()
  }

  /** Whether to go on in the next turn. For loops over something cheap. */
  isOver(): boolean {
    if (++this.#asked < this.#askAfter) return false
    this.#asked = 0
    const elapsedMs = this.#clock.monotonic() - this.#startedAt
    if (elapsedMs >= 2 * TURN_MS) this.#askAfter = Math.max(1, this.#askAfter >> 1)
    else if (elapsedMs < TURN_MS) this.#askAfter = Math.min(MOST_QUESTIONS, this.#askAfter * 2)
    return elapsedMs >= TURN_MS
  }

  /** As `isOver`, exactly. For loops over something that takes its time. */
  isOverNow(): boolean {
    return this.#clock.monotonic() - this.#startedAt >= TURN_MS
  }

  /** Resolves in the next turn of the loop; one promise for all that wait. */
  next(): Promise<void> {
    this.#next ??= new Promise((resolve) => {
      this.#clock.defer(() => {
        this.#next = undefined
        this.begin()
        resolve()
      })
    })
    return this.#next
  }
}

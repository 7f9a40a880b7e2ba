/**
 * A clock that stands still until it is told to go: with the in-memory transport and a seeded Random, a run is the
 * same every time.
 *
 * Timers fire in the order of their time, then of their making. Between two moments everything that the loop has
 * to do is done: promises, deferred callbacks and in-memory streams. Real sockets, files and worker threads are
 * not under its rule; a simulation must not use them.
 */
import { OttlaError } from '../errors.ts'
import type { Clock, Timer } from './clock.ts'

interface Pending {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

/** Turns of the loop given to the program before time moves on. A fixed number keeps runs repeatable. */
const TURNS = 12

/** A clock that stands still until `advance`, `until` or `during` moves it. */
export class VirtualClock implements Clock {
  #now: number
  readonly #turns: number
  #elapsed = 0
  #order = 0
  #timers = new Set<Pending>()

  /**
   * `startMs`: what `now` begins with; `monotonic` begins with 0. `turns`: how many turns of the event loop the program gets
   * before time moves on; what goes through more between two moments needs more.
   */
  constructor(startMs = 1_700_000_000_000, turns: number = TURNS) {
    this.#now = startMs
    this.#turns = turns
  }

  now(): number {
    return Math.floor(this.#now)
  }

  monotonic(): number {
    return this.#elapsed
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer = { at: this.#elapsed + Math.max(0, delayMs), order: this.#order++, callback }
    this.#timers.add(timer)
    return timer
  }

  clearTimeout(timer: Timer): void {
    this.#timers.delete(timer as Pending)
  }

  defer(callback: () => void): void {
    setImmediate(callback)
  }

  /** Sets the wall clock ahead or back without any time passing: what a correction by NTP does. */
  jump(byMs: number): void {
    this.#now += byMs
  }

  /** Lets `ms` pass, firing what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const target = this.#elapsed + ms
    await this.#settle()
    for (let next = this.#next(); next !== undefined && next.at <= target; next = this.#next()) {
      this.#fire(next)
      await this.#settle()
    }
    this.#moveTo(target)
  }

  /**
   * Lets time pass until the condition holds.
   * @throws TIMEOUT when `limitMs` of this clock pass without it (default 600,000), or no timer is left to wait for
   */
  async until(condition: () => boolean, limitMs = 600_000): Promise<void> {
    const limit = this.#elapsed + limitMs
    for (;;) {
      await this.#settle()
      if (condition()) return
      const next = this.#next()
      if (next === undefined) throw never('the condition never came true: no timer is pending')
      if (next.at > limit) throw never(`the condition did not come true within ${limitMs} ms of virtual time`)
      this.#fire(next)
    }
  }

  /** Lets time pass until the promise settles, and gives its result. @throws TIMEOUT, as `until` */
  async during<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    let settled = false
    const done = () => {
      settled = true
    }
    promise.then(done, done)
    await this.until(() => settled, limitMs)
    return promise
  }

  #next(): Pending | undefined {
    let first: Pending | undefined
    for (const timer of this.#timers) {
      if (
        first === undefined ||
        timer.at < first.at ||
        (timer.at === first.at && timer.order < first.order)
      ) {
        first = timer
      }
    }
    return first
  }

  #fire(timer: Pending): void {
    this.#timers.delete(timer)
    this.#moveTo(timer.at)
    timer.callback()
  }

  #moveTo(elapsed: number): void {
    this.#now += Math.max(0, elapsed - this.#elapsed)
    this.#elapsed = Math.max(this.#elapsed, elapsed)
  }

  async #settle(): Promise<void> {
    for (let turn = 0; turn < this.#turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
  }
}

const never = (message: string) => new OttlaError('TIMEOUT', message)

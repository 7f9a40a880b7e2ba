/**
 * Time as a port. Everything that waits or stamps takes a Clock, so that a test can stand still or leap.
 *
 * `now` is the wall clock (timestamps of records); `monotonic` never jumps (deadlines, linger, back-off).
 */

import { type Check, is } from './options.ts'

/** A handle that `clearTimeout` takes. Opaque: each clock has its own kind. */
export type Timer = unknown

export interface Clock {
  /** Wall clock, milliseconds since 1970; a fraction is cut off. May jump. */
  now(): number
  /** Milliseconds since an arbitrary start. Never jumps back. */
  monotonic(): number
  setTimeout(callback: () => void, delayMs: number): Timer
  clearTimeout(timer: Timer): void
  /** Runs the callback at the end of this turn of the event loop, in the order of the calls. */
  defer(callback: () => void): void
}

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
  defer: (callback) => void setImmediate(callback),
}

const isClock = is.having<Clock>('now', 'monotonic', 'setTimeout', 'clearTimeout', 'defer')

/** For the option: a record's timestamp is a whole number, and a clock that adds delays up has fractions. */
export const injectedClock: Check<Clock> = (value, fail) => {
  const given = isClock(value, fail)
  return {
    now: () => Math.floor(given.now()),
    monotonic: () => given.monotonic(),
    setTimeout: (callback, delayMs) => given.setTimeout(callback, delayMs),
    clearTimeout: (timer) => given.clearTimeout(timer),
    defer: (callback) => given.defer(callback),
  }
}

/** Resolves after the delay, or rejects with the signal's reason. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      clock.clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = clock.setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, delayMs)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

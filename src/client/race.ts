/** The first of several ways that works out, each tried when the one before has failed or keeps waiting. */
import type { Clock, Timer } from '../util/clock.ts'

export interface Race<T> {
  readonly clock: Clock
  /** How long an attempt has before the next one starts beside it. */
  readonly staggerMs: number
  /** Takes what an attempt comes up with after another one has won. */
  readonly onLate: (value: T) => void
}

/** Resolves with the first that succeeds; undefined when all failed, whose errors `onFailure` is told. */
export function race<T>(
  attempts: readonly (() => Promise<T>)[],
  { clock, staggerMs, onLate }: Race<T>,
  onFailure: (error: unknown) => void,
): Promise<T | undefined> {
  return new Promise((resolve) => {
    let started = 0
    let failed = 0
    let isWon = false
    let timer: Timer | undefined
    const startNext = () => {
      if (timer !== undefined) clock.clearTimeout(timer)
      timer = undefined
      const attempt = attempts[started]
      if (isWon || attempt === undefined) return
      started++
      if (started < attempts.length) timer = clock.setTimeout(startNext, staggerMs)
      attempt().then(won, lost)
    }
    const won = (value: T) => {
      if (isWon) return onLate(value)
      isWon = true
      if (timer !== undefined) clock.clearTimeout(timer)
      resolve(value)
    }
    const lost = (error: unknown) => {
      onFailure(error)
      failed++
      if (failed === attempts.length) resolve(undefined)
      else startNext()
    }
    if (attempts.length === 0) resolve(undefined)
    else startNext()
  })
}

/** Waiting for something, but not longer than this. */
import type { Clock } from '../util/clock.ts'

/** Whether the promise settles, either way, before the time is over. Leaves no timer behind. */
export function settledWithin(promise: Promise<unknown>, clock: Clock, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.setTimeout(() => resolve(false), Math.max(0, Math.min(timeoutMs, 0x7fff_ffff)))
    const settled = () => {
      clock.clearTimeout(timer)
      resolve(true)
    }
    promise.then(settled, settled)
  })
}

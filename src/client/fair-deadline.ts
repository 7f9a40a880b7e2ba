/** A time limit that does not count what the process, not the other side, was late with. */
import type { Clock, Timer } from '../util/clock.ts'

/**
 * Calls `onOver` after `delayMs`, unless the returned function is called before.
 *
 * After a pause of the whole process the timer comes before what has arrived meanwhile: the limit is judged a turn of
 * the loop later. A timer that came late gives the same time again, once, to what takes several turns (a handshake).
 */
export function fairDeadline(clock: Clock, delayMs: number, onOver: () => void): () => void {
  const dueAt = clock.monotonic() + delayMs
  let isCleared = false
  let timer: Timer
  const judge = () =>
    clock.defer(() => {
      if (!isCleared) onOver()
    })
  timer = clock.setTimeout(() => {
    const lateMs = clock.monotonic() - dueAt
    if (lateMs > 0) timer = clock.setTimeout(judge, lateMs)
    else judge()
  }, delayMs)
  return () => {
    isCleared = true
    clock.clearTimeout(timer)
  }
}

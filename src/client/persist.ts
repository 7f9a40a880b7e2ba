/** Trying again with growing delays, until it succeeds, fails for good, or the time is over. */
import { OttlaError } from '../errors.ts'
import { backoffMs } from '../util/backoff.ts'
import { type Clock, sleep } from '../util/clock.ts'
import type { Random } from '../util/random.ts'
import { aborted, anySignal, untilAborted } from './cancellation.ts'

export interface Persistence {
  /** What is tried, for messages: `metadata of topic orders`. */
  readonly doing: string
  readonly timeoutMs: number
  /** The caller's. */
  readonly signal: AbortSignal | undefined
  /** Fires when the cluster stops; its reason is what the call rejects with. */
  readonly stopping: AbortSignal
  readonly options: {
    readonly clock: Clock
    readonly random: Random
    readonly minBackoffMs: number
    readonly maxBackoffMs: number
  }
}

/** Only errors marked `retriable` are tried again. Rejects with the last one when the time is over. */
export async function persist<T>(how: Persistence, attempt: (count: number) => Promise<T>): Promise<T> {
  const { clock, random, minBackoffMs: minMs, maxBackoffMs: maxMs } = how.options
  const deadline = clock.monotonic() + how.timeoutMs
  const timeout = new AbortController()
  const timer = clock.setTimeout(() => timeout.abort(), how.timeoutMs)
  const given = how.signal === undefined ? [] : [how.signal]
  const signal = anySignal([timeout.signal, how.stopping, ...given])
  let last: unknown
  try {
    for (let count = 0; ; count++) {
      checkSignals(how)
      try {
        return await untilAborted(attempt(count), signal, () => last ?? timedOut(how))
      } catch (error) {
        checkSignals(how)
        if (!(error instanceof OttlaError) || !error.retriable) throw error
        last = error
      }
      const delayMs = backoffMs(count, { minMs, maxMs }, random)
      if (timeout.signal.aborted || clock.monotonic() + delayMs >= deadline) throw last
      // Cut short by a signal: the next turn of the loop says which.
      await sleep(clock, delayMs, signal).catch(() => undefined)
    }
  } finally {
    clock.clearTimeout(timer)
  }
}

function checkSignals({ doing, signal, stopping }: Persistence): void {
  if (signal?.aborted) throw aborted(doing, signal)
  if (stopping.aborted) throw stopping.reason
}

const timedOut = ({ doing, timeoutMs }: Persistence) =>
  new OttlaError('TIMEOUT', `${doing}: no answer within ${timeoutMs} ms`, { retriable: true })

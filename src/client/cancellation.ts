/** Waiting that a signal ends. The work waited for goes on; only the waiting stops. */
import { OttlaError } from '../errors.ts'

/** What a call rejects with when the caller's signal fires. */
export const aborted = (doing: string, signal: AbortSignal): OttlaError =>
  new OttlaError('ABORTED', `${doing} was given up because its signal fired`, { cause: signal.reason })

/** Settles with the promise, or rejects with `reason()` when the signal fires first. */
export function untilAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  reason: (signal: AbortSignal) => unknown,
): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(reason(signal))
    const settled = () => signal.removeEventListener('abort', onAbort)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(settled)
    if (signal.aborted) onAbort()
  })
}

/**
 * Fires with the first of them. `AbortSignal.any` refuses signals of another realm or of a polyfill (jsdom makes its own), which
 * are signals all the same.
 */
export const anySignal = (signals: readonly AbortSignal[]): AbortSignal => AbortSignal.any(signals.map(ours))

/** One for each foreign signal: one that lives for long, and is given to many calls, is listened to once. */
const followers = new WeakMap<AbortSignal, AbortController>()

const isOurs = (signal: object): boolean => signal instanceof AbortSignal

function ours(signal: AbortSignal): AbortSignal {
  if (isOurs(signal)) return signal
  const follower = followers.get(signal) ?? follow(signal)
  if (signal.aborted) follower.abort(signal.reason)
  return follower.signal
}

function follow(signal: AbortSignal): AbortController {
  const follower = new AbortController()
  followers.set(signal, follower)
  signal.addEventListener('abort', () => follower.abort(signal.reason), { once: true })
  return follower
}

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

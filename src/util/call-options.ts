/** The options of calls, checked as those of constructors are. Where none are given nothing is done. */
import { is, type OptionTable, resolveOptions } from './options.ts'

const timeout = {
  timeoutMs: {
    check: is.optional(is.milliseconds()),
    default: undefined,
    otherNames: ['timeout', 'deadline', 'timeout.ms'],
  },
} as const satisfies OptionTable

const interruption = {
  signal: { check: is.optional(is.signal), default: undefined, otherNames: ['abortSignal', 'abort'] },
} as const satisfies OptionTable

/** The longest that a timer takes. */
const LONGEST_MS = 0x7fff_ffff

/**
 * A stop is never refused, because what is held would be lost with the process: what is wrong with its options is told
 * when it is over, and meanwhile the default holds. A time that is over already, or without end, is cut to what a timer
 * takes. `call` names it in messages: `producer.stop`.
 */
export function stopping<T>(
  call: string,
  given: unknown,
  stop: (timeoutMs: number | undefined) => Promise<T>,
): Promise<T> {
  let timeoutMs: number | undefined
  try {
    timeoutMs = given === undefined ? undefined : resolveOptions(call, timeout, clamped(given)).timeoutMs
  } catch (error) {
    return stop(undefined).then(() => {
      throw error
    })
  }
  return stop(timeoutMs)
}

function clamped(given: unknown): unknown {
  const timeoutMs = (given as { readonly timeoutMs?: unknown } | null)?.timeoutMs
  if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs)) return given
  return { ...(given as object), timeoutMs: Math.min(Math.max(0, timeoutMs), LONGEST_MS) }
}

/** @throws INVALID_OPTION */
export const signalOf = (call: string, given: unknown): AbortSignal | undefined =>
  given === undefined ? undefined : resolveOptions(call, interruption, given).signal

/** What every call that waits takes. */
export const waiting = { ...timeout, ...interruption } as const satisfies OptionTable

/** @throws INVALID_OPTION */
export const waitingOf = (
  call: string,
  given: unknown,
): { readonly timeoutMs?: number | undefined; readonly signal?: AbortSignal | undefined } =>
  given === undefined ? NONE : resolveOptions(call, waiting, given)

const NONE = Object.freeze({})

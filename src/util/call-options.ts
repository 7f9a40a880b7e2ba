/** The options of calls, checked as those of constructors are. Where none are given nothing is done. */
import { type Check, is, type OptionTable, resolveOptions } from './options.ts'

/** Whatever is made by an AbortController, of this realm or another, or behaves as if. */
const signal: Check<AbortSignal> = (value, fail) => {
  const given = value as Partial<AbortSignal> | null
  const isSignal = typeof given?.aborted === 'boolean' && typeof given.addEventListener === 'function'
  return isSignal ? (value as AbortSignal) : fail('an AbortSignal')
}

const timeout = {
  timeoutMs: {
    check: is.optional(is.milliseconds()),
    default: undefined,
    otherNames: ['timeout', 'deadline', 'timeout.ms'],
  },
} as const satisfies OptionTable

const interruption = {
  signal: { check: is.optional(signal), default: undefined, otherNames: ['abortSignal', 'abort'] },
} as const satisfies OptionTable

/** `call` names it in messages: `producer.stop`. @throws INVALID_OPTION */
export const timeoutOf = (call: string, given: unknown): number | undefined =>
  given === undefined ? undefined : resolveOptions(call, timeout, given).timeoutMs

/** @throws INVALID_OPTION */
export const signalOf = (call: string, given: unknown): AbortSignal | undefined =>
  given === undefined ? undefined : resolveOptions(call, interruption, given).signal

const waiting = { ...timeout, ...interruption }

/** @throws INVALID_OPTION */
export const waitingOf = (
  call: string,
  given: unknown,
): { readonly timeoutMs?: number | undefined; readonly signal?: AbortSignal | undefined } =>
  given === undefined ? NONE : resolveOptions(call, waiting, given)

const NONE = Object.freeze({})

/**
 * Options are resolved once, at construction: unknown keys are refused with the nearest known name, every value
 * is checked, defaults are filled in and the result is a frozen copy. The caller's object is never touched.
 */
import { OttlaError } from '../errors.ts'

/**
 * Says what would have been right; `wrong` is the part of the value that is not, when that is not all of it, and `place` where
 * it is in a list: `[2]`.
 */
export type Fail = (expected: string, wrong?: unknown, place?: string) => never

/** Checks one value. Returns what to keep, or throws through `fail`. */
export type Check<T> = (value: unknown, fail: Fail) => T

export interface Option<T> {
  readonly check: Check<T>
  /** Taken when the option is absent or undefined. An option without a default is required. */
  readonly default?: T
  /** What other clients call it: for the advice that goes with an unknown name. */
  readonly otherNames?: readonly string[]
}

export type OptionTable = { readonly [name: string]: Option<unknown> }

export type Resolved<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends { readonly check: Check<infer V> } ? V : never
}

/** Resolves `given` against `table`; `owner` names the object in messages: `producer`, `kafka.tls`. */
export function resolveOptions<const T extends OptionTable>(
  owner: string,
  table: T,
  given: unknown,
): Resolved<T> {
  if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given))) {
    throw new OttlaError(
      'INVALID_OPTION',
      `${owner}: the options must be an object, not ${show(owner, given)}`,
      {
        path: owner,
      },
    )
  }
  const source = (given ?? {}) as Record<string, unknown>
  for (const name of Object.keys(source)) {
    if (!Object.hasOwn(table, name)) throw unknownOption(owner, name, table)
  }
  const resolved: Record<string, unknown> = {}
  for (const [name, option] of Object.entries(table)) {
    const value = source[name]
    if (value === undefined) {
      if (!('default' in option)) throw missing({ owner, name }, option)
      resolved[name] = option.default
    } else {
      resolved[name] = option.check(value, (expected, ...part) => {
        const [wrong, place = ''] = part.length === 0 ? [value] : part
        throw wrongOption({ owner, name: `${name}${place}` }, expected, wrong)
      })
    }
  }
  return Object.freeze(resolved) as Resolved<T>
}

interface OptionName {
  readonly owner: string
  readonly name: string
}

/** An option that is wrong by itself, or beside another one. */
export const wrongOption = ({ owner, name }: OptionName, expected: string, value: unknown): OttlaError =>
  new OttlaError('INVALID_OPTION', `${owner}: option ${name} must be ${expected}, not ${show(name, value)}`, {
    path: `${owner}.${name}`,
  })

function missing({ owner, name }: OptionName, { check }: Option<unknown>): OttlaError {
  const message = `${owner}: option ${name} is required`
  const path = `${owner}.${name}`
  try {
    check(undefined, (expected) => {
      throw new OttlaError('INVALID_OPTION', `${message}: give ${expected}`, { path })
    })
  } catch (error) {
    if (error instanceof OttlaError) return error
    throw error
  }
  return new OttlaError('INVALID_OPTION', message, { path })
}

function unknownOption(owner: string, name: string, table: OptionTable): OttlaError {
  const known = Object.keys(table)
  const near = known.find((each) => table[each]?.otherNames?.includes(name)) ?? nearest(name, known)
  const advice = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`
  return new OttlaError('INVALID_OPTION', `${owner}: unknown option ${name}; ${advice}`, {
    path: `${owner}.${name}`,
  })
}

/** A value for a message. Secrets never appear: only the type is told for names that may hold one. */
function show(name: string, value: unknown): string {
  if (/password|secret|token|key|cert|^ca\b|sasl|tls/i.test(name) || typeof value === 'function')
    return typeof value === 'object' ? 'an object' : `a ${typeof value}`
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? (value.length === 0 ? 'an empty list' : 'a list') : 'an object'
  return String(value)
}

/** The known name within an edit distance of a third of its length, if any. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best !== undefined && bestDistance <= Math.max(2, Math.floor(best.length / 3)) ? best : undefined
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      current.push(Math.min(substituted, (previous[j] as number) + 1, (current[j - 1] as number) + 1))
    }
    previous = current
  }
  return previous[b.length] as number
}

/** A moment: for messages. */
export const MILLISECONDS = 'whole milliseconds since 1970 (of a Date: .getTime())'

/** Advice for a name that is nearly one of these. */
function meant(value: unknown, choices: readonly unknown[]): string {
  const names = choices.filter((choice) => typeof choice === 'string')
  const near = typeof value === 'string' ? nearest(value, names) : undefined
  return near === undefined ? '' : ` (did you mean ${JSON.stringify(near)}?)`
}

/** Checks that most options share. */
export const is = {
  boolean: ((value, fail) => (typeof value === 'boolean' ? value : fail('true or false'))) as Check<boolean>,
  string: ((value, fail) =>
    typeof value === 'string' && value !== '' ? value : fail('a string that is not empty')) as Check<string>,
  /** A whole number in [least, most]. */
  integer:
    (least: number, most: number): Check<number> =>
    (value, fail) =>
      Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
        ? (value as number)
        : fail(`a whole number from ${least} to ${most}`),
  /** Milliseconds: a number from 0 (or `least`) to 2^31 - 1, what a timer can wait. */
  milliseconds:
    (least = 0): Check<number> =>
    (value, fail) =>
      typeof value === 'number' && value >= least && value <= 0x7fff_ffff
        ? value
        : fail(`milliseconds from ${least} to 2147483647`),
  oneOf:
    <const T extends readonly (string | number | null)[]>(...choices: T): Check<T[number]> =>
    (value, fail) =>
      choices.includes(value as T[number])
        ? (value as T[number])
        : fail(`${choices.map((choice) => JSON.stringify(choice)).join(' or ')}${meant(value, choices)}`),
  function: <T>() =>
    ((value, fail) => (typeof value === 'function' ? (value as T) : fail('a function'))) as Check<T>,
  object: <T>() =>
    ((value, fail) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? (value as T)
        : fail('an object')) as Check<T>,
  /** Whatever is made by an AbortController, of this realm or another, or behaves as if. */
  signal: ((value, fail) => {
    const given = value as Partial<AbortSignal> | null
    const isSignal =
      typeof given?.aborted === 'boolean' &&
      typeof given.addEventListener === 'function' &&
      typeof given.removeEventListener === 'function'
    return isSignal ? given : fail('an AbortSignal')
  }) as Check<AbortSignal>,
  /** What is injected: an object with these functions, also inherited ones. */
  having:
    <T>(...names: readonly (keyof T & string)[]): Check<T> =>
    (value, fail) => {
      if (typeof value !== 'object' || value === null) return fail(`an object with ${names.join(', ')}`)
      for (const name of names) {
        const one = (value as T)[name]
        if (typeof one !== 'function') fail('a function', one, `.${name}`)
      }
      return value as T
    },
  list:
    <T>(inner: Check<T>, items: string): Check<readonly T[]> =>
    (value, fail) =>
      Array.isArray(value)
        ? value.map((item, index) =>
            inner(item, (expected, wrong = item, place = '') => fail(expected, wrong, `[${index}]${place}`)),
          )
        : fail(`a list of ${items}`),
  /** Also takes what `inner` takes. */
  optional:
    <T>(inner: Check<T>): Check<T | undefined> =>
    (value, fail) =>
      value === undefined ? undefined : inner(value, fail),
}

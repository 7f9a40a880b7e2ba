/**
 * What a test gives to `faults.on`. A fault that is misspelt would happen to everything or do nothing, and the test
 * would pass without it.
 */
import { OttlaError } from '../errors.ts'
import { errorCode, errorName } from '../protocol/error-codes.ts'
import { apis } from '../protocol/messages/index.ts'
import { advice, checkArguments, wrongArgument } from '../util/arguments.ts'
import { type Check, is, nearest, type Option } from '../util/options.ts'

const optional = <T>(check: Check<T>): Option<T | undefined> => ({ check, default: undefined })

const matchTable = {
  api: optional<unknown>((value, fail) =>
    typeof value === 'string' || typeof value === 'number' ? value : fail('the name of an API, or its key'),
  ),
  node: optional(is.integer(1, 0x7fff_ffff)),
  topic: optional(is.string),
  partition: optional(is.integer(0, 0x7fff_ffff)),
  clientId: optional<unknown>((value, fail) => (typeof value === 'string' ? value : fail('a string'))),
  times: optional(is.integer(1, Number.MAX_SAFE_INTEGER)),
  where: optional(is.function()),
}

const anError: Check<unknown> = (value, fail) =>
  typeof value === 'string' || typeof value === 'number' ? value : fail("an error's name, or its number")

/** Each alone. */
const fields = {
  error: { check: anError },
  delayMs: { check: is.milliseconds() },
  delayResponseMs: { check: is.milliseconds() },
  throttleMs: { check: is.integer(0, 0x7fff_ffff) },
  truncateAt: { check: is.integer(0, 0x7fff_ffff) },
  flipByteAt: { check: is.integer(-0x8000_0000, 0x7fff_ffff) },
}
type Field = keyof typeof fields
const names = ['swallow', 'apply-then-swallow', 'close', 'reset', 'apply-then-drop']
const possible = `${names.map((name) => `'${name}'`).join(', ')} or one of ${Object.keys(fields)
  .map((name) => `{ ${name} }`)
  .join(', ')}`

/** @throws INVALID_ARGUMENT */
export function checkFault(match: unknown, action: unknown): void {
  checkArguments('match', matchTable, match)
  if (typeof action === 'string') {
    if (names.includes(action)) return
    const message = `action '${action}' is not known; ${advice(action, [...names, ...Object.keys(fields)])}`
    throw new OttlaError('INVALID_ARGUMENT', message, { path: 'action' })
  }
  if (typeof action !== 'object' || action === null || Array.isArray(action)) {
    throw wrongArgument('action', possible, action)
  }
  const given = Object.keys(action)
  const [name = ''] = given
  if (given.length !== 1) throw wrongArgument('action', possible, action)
  // All fields, so that the advice for an unknown one knows them; of those only the one that is there.
  const alone = Object.fromEntries(
    Object.entries(fields).map(([each, field]) => [
      each,
      each === name ? field : { ...field, default: undefined },
    ]),
  ) as Record<Field, Option<unknown>>
  checkArguments('action', alone, action)
}

/** The key of an API, by its name or key. */
export function keyOf(api: string | number): number {
  const found = apis.find(({ key, name }) => key === api || name === api)
  if (found !== undefined) return found.key
  const known = apis.map(({ name }) => name)
  throw new OttlaError('INVALID_ARGUMENT', `no API is called ${api}; ${advice(`${api}`, known)}`, {
    path: 'match.api',
  })
}

/** The number of an error, by its name or number. */
export function numberOf(error: number | string): number {
  const code = typeof error === 'number' ? error : (errorCode as { readonly [name: string]: number })[error]
  if (code !== undefined && errorName(code) !== undefined) return code
  const near = nearest(`${error}`, Object.keys(errorCode))
  const hint = near === undefined ? '' : `; did you mean ${near}?`
  throw new OttlaError('INVALID_ARGUMENT', `no error is called ${error}${hint}`, { path: 'action.error' })
}

/**
 * Objects that are given to a call, checked against a table as options are: a field that is misspelt would be as good as
 * none, and nobody would be told.
 */
import { OttlaError } from '../errors.ts'
import { nearest, type OptionTable } from './options.ts'

/**
 * `path` names the object in messages: `options`, `match`.
 * @throws INVALID_ARGUMENT for a field that is not known, with the nearest one, or is not what it must be
 */
export function checkArguments(path: string, table: OptionTable, given: unknown): void {
  const known = Object.keys(table)
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw wrongArgument(path, `{ ${known.join(', ')} }`, given)
  }
  for (const name of Object.keys(given))
    if (!Object.hasOwn(table, name)) throw unknownField(path, name, known)
  checkValues(path, table, given as Readonly<Record<string, unknown>>)
}

/** Only the fields of the table. @throws INVALID_ARGUMENT for one that is not what it must be */
export function checkValues(
  path: string,
  table: OptionTable,
  fields: Readonly<Record<string, unknown>>,
): void {
  for (const [name, option] of Object.entries(table)) {
    const value = fields[name]
    if (value === undefined && 'default' in option) continue
    option.check(value, (expected, ...found) => {
      const [part, place = ''] = found.length === 0 ? [value] : found
      throw wrongArgument(`${path}.${name}${place}`, expected, part)
    })
  }
}

function unknownField(path: string, name: string, known: readonly string[]): OttlaError {
  const message = `${path}.${name} is not known; ${advice(name, known)}`
  return new OttlaError('INVALID_ARGUMENT', message, { path: `${path}.${name}` })
}

/** What was meant, or what there is. */
export function advice(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`
}

export function wrongArgument(path: string, expected: string, value: unknown): OttlaError {
  const shown = value === undefined ? 'it is missing' : `not ${textOf(value)}`
  return new OttlaError('INVALID_ARGUMENT', `${path} must be ${expected}, ${shown}`, { path })
}

function textOf(value: unknown): string {
  // JSON has no NaN, and refuses these.
  if (typeof value === 'number' || typeof value === 'bigint') return `${value}`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)?.slice(0, 60) ?? typeof value
  try {
    return JSON.stringify(value).slice(0, 60)
  } catch {
    return 'an object'
  }
}

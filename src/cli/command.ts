/**
 * Commander with types inferred from the flags: the runtime is commander's, the types are those of
 * @commander-js/extra-typings, which is not needed at run time.
 */
import type * as Typed from '@commander-js/extra-typings'
import { InvalidArgumentError, Command as PlainCommand, Option as PlainOption } from 'commander'

/** A command without flags yet; what is added to it shows up in the type of its action. */
export const command = (name: string): Typed.Command =>
  // Only this class changes its type: both describe the same object.
  new PlainCommand(name) as unknown as Typed.Command

export const option = <const Flags extends string>(flags: Flags, description: string): Typed.Option<Flags> =>
  new PlainOption(flags, description) as unknown as Typed.Option<Flags>

/** For a flag's parser: a whole number in [least, most]. */
export const integer =
  (least: number, most = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least || value > most) {
      const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`
      throw new InvalidArgumentError(`It must be a whole number ${range}.`)
    }
    return value
  }

/** For a flag's parser: `a,b,c`. Nothing is an empty list. */
export function list(text: string): string[] {
  if (text.trim() === '') return []
  const items = text.split(',').map((item) => item.trim())
  if (items.includes('')) throw new InvalidArgumentError('It must be a list, separated by commas.')
  return items
}

/** For a flag's parser, to be given several times: `name=value`. */
export function pair(
  text: string,
  previous: Readonly<Record<string, string>> | undefined,
): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('It must look like name=value.')
  return { ...previous, [text.slice(0, at)]: text.slice(at + 1) }
}

/** For a flag's parser: `host:port`, with [brackets] around an IPv6 address. */
export function hostPort(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) throw new InvalidArgumentError('It must look like host:port.')
  return { host: (match[1] ?? match[2]) as string, port }
}

/** The fields that are there: an option that is not given must not be given as undefined. */
export const present = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }

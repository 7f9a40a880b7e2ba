/** Stops on a broken invariant: a bug in Ottla, never a user's mistake. */
import { OttlaError } from '../errors.ts'

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new OttlaError('ASSERTION_FAILED', `${message} (a bug in Ottla; please report it)`)
}

/** Marks a branch that the types rule out. */
export function unreachable(value: never): never {
  throw new OttlaError(
    'ASSERTION_FAILED',
    `unexpected value ${String(value)} (a bug in Ottla; please report it)`,
  )
}

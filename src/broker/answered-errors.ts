/**
 * The errors in an answer, wherever its API puts them: for the whole, by topic, partition, group, member or resource.
 * They are looked for by the response's own table, so that no place is forgotten.
 */
import type { Api, Fields, WireType } from '../protocol/schema.ts'

/** An answer, as a test sees it that holds handlers to the errors that they declare. */
export interface ObservedAnswer {
  readonly api: Api
  readonly version: number
  /** The errors in it, but for those that a fault may have put there. */
  readonly errors: ReadonlySet<number>
}

/** Called with every answer before it is encoded. */
export type AnswerObserver = (answer: ObservedAnswer) => void

type Body = Readonly<Record<string, unknown>>

/** Every error code in the answer that its version carries, NONE left out. */
export function errorsIn(api: Api, version: number, answer: Body): Set<number> {
  const found = new Set<number>()
  const walk = (fields: Fields, body: Body) => {
    for (const [name, { type, since, until }] of Object.entries(fields)) {
      if (version < since || version > until) continue
      if (name === 'errorCode') found.add((body[name] ?? 0) as number)
      else walkValue(type, body[name])
    }
  }
  const walkValue = (type: WireType, value: unknown) => {
    if (type.kind === 'struct' && value != null) walk(type.fields, value as Body)
    if (type.kind !== 'array' || type.element.kind !== 'struct') return
    for (const one of (value ?? []) as readonly unknown[]) walkValue(type.element, one)
  }
  walk(api.response, answer)
  found.delete(0)
  return found
}

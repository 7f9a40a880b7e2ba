/**
 * Faults that a test puts on requests: matched by API, node, topic, partition, client, a count and a predicate; what
 * they do goes from an error in the answer to a connection that is reset in the middle of it.
 *
 * Faults are tried in the order of their making. At most one that is not an error happens to a request.
 */
import type { Api } from '../protocol/schema.ts'
import { checkFault, keyOf, numberOf } from './fault-arguments.ts'

/** Which requests a fault happens to. What is left out matches everything. */
export interface FaultMatch {
  /** Kafka's name, `Produce`, or its key. */
  readonly api?: string | number
  readonly node?: number
  /** Requests that name the topic; for a Fetch within a session, those whose session holds it. */
  readonly topic?: string
  readonly partition?: number
  readonly clientId?: string
  /** How many requests. Default: all. */
  readonly times?: number
  /** Asked last, with the decoded request. */
  readonly where?: (request: Readonly<Record<string, unknown>>, info: RequestInfo) => boolean
}

export interface RequestInfo {
  readonly api: string
  readonly version: number
  readonly node: number
  readonly clientId: string | null
}

/**
 * What happens.
 * - `{ error }`: answered with this error, by Kafka's name or number; per partition where the API answers per
 *   partition, and then only for the partitions that match. Nothing is applied.
 * - `{ delayMs }`: handled that much later; whatever comes behind it on the connection waits.
 * - `{ delayResponseMs }`: handled at once, answered later.
 * - `{ throttleMs }`: handled; the answer says that the client is throttled for that long (KIP-219).
 * - `swallow`: never handled and never answered; the connection stays open and silent, as with a broker that hangs.
 * - `apply-then-swallow`: handled, never answered.
 * - `close`, `reset`: the connection is closed, or reset, without handling.
 * - `apply-then-drop`: handled, and the connection closed instead of the answer.
 * - `{ truncateAt }`: handled; so many bytes of the answer are sent, then the connection is closed.
 * - `{ flipByteAt }`: handled; the answer is sent with all bits of this byte turned, counted from its length field;
 *   negative counts from its end.
 */
export type FaultAction =
  | { readonly error: number | string }
  | { readonly delayMs: number }
  | { readonly delayResponseMs: number }
  | { readonly throttleMs: number }
  | { readonly truncateAt: number }
  | { readonly flipByteAt: number }
  | 'swallow'
  | 'apply-then-swallow'
  | 'close'
  | 'reset'
  | 'apply-then-drop'

/** A fault in force. */
export interface Fault {
  /** Requests that it has happened to. */
  readonly hits: number
  /** Takes it out of force. */
  remove(): void
}

/** A request as the faults see it. */
export interface Intercepted {
  readonly api: Api
  readonly info: RequestInfo
  readonly request: Readonly<Record<string, unknown>>
  /** The partitions that the request is about; asked only when a fault names a topic. */
  readonly targets: () => readonly Target[]
}

export interface Target {
  readonly topic: string
  /** -1: the topic as a whole. */
  readonly partition: number
}

class ActiveFault implements Fault {
  readonly match: FaultMatch
  readonly action: FaultAction
  readonly apiKey: number | undefined
  /** The number of the error that it answers, or undefined when it does something else. */
  readonly error: number | undefined
  hits = 0
  readonly #remove: (fault: ActiveFault) => void

  constructor(match: FaultMatch, action: FaultAction, remove: (fault: ActiveFault) => void) {
    this.match = match
    this.action = action
    this.apiKey = match.api === undefined ? undefined : keyOf(match.api)
    this.error = typeof action === 'object' && 'error' in action ? numberOf(action.error) : undefined
    this.#remove = remove
  }

  remove(): void {
    this.#remove(this)
  }

  /** Everything but topic and partition. */
  matches({ api, info, request }: Intercepted): boolean {
    const { node, clientId, where } = this.match
    if (this.apiKey !== undefined && this.apiKey !== api.key) return false
    if (node !== undefined && node !== info.node) return false
    if (clientId !== undefined && clientId !== info.clientId) return false
    return where === undefined || where(request, info)
  }

  concerns(topic: string, partition: number): boolean {
    const { match } = this
    if (match.topic !== undefined && match.topic !== topic) return false
    return match.partition === undefined || partition === -1 || match.partition === partition
  }

  concernsAny({ targets }: Intercepted): boolean {
    if (this.match.topic === undefined && this.match.partition === undefined) return true
    return targets().some(({ topic, partition }) => this.concerns(topic, partition))
  }

  hit(): void {
    this.hits++
    if (this.match.times !== undefined && this.hits >= this.match.times) this.remove()
  }
}

/** What a request has to go through. */
export interface Interception {
  /** Something other than an error, or undefined. */
  readonly action: Exclude<FaultAction, { readonly error: number | string }> | undefined
  /** The error of an API that does not answer per partition, 0 for none. */
  readonly error: number
  injectedError(topic: string, partition: number): number
  /** Every error that the answer may have from here. */
  readonly errors: readonly number[]
}

/** What a request without any fault goes through. */
export const noFaults: Interception = { action: undefined, error: 0, injectedError: () => 0, errors: [] }

export class Faults {
  readonly #active = new Set<ActiveFault>()

  /**
   * Puts a fault in force.
   * @throws INVALID_ARGUMENT for what is not known in the match or the action
   */
  on(match: FaultMatch, action: FaultAction): Fault {
    checkFault(match, action)
    const fault = new ActiveFault(match, action, (one) => this.#active.delete(one))
    this.#active.add(fault)
    return fault
  }

  clear(): void {
    this.#active.clear()
  }

  get isEmpty(): boolean {
    return this.#active.size === 0
  }

  /** `isPerPartition` says of an error whether the API answers it per partition. */
  intercept(incoming: Intercepted, isPerPartition: (error: number) => boolean): Interception {
    if (this.#active.size === 0) return noFaults
    const matching = [...this.#active].filter((fault) => fault.matches(incoming))
    if (matching.length === 0) return noFaults
    const asked = matching.filter(({ error }) => error !== undefined && isPerPartition(error))
    const first = matching.find((fault) => !asked.includes(fault) && fault.concernsAny(incoming))
    first?.hit()
    return {
      action: first?.error === undefined ? (first?.action as Interception['action']) : undefined,
      error: first?.error ?? 0,
      injectedError: asked.length === 0 ? noFaults.injectedError : perPartition(asked),
      errors: [first, ...asked].flatMap((fault) => fault?.error ?? []),
    }
  }
}

/** Each fault counts one hit for a request, however many of its partitions it concerns. */
function perPartition(errors: readonly ActiveFault[]): Interception['injectedError'] {
  const counted = new Set<ActiveFault>()
  return (topic, partition) => {
    const fault = errors.find((one) => one.concerns(topic, partition))
    if (fault === undefined) return 0
    if (!counted.has(fault)) {
      counted.add(fault)
      fault.hit()
    }
    return fault.error as number
  }
}

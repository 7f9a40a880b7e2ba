/**
 * An admin call for many things at once: each goes to the broker that can do it, and each has its own outcome.
 *
 *     items → grouped by node → one request per node → outcomes → what may pass by itself is asked again
 *
 * A lost answer (CONNECTION_CLOSED, REQUEST_TIMEOUT) is asked again only when doing it twice is as good as once.
 */
import { OttlaError } from '../../errors.ts'
import { backoffMs } from '../../util/backoff.ts'
import { sleep } from '../../util/clock.ts'
import { aborted, anySignal, untilAborted } from '../cancellation.ts'
import type { Cluster } from '../cluster.ts'
import type { Connection } from '../connection.ts'

export interface AdminCallOptions {
  /** How long the call may take, with everything that is tried again. Default `requestTimeoutMs`. */
  readonly timeoutMs?: number
  /** Ends the waiting with ABORTED; what was sent may still be done. */
  readonly signal?: AbortSignal
}

/** For calls that are several: each gets what is left of the time of the whole. */
export function shareOf(cluster: Cluster, options: AdminCallOptions): () => AdminCallOptions {
  const { clock, requestTimeoutMs } = cluster.options
  const deadline = clock.monotonic() + (options.timeoutMs ?? requestTimeoutMs)
  const signal = options.signal === undefined ? {} : { signal: options.signal }
  return () => ({ timeoutMs: Math.max(1, deadline - clock.monotonic()), ...signal })
}

export type Outcome<R> = { readonly value: R } | { readonly error: OttlaError }

export interface Asking {
  readonly connection: Connection
  /** What is left of the time. */
  readonly timeoutMs: number
}

export interface ItemCall<T, R> {
  /** Kafka's name of the API. */
  readonly doing: string
  readonly items: readonly T[]
  /** How an item is called in errors: `orders-3`. */
  readonly subject: (item: T) => string
  /** The node to ask, or -1 for any. `attempt` counts from 0: what was known may be wrong after the first. */
  readonly route: (item: T, attempt: number) => number | Promise<number>
  /** One outcome per item, in their order. */
  readonly ask: (asking: Asking, items: readonly T[]) => Promise<readonly Outcome<R>[]>
  readonly isIdempotent: boolean
  /** Errors that are told at once though they may pass by themselves. Default none. */
  readonly isFinal?: (error: OttlaError) => boolean
}

/** Several things were asked for and not all succeeded. */
export class PartialFailureError extends OttlaError {
  /** One per thing asked for, in order; `error` is undefined where it succeeded. */
  readonly results: readonly { readonly subject: string; readonly error: OttlaError | undefined }[]

  constructor(doing: string, results: PartialFailureError['results']) {
    const failed = results.filter(({ error }) => error !== undefined)
    const reasons = failed.slice(0, 3).map(({ subject, error }) => {
      const message = `${error?.message}`
      return message.includes(` of ${subject}`) ? message : `${subject}: ${message}`
    })
    const more = failed.length > 3 ? `; and ${failed.length - 3} more` : ''
    const message = `${doing}: ${failed.length} of ${results.length} failed: ${reasons.join('; ')}${more}`
    super('PARTIAL_FAILURE', message, { cause: failed[0]?.error })
    this.results = results
  }
}

/** A topic just created is not known everywhere at once; one that never was is not worth the whole timeout. */
const UNKNOWN_ATTEMPTS = 5
const LOST = new Set(['CONNECTION_CLOSED', 'REQUEST_TIMEOUT', 'REQUEST_TIMED_OUT', 'NETWORK_EXCEPTION'])

/** @throws the error of the only item, or PARTIAL_FAILURE with what became of each. */
export async function callItems<T, R>(
  cluster: Cluster,
  call: ItemCall<T, R>,
  options: AdminCallOptions,
): Promise<R[]> {
  const { clock, random, requestTimeoutMs, minBackoffMs: minMs, maxBackoffMs: maxMs } = cluster.options
  const deadline = clock.monotonic() + (options.timeoutMs ?? requestTimeoutMs)
  const given = options.signal === undefined ? [] : [options.signal]
  const signal = anySignal([cluster.stopping, ...given])
  const outcomes: Outcome<R>[] = []
  let pending = call.items.map((_, index) => index)
  for (let attempt = 0; ; attempt++) {
    if (options.signal?.aborted) throw aborted(call.doing, options.signal)
    const round = runRound(cluster, call, { pending, attempt, deadline, outcomes })
    await untilAborted(round, signal, () =>
      options.signal?.aborted ? aborted(call.doing, options.signal) : signal.reason,
    )
    pending = pending.filter((index) => mayPass(call, outcomes[index] as Outcome<R>, attempt))
    const delayMs = backoffMs(attempt, { minMs, maxMs }, random)
    if (pending.length === 0 || clock.monotonic() + delayMs >= deadline) break
    // Cut short by a signal: the next round says so.
    await sleep(clock, delayMs, signal).catch(() => undefined)
  }
  return valuesOf(call, outcomes)
}

interface Round<R> {
  readonly pending: readonly number[]
  readonly attempt: number
  readonly deadline: number
  readonly outcomes: Outcome<R>[]
}

async function runRound<T, R>(cluster: Cluster, call: ItemCall<T, R>, round: Round<R>): Promise<void> {
  const { pending, attempt, deadline, outcomes } = round
  const byNode = new Map<number, number[]>()
  const route = async (index: number) => {
    try {
      const nodeId = await call.route(call.items[index] as T, attempt)
      byNode.set(nodeId, [...(byNode.get(nodeId) ?? []), index])
    } catch (error) {
      outcomes[index] = { error: asOttlaError(error) }
    }
  }
  await Promise.all(pending.map(route))
  const askNode = async ([nodeId, indexes]: [number, number[]]) => {
    try {
      const connection = await (nodeId < 0 ? cluster.anyConnection() : cluster.connection(nodeId))
      const timeoutMs = Math.max(1, Math.floor(deadline - cluster.options.clock.monotonic()))
      const items = indexes.map((index) => call.items[index] as T)
      const answers = await call.ask({ connection, timeoutMs }, items)
      for (const [place, index] of indexes.entries())
        outcomes[index] = answers[place] ?? unanswered(call.doing)
    } catch (error) {
      for (const index of indexes) outcomes[index] = { error: asOttlaError(error) }
    }
  }
  await Promise.all([...byNode].map(askNode))
}

const unanswered = (doing: string) => ({
  error: new OttlaError('MALFORMED_FRAME', `${doing}: the response does not speak of everything asked for`),
})

/** What is not an error of ours is a bug, and must not be hidden among outcomes. */
function asOttlaError(error: unknown): OttlaError {
  if (error instanceof OttlaError) return error
  throw error
}

function mayPass<T, R>(call: ItemCall<T, R>, outcome: Outcome<R>, attempt: number): boolean {
  const { isIdempotent, isFinal } = call
  if (!('error' in outcome) || !outcome.error.retriable || isFinal?.(outcome.error)) return false
  // What changes topics is asked of the controller, which knows them all.
  if (outcome.error.code === 'UNKNOWN_TOPIC_OR_PARTITION') return isIdempotent && attempt < UNKNOWN_ATTEMPTS
  return isIdempotent || !LOST.has(outcome.error.code)
}

function valuesOf<T, R>(call: ItemCall<T, R>, outcomes: readonly Outcome<R>[]): R[] {
  const errors = outcomes.map((outcome) => ('error' in outcome ? outcome.error : undefined))
  const first = errors.find((error) => error !== undefined)
  if (first === undefined) return outcomes.map((outcome) => (outcome as { value: R }).value)
  if (outcomes.length === 1) throw first
  throw new PartialFailureError(
    call.doing,
    call.items.map((item, index) => ({ subject: call.subject(item), error: errors[index] })),
  )
}

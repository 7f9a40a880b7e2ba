/**
 * An admin call for many things at once: each goes to the broker that can do it, and each has its own outcome.
 *
 *     items → grouped by node → one request per node → outcomes → what may pass by itself is asked again
 *
 * A lost answer (CONNECTION_CLOSED, REQUEST_TIMEOUT, TIMEOUT) is asked again only when doing it twice is as good as once.
 */
import { OttlaError } from '../../errors.ts'
import { backoffMs } from '../../util/backoff.ts'
import { sleep } from '../../util/clock.ts'
import { aborted, anySignal, untilAborted } from '../cancellation.ts'
import type { Cluster } from '../cluster.ts'
import type { Connection } from '../connection.ts'
import { formatAddress } from '../dial.ts'
import { CallTime, type SharedOptions } from './call-time.ts'

export type Outcome<R> = { readonly value: R } | { readonly error: OttlaError }

export interface Asking {
  readonly connection: Connection
  /** How long the connection waits for the answer. */
  readonly timeoutMs: number
  /** For a broker that is told how long it may take. */
  readonly brokerTimeoutMs: number
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
const LOST = new Set([
  'CONNECTION_CLOSED',
  'REQUEST_TIMEOUT',
  'TIMEOUT',
  'REQUEST_TIMED_OUT',
  'NETWORK_EXCEPTION',
])

/** @throws the error of the only item, or PARTIAL_FAILURE with what became of each. */
export async function callItems<T, R>(
  cluster: Cluster,
  call: ItemCall<T, R>,
  options: SharedOptions,
): Promise<R[]> {
  const time = new CallTime(cluster, call.doing, options)
  try {
    return valuesOf(call, await outcomesInTime(cluster, call, { time, options }))
  } finally {
    time.end()
  }
}

async function outcomesInTime<T, R>(
  cluster: Cluster,
  call: ItemCall<T, R>,
  { time, options }: { readonly time: CallTime; readonly options: SharedOptions },
): Promise<readonly Outcome<R>[]> {
  const { clock, random, minBackoffMs: minMs, maxBackoffMs: maxMs } = cluster.options
  const given = options.signal === undefined ? [] : [options.signal]
  const signal = anySignal([cluster.stopping, ...given])
  const outcomes: Outcome<R>[] = []
  let pending = call.items.map((_, index) => index)
  for (let attempt = 0; ; attempt++) {
    if (options.signal?.aborted) throw aborted(call.doing, options.signal)
    const round = runRound(cluster, call, { pending, attempt, time, outcomes })
    await untilAborted(round, signal, () =>
      options.signal?.aborted ? aborted(call.doing, options.signal) : signal.reason,
    )
    pending = pending.filter((index) => mayPass(call, outcomes[index] as Outcome<R>, attempt))
    const delayMs = backoffMs(attempt, { minMs, maxMs }, random)
    if (pending.length === 0 || time.isOverIn(delayMs)) return outcomes
    // Cut short by a signal: the next round says so.
    await sleep(clock, delayMs, signal).catch(() => undefined)
  }
}

interface Round<R> {
  readonly pending: readonly number[]
  readonly attempt: number
  readonly time: CallTime
  readonly outcomes: Outcome<R>[]
}

async function runRound<T, R>(cluster: Cluster, call: ItemCall<T, R>, round: Round<R>): Promise<void> {
  const { pending, attempt, time, outcomes } = round
  const byNode = new Map<number, number[]>()
  const failureOf = (index: number) => {
    const outcome = outcomes[index]
    return outcome !== undefined && 'error' in outcome ? outcome.error : undefined
  }
  const route = async (index: number) => {
    const unasked = () => time.unasked(failureOf(index))
    try {
      if (time.isOverIn(0)) throw unasked()
      const nodeId = await time.within(Promise.resolve(call.route(call.items[index] as T, attempt)), unasked)
      byNode.set(nodeId, [...(byNode.get(nodeId) ?? []), index])
    } catch (error) {
      outcomes[index] = { error: asOttlaError(error) }
    }
  }
  await Promise.all(pending.map(route))
  const askNode = async ([nodeId, indexes]: [number, number[]]) => {
    const before = failureOf(indexes[0] as number)
    const unasked = () => time.unasked(before)
    try {
      const opening = nodeId < 0 ? cluster.anyConnection() : cluster.connection(nodeId)
      const connection = await time.within(opening, unasked)
      if (time.isOverIn(0)) throw unasked()
      const items = indexes.map((index) => call.items[index] as T)
      const { requestTimeoutMs: timeoutMs, brokerTimeoutMs } = time
      const answers = await time.within(call.ask({ connection, timeoutMs, brokerTimeoutMs }, items), () =>
        time.unanswered(formatAddress(connection.address), before),
      )
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

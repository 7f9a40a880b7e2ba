/**
 * The time of an admin call, from the call to its answer.
 *
 * When it is over the waiting ends, and what was sent stays on its connection: that is shared, and closes only when a broker
 * takes longer than it may. A call that is several has one time for all of them.
 */
import { OttlaError } from '../../errors.ts'
import { untilAborted } from '../cancellation.ts'
import type { Cluster } from '../cluster.ts'
import { fairDeadline } from '../fair-deadline.ts'

export interface AdminCallOptions {
  /** How long the call may take, with everything that is tried again. Default `requestTimeoutMs`. */
  readonly timeoutMs?: number
  /** Ends the waiting with ABORTED; what was sent may still be done. */
  readonly signal?: AbortSignal
}

/** What a call of several gives to each of them. */
export interface SharedOptions extends AdminCallOptions {
  readonly whole?: { readonly call: string; readonly timeoutMs: number }
}

/** For calls that are several: each gets what is left of the time of the whole, which `call` names: `admin.groupLag`. */
export function shareOf(cluster: Cluster, call: string, options: AdminCallOptions): () => SharedOptions {
  const { clock, requestTimeoutMs } = cluster.options
  const { timeoutMs = requestTimeoutMs, signal } = options
  const deadline = clock.monotonic() + timeoutMs
  const common = { whole: { call, timeoutMs }, ...(signal === undefined ? {} : { signal }) }
  return () => ({ ...common, timeoutMs: Math.max(0, deadline - clock.monotonic()) })
}

/** Of a broker's time, so that the answer of one that takes all of it comes before the call is over. */
const BROKER_SHARE = 0.9

/** `end` it, or its timer stays. */
export class CallTime {
  /** Does not count what this process was late with. */
  readonly #over = new AbortController()
  readonly #cluster: Cluster
  readonly #doing: string
  readonly #deadline: number
  /** Of the call that the caller made. */
  readonly #timeoutMs: number
  readonly end: () => void

  /** `doing` is Kafka's name of the API, for messages. */
  constructor(cluster: Cluster, doing: string, { timeoutMs, whole }: SharedOptions) {
    const { clock, requestTimeoutMs } = cluster.options
    const delayMs = timeoutMs ?? requestTimeoutMs
    this.#cluster = cluster
    this.#doing = whole === undefined ? doing : `${doing} of ${whole.call}`
    this.#timeoutMs = whole?.timeoutMs ?? delayMs
    this.#deadline = clock.monotonic() + delayMs
    this.end = fairDeadline(clock, delayMs, () => this.#over.abort())
  }

  isOverIn(delayMs: number): boolean {
    return this.#over.signal.aborted || this.#leftMs <= delayMs
  }

  get #leftMs(): number {
    return this.#deadline - this.#cluster.options.clock.monotonic()
  }

  /** How long a connection waits for an answer. A call that ends before leaves its request behind. */
  get requestTimeoutMs(): number {
    return Math.max(this.#cluster.options.requestTimeoutMs, Math.ceil(this.#leftMs))
  }

  /** How long a broker may take for what it does. */
  get brokerTimeoutMs(): number {
    return Math.max(1, Math.floor(this.#leftMs * BROKER_SHARE))
  }

  /** The promise, or `late()` when the time is over first. */
  within<T>(promise: Promise<T>, late: () => OttlaError): Promise<T> {
    return untilAborted(promise, this.#over.signal, late)
  }

  /** Nothing was sent: what failed before, when anything did, says more. */
  unasked(before: OttlaError | undefined): OttlaError {
    if (before !== undefined) return before
    return this.#timeout('were over before a broker could be asked')
  }

  unanswered(broker: string, before: OttlaError | undefined): OttlaError {
    return this.#timeout(`were over before ${broker} answered`, { broker, cause: before })
  }

  #timeout(what: string, fields: { readonly broker?: string; readonly cause?: unknown } = {}): OttlaError {
    const message = `${this.#doing}: the ${this.#timeoutMs} ms of the call ${what}`
    return new OttlaError('TIMEOUT', message, { retriable: true, ...fields })
  }
}

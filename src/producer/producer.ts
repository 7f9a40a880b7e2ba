/**
 * The producer's surface and life: what it is made of is joined here.
 *
 *     idle ── first use or start ──> running ── stop ──> draining ──> stopped
 *                                       └────────── abort ─────────────┘
 *
 *     intake ─> accumulator ─> queue ─> sender ─> answers ─> outcomes ─> delivery
 *        └ topics (metadata, spool)        └ identity, prover, pauses       └ receipts, reports
 */
import { untilAborted } from '../client/cancellation.ts'
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { assert } from '../util/assert.ts'
import { signalOf, stopping, waitingOf } from '../util/call-options.ts'
import type { Clock } from '../util/clock.ts'
import { Accumulator } from './accumulator.ts'
import { Answers } from './answers.ts'
import type { Batch } from './batch.ts'
import { Bounds } from './bounds.ts'
import { Delivery, type DeliveryCounts } from './delivery.ts'
import { Generations } from './generations.ts'
import { Holdings } from './holdings.ts'
import { IdentitySource } from './identity.ts'
import { checkRecords, Intake } from './intake.ts'
import { Outcomes } from './outcomes.ts'
import { Pauses } from './pause.ts'
import { type Caller, EnqueueCaller, PendingCall, SendCaller, SendManyCaller } from './pending-call.ts'
import { type ProducerOptions, type ProducerSettings, resolveProducerOptions } from './producer-options.ts'
import { Prover } from './prover.ts'
import { MemoryQueue } from './queue/memory-queue.ts'
import type { DeliveryListener, Receipt } from './receipts.ts'
import { checkRecord, type ProducerRecord } from './record.ts'
import { Sender } from './sender.ts'
import { SizeLimits } from './size-limits.ts'
import type { ProducerPartition } from './topic.ts'
import { Topics } from './topics.ts'
import { TurnEnd } from './turn-end.ts'

export interface SendOptions {
  /** Ends the waiting with ABORTED. A record that is accepted is settled nevertheless: `onDelivery` tells. */
  readonly signal?: AbortSignal
}

export interface StartOptions {
  /** Default requestTimeoutMs. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface FlushOptions {
  /** Default: as long as it takes; deliveryTimeoutMs bounds that. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface ProducerStopOptions {
  /** How long what is accepted may take to be delivered, milliseconds. Default 30,000. */
  readonly timeoutMs?: number
}

/** What a producer holds and has done; all counts since it was made. */
export interface ProducerStats extends Readonly<DeliveryCounts> {
  /** Memory of records that are not settled, as it counts against bufferBytes. */
  readonly heldBytes: number
  /** Calls that wait for room. */
  readonly waitingCalls: number
  /** `send` calls that are accepted and not settled. */
  readonly unsettledCalls: number
}

/** `running` from the first use on, `draining` while it stops. */
export type ProducerState = 'idle' | 'running' | 'draining' | 'stopped'

const STOP_TIMEOUT_MS = 30_000

/** Sends records to Kafka, in order, once each, as far as that can be had; each is answered once. */
export class Producer {
  readonly #cluster: Cluster
  readonly #clock: Clock
  readonly #settings: ProducerSettings
  readonly #bounds: Bounds
  readonly #generations = new Generations()
  readonly #accumulator: Accumulator
  readonly #delivery: Delivery
  readonly #outcomes: Outcomes
  readonly #holdings: Holdings
  readonly #pauses: Pauses
  readonly #identity: IdentitySource
  readonly #topics: Topics
  readonly #sender: Sender
  readonly #intake: Intake
  readonly #ending = new AbortController()
  #state: ProducerState = 'idle'
  #stopping: Promise<void> | undefined
  #giveUp: ((error: OttlaError) => void) | undefined

  /** Does no I/O. @throws INVALID_OPTION */
  constructor(cluster: Cluster, options?: ProducerOptions) {
    const settings = resolveProducerOptions(options)
    const { clock, logger } = cluster.options
    const { signal } = this.#ending
    this.#cluster = cluster
    this.#clock = clock
    this.#settings = settings
    const bounds = new Bounds(settings.bufferBytes)
    this.#bounds = bounds
    const generations = this.#generations
    const queue = new MemoryQueue<Batch>()
    const onWake = (partition: ProducerPartition) => this.#sender.wake(partition)
    const onFatal = (error: OttlaError) => this.#failEverything(error)

    const onRoom = () => this.#intake.onRoom()
    this.#delivery = new Delivery({ bounds, generations, queue, logger, onSettled: onRoom })
    if (settings.onDelivery !== undefined) this.#delivery.listen(settings.onDelivery)
    this.#outcomes = new Outcomes({
      clock,
      delivery: this.#delivery,
      logger,
      onUncertain: settings.onUncertain,
      onFreed: onRoom,
    })
    const atTurnEnd = this.#turnEnd().ask
    const shared = {
      settings,
      clock,
      bounds,
      generations,
      queue,
      cluster,
      signal,
      onFatal,
      onWake,
      atTurnEnd,
    }
    const onUnsealed = (batch: Batch, error: OttlaError) => this.#outcomes.dropped(batch, error)
    this.#accumulator = new Accumulator({ ...shared, onDue: onWake, onUnsealed, onFreed: onRoom })
    this.#identity = new IdentitySource(cluster, settings, signal)
    this.#pauses = new Pauses({ cluster, settings, signal, onEnd: onWake })
    this.#topics = this.#makeTopics(queue, onWake)
    const rooms = {
      accumulator: this.#accumulator,
      delivery: this.#delivery,
      outcomes: this.#outcomes,
      pauses: this.#pauses,
      identity: this.#identity,
    }
    this.#holdings = new Holdings({
      ...shared,
      ...rooms,
      topics: () => this.#topics.all(),
      cause: () => this.#identity.lastError ?? this.#cluster.lastFailure,
    })
    const answers = new Answers({
      ...shared,
      ...rooms,
      limits: new SizeLimits(cluster, settings, signal),
      onFenced: (producerId) => this.#identity.discard(producerId),
    })
    const prover = new Prover({ ...shared, ...rooms })
    this.#sender = new Sender({ ...shared, ...rooms, answers, prover })
    this.#intake = new Intake({ ...shared, ...rooms, holdings: this.#holdings, topics: this.#topics })
  }

  get state(): ProducerState {
    return this.#state
  }

  /** What it holds and has done. */
  get stats(): ProducerStats {
    return {
      ...this.#delivery.counts,
      heldBytes: this.#bounds.heldBytes,
      waitingCalls: this.#intake.waitingCount,
      unsettledCalls: this.#bounds.calls,
    }
  }

  /**
   * Connects, and gets a producer id when idempotent. Not needed, since `send` begins that too, but it gives the error
   * early. After a failure the producer is as before: it may be started again, or used.
   *
   * @throws CONNECTION_FAILED when no broker was reached within the timeout; CLUSTER_AUTHORIZATION_FAILED, SASL_FAILED,
   *   UNSUPPORTED_VERSION; PRODUCER_STOPPED, ABORTED, INVALID_OPTION
   */
  async start(options?: StartOptions): Promise<void> {
    const { signal, timeoutMs = this.#settings.requestTimeoutMs } = waitingOf('producer.start', options)
    if (!this.#run()) throw stopped()
    const connected: Promise<unknown> = this.#settings.idempotent
      ? this.#identity.obtain()
      : this.#cluster.anyConnection()
    await this.#within(untilAborted(connected, signal, abortedBy), timeoutMs, () => {
      const message = `the producer was not connected within ${timeoutMs} ms`
      return this.#identity.lastError ?? new OttlaError('TIMEOUT', message, { retriable: true })
    })
  }

  /**
   * Sends one record, and resolves with the place it got in the log.
   *
   * Its bytes are copied before the call returns, except while it waits for room (`onFull: 'wait'`).
   * @throws DELIVERY_TIMEOUT, DELIVERY_UNKNOWN, RECORD_TOO_LARGE, COMPRESSION_FAILED, QUEUE_FULL, DROPPED,
   *   PRODUCER_STOPPED, ABORTED, INVALID_ARGUMENT, INVALID_OPTION, or what the broker answered; each with topic and
   *   partition where they are known
   */
  send(record: ProducerRecord, options?: SendOptions): Promise<Receipt>
  /**
   * Sends several records, and resolves when all of them are delivered, with their places in the same order.
   *
   * @throws PARTIAL_DELIVERY with the outcome of each; the same as for one record when none was accepted
   */
  send(records: readonly ProducerRecord[], options?: SendOptions): Promise<Receipt[]>
  send(
    given: ProducerRecord | readonly ProducerRecord[],
    options?: SendOptions,
  ): Promise<Receipt | Receipt[]> {
    let signal: AbortSignal | undefined
    try {
      signal = signalOf('producer.send', options)
      if (isList(given)) return this.#sendMany(given, signal)
      checkRecord(given, -1)
      if (signal === undefined) {
        const sent = this.#intake.sendNow(given)
        if (sent !== undefined) return sent
      }
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#submit<Receipt>([given], signal, (resolve, reject) => new SendCaller(resolve, reject))
  }

  /**
   * Puts records into the queue, and resolves when it holds them. What becomes of them is told to `onDelivery`, and
   * logged as a warning when nobody listens and it failed.
   */
  enqueue(given: ProducerRecord | readonly ProducerRecord[], options?: SendOptions): Promise<void> {
    const records = isList(given) ? given : [given]
    let signal: AbortSignal | undefined
    try {
      signal = signalOf('producer.enqueue', options)
      checkRecords(records)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#submit(records, signal, (resolve, reject) => new EnqueueCaller(resolve, reject))
  }

  /**
   * Sends what is open at once, and resolves when everything that was sent or enqueued before is settled, well or not.
   *
   * @throws TIMEOUT, ABORTED; the records go on; INVALID_OPTION
   */
  async flush(options?: FlushOptions): Promise<void> {
    const { timeoutMs, signal } = waitingOf('producer.flush', options)
    const calmDown = this.#accumulator.hurry()
    try {
      const flushed = untilAborted(this.#generations.flushed(), signal, abortedBy)
      const message = `records were not settled within ${timeoutMs} ms`
      const late = () => new OttlaError('TIMEOUT', message, { retriable: true })
      await (timeoutMs === undefined ? flushed : this.#within(flushed, timeoutMs, late))
      await this.#told()
    } finally {
      calmDown()
    }
  }

  /** Resolves when there is room for more: with `onFull` `'reject'` what to wait for. @throws PRODUCER_STOPPED */
  ready(): Promise<void> {
    return this.#intake.ready()
  }

  /**
   * Tells each record's outcome, once. The function that is returned ends it.
   *
   * A listener that throws or rejects is logged and stops nothing. Keep it short: it runs on the loop.
   */
  onDelivery(listener: DeliveryListener): () => void {
    return this.#delivery.listen(listener)
  }

  /**
   * Takes nothing new, sends what it has, and resolves when all is settled. What remains at the deadline settles: with
   * PRODUCER_STOPPED if it was never on the wire, else with DELIVERY_UNKNOWN. Calls after the first join it.
   *
   * @throws INVALID_OPTION when it is over: it stops whatever is wrong with the options
   */
  stop(options?: ProducerStopOptions): Promise<void> {
    return stopping('producer.stop', options, (timeoutMs = STOP_TIMEOUT_MS) => {
      this.#stopping ??= this.#drain(timeoutMs)
      return this.#stopping
    })
  }

  /** Ends at once: records that were never on the wire settle with ABORTED, the others with DELIVERY_UNKNOWN. */
  abort(reason?: unknown): Promise<void> {
    const error = new OttlaError('ABORTED', 'the producer was aborted before the record was delivered', {
      cause: reason,
    })
    this.#intake.close(error)
    this.#giveUp?.(error)
    this.#end(error)
    this.#stopping ??= this.#told()
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  // ---------------------------------------------------------------------------------------------- calls

  #sendMany(records: readonly ProducerRecord[], signal: AbortSignal | undefined): Promise<Receipt[]> {
    try {
      checkRecords(records)
    } catch (error) {
      return Promise.reject(error)
    }
    if (records.length === 0) return Promise.resolve([])
    const { length } = records
    return this.#submit(records, signal, (resolve, reject) => new SendManyCaller(length, resolve, reject))
  }

  #submit<T>(
    records: readonly ProducerRecord[],
    signal: AbortSignal | undefined,
    callerOf: (resolve: (value: T) => void, reject: (error: OttlaError) => void) => Caller,
  ): Promise<T> {
    this.#run()
    return new Promise<T>((resolve, reject) => {
      if (signal === undefined) {
        this.#intake.submit(new PendingCall(records, callerOf(resolve, reject)))
        return
      }
      if (signal.aborted) return reject(abortedBy(signal))
      const end = () => signal.removeEventListener('abort', onAbort)
      const caller = callerOf(
        (value) => {
          end()
          resolve(value)
        },
        (error) => {
          end()
          reject(error)
        },
      )
      const call = new PendingCall(records, caller)
      const onAbort = () => {
        const error = abortedBy(signal)
        this.#intake.withdraw(call, error)
        reject(error)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#intake.submit(call)
    })
  }

  // ---------------------------------------------------------------------------------------------- life

  /** False when it is over. */
  #run(): boolean {
    if (this.#state === 'idle') this.#state = 'running'
    return this.#state === 'running'
  }

  #turnEnd(): TurnEnd {
    return new TurnEnd(this.#clock, {
      gather: () => {
        this.#intake.endTurn()
        this.#accumulator.endTurn()
      },
      send: () => this.#sender.send(),
    })
  }

  #makeTopics(queue: MemoryQueue<Batch>, onWake: (partition: ProducerPartition) => void): Topics {
    return new Topics({
      cluster: this.#cluster,
      settings: this.#settings,
      queue,
      pauses: this.#pauses,
      signal: this.#ending.signal,
      onReady: (topic) => this.#intake.drainSpool(topic),
      onWake,
      onFailed: (topic, error) => this.#holdings.giveUpTopic(topic, error),
      onPartitionGone: (partition, error) => this.#holdings.giveUpPartition(partition, error),
    })
  }

  async #drain(timeoutMs: number): Promise<void> {
    if (this.#state === 'stopped') return
    this.#state = 'draining'
    this.#intake.close(stopped())
    this.#accumulator.hurry()
    const { promise: gaveUp, resolve } = Promise.withResolvers<void>()
    this.#giveUp = () => resolve()
    const timer = this.#clock.setTimeout(resolve, timeoutMs)
    await Promise.race([this.#generations.flushed(), gaveUp])
    this.#clock.clearTimeout(timer)
    this.#end(stopped())
    await this.#told()
  }

  /**
   * Resolves when whoever waits for a record that is settled has been told: their promises follow another one, some of
   * them over several steps, and who counts receipts before a flush counts all of them after it.
   */
  #told(): Promise<void> {
    return new Promise((resolve) => this.#clock.defer(resolve))
  }

  /** Settles what remains, and lets go of everything. */
  #end(error: OttlaError): void {
    if (this.#state === 'stopped') return
    this.#state = 'stopped'
    this.#intake.failWaiting(error)
    this.#holdings.giveUpAll(error)
    assert(
      this.#holdings.isEmpty && this.#bounds.calls === 0,
      'a record was not settled when the producer stopped',
    )
    this.#ending.abort(error)
    this.#holdings.stop()
    this.#accumulator.stop()
    this.#pauses.stop()
    this.#topics.stop()
    this.#bounds.pool.clear()
  }

  #failEverything(error: OttlaError): void {
    this.#intake.failWaiting(error)
    this.#holdings.giveUpAll(error)
  }

  async #within(done: Promise<unknown>, timeoutMs: number, late: () => OttlaError): Promise<void> {
    const { promise: over, reject } = Promise.withResolvers<never>()
    const timer = this.#clock.setTimeout(() => reject(late()), timeoutMs)
    try {
      await Promise.race([done, over])
    } finally {
      this.#clock.clearTimeout(timer)
    }
  }
}

const isList = <T>(given: T | readonly T[]): given is readonly T[] => Array.isArray(given)

const stopped = () =>
  new OttlaError('PRODUCER_STOPPED', 'the producer stopped before the record was delivered')

const abortedBy = (signal: AbortSignal) =>
  new OttlaError('ABORTED', 'the call was given up because its signal fired', { cause: signal.reason })

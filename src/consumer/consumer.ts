/**
 * The consumer as its user sees it.
 *
 *     idle ─▶ starting ─▶ running ─▶ draining ─▶ stopped
 *                │           └──────────┴──────▶ failed
 *                └──▶ idle (start() rejected)
 *
 * One way of consuming per consumer: `run`, `runBatches` or iteration. Stopped is for good; make another one.
 */
import { aborted, anySignal } from '../client/cancellation.ts'
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { signalOf, stopping } from '../util/call-options.ts'
import { type Deferred, deferred } from '../util/deferred.ts'
import { checkHandler, checkPartition, checkPartitions } from './call-arguments.ts'
import {
  type ConsumerOptions,
  type ResolvedConsumerOptions,
  resolveConsumerOptions,
} from './consumer-options.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import { Consumption } from './consumption.ts'
import { Dispatcher, type Runner, type Work } from './dispatcher.ts'
import { BatchWork, RecordWork, type WorkPorts } from './handler-work.ts'
import { RecordStream } from './record-stream.ts'
import { asOttlaError } from './retry.ts'
import { onSignals } from './signals.ts'
import { partitionKey, type TopicPartition } from './topic-partition.ts'
import type { BatchHandler, RecordHandler } from './work.ts'

export type { AssignorName } from './assignment.ts'
export type { ConsumerBatch } from './consumer-batch.ts'
export type { ConsumerOptions, FailureOptions, StartFrom } from './consumer-options.ts'
export type { ConsumerRecord } from './consumer-record.ts'
export type {
  CommitReport,
  FencedReport,
  RebalanceEvent,
  ResetReport,
  SkipReport,
} from './consumer-reports.ts'
export { FailedAtError } from './failure-policy.ts'
export type { TopicPartition } from './topic-partition.ts'
export type { BatchHandler, HandlerContext, RecordHandler } from './work.ts'

export type ConsumerState = 'idle' | 'starting' | 'running' | 'draining' | 'stopped' | 'failed'

export interface StopResult {
  /**
   * Partitions with work that was begun and is not finished: the handler had not ended at the deadline, or had failed and was
   * not called again. It is delivered again.
   */
  readonly unfinished: readonly TopicPartition[]
}

export class Consumer implements AsyncIterable<ConsumerRecord> {
  readonly #cluster: Cluster
  readonly #options: ResolvedConsumerOptions
  readonly #done: Deferred<void> = deferred()
  /** Fires when stop() or abort() is called, whichever comes first: a start() that waits is over. */
  readonly #ending = new AbortController()
  #state: ConsumerState = 'idle'
  #hasHandler = false
  #consumption: Consumption | undefined
  #stream: RecordStream | undefined
  #stopping: Promise<StopResult> | undefined
  #failure: OttlaError | undefined
  #pausedEarly: TopicPartition[] = []
  #unlisten: (() => void) | undefined

  /** Does no I/O. @throws INVALID_OPTION */
  constructor(cluster: Cluster, options: ConsumerOptions) {
    this.#cluster = cluster
    this.#options = resolveConsumerOptions(options)
    // Whoever iterates gets the failure there; an end that nobody waits for must not be an unhandled rejection.
    this.#done.promise.catch(() => undefined)
  }

  get state(): ConsumerState {
    return this.#state
  }

  get groupId(): string {
    return this.#options.groupId
  }

  /**
   * Finds the brokers and the group's coordinator, so that what is wrong with either shows early. A topic that is missing is
   * no failure, because it may be created later: `run` warns of it. Optional: `run` does without, and waits for its
   * brokers as long as it has to.
   *
   * @throws CONNECTION_FAILED, SASL_FAILED, TLS_FAILED, GROUP_AUTHORIZATION_FAILED, INVALID_STATE, ABORTED,
   *   INVALID_OPTION
   */
  async start(options?: { readonly signal?: AbortSignal }): Promise<void> {
    const outer = signalOf('consumer.start', options)
    if (this.#state !== 'idle') throw this.#refusal('start')
    this.#state = 'starting'
    const given = outer === undefined ? [] : [outer]
    const signal = anySignal([this.#ending.signal, ...given])
    try {
      await this.#cluster.refresh({ topics: this.#options.topics, signal })
      await this.#cluster.coordinator('group', this.#options.groupId, { signal })
      // The answer may have come in the same turn as the end.
      if (this.#ending.signal.aborted) throw aborted(`start() of ${this.groupId}`, this.#ending.signal)
    } finally {
      if (this.#state === 'starting') this.#state = 'idle'
    }
  }

  /**
   * Handles record by record until the consumer is stopped. A record is finished when the handler returns or its
   * promise resolves; what is finished is committed. One handler at a time per partition, in the order of the
   * offsets; partitions side by side, up to `concurrency`.
   *
   * Resolves after `stop`.
   * @throws HANDLER_FAILED after the last retry with `failure.onExhausted: 'stop'`; OUT_OF_RANGE; GROUP_FENCED; CORRUPT_BATCH;
   *   RESPONSE_TOO_LARGE for a batch that does not fit into `maxResponseBytes` of the client;
   *   what the brokers refuse for good, by Kafka's name; ABORTED after `abort`; INVALID_STATE; INVALID_ARGUMENT
   */
  run(handler: RecordHandler): Promise<void> {
    return this.#handle('run', handler, (ports) => new RecordWork(ports, handler))
  }

  /**
   * As `run`, with all records that one fetch brought of a partition at a time (`maxBatchRecords` limits them).
   * All of them are finished when the handler ends; one that fails in between can say where with FailedAtError.
   */
  runBatches(handler: BatchHandler): Promise<void> {
    const { maxBatchRecords } = this.#options
    return this.#handle('runBatches', handler, (ports) => new BatchWork(ports, handler, maxBatchRecords))
  }

  /**
   * Records one by one. A record is finished when the next one is asked for; leaving the loop leaves the last one
   * unfinished and stops the consumer. Throws what `run` rejects with.
   */
  [Symbol.asyncIterator](): AsyncIterator<ConsumerRecord> {
    this.#begin('iterate', (ports, fail) => {
      this.#stream = new RecordStream(ports, fail)
      return this.#stream
    })
    return {
      next: async () => {
        const record = await this.#stream?.next()
        if (record !== undefined) return { done: false, value: record }
        await this.#done.promise
        return { done: true, value: undefined }
      },
      return: async () => {
        this.#stream?.leave()
        await this.stop()
        return { done: true, value: undefined }
      },
    }
  }

  // ------------------------------------------------------------------------------------ while it runs

  /** The partitions that are assigned now. */
  assignment(): readonly TopicPartition[] {
    return this.#consumption?.assignment() ?? []
  }

  /** Records in the log of an assigned partition that are not finished; undefined before the first fetch. @throws INVALID_ARGUMENT */
  lag(partition: TopicPartition): number | undefined {
    checkPartition({ call: 'lag', path: 'partition' }, this.#options.topics, partition)
    return this.#consumption?.lag(partition)
  }

  /** Bytes of responses that are held before the handlers. */
  get heldBytes(): number {
    return this.#consumption?.heldBytes ?? 0
  }

  /**
   * Fetches and dispatches nothing more of these partitions until `resume`; a handler that runs may end. Holds over
   * rebalances.
   *
   * @throws INVALID_ARGUMENT for what is no partition of this consumer's topics
   */
  pause(partitions: readonly TopicPartition[]): void {
    checkPartitions('pause', this.#options.topics, partitions)
    if (this.#consumption !== undefined) return this.#consumption.pause(partitions)
    this.#pausedEarly.push(...partitions)
  }

  /** @throws INVALID_ARGUMENT, as `pause` */
  resume(partitions: readonly TopicPartition[]): void {
    checkPartitions('resume', this.#options.topics, partitions)
    const resumed = new Set(partitions.map(partitionKey))
    this.#pausedEarly = this.#pausedEarly.filter((partition) => !resumed.has(partitionKey(partition)))
    this.#consumption?.resume(partitions)
  }

  // ------------------------------------------------------------------------------------------- ending

  /**
   * Fetches nothing more, lets running handlers end, commits what is finished and leaves the group (a static member
   * stays in it). Idempotent. Inside a handler, do not wait for it: it waits for the handler.
   *
   * `timeoutMs` (default `drainTimeoutMs`): how long handlers may take; then their `context.signal` fires. The last
   * commit and the good-bye take up to 5 s more where the coordinator does not answer.
   *
   * @throws INVALID_OPTION when it is over: it stops whatever is wrong with the options
   */
  stop(options?: { readonly timeoutMs?: number }): Promise<StopResult> {
    return stopping('consumer.stop', options, (timeoutMs = this.#options.drainTimeoutMs) => {
      this.#ending.abort(new OttlaError('ABORTED', 'the consumer was stopped'))
      this.#stopping ??= this.#stop(timeoutMs)
      return this.#stopping
    })
  }

  /**
   * Ends at once, a stop() that waits included: what runs is told by its signal, `onRebalance` that all is lost, nothing
   * more is committed, and the group finds out by itself. `run` rejects with ABORTED, or with what had failed before.
   */
  abort(reason?: unknown): void {
    if (this.#state === 'stopped' || this.#state === 'failed') return
    const error = new OttlaError(
      'ABORTED',
      'the consumer was aborted',
      reason === undefined ? {} : { cause: reason },
    )
    // What made it stop, if something did, says more.
    this.#failure ??= error
    this.#ending.abort(error)
    this.#stopping ??= Promise.resolve({ unfinished: this.assignment() })
    this.#stream?.leave()
    this.#consumption?.abort(error)
    this.#settle()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  // ------------------------------------------------------------------------------------------- inside

  #handle(method: 'run' | 'runBatches', handler: unknown, work: (ports: WorkPorts) => Work): Promise<void> {
    const { clock } = this.#cluster.options
    const { concurrency } = this.#options
    try {
      checkHandler(method, handler)
      this.#begin(method, (ports, fail) => {
        return new Dispatcher({ clock, turns: ports.turns, concurrency, work: work(ports), onFailed: fail })
      })
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#done.promise
  }

  #begin(method: string, runner: (ports: WorkPorts, fail: (error: unknown) => void) => Runner): void {
    const isFresh = this.#state === 'idle' || this.#state === 'starting'
    if (!isFresh || this.#hasHandler) throw this.#refusal(method)
    this.#hasHandler = true
    this.#state = 'running'
    this.#consumption = new Consumption({
      cluster: this.#cluster,
      options: this.#options,
      runner,
      onFailed: (error) => this.#fail(error),
    })
    this.#consumption.pause(this.#pausedEarly)
    this.#unlisten = onSignals(this.#options.stopOnSignals, () => void this.stop())
    this.#consumption.start()
  }

  async #stop(timeoutMs: number): Promise<StopResult> {
    if (this.#consumption === undefined) {
      this.#settle()
      return { unfinished: [] }
    }
    this.#state = 'draining'
    this.#stream?.end()
    const unfinished = await this.#consumption.stop(timeoutMs)
    this.#settle()
    return { unfinished }
  }

  /** What cannot go on ends as a stop does, so that what is finished is committed. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined || this.#state !== 'running') return
    this.#failure = asOttlaError(error)
    this.#cluster.options.logger.error({ err: error, groupId: this.groupId }, 'the consumer stops')
    void this.stop()
  }

  #settle(): void {
    if (this.#state === 'stopped' || this.#state === 'failed') return
    this.#state = this.#failure === undefined ? 'stopped' : 'failed'
    this.#unlisten?.()
    if (this.#failure === undefined) this.#done.resolve()
    else this.#done.reject(this.#failure)
  }

  #refusal(method: string): OttlaError {
    const isOver = this.#state === 'stopped' || this.#state === 'failed'
    const why = this.#hasHandler && !isOver ? 'it has its one handler already' : `it is ${this.#state}`
    return new OttlaError('INVALID_STATE', `consumer of ${this.groupId}: ${method}() is not possible: ${why}`)
  }
}

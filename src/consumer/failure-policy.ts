/**
 * What follows when a handler throws: wait and call it again; after the last retry stop, or give the work up and
 * report it. Never is anything given up without a report, and no work counts as finished before the report is taken.
 */
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { backoffMs } from '../util/backoff.ts'
import { sleep } from '../util/clock.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import type { ConsumerBatch } from './consumer-batch.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import type { ConsumerRecord } from './consumer-record.ts'

/**
 * Thrown by a batch handler that knows at which record it failed: those before it count as finished, and the retry
 * begins with it. With `onExhausted: 'skip'` that record alone is given up.
 */
export class FailedAtError extends OttlaError {
  declare readonly offset: number

  /** @throws INVALID_ARGUMENT for an offset that is none: a whole record, say */
  constructor(offset: number, cause: unknown) {
    if (!Number.isSafeInteger(offset) || offset < 0) {
      const given = typeof offset === 'number' ? String(offset) : `a value of type ${typeof offset}`
      throw new OttlaError(
        'INVALID_ARGUMENT',
        `FailedAtError: offset must be that of a record, not ${given}`,
        {
          cause,
        },
      )
    }
    const reason = cause instanceof Error ? cause.message : String(cause)
    super('FAILED_AT', `the handler failed at offset ${offset}: ${reason}`, { offset, cause })
  }
}

export interface Failure {
  readonly error: unknown
  /** Which call of the handler it was, from 1. */
  readonly attempt: number
}

/** Work that is to be given up. */
export interface Forlorn extends Failure {
  readonly offset: number
  readonly lastOffset: number
  readonly records: () => readonly ConsumerRecord[]
}

export class FailurePolicy {
  readonly #cluster: Cluster
  readonly #options: ResolvedConsumerOptions

  constructor(cluster: Cluster, options: ResolvedConsumerOptions) {
    this.#cluster = cluster
    this.#options = options
  }

  /**
   * Waits before the next call. `again`: call. `over`: there were enough. `left`: the partition is being given up,
   * the work stays unfinished.
   */
  async wait(partition: AssignedPartition, { error, attempt }: Failure): Promise<'again' | 'over' | 'left'> {
    const { retries, minBackoffMs: minMs, maxBackoffMs: maxMs } = this.#options.failure
    const { clock, random, logger } = this.#cluster.options
    const { topic, partition: number } = partition
    if (partition.isDraining) return left(partition)
    if (attempt > retries) return 'over'
    logger.warn({ err: error, topic, partition: number, attempt }, 'a handler failed and is called again')
    try {
      await sleep(clock, backoffMs(attempt - 1, { minMs, maxMs }, random), partition.ending)
    } catch {
      // Draining has begun: no new attempt.
    }
    return partition.isDraining ? left(partition) : 'again'
  }

  /** Gives work up: stops, with HANDLER_FAILED, or reports it and returns. */
  async giveUp(partition: AssignedPartition, forlorn: Forlorn): Promise<void> {
    const { failure, onSkip } = this.#options
    const error = handlerFailed(partition, forlorn)
    if (failure.onExhausted === 'stop') throw error
    await this.report(partition, { ...forlorn, error }, onSkip)
  }

  /** A batch that cannot be read: no retry helps. */
  async unreadable(partition: AssignedPartition, range: { first: number; last: number }, error: OttlaError) {
    const { failure, onSkip } = this.#options
    if (failure.onExhausted === 'stop') throw located(partition, range.first, error)
    const forlorn = { offset: range.first, lastOffset: range.last, attempt: 0, records: () => [], error }
    await this.report(partition, forlorn, onSkip)
  }

  async report(
    partition: AssignedPartition,
    { offset, lastOffset, records, error, attempt }: Forlorn & { readonly error: OttlaError },
    onSkip: ResolvedConsumerOptions['onSkip'],
  ): Promise<void> {
    const { topic, partition: number } = partition
    this.#cluster.options.logger.error(
      { err: error, topic, partition: number, offset, lastOffset },
      'skipped',
    )
    try {
      await onSkip?.({
        topic,
        partition: number,
        offset,
        lastOffset,
        records: records(),
        error,
        attempts: attempt,
      })
    } catch (reportError) {
      // A report that is not taken is no report: the work must not count as finished.
      throw handlerFailed(partition, { error: reportError, attempt, offset, doing: 'onSkip failed' })
    }
  }
}

function left(partition: AssignedPartition): 'left' {
  partition.leave()
  return 'left'
}

const located = (partition: AssignedPartition, offset: number, error: OttlaError) =>
  new OttlaError(
    error.code,
    `${partition.topic}/${partition.partition} at offset ${offset}: ${error.message}`,
    {
      cause: error,
      topic: partition.topic,
      partition: partition.partition,
      offset,
    },
  )

function handlerFailed(
  { topic, partition }: AssignedPartition,
  failure: Failure & { readonly offset: number; readonly doing?: string },
): OttlaError {
  const { attempt, offset, doing = `the handler failed ${attempt} times` } = failure
  // Where it failed is told already; what matters is what of.
  const error = failure.error instanceof FailedAtError ? failure.error.cause : failure.error
  const reason = error instanceof Error ? error.message : String(error)
  return new OttlaError('HANDLER_FAILED', `${topic}/${partition} at offset ${offset}: ${doing}: ${reason}`, {
    cause: error,
    topic,
    partition,
    offset,
  })
}

/** The part of the batch that begins with the record that the handler names; undefined when it names none of it. */
export function failedPart(error: unknown, batch: ConsumerBatch): ConsumerBatch | undefined {
  if (!(error instanceof FailedAtError) || error.offset < batch.firstOffset) return undefined
  const part = batch.from(error.offset)
  // After compaction the batch may begin at an offset that no record has; its first record is what counts.
  const first = part === undefined ? undefined : [...part].at(0)
  return first?.offset === error.offset ? part : undefined
}

/**
 * Ends what a batch went through: settles its records, moves its partition's window on and frees its memory. Every
 * way in which a batch can end passes here.
 */
import { OttlaError } from '../errors.ts'
import type { Clock } from '../util/clock.ts'
import type { Logger } from '../util/logger.ts'
import type { Batch } from './batch.ts'
import type { Landing } from './calls.ts'
import type { Delivery } from './delivery.ts'
import type { FoundBatch } from './find-offsets.ts'
import type { ProofOutcome } from './send-window.ts'
import type { ProducerPartition } from './topic.ts'

export interface OutcomesParts {
  readonly clock: Clock
  readonly delivery: Delivery
  readonly logger: Logger
  readonly onUncertain: 'resend' | 'drop'
  /** Memory came back: there may be room. */
  readonly onFreed: () => void
}

export class Outcomes {
  readonly #parts: OutcomesParts

  constructor(parts: OutcomesParts) {
    this.#parts = parts
  }

  /** The broker has it. What was walked over before it is thereby proved to be in the log. */
  delivered(partition: ProducerPartition, batch: Batch, landing: Landing): void {
    const walked = partition.window.delivered(batch, this.#parts.clock.now())
    partition.failures = 0
    partition.lastError = undefined
    const first = partition.window.flights[0]
    // Not when one before it is still doubtful: it would be looked for behind this offset.
    if (landing.baseOffset >= 0 && (first === undefined || first.rank > batch.rank)) {
      partition.nextOffset = landing.baseOffset + batch.count
    }
    for (let index = 0; index < walked.length; index++) {
      this.#proved(partition, walked[index] as Batch, undefined)
    }
    if (!batch.isSettled) this.#parts.delivery.delivered(batch, landing)
    this.free(batch)
  }

  /** With acks 0: it left the process. The socket may still read from its memory. */
  unacknowledged(partition: ProducerPartition, batch: Batch): void {
    partition.window.delivered(batch, this.#parts.clock.now())
    if (!batch.isSettled) this.#parts.delivery.delivered(batch, landingUnknown(partition))
    this.free(batch, false)
  }

  /** An answer says that it failed for good. */
  refused(partition: ProducerPartition, batch: Batch, error: OttlaError): void {
    const outcome = batch.maybeInLog ? unknownBecause(partition, error) : error
    const wasGivenUp = batch.givenUp
    batch.givenUp = true
    partition.window.failed(batch, false, this.#parts.clock.now())
    if (!wasGivenUp) this.#parts.delivery.failed(batch, outcome)
    this.free(batch)
  }

  /** It is not waited for any longer: whether it is in the log is known only if it was never on the wire. */
  giveUp(partition: ProducerPartition, batch: Batch, error: OttlaError): void {
    if (batch.isSettled) return
    const isUnknown = batch.state === 'wire' || batch.maybeInLog
    this.#parts.delivery.failed(batch, isUnknown ? unknownBecause(partition, error) : error)
    if (partition.window.giveUp(batch)) this.free(batch)
  }

  /** It was taken out of the queue, or could not get into it, and was never sent. */
  dropped(batch: Batch, error: OttlaError): void {
    batch.state = 'gone'
    this.#parts.delivery.failed(batch, error)
    this.free(batch)
  }

  /** `places`: where batches lie, by base sequence, as far as that is known. */
  proved(partition: ProducerPartition, outcome: ProofOutcome, places: ReadonlyMap<number, FoundBatch>): void {
    const { delivery, logger } = this.#parts
    for (const batch of outcome.delivered) {
      const place = places.get(batch.baseSequence)
      this.#proved(partition, batch, place)
      if (place !== undefined) partition.nextOffset = place.baseOffset + batch.count
    }
    if (outcome.lost > 0) {
      delivery.counts.lost += outcome.lost
      const { topic, index } = partition
      const fields = { topic: topic.name, partition: index, records: outcome.lost }
      logger.error(fields, 'the broker no longer has records that it acknowledged')
    }
    if (outcome.uncertain.length > 0) this.uncertain(partition, outcome.uncertain)
  }

  /** Follows the policy for batches of which nobody can tell whether they are in the log. */
  uncertain(partition: ProducerPartition, batches: readonly Batch[]): void {
    const { delivery, logger, onUncertain } = this.#parts
    const doubtful = batches.filter((batch) => batch.maybeInLog)
    const { topic, index } = partition
    const records = doubtful.reduce((sum, batch) => sum + batch.count, 0)
    if (records > 0) {
      const fields = { topic: topic.name, partition: index, records, policy: onUncertain }
      logger.warn(fields, 'it cannot be proved whether records are in the log')
    }
    if (onUncertain === 'resend') {
      delivery.counts.uncertain += records
      partition.window.resendUncertain(doubtful)
      return
    }
    for (const batch of doubtful) {
      delivery.failed(batch, unproven(partition))
      if (partition.window.giveUp(batch)) this.free(batch)
    }
    partition.window.resendUncertain([])
  }

  /**
   * Gives a batch's memory back; `reuse` is false when a socket may still read from it. Its records may have been settled
   * long before, and whoever waits for room was told in vain then.
   */
  free(batch: Batch, reuse = true): void {
    batch.release(reuse)
    this.#parts.onFreed()
  }

  #proved(partition: ProducerPartition, batch: Batch, place: FoundBatch | undefined): void {
    const { delivery } = this.#parts
    if (!batch.isSettled) {
      delivery.counts.proved += batch.count
      delivery.delivered(batch, { ...landingUnknown(partition), ...place })
    }
    this.free(batch)
  }
}

const landingUnknown = (partition: ProducerPartition): Landing => ({
  topic: partition.topic.name,
  partition: partition.index,
  baseOffset: -1,
  appendTime: -1,
})

const placeOf = (partition: ProducerPartition) => ({
  topic: partition.topic.name,
  partition: partition.index,
})

const unproven = (partition: ProducerPartition) =>
  new OttlaError(
    'UNPROVEN_DELIVERY',
    `nobody can tell whether records are in the log of ${partition.topic.name}/${partition.index}`,
    placeOf(partition),
  )

const unknownBecause = (partition: ProducerPartition, cause: OttlaError) =>
  new OttlaError(
    'DELIVERY_UNKNOWN',
    `records were sent to ${partition.topic.name}/${partition.index} and may be in the log: ${cause.message}`,
    { ...placeOf(partition), cause },
  )

/**
 * What an answer, or the lack of one, means for each batch of a request: every partition of it is handled alone.
 */
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { BrokerError, errorCode, errorName } from '../protocol/error-codes.ts'
import { type Batch, notCompressed } from './batch.ts'
import type { Bounds } from './bounds.ts'
import type { Delivery } from './delivery.ts'
import { type Classification, classify } from './error-classifier.ts'
import type { Generations } from './generations.ts'
import type { Outcomes } from './outcomes.ts'
import type { Pauses } from './pause.ts'
import {
  answersOf,
  type Part,
  type PartAnswer,
  type ProduceAnswer,
  type ProduceRequest,
} from './produce-request.ts'
import type { ProducerSettings } from './producer-options.ts'
import type { SizeLimits } from './size-limits.ts'
import { halvesOf, without } from './smaller-batches.ts'
import type { ProducerPartition } from './topic.ts'

export interface AnswersParts {
  readonly cluster: Cluster
  readonly settings: ProducerSettings
  readonly bounds: Bounds
  readonly generations: Generations
  readonly delivery: Delivery
  readonly outcomes: Outcomes
  readonly pauses: Pauses
  readonly limits: SizeLimits
  /** Nothing that this producer holds can be delivered. */
  readonly onFatal: (error: OttlaError) => void
  /** The producer id is of no use any more. */
  readonly onFenced: (producerId: number) => void
}

export class Answers {
  readonly #parts: AnswersParts

  constructor(parts: AnswersParts) {
    this.#parts = parts
  }

  answered(request: ProduceRequest, version: number, answer: ProduceAnswer): void {
    const answers = answersOf(request, version, answer)
    for (let index = 0; index < request.parts.length; index++) {
      const part = request.parts[index] as Part
      const given = answers[index]
      if (given === undefined) this.#lost(part, noAnswer(part))
      else this.#handle(part, given, answer)
    }
  }

  /** Acks 0: the bytes have left. */
  written(request: ProduceRequest): void {
    for (const { partition, batch } of request.parts) this.#parts.outcomes.unacknowledged(partition, batch)
  }

  /** The connection ended, or the answer could not be read: nobody knows whether it was done. */
  lost(request: ProduceRequest, error: OttlaError): void {
    for (const part of request.parts) this.#lost(part, error)
  }

  #lost({ partition, batch }: Part, error: OttlaError): void {
    const { settings, outcomes, pauses } = this.#parts
    partition.lastError = error
    if (settings.acks === 0) {
      // Nothing would ever tell: a repetition could only make duplicates.
      batch.maybeInLog = true
      outcomes.refused(partition, batch, error)
      return
    }
    this.#again(partition, batch, true)
    pauses.begin(partition, true)
  }

  #handle(part: Part, answer: PartAnswer, whole: ProduceAnswer): void {
    const { partition, batch } = part
    if (answer.errorCode === errorCode.NONE || answer.errorCode === errorCode.DUPLICATE_SEQUENCE_NUMBER) {
      const { name: topic } = partition.topic
      const landing = {
        topic,
        partition: partition.index,
        baseOffset: answer.baseOffset,
        // To a repetition Kafka answers the batch's latest time, as if it were that of the append.
        appendTime: answer.logAppendTimeMs === batch.maxTimestamp ? -1 : answer.logAppendTimeMs,
      }
      this.#parts.limits.passed(partition.topic)
      this.#parts.outcomes.delivered(partition, batch, landing)
      return
    }
    const error = brokerError(partition, answer)
    partition.lastError = error
    this.#handleError(part, { answer, whole, error, classification: classify(answer.errorCode) })
  }

  #handleError({ partition, batch }: Part, failure: Failure): void {
    const { outcomes, onFatal, onFenced } = this.#parts
    const { error, classification, answer } = failure
    switch (classification.handling) {
      case 'retry':
      case 'refresh':
        return this.#retry(partition, batch, failure)
      case 'sequence':
        partition.window.outOfSequence(batch)
        return this.#freeIfGone(batch)
      case 'fenced': {
        const { mapping } = partition.window
        partition.window.fenced(batch)
        if (mapping !== undefined) onFenced(mapping.producerId)
        return this.#freeIfGone(batch)
      }
      case 'split':
        return this.#split(partition, batch, error)
      case 'refuse-records':
        return this.#refuseRecords(partition, batch, answer)
      case 'fatal':
        outcomes.refused(partition, batch, error)
        return onFatal(error)
      default:
        return outcomes.refused(partition, batch, error)
    }
  }

  #retry(partition: ProducerPartition, batch: Batch, { answer, whole, classification }: Failure): void {
    const { cluster, pauses } = this.#parts
    const isRefresh = classification.handling === 'refresh'
    this.#again(partition, batch, classification.maybeInLog)
    const { currentLeader } = answer
    if (isRefresh && currentLeader.leaderId >= 0 && currentLeader.leaderEpoch > partition.leaderEpoch) {
      // KIP-951: the answer says who leads now, so nothing has to be waited for.
      const hint = { ...currentLeader, endpoints: whole.nodeEndpoints }
      cluster.noteLeader(partition.topic.name, partition.index, hint)
      return
    }
    pauses.begin(partition, isRefresh)
  }

  #again(partition: ProducerPartition, batch: Batch, maybeInLog: boolean): void {
    this.#parts.delivery.counts.retriedBatches++
    partition.window.failed(batch, maybeInLog, this.#parts.cluster.options.clock.now())
    this.#freeIfGone(batch)
  }

  #split(partition: ProducerPartition, batch: Batch, error: BrokerError): void {
    const { settings, bounds, generations, delivery, limits, outcomes } = this.#parts
    if (batch.count === 1 || batch.givenUp) {
      const { topic, index } = partition
      const tooLarge = new OttlaError(
        'RECORD_TOO_LARGE',
        `the topic does not take a record: ${error.message}`,
        {
          cause: error,
          topic: topic.name,
          partition: index,
        },
      )
      return outcomes.refused(partition, batch, tooLarge)
    }
    limits.tooLarge(partition.topic, batch)
    const halves = this.#encoded(partition, batch, () => halvesOf(batch, bounds.pool, settings.compression))
    if (halves === undefined) return
    generations.join(batch.generation)
    delivery.counts.splitBatches++
    partition.window.replace(batch, halves)
    outcomes.free(batch)
  }

  /** KIP-467: the answer names the records that are refused; without names it is the whole batch. */
  #refuseRecords(partition: ProducerPartition, batch: Batch, answer: PartAnswer): void {
    const { settings, bounds, delivery, outcomes } = this.#parts
    const named = new Map<number, OttlaError>()
    for (const { batchIndex, batchIndexErrorMessage } of answer.recordErrors) {
      const message = batchIndexErrorMessage ?? answer.errorMessage
      if (batchIndex >= 0 && batchIndex < batch.count) {
        named.set(batchIndex, brokerError(partition, { ...answer, errorMessage: message }))
      }
    }
    const places = [...named.keys()].sort((a, b) => a - b)
    if (batch.givenUp || places.length === 0 || places.length === batch.count) {
      const [only] = named.values()
      const error = only ?? brokerError(partition, answer)
      return outcomes.refused(partition, batch, error)
    }
    const how = { pool: bounds.pool, compression: settings.compression }
    const parts = this.#encoded(partition, batch, () => without(batch, places, how))
    if (parts === undefined) return
    const { rest, refused } = parts
    const errors = new Map(places.map((place) => [place, named.get(place) as OttlaError]))
    delivery.refused(batch, refused, errors)
    partition.window.replace(batch, rest === undefined ? [] : [rest])
    outcomes.free(batch)
  }

  /** What an encoder makes of a batch that the broker did not take. When it fails, so does the batch as a whole. */
  #encoded<T>(partition: ProducerPartition, batch: Batch, encode: () => T): T | undefined {
    try {
      return encode()
    } catch (error) {
      this.#parts.outcomes.refused(partition, batch, notCompressed(batch, error))
      return undefined
    }
  }

  #freeIfGone(batch: Batch): void {
    if (batch.state === 'gone') this.#parts.outcomes.free(batch)
  }
}

interface Failure {
  readonly answer: PartAnswer
  readonly whole: ProduceAnswer
  readonly error: BrokerError
  readonly classification: Classification
}

function brokerError(partition: ProducerPartition, answer: PartAnswer): BrokerError {
  const { name: topic } = partition.topic
  const doing = `producing to ${topic}/${partition.index}`
  const brokerMessage = answer.errorMessage
  return new BrokerError(answer.errorCode, doing, {
    topic,
    partition: partition.index,
    api: 'Produce',
    brokerMessage,
  })
}

const noAnswer = ({ partition }: Part) =>
  new OttlaError(
    'MALFORMED_FRAME',
    `the answer to Produce leaves ${partition.topic.name}/${partition.index} out (${errorName(-1)})`,
    { topic: partition.topic.name, partition: partition.index, api: 'Produce' },
  )

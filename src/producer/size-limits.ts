/**
 * How large a topic's batches may be: the option, until the topic refuses one. Then half of that one, and, once the
 * broker has told it, the topic's `max.message.bytes`. A learned limit is doubted after a while, so a topic that takes
 * more again gets more again.
 */
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { BrokerError } from '../protocol/error-codes.ts'
import { describeConfigs } from '../protocol/messages/index.ts'
import type { Batch } from './batch.ts'
import type { ProducerSettings } from './producer-options.ts'
import type { ProducerTopic } from './topic.ts'

const CONFIG = 'max.message.bytes'
const TOPIC_RESOURCE = 2
/** A limit that the broker told is asked for again after this time; one that was guessed is doubled. */
const TOLD_FOR_MS = 600_000
const GUESSED_FOR_MS = 60_000
const SMALLEST = 128

export class SizeLimits {
  readonly #cluster: Cluster
  readonly #settings: ProducerSettings
  readonly #signal: AbortSignal

  constructor(cluster: Cluster, settings: ProducerSettings, signal: AbortSignal) {
    this.#cluster = cluster
    this.#settings = settings
    this.#signal = signal
  }

  /** The topic refused a batch of several records for its size. */
  tooLarge(topic: ProducerTopic, batch: Batch): void {
    const guess = Math.max(SMALLEST, batch.plainBytes >>> 1)
    topic.maxBatchBytes = Math.min(topic.maxBatchBytes, guess)
    topic.limitUntil = this.#cluster.options.clock.monotonic() + GUESSED_FOR_MS
    if (topic.isLearning) return
    topic.isLearning = true
    void this.#learn(topic, batch.plainBytes / batch.bytes.length)
  }

  /** The topic took a batch: a limit that has become old is given up, step by step if it was a guess. */
  passed(topic: ProducerTopic): void {
    if (topic.limitUntil === Number.POSITIVE_INFINITY) return
    const now = this.#cluster.options.clock.monotonic()
    if (now < topic.limitUntil) return
    const { maxBatchBytes } = this.#settings
    topic.maxBatchBytes = Math.min(maxBatchBytes, topic.maxBatchBytes * 2)
    topic.limitUntil = topic.maxBatchBytes < maxBatchBytes ? now + GUESSED_FOR_MS : Number.POSITIVE_INFINITY
  }

  /** `ratio`: what compression made of the batch that was refused; the broker's limit is on what it gets. */
  async #learn(topic: ProducerTopic, ratio: number): Promise<void> {
    try {
      const limit = await this.#ask(topic.name)
      const { maxBatchBytes } = this.#settings
      topic.maxBatchBytes = Math.max(
        SMALLEST,
        Math.min(maxBatchBytes, Math.floor(limit * Math.max(1, ratio))),
      )
      topic.limitUntil = this.#cluster.options.clock.monotonic() + TOLD_FOR_MS
    } catch (error) {
      // No right to read the configuration, or no answer: the guess stands.
      this.#cluster.options.logger.debug({ err: error, topic: topic.name }, `${CONFIG} could not be read`)
    } finally {
      topic.isLearning = false
    }
  }

  async #ask(resourceName: string): Promise<number> {
    const connection = await this.#cluster.anyConnection({ signal: this.#signal })
    const resource = { resourceType: TOPIC_RESOURCE, resourceName, configurationKeys: [CONFIG] }
    const answer = await connection.request(describeConfigs, { resources: [resource] })
    const result = answer.results[0]
    if (result === undefined || result.errorCode !== 0) {
      throw new BrokerError(result?.errorCode ?? -1, `reading ${CONFIG} of ${resourceName}`)
    }
    const limit = Number(result.configs.find(({ name }) => name === CONFIG)?.value)
    if (!(limit > 0)) throw new OttlaError('MALFORMED_FRAME', `${CONFIG} of ${resourceName} is not told`)
    return limit
  }
}

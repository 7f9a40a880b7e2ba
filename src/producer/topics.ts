/**
 * The topics that a producer writes to, and what metadata says of them: partitions, leaders, ids.
 *
 *     unknown ── partitions found ──> ready ⇄ gone for a while ── unknownTopicTimeoutMs ──> its records fail
 *
 * A topic that was written to is watched for the life of the producer, because the numbers of its partitions are
 * remembered as long.
 */
import type { Cluster, TopicMetadata } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'
import { zeroUuid } from '../protocol/schema.ts'
import { backoffMs } from '../util/backoff.ts'
import { sleep } from '../util/clock.ts'
import type { Batch } from './batch.ts'
import type { Pauses } from './pause.ts'
import type { ProducerSettings } from './producer-options.ts'
import type { Queue } from './queue/queue.ts'
import { SendWindow } from './send-window.ts'
import { ProducerPartition, ProducerTopic } from './topic.ts'

export interface TopicsParts {
  readonly cluster: Cluster
  readonly settings: ProducerSettings
  readonly queue: Queue<Batch>
  readonly pauses: Pauses
  readonly signal: AbortSignal
  /** Partitions are known: what was spooled may go on. */
  readonly onReady: (topic: ProducerTopic) => void
  /** The partition may have something to send. */
  readonly onWake: (partition: ProducerPartition) => void
  /** Nothing that waits for the topic can be delivered. */
  readonly onFailed: (topic: ProducerTopic, error: OttlaError) => void
  /** The topic was made anew with fewer partitions. */
  readonly onPartitionGone: (partition: ProducerPartition, error: OttlaError) => void
}

export class Topics {
  readonly #parts: TopicsParts
  readonly #byName = new Map<string, ProducerTopic>()
  readonly #stopListening: () => void

  constructor(parts: TopicsParts) {
    this.#parts = parts
    this.#stopListening = parts.cluster.onChange(() => this.#onMetadata())
  }

  /** The topic if its partitions are known and nothing waits for them. */
  ready(name: string): ProducerTopic | undefined {
    const topic = this.#byName.get(name)
    return topic?.isReady === true && topic.spool.length === 0 ? topic : undefined
  }

  /** The topic; asking for one that is not known yet begins the search for its partitions. */
  get(name: string): ProducerTopic {
    let topic = this.#byName.get(name)
    if (topic !== undefined) return topic
    const { cluster, settings } = this.#parts
    topic = new ProducerTopic(name, { random: cluster.options.random, maxBatchBytes: settings.maxBatchBytes })
    topic.unwatch = cluster.watch([name])
    this.#byName.set(name, topic)
    const known = cluster.topic(name)
    if (known !== undefined) this.#apply(topic, known)
    if (!topic.isReady) void this.#discover(topic)
    return topic
  }

  /** Asks for its metadata, with whatever else is asked for. */
  look({ name }: ProducerTopic): void {
    const { cluster } = this.#parts
    cluster.refresh({ topics: [name] }).catch((error: unknown) => {
      cluster.options.logger.debug({ err: error, topic: name }, 'the metadata could not be refreshed')
    })
  }

  all(): Iterable<ProducerTopic> {
    return this.#byName.values()
  }

  stop(): void {
    this.#stopListening()
    for (const topic of this.#byName.values()) topic.unwatch?.()
    this.#byName.clear()
  }

  /** Searches as long as records wait. A topic that is not there fails after unknownTopicTimeoutMs. */
  async #discover(topic: ProducerTopic): Promise<void> {
    const { cluster, settings, signal } = this.#parts
    const { clock, random } = cluster.options
    const { retryBackoffMs: minMs, retryBackoffMaxMs: maxMs } = settings
    const timeoutMs = Math.max(1, settings.unknownTopicTimeoutMs)
    for (let attempt = 0; !signal.aborted && !topic.isReady; attempt++) {
      try {
        const metadata = await cluster.ensureTopic(topic.name, { timeoutMs, signal })
        return this.#apply(topic, metadata)
      } catch (error) {
        if (signal.aborted || topic.isReady) return
        topic.lastError = error instanceof OttlaError ? error : undefined
        if (topic.lastError !== undefined && isFinal(topic.lastError)) {
          return this.#forget(topic, topic.lastError)
        }
        if (topic.spool.length === 0) return this.#forget(topic, undefined)
        cluster.options.logger.debug(
          { err: error, topic: topic.name },
          'a topic’s partitions are not known yet',
        )
      }
      await sleep(clock, backoffMs(attempt, { minMs, maxMs }, random), signal).catch(() => undefined)
    }
  }

  #forget(topic: ProducerTopic, error: OttlaError | undefined): void {
    this.#byName.delete(topic.name)
    topic.unwatch?.()
    if (error !== undefined) this.#parts.onFailed(topic, error)
  }

  #onMetadata(): void {
    for (const topic of this.#byName.values()) {
      const metadata = this.#parts.cluster.topic(topic.name)
      if (metadata !== undefined && metadata !== topic.applied) this.#apply(topic, metadata)
    }
  }

  #apply(topic: ProducerTopic, metadata: TopicMetadata): void {
    if (metadata === topic.applied) return
    topic.applied = metadata
    if (metadata.partitions.length === 0) {
      this.#noteMissing(topic, metadata)
      return
    }
    topic.unknownSince = -1
    const isAnother = topic.topicId !== zeroUuid && metadata.topicId !== topic.topicId
    topic.topicId = metadata.topicId
    if (isAnother) for (const partition of topic.partitions) partition.window.beginAnew()
    this.#resize(topic, metadata.partitions.length)
    topic.available = metadata.partitions
      .filter(({ leaderId }) => leaderId >= 0)
      .map(({ partition }) => partition)
    topic.sticky.refresh(topic)
    for (const partition of topic.partitions) this.#applyLeader(partition, metadata, isAnother)
    if (topic.isReady) return
    topic.isReady = true
    this.#parts.onReady(topic)
  }

  #applyLeader(partition: ProducerPartition, metadata: TopicMetadata, isAnother: boolean): void {
    const { leaderId = -1, leaderEpoch = -1 } = metadata.partitions[partition.index] ?? {}
    if (leaderId === partition.leaderId && leaderEpoch === partition.leaderEpoch && !isAnother) return
    partition.leaderId = leaderId
    partition.leaderEpoch = leaderEpoch
    if (isAnother) partition.nextOffset = -1
    if (leaderId < 0) return
    this.#parts.pauses.end(partition)
    this.#parts.onWake(partition)
  }

  #resize(topic: ProducerTopic, count: number): void {
    const { settings, queue } = this.#parts
    for (const gone of topic.partitions.splice(count)) {
      gone.isGone = true
      const doing = `producing to ${topic.name}/${gone.index}, which has ${count} partitions now`
      const fields = { topic: topic.name, partition: gone.index }
      this.#parts.onPartitionGone(gone, new BrokerError(errorCode.UNKNOWN_TOPIC_OR_PARTITION, doing, fields))
    }
    for (let index = topic.partitions.length; index < count; index++) {
      const { idempotent, maxInFlight } = settings
      const window = new SendWindow({ idempotent, maxInFlight })
      const stream = queue.stream(topic.name, index)
      topic.partitions.push(new ProducerPartition(topic, index, { window, stream }))
    }
  }

  /** The cluster says that a topic which was there is not there. It may only be a broker that lags behind. */
  #noteMissing(topic: ProducerTopic, metadata: TopicMetadata): void {
    const code = metadata.errorCode || errorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (!topic.isReady) topic.lastError = missing(topic, code)
    if (!topic.isReady || topic.unknownSince >= 0) return
    topic.unknownSince = this.#parts.cluster.options.clock.monotonic()
    void this.#failWhileMissing(topic, code)
  }

  async #failWhileMissing(topic: ProducerTopic, code: number): Promise<void> {
    const { cluster, settings, signal, onFailed } = this.#parts
    const { clock } = cluster.options
    const since = topic.unknownSince
    for (;;) {
      await sleep(clock, Math.max(1, settings.unknownTopicTimeoutMs), signal).catch(() => undefined)
      if (signal.aborted || topic.unknownSince !== since) return
      onFailed(topic, missing(topic, code))
    }
  }
}

const missing = (topic: ProducerTopic, code: number) =>
  new BrokerError(code, `producing to ${topic.name}`, { topic: topic.name })

/** What trying again does not change: refused by name, or still unknown after all of the time that it was given. */
const isFinal = (error: OttlaError): boolean =>
  !error.retriable ||
  (error instanceof BrokerError &&
    (error.errorCode === errorCode.UNKNOWN_TOPIC_OR_PARTITION ||
      error.errorCode === errorCode.UNKNOWN_TOPIC_ID))

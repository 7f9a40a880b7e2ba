/**
 * A cluster as its clients see it: metadata, connections, coordinators.
 *
 * Connects when first used. Nothing runs while nobody watches a topic and no call waits. After `stop` every call
 * rejects and no timer or socket is left.
 */
import { OttlaError } from '../errors.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'
import { zeroUuid } from '../protocol/schema.ts'
import { Bootstrap } from './bootstrap.ts'
import { aborted, untilAborted } from './cancellation.ts'
import type { Connection } from './connection.ts'
import { ConnectionPool } from './connection-pool.ts'
import { type CoordinatorKind, Coordinators } from './coordinators.ts'
import { type Broker, type LeaderHint, MetadataCache, type TopicMetadata } from './metadata-cache.ts'
import { MetadataRefresher } from './metadata-refresher.ts'
import type { ClusterOptions } from './options.ts'
import { persist } from './persist.ts'
import { RecentTopics } from './recent-topics.ts'

export type { Broker, LeaderHint, PartitionMetadata, TopicMetadata } from './metadata-cache.ts'
export type { ClusterOptions } from './options.ts'

interface Waiting {
  readonly signal?: AbortSignal
}

export class Cluster {
  readonly options: ClusterOptions
  /** What this client created a moment ago: a broker that does not know it yet lags behind. */
  readonly recentTopics: RecentTopics
  readonly #cache = new MetadataCache()
  readonly #pool: ConnectionPool
  readonly #bootstrap: Bootstrap
  readonly #coordinators: Coordinators
  readonly #refresher: MetadataRefresher
  readonly #stopping = new AbortController()

  constructor(options: ClusterOptions) {
    this.options = options
    this.recentTopics = new RecentTopics(options.clock)
    this.#pool = new ConnectionPool(options, (nodeId) => this.#cache.broker(nodeId))
    this.#bootstrap = new Bootstrap({
      options,
      pool: this.#pool,
      brokers: () => this.#cache.brokers(),
      signal: this.#stopping.signal,
    })
    this.#coordinators = new Coordinators({
      ask: (question) => this.#bootstrap.ask(question),
      onBroker: (broker) => this.#learn([broker]),
      persist: (doing, attempt) =>
        this.#persist({ doing, timeoutMs: options.requestTimeoutMs, signal: undefined }, attempt),
    })
    this.#refresher = new MetadataRefresher({
      options,
      cache: this.#cache,
      ask: (question) => this.#bootstrap.ask(question),
      signal: this.#stopping.signal,
      onApplied: () => {
        this.#bootstrap.settleSeed()
        this.#pool.reconcile()
      },
    })
  }

  get clusterId(): string | undefined {
    return this.#cache.clusterId
  }

  /** -1 until it is known. */
  get controllerId(): number {
    return this.#cache.controllerId
  }

  /** Fires when the cluster stops; its reason is what waiting calls reject with. */
  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  // -------------------------------------------------------------------------------------------- metadata

  topic(name: string): TopicMetadata | undefined {
    return this.#cache.topic(name)
  }

  topicById(topicId: string): TopicMetadata | undefined {
    return this.#cache.topicById(topicId)
  }

  brokers(): readonly Broker[] {
    return this.#cache.brokers()
  }

  /** These topics are part of every refresh until the returned function is called; counted. */
  watch(topics: readonly string[]): () => void {
    return this.#refresher.watch(topics)
  }

  /** Called after each change of the metadata. Returns a function that ends it. */
  onChange(listener: () => void): () => void {
    return this.#refresher.onChange(listener)
  }

  /**
   * Asks some broker for metadata: of the topics named, of those watched, and of the brokers.
   *
   * Calls that come together are one request; without `force` it is sent no sooner than `metadataMinIntervalMs` after
   * the last. One round over all brokers and addresses: the caller decides whether to try again.
   * @throws CONNECTION_FAILED, SASL_FAILED, TLS_FAILED, UNSUPPORTED_VERSION, ABORTED, INVALID_STATE after stop
   */
  async refresh(
    options: Waiting & { readonly topics?: readonly string[]; readonly force?: boolean } = {},
  ): Promise<void> {
    this.#checkRunning()
    const { topics = [], force = false, signal } = options
    if (signal?.aborted) throw aborted('the metadata refresh', signal)
    await untilAborted(this.#refresher.refresh(topics, force), signal, (given) =>
      aborted('the metadata refresh', given),
    )
  }

  /**
   * Resolves when the topic is known and has partitions.
   *
   * Where the broker creates topics that are asked for, it may create this one (`allowAutoTopicCreation`).
   * Keeps asking until `timeoutMs` (default `requestTimeoutMs`) is over, then rejects with the last reason:
   * UNKNOWN_TOPIC_OR_PARTITION, CONNECTION_FAILED, … What cannot pass by itself (INVALID_TOPIC_EXCEPTION,
   * TOPIC_AUTHORIZATION_FAILED, SASL_FAILED) rejects at once. With `topicId` an earlier topic of the same name is not it; nor is
   * one with fewer than `partitions`.
   */
  async ensureTopic(
    name: string,
    options: Waiting & {
      readonly timeoutMs?: number
      readonly topicId?: string
      readonly partitions?: number
    } = {},
  ): Promise<TopicMetadata> {
    const { signal, timeoutMs = this.options.requestTimeoutMs, topicId, partitions = 1 } = options
    const usable = (topic: TopicMetadata | undefined) =>
      isUsable(topic) && isSame(topic, topicId) && topic.partitions.length >= partitions ? topic : undefined
    const known = usable(this.#cache.topic(name))
    if (known !== undefined) return known
    return this.#persist({ doing: `metadata of topic ${name}`, timeoutMs, signal }, async () => {
      await this.#refresher.want(name)
      const topic = this.#cache.topic(name)
      const found = usable(topic)
      if (found !== undefined) return found
      const code = topic?.errorCode || errorCode.UNKNOWN_TOPIC_OR_PARTITION
      throw new BrokerError(code, `metadata of topic ${name}`, { topic: name })
    })
  }

  /** A leader learned from an answer (KIP-951). Ignored unless its epoch is newer than the known one. */
  noteLeader(topic: string, partition: number, hint: LeaderHint): void {
    const isNews = this.#cache.noteLeader(topic, partition, hint)
    if (!isNews) return
    this.#learn(hint.endpoints ?? [])
    this.#refresher.tell()
  }

  /** Why no broker tells of metadata at present; undefined when the last one that was asked did. */
  get lastFailure(): OttlaError | undefined {
    return this.#refresher.lastFailure
  }

  // -------------------------------------------------------------------------------------------- connections

  /** A connection that is open already. Each purpose has its own; the default one is shared. */
  openConnection(nodeId: number, purpose?: string): Connection | undefined {
    return this.#pool.open(nodeId, purpose)
  }

  /**
   * A connection to a node, dialled when there is none. After a failed dial the next one waits for the back-off.
   *
   * @throws CONNECTION_FAILED with the real cause; SASL_FAILED, TLS_FAILED, UNSUPPORTED_VERSION, ABORTED
   */
  async connection(
    nodeId: number,
    options: Waiting & { readonly purpose?: string } = {},
  ): Promise<Connection> {
    this.#checkRunning()
    return this.#pool.get(nodeId, options.purpose, options.signal)
  }

  /** A shared connection to whichever broker answers. */
  async anyConnection(options: Waiting = {}): Promise<Connection> {
    this.#checkRunning()
    return untilAborted(this.#bootstrap.connection(), options.signal, (given) =>
      aborted('the connection', given),
    )
  }

  /**
   * The node that coordinates a group or transactional id, from the cache unless `refresh` is said.
   *
   * Keeps asking for `requestTimeoutMs` while the answer is a passing error (a new cluster first has to create its
   * offsets topic).
   */
  async coordinator(
    kind: CoordinatorKind,
    key: string,
    options: Waiting & { readonly refresh?: boolean } = {},
  ): Promise<number> {
    this.#checkRunning()
    const { refresh = false, signal } = options
    if (refresh) this.#coordinators.forget(kind, key)
    const known = this.#coordinators.known(kind, key)
    if (known !== undefined) return known
    return untilAborted(this.#coordinators.find(kind, key), signal, (given) =>
      aborted(`the lookup of the coordinator of ${kind} ${key}`, given),
    )
  }

  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return
    const reason = new OttlaError('ABORTED', 'the client was stopped')
    this.#stopping.abort(reason)
    this.#refresher.stop()
    this.#bootstrap.stop(reason)
    this.#pool.stop(reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #persist<T>(
    how: { readonly doing: string; readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
    attempt: () => Promise<T>,
  ): Promise<T> {
    return persist({ ...how, stopping: this.#stopping.signal, options: this.options }, () => {
      this.#checkRunning()
      return attempt()
    })
  }

  #learn(brokers: readonly Broker[]): void {
    const news = brokers.filter(({ nodeId, host, port }) => {
      const known = this.#cache.broker(nodeId)
      return known === undefined || known.host !== host || known.port !== port
    })
    if (news.length === 0) return
    this.#cache.addBrokers(news)
    this.#pool.reconcile()
  }

  #checkRunning(): void {
    if (this.#stopping.signal.aborted) {
      throw new OttlaError('INVALID_STATE', 'the client is stopped: its connections are closed')
    }
  }
}

const isUsable = (topic: TopicMetadata | undefined): topic is TopicMetadata =>
  topic !== undefined && topic.errorCode === 0 && topic.partitions.length > 0

/** A broker that is too old to tell ids is believed. */
const isSame = (topic: TopicMetadata, topicId: string | undefined): boolean =>
  topicId === undefined || topic.topicId === zeroUuid || topicId === zeroUuid || topic.topicId === topicId

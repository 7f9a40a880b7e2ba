/**
 * What is known of a cluster: its brokers, its topics, who leads which partition.
 *
 * Synchronous; fed with Metadata responses (API key 3) and with leader hints (KIP-951). What it hands out never
 * changes: a change makes new objects. Invariants:
 * - A partition's leader epoch never goes back, whichever broker answers (KIP-320: a broker may lag behind).
 * - A topic that comes with another topic id is another topic: everything known of the old one is dropped.
 */
import { errorCode } from '../protocol/error-codes.ts'
import type { metadata } from '../protocol/messages/index.ts'
import { type ResponseOf, zeroUuid } from '../protocol/schema.ts'

export interface Broker {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export interface PartitionMetadata {
  readonly partition: number
  /** -1: none. */
  readonly leaderId: number
  /** -1: the broker is too old to tell. */
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly errorCode: number
}

export interface TopicMetadata {
  readonly name: string
  /** Kafka's text form; zeros when the broker is too old to tell. */
  readonly topicId: string
  readonly isInternal: boolean
  readonly errorCode: number
  /** The index is the partition's number; one that the broker left out has no leader. */
  readonly partitions: readonly PartitionMetadata[]
}

/** A leader as an answer of another broker tells it (KIP-951). */
export interface LeaderHint {
  readonly leaderId: number
  readonly leaderEpoch: number
  /** Where the leader is to be found, when the answer says it. */
  readonly endpoints?: readonly Broker[] | undefined
}

type Response = ResponseOf<typeof metadata>
type ResponseTopic = Response['topics'][number]
type ResponsePartition = ResponseTopic['partitions'][number]

export class MetadataCache {
  clusterId: string | undefined
  controllerId = -1
  #brokers = new Map<number, Broker>()
  #topics = new Map<string, TopicMetadata>()
  #namesById = new Map<string, string>()
  /** When a topic was last spoken of, by the clock of the caller. */
  readonly #seenAt = new Map<string, number>()

  brokers(): readonly Broker[] {
    return [...this.#brokers.values()]
  }

  broker(nodeId: number): Broker | undefined {
    return this.#brokers.get(nodeId)
  }

  topic(name: string): TopicMetadata | undefined {
    return this.#topics.get(name)
  }

  topicById(topicId: string): TopicMetadata | undefined {
    const name = this.#namesById.get(topicId)
    return name === undefined ? undefined : this.#topics.get(name)
  }

  topics(): readonly TopicMetadata[] {
    return [...this.#topics.values()]
  }

  /** Takes a response. Topics that it does not speak of stay as they are; brokers are replaced. */
  apply(response: Response, now: number): void {
    // An empty list is no news of a cluster without brokers but an answer of one that is still starting.
    if (response.brokers.length > 0) {
      this.#brokers = new Map(response.brokers.map((broker) => [broker.nodeId, Object.freeze({ ...broker })]))
    }
    if (response.clusterId !== null) this.clusterId = response.clusterId
    this.controllerId = response.controllerId
    for (const topic of response.topics) this.#applyTopic(topic, now)
  }

  /** Forgets topics that no response has spoken of since then, unless they are to be kept. */
  expire(before: number, keep: (name: string) => boolean): void {
    for (const [name, seenAt] of this.#seenAt) {
      if (seenAt >= before || keep(name)) continue
      const known = this.#topics.get(name)
      if (known !== undefined) this.#namesById.delete(known.topicId)
      this.#topics.delete(name)
      this.#seenAt.delete(name)
    }
  }

  /** Drops the brokers, so that the configured ones are asked again (KIP-1102). */
  forgetBrokers(): void {
    this.#brokers.clear()
    this.controllerId = -1
  }

  /** Learns of brokers in passing: from a coordinator lookup, or beside a leader hint. */
  addBrokers(brokers: readonly Broker[]): void {
    for (const broker of brokers) this.#brokers.set(broker.nodeId, Object.freeze({ ...broker }))
  }

  /** True when the hint was news. */
  noteLeader(name: string, partition: number, hint: LeaderHint): boolean {
    const topic = this.#topics.get(name)
    const known = topic?.partitions[partition]
    if (topic === undefined || known === undefined) return false
    if (hint.leaderId < 0 || hint.leaderEpoch <= known.leaderEpoch) return false
    const { leaderId, leaderEpoch } = hint
    const partitions = topic.partitions.with(
      partition,
      Object.freeze({ ...known, leaderId, leaderEpoch, errorCode: 0 }),
    )
    this.#topics.set(name, Object.freeze({ ...topic, partitions: Object.freeze(partitions) }))
    return true
  }

  #applyTopic(given: ResponseTopic, now: number): void {
    const known = given.name === null ? this.topicById(given.topicId) : this.#topics.get(given.name)
    const name = given.name ?? known?.name
    if (name === undefined) return
    this.#seenAt.set(name, now)
    const { errorCode: code, topicId, isInternal } = given
    if (code !== 0 && !isGone(code) && known !== undefined && known.partitions.length > 0) {
      // Nothing is said about the partitions: what is known of them still stands.
      this.#topics.set(name, Object.freeze({ ...known, errorCode: code }))
      return
    }
    const isSame = known !== undefined && (known.topicId === topicId || topicId === zeroUuid)
    if (known !== undefined && !isSame) this.#namesById.delete(known.topicId)
    const partitions = code === 0 ? mergePartitions(given.partitions, isSame ? known.partitions : []) : []
    const merged = { name, topicId, isInternal, errorCode: code, partitions: Object.freeze(partitions) }
    this.#topics.set(name, Object.freeze(merged))
    if (topicId !== zeroUuid) this.#namesById.set(topicId, name)
  }
}

const isGone = (code: number) =>
  code === errorCode.UNKNOWN_TOPIC_OR_PARTITION || code === errorCode.UNKNOWN_TOPIC_ID

function mergePartitions(
  given: readonly ResponsePartition[],
  known: readonly PartitionMetadata[],
): PartitionMetadata[] {
  // Partitions are numbered without gaps; a number far beyond their count is damage, and must not size an array.
  const sane = given.filter(({ partitionIndex: index }) => index >= 0 && index < 2 * given.length + 16)
  const highest = sane.reduce((most, { partitionIndex }) => Math.max(most, partitionIndex), -1)
  // Partitions are never taken away: a broker that knows fewer of the same topic lags behind.
  const count = Math.max(highest + 1, known.length)
  const merged = Array.from(
    { length: count },
    (_, partition) => known[partition] ?? unknownPartition(partition),
  )
  for (const one of sane) {
    const before = known[one.partitionIndex]
    const isOlder = before !== undefined && one.leaderEpoch >= 0 && one.leaderEpoch < before.leaderEpoch
    if (!isOlder) merged[one.partitionIndex] = toPartition(one)
  }
  return merged
}

const toPartition = (given: ResponsePartition): PartitionMetadata =>
  Object.freeze({
    partition: given.partitionIndex,
    // A replica that is away (9) says nothing about the leader.
    leaderId:
      given.errorCode === 0 || given.errorCode === errorCode.REPLICA_NOT_AVAILABLE ? given.leaderId : -1,
    leaderEpoch: given.leaderEpoch,
    replicas: given.replicaNodes,
    isr: given.isrNodes,
    errorCode: given.errorCode,
  })

const unknownPartition = (partition: number): PartitionMetadata =>
  Object.freeze({
    partition,
    leaderId: -1,
    leaderEpoch: -1,
    replicas: [],
    isr: [],
    errorCode: errorCode.LEADER_NOT_AVAILABLE,
  })

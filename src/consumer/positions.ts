/**
 * Where to read from: what the group has committed, what `startFrom` and `onOutOfRange` say, and whether a position
 * still is in the leader's log.
 */
import type { Cluster } from '../client/cluster.ts'
import { listOffsets, offsetFetch, offsetForLeaderEpoch } from '../protocol/messages/index.ts'
import { askLeaders, refreshQuietly } from './ask-leaders.ts'
import type { Position } from './assigned-partition.ts'
import type { ResolvedConsumerOptions, StartFrom } from './consumer-options.ts'
import type { CoordinatorLink } from './coordinator-link.ts'
import { refusal, verdictOf } from './membership.ts'
import { mayPass, pauseBefore } from './retry.ts'
import { byTopic, partitionKey, type TopicPartition } from './topic-partition.ts'

/** Special timestamps of ListOffsets (API key 2). */
const LATEST = -1
const EARLIEST = -2
/** What the broker answers where the group has committed nothing. */
const NOTHING = -1

export type Place = Exclude<StartFrom, { readonly offset: number }>

/** Whether a position is still in the log (KIP-320). */
export type EpochCheck =
  | { readonly status: 'valid' }
  /** The leader's log ended here when the epoch asked for was over; unknown when it never had that epoch. */
  | { readonly status: 'truncated'; readonly endsAt: Position | undefined }

export interface PositionsOptions {
  readonly cluster: Cluster
  readonly link: CoordinatorLink
  readonly options: ResolvedConsumerOptions
}

export class Positions {
  readonly #cluster: Cluster
  readonly #link: CoordinatorLink
  readonly #options: ResolvedConsumerOptions

  constructor({ cluster, link, options }: PositionsOptions) {
    this.#cluster = cluster
    this.#link = link
    this.#options = options
  }

  // -------------------------------------------------------------------------------------------- committed

  /** What the group has committed, by partitionKey; nothing for what it has not. Asks until it gets an answer. */
  async committed(
    partitions: readonly TopicPartition[],
    signal: AbortSignal,
  ): Promise<Map<string, Position>> {
    for (let attempt = 0; ; attempt++) {
      try {
        const positions = await this.#fetchCommitted(partitions)
        if (positions !== undefined) return positions
      } catch (error) {
        signal.throwIfAborted()
        if (!mayPass(error)) throw error
        this.#cluster.options.logger.warn({ error }, 'fetching the committed offsets failed')
      }
      await pauseBefore(attempt, this.#cluster.options, signal)
    }
  }

  /** Undefined: not now, ask again. */
  async #fetchCommitted(partitions: readonly TopicPartition[]): Promise<Map<string, Position> | undefined> {
    const { groupId, isolation } = this.#options
    const topics = byTopic(partitions).map(({ topic, partitions: partitionIndexes }) => ({
      name: topic,
      partitionIndexes,
    }))
    const response = await this.#link.request(
      offsetFetch,
      (version) => ({
        // KIP-447: offsets of an open transaction are waited for.
        requireStable: version >= 7 && isolation === 'read_committed',
        ...(version >= 8 ? { groups: [{ groupId, topics }] } : { groupId, topics }),
      }),
      // Version 10 names topics by id only.
      { highestVersion: 9 },
    )
    const group = response.groups[0] ?? response
    const positions = new Map<string, Position>()
    if (this.#mustRepeat(group.errorCode)) return undefined
    for (const { name, partitions: found } of group.topics) {
      for (const { partitionIndex: partition, errorCode, committedOffset, committedLeaderEpoch } of found) {
        if (this.#mustRepeat(errorCode)) return undefined
        if (committedOffset === NOTHING) continue
        const position = { offset: committedOffset, leaderEpoch: committedLeaderEpoch }
        positions.set(partitionKey({ topic: name, partition }), position)
      }
    }
    return positions
  }

  #mustRepeat(code: number): boolean {
    const verdict = verdictOf('offsets', code)
    if (verdict === 'ok') return false
    if (verdict === 'fatal' || verdict === 'fenced')
      throw refusal(code, 'the committed offsets', this.#options.groupId)
    if (verdict === 'coordinator') this.#link.forget()
    return true
  }

  // ----------------------------------------------------------------------------------------------- in the log

  /** The position at a place in the log; asks until it gets an answer. */
  async find(
    partitions: readonly TopicPartition[],
    place: Place,
    signal: AbortSignal,
  ): Promise<Map<string, Position>> {
    const timestamp = place === 'earliest' ? EARLIEST : place === 'latest' ? LATEST : place.timestamp
    const found = await this.#list(partitions, timestamp, signal)
    // Nothing is as young as the timestamp: begin with what comes next.
    const none = partitions.filter((partition) => (found.get(partitionKey(partition))?.offset ?? -1) < 0)
    if (none.length === 0) return found
    for (const [key, position] of await this.#list(none, LATEST, signal)) found.set(key, position)
    return found
  }

  async #list(
    partitions: readonly TopicPartition[],
    timestamp: number,
    signal: AbortSignal,
  ): Promise<Map<string, Position>> {
    await refreshIfUnknown(this.#cluster, partitions, signal)
    const isolationLevel = this.#options.isolation === 'read_committed' ? 1 : 0
    return askLeaders(this.#cluster, {
      doing: 'the offsets of',
      questions: partitions,
      signal,
      ask: async (connection, questions) => {
        const response = await connection.request(listOffsets, {
          replicaId: -1,
          isolationLevel,
          timeoutMs: this.#cluster.options.requestTimeoutMs,
          topics: byTopic(questions).map(({ topic, partitions: numbers }) => ({
            name: topic,
            partitions: numbers.map((partition) => ({
              partitionIndex: partition,
              currentLeaderEpoch: this.#cluster.topic(topic)?.partitions[partition]?.leaderEpoch ?? -1,
              timestamp,
            })),
          })),
        })
        return response.topics.flatMap(({ name, partitions: answers }) =>
          answers.map(({ partitionIndex, errorCode, offset, leaderEpoch }) => ({
            topic: name,
            partition: partitionIndex,
            errorCode,
            // The epoch of the record AT the offset: for the start and the end it is not that of the one before.
            value: { offset, leaderEpoch: timestamp >= 0 ? -1 : leaderEpoch },
          })),
        )
      },
    })
  }

  /** Whether the log of the present leader still holds everything up to this position. */
  async check(
    partition: TopicPartition & { readonly leaderEpoch: number },
    position: Position,
    signal: AbortSignal,
  ): Promise<EpochCheck> {
    if (position.leaderEpoch < 0) return { status: 'valid' }
    const answers = await askLeaders(this.#cluster, {
      doing: 'the end of the epoch of',
      questions: [partition],
      signal,
      ask: async (connection, questions) => {
        const response = await connection.request(offsetForLeaderEpoch, {
          replicaId: -1,
          topics: questions.map(({ topic, partition: number }) => ({
            topic,
            partitions: [
              {
                partition: number,
                currentLeaderEpoch: this.#cluster.topic(topic)?.partitions[number]?.leaderEpoch ?? -1,
                leaderEpoch: position.leaderEpoch,
              },
            ],
          })),
        })
        return response.topics.flatMap(({ topic, partitions }) =>
          partitions.map(({ partition: number, errorCode, endOffset, leaderEpoch }) => ({
            topic,
            partition: number,
            errorCode,
            value: { offset: endOffset, leaderEpoch },
          })),
        )
      },
    })
    const end = answers.get(partitionKey(partition))
    if (end === undefined || end.offset < 0 || end.leaderEpoch < 0) {
      return { status: 'truncated', endsAt: undefined }
    }
    return end.offset < position.offset ? { status: 'truncated', endsAt: end } : { status: 'valid' }
  }
}

/** A topic that was created a moment ago is unknown to the cluster until it asks. */
async function refreshIfUnknown(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  signal: AbortSignal,
): Promise<void> {
  const unknown = partitions.filter(
    ({ topic, partition }) => cluster.topic(topic)?.partitions[partition] === undefined,
  )
  if (unknown.length > 0) await refreshQuietly(cluster, unknown, signal)
}

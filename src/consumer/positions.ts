/**
 * Where to read from: what the group has committed, what `startFrom` and `onOutOfRange` say, and whether a position
 * still is in the leader's log.
 */
import type { Cluster } from '../client/cluster.ts'
import { listOffsets, offsetFetch, offsetForLeaderEpoch } from '../protocol/messages/index.ts'
import { type Answered, askLeaders, type Question, refreshQuietly } from './ask-leaders.ts'
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

/** How partitions are asked about: until each has its answer, or is being given up. */
export interface Search<P, T> {
  readonly signal: AbortSignal
  /** Told of answers as they come: a partition without one does not hold up the others. */
  readonly onFound: (answers: readonly Answered<P, T>[]) => void | Promise<void>
}

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

  /** What the group has committed; undefined where it has committed nothing. */
  async committed<P extends Question>(
    partitions: readonly P[],
    { signal, onFound }: Search<P, Position | undefined>,
  ): Promise<void> {
    let open = partitions
    for (let attempt = 0; ; attempt++) {
      try {
        const answers = await this.#fetchCommitted(open)
        open = open.filter((partition) => !answers.has(partitionKey(partition)))
        onFound(
          partitions
            .filter((partition) => answers.has(partitionKey(partition)))
            .map((partition) => ({ partition, value: answers.get(partitionKey(partition)) })),
        )
      } catch (error) {
        signal.throwIfAborted()
        if (!mayPass(error)) throw error
        this.#cluster.options.logger.warn({ err: error }, 'fetching the committed offsets failed')
      }
      if (open.length > 0) await pauseBefore(attempt, this.#cluster.options, signal)
      open = open.filter(({ isDraining }) => !isDraining)
      if (open.length === 0) return
    }
  }

  /** By partitionKey; what is missing has to be asked for again. */
  async #fetchCommitted(partitions: readonly TopicPartition[]): Promise<Map<string, Position | undefined>> {
    const { groupId } = this.#options
    const topics = byTopic(partitions).map(({ topic, partitions: partitionIndexes }) => ({
      name: topic,
      partitionIndexes,
    }))
    const response = await this.#link.request(
      offsetFetch,
      (version) => ({
        // KIP-447, in either isolation, as in Java: offsets of an open transaction are waited for, and so is what the
        // coordinator has in its log and not below its high watermark. That lags where it has just become the
        // coordinator; without this it would answer that nothing is committed.
        requireStable: version >= 7,
        ...(version >= 8 ? { groups: [{ groupId, topics }] } : { groupId, topics }),
      }),
      // Version 10 names topics by id only.
      { highestVersion: 9 },
    )
    const group = response.groups[0] ?? response
    const answers = new Map<string, Position | undefined>()
    if (this.#mustRepeat(group.errorCode)) return answers
    for (const { name, partitions: found } of group.topics) {
      for (const { partitionIndex: partition, errorCode, committedOffset, committedLeaderEpoch } of found) {
        // Offsets of a transaction that is open hold up their own partition and no other.
        if (this.#mustRepeat(errorCode)) continue
        const position = { offset: committedOffset, leaderEpoch: committedLeaderEpoch }
        const key = partitionKey({ topic: name, partition })
        answers.set(key, committedOffset === NOTHING ? undefined : position)
      }
    }
    return answers
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

  /** The positions at a place in the log. */
  async find<P extends Question>(
    partitions: readonly P[],
    place: Place,
    { signal, onFound }: Search<P, Position>,
  ): Promise<void> {
    const timestamp = place === 'earliest' ? EARLIEST : place === 'latest' ? LATEST : place.timestamp
    await this.#list(partitions, timestamp, {
      signal,
      onFound: async (answers) => {
        onFound(answers.filter(({ value }) => value.offset >= 0))
        // Nothing is as young as the timestamp: begin with what comes next.
        const none = answers.filter(({ value }) => value.offset < 0).map(({ partition }) => partition)
        if (none.length > 0) await this.#list(none, LATEST, { signal, onFound })
      },
    })
  }

  async #list<P extends Question>(
    partitions: readonly P[],
    timestamp: number,
    { signal, onFound }: Search<P, Position>,
  ): Promise<void> {
    await refreshIfUnknown(this.#cluster, partitions, signal)
    const isolationLevel = this.#options.isolation === 'read_committed' ? 1 : 0
    await askLeaders(this.#cluster, {
      doing: 'the offsets of',
      questions: partitions,
      signal,
      onAnswers: onFound,
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
    partition: Question & { readonly leaderEpoch: number },
    position: Position,
    signal: AbortSignal,
  ): Promise<EpochCheck> {
    if (position.leaderEpoch < 0) return { status: 'valid' }
    let end: Position | undefined
    await askLeaders<typeof partition, Position>(this.#cluster, {
      doing: 'the end of the epoch of',
      questions: [partition],
      signal,
      onAnswers: ([answer]) => {
        end = answer?.value
      },
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

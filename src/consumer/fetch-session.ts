/**
 * One incremental fetch session with one broker (KIP-227): the broker remembers which partitions are read and from
 * where, so a request names only what has changed.
 *
 *     epoch 0 ──full request──▶ broker gives a session id ──▶ epoch 1, 2, … (then from 1 again)
 *        ▲                                                         │
 *        └──────────────── any session error, a lost connection ◀──┘
 *
 * Invariant: what `#known` says is what the broker knows once it has the request that was built last. Nothing may
 * be built while that request is unanswered, and after a failure the session begins anew.
 */

import type { fetch } from '../protocol/messages/fetch.ts'
import { type RequestOf, zeroUuid } from '../protocol/schema.ts'

/** What is read of one partition. */
export interface FetchTarget {
  readonly topic: string
  /** The zero uuid when the broker that told of the topic has none. */
  readonly topicId: string
  readonly partition: number
  readonly offset: number
  readonly maxBytes: number
  /** -1: unknown, and not checked by the broker. */
  readonly leaderEpoch: number
}

export type FetchTopics = Pick<
  RequestOf<typeof fetch>,
  'sessionId' | 'sessionEpoch' | 'topics' | 'forgottenTopicsData'
>

interface Known<T extends FetchTarget> {
  readonly target: T
  readonly offset: number
  readonly maxBytes: number
  readonly leaderEpoch: number
}

const MAX_EPOCH = 0x7fff_ffff

export class FetchSession<T extends FetchTarget> {
  #id = 0
  #epoch = 0
  /** By topic (id or name), then by partition. */
  #known = new Map<string, Map<number, Known<T>>>()
  #byId = true

  /**
   * The part of the next request that tells what is wanted. `byId`: the request's version names topics by id
   * (13 and later); when that changes, the session begins anew.
   */
  build(wanted: readonly T[], byId: boolean): FetchTopics {
    if (byId !== this.#byId) this.reset()
    this.#byId = byId
    const full = this.#epoch === 0
    const before = full ? new Map<string, Map<number, Known<T>>>() : this.#known
    const after = new Map<string, Map<number, Known<T>>>()
    const topics = new Map<string, { topic: string; topicId: string; partitions: PartitionRequest[] }>()
    for (const target of wanted) {
      const topicKey = byId ? target.topicId : target.topic
      const { partition, offset, maxBytes, leaderEpoch } = target
      const previous = before.get(topicKey)?.get(partition)
      put(after, topicKey, { target, offset, maxBytes, leaderEpoch })
      if (previous !== undefined && isSame(previous, target)) continue
      let entry = topics.get(topicKey)
      if (entry === undefined) {
        entry = { topic: target.topic, topicId: target.topicId, partitions: [] }
        topics.set(topicKey, entry)
      }
      entry.partitions.push({
        partition,
        currentLeaderEpoch: leaderEpoch,
        fetchOffset: offset,
        partitionMaxBytes: maxBytes,
      })
    }
    this.#known = after
    return {
      sessionId: this.#id,
      sessionEpoch: this.#epoch,
      topics: [...topics.values()],
      forgottenTopicsData: forgotten(before, after),
    }
  }

  /** Whose part of the response this is, with the offset that was asked for; undefined for what was not asked for. */
  find(topicId: string, topic: string, partition: number): { target: T; offset: number } | undefined {
    return this.#known.get(this.#byId ? topicId : topic)?.get(partition)
  }

  /** Notes that the broker has taken the last request. `sessionId` 0: it keeps no session for us. */
  accept(sessionId: number): void {
    if (sessionId === 0) return this.reset()
    this.#id = sessionId
    this.#epoch = this.#epoch === MAX_EPOCH ? 1 : this.#epoch + 1
  }

  /** The next request names everything again and asks for a new session. */
  reset(): void {
    this.#id = 0
    this.#epoch = 0
  }
}

interface PartitionRequest {
  readonly partition: number
  readonly currentLeaderEpoch: number
  readonly fetchOffset: number
  readonly partitionMaxBytes: number
}

const isSame = <T extends FetchTarget>(known: Known<T>, target: T) =>
  known.offset === target.offset &&
  known.maxBytes === target.maxBytes &&
  known.leaderEpoch === target.leaderEpoch

function put<V extends { readonly target: FetchTarget }>(
  topics: Map<string, Map<number, V>>,
  topicKey: string,
  value: V,
): void {
  const partitions = topics.get(topicKey)
  if (partitions === undefined) topics.set(topicKey, new Map([[value.target.partition, value]]))
  else partitions.set(value.target.partition, value)
}

/** What the broker has in its session and is not wanted now. */
function forgotten<V extends { readonly target: FetchTarget }>(
  before: ReadonlyMap<string, ReadonlyMap<number, V>>,
  after: ReadonlyMap<string, ReadonlyMap<number, V>>,
): { topic: string; topicId: string; partitions: number[] }[] {
  const gone: { topic: string; topicId: string; partitions: number[] }[] = []
  for (const [topicKey, partitions] of before) {
    const numbers: number[] = []
    let named: FetchTarget | undefined
    for (const [partition, { target }] of partitions) {
      named ??= target
      if (after.get(topicKey)?.has(partition) !== true) numbers.push(partition)
    }
    if (named === undefined || numbers.length === 0) continue
    gone.push({ topic: named.topic, topicId: topicIdOf(topicKey, named), partitions: numbers })
  }
  return gone
}

/** The id under which the session knows the topic: it may have been created anew since. */
const topicIdOf = (topicKey: string, target: FetchTarget) =>
  target.topicId === zeroUuid || topicKey === target.topic ? target.topicId : topicKey

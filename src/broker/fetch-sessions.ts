/**
 * Incremental fetch sessions of one node (KIP-227): a client names its partitions once and then only what changes;
 * the answer holds only the partitions that have something to say.
 *
 * The cache is bounded; the session that was used longest ago gives way once it has been idle for two minutes, as in
 * Kafka. Sessions belong to the node, not to a connection.
 */
import type { Random } from '../util/random.ts'

const EVICTABLE_AFTER_MS = 120_000
const MAX_EPOCH = 0x7fff_ffff
/** Asks for a new session, or, with a session id, for the end of that one. */
export const INITIAL_EPOCH = 0
/** Fetches without a session. */
export const FINAL_EPOCH = -1

/** A partition that a session asks for, with what it was told last. */
export interface SessionPartition {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  fetchOffset: number
  currentLeaderEpoch: number
  lastFetchedEpoch: number
  partitionMaxBytes: number
  /** -1: nothing was told yet. */
  toldHighWatermark: number
  toldLogStart: number
}

export const partitionKey = (topic: string, topicId: string, partition: number) =>
  `${topic}/${topicId}/${partition}`

export class FetchSession {
  readonly id: number
  /** The epoch that the next request must have. */
  epoch = 1
  usedAt: number
  /** In the order in which they are read; who got records goes to the end. */
  readonly partitions = new Map<string, SessionPartition>()

  constructor(id: number, now: number) {
    this.id = id
    this.usedAt = now
  }

  moveToEnd(key: string): void {
    const partition = this.partitions.get(key)
    if (partition === undefined) return
    this.partitions.delete(key)
    this.partitions.set(key, partition)
  }

  advance(now: number): void {
    this.usedAt = now
    this.epoch = this.epoch === MAX_EPOCH ? 1 : this.epoch + 1
  }
}

export class FetchSessions {
  readonly #random: Random
  readonly #slots: number
  /** Least recently used first. */
  readonly #sessions = new Map<number, FetchSession>()

  constructor(random: Random, slots: number) {
    this.#random = random
    this.#slots = slots
  }

  get size(): number {
    return this.#sessions.size
  }

  get(id: number): FetchSession | undefined {
    return this.#sessions.get(id)
  }

  /** A new session; undefined when the cache is full of sessions in use. */
  open(now: number): FetchSession | undefined {
    if (this.#sessions.size >= this.#slots && !this.#evict(now)) return undefined
    let id = 0
    while (id === 0 || this.#sessions.has(id)) id = 1 + this.#random.below(0x7fff_fffe)
    const session = new FetchSession(id, now)
    this.#sessions.set(id, session)
    return session
  }

  touch(session: FetchSession, now: number): void {
    session.advance(now)
    this.#sessions.delete(session.id)
    this.#sessions.set(session.id, session)
  }

  close(id: number): void {
    this.#sessions.delete(id)
  }

  #evict(now: number): boolean {
    const [oldest] = this.#sessions.values()
    if (oldest === undefined || now - oldest.usedAt < EVICTABLE_AFTER_MS) return false
    this.#sessions.delete(oldest.id)
    return true
  }
}

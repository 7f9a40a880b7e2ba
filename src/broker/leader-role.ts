/**
 * What a replica does while it leads: it appends, answers its followers' fetches, moves the high watermark, and
 * says who is in sync. It lives as long as one leader epoch.
 *
 * The high watermark is the least log end over the in-sync replicas, and never falls. Since 3.7 Kafka holds it still
 * while fewer replicas are in sync than min.insync.replicas asks for (KIP-966), and asks for no more than there are.
 * Before, it went on alone, and a producer that waited was told NOT_ENOUGH_REPLICAS_AFTER_APPEND.
 */
import { errorCode } from '../protocol/error-codes.ts'
import type { Clock, Timer } from '../util/clock.ts'
import type { EpochCache } from './epoch-cache.ts'
import type { LogBudget } from './log-budget.ts'
import type { Verdict } from './producer-states.ts'
import type { Replica } from './replica.ts'
import { placeBatch, type StoredBatch } from './stored-batch.ts'
import type { TopicSettings } from './topic-settings.ts'
import { type Refusal, RefusedRecords, validateRecords } from './validate-records.ts'

/** What a leader needs of its partition and the cluster. */
export interface LeaderHost {
  readonly clock: Clock
  readonly budget: LogBudget
  readonly settings: TopicSettings
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** Kafka 4.5: an unknown producer begins with sequence 0 in a partition that never held a record. */
  readonly strictStart: boolean
  /** Kafka 3.7: the high watermark waits for min.insync.replicas. */
  readonly holdsUnderMinIsr: boolean
  readonly lagTimeMaxMs: number
  readonly followerFetchBytes: number
  isAlive(nodeId: number): boolean
  /** Puts the leader's view of who is in sync into the cluster's state. */
  alterIsr(isr: readonly number[]): void
  /** There is something new to copy, or a new high watermark. */
  wakeFollowers(): void
  /** The leader has appended. */
  grown(): void
}

/** A follower as its leader knows it: from its last fetch, nothing else. */
interface Follower {
  /** -1: it has not fetched under this leader. */
  logEnd: number
  logStart: number
  /** Monotonic time up to which it is known to have had everything. */
  caughtUpAt: number
}

export interface Appended {
  readonly baseOffset: number
  readonly lastOffset: number
  /** -1 with CreateTime, except for a duplicate: Kafka answers the stored batch's time. */
  readonly logAppendTimeMs: number
}

export type AppendResult = { readonly appended: Appended } | { readonly refusal: Refusal }

export interface FollowerFetch {
  readonly nodeId: number
  readonly leaderEpoch: number
  readonly offset: number
  readonly lastEpoch: number
  readonly logStart: number
}

export type FollowerAnswer =
  | { readonly kind: 'fenced' }
  | { readonly kind: 'diverging'; readonly epoch: number; readonly endOffset: number }
  | { readonly kind: 'out-of-range'; readonly logStart: number }
  | {
      readonly kind: 'batches'
      readonly batches: readonly StoredBatch[]
      /** The leader's own, to be looked at in this turn. */
      readonly epochs: EpochCache
      readonly highWatermark: number
      readonly logStart: number
    }

export class LeaderRole {
  readonly replica: Replica
  readonly epoch: number
  /** Where this leader's own records begin. */
  readonly epochStart: number
  readonly #host: LeaderHost
  readonly #followers = new Map<number, Follower>()
  #lagTimer: Timer | undefined
  #isOver = false

  constructor(replica: Replica, epoch: number, host: LeaderHost) {
    this.replica = replica
    this.epoch = epoch
    this.#host = host
    this.epochStart = replica.log.end
    replica.log.epochs.assign(epoch, replica.log.end)
    this.syncReplicas()
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Leadership ends: who waits here is told. */
  resign(): void {
    this.#isOver = true
    if (this.#lagTimer !== undefined) this.#host.clock.clearTimeout(this.#lagTimer)
    this.#lagTimer = undefined
    this.replica.notify()
  }

  /** Takes over the list of replicas and who is in sync, after either changed. */
  syncReplicas(): void {
    const others = this.#host.replicas.filter((id) => id !== this.replica.nodeId)
    for (const id of this.#followers.keys()) if (!others.includes(id)) this.#followers.delete(id)
    const caughtUpAt = this.#host.clock.monotonic()
    for (const id of others) {
      if (!this.#followers.has(id)) this.#followers.set(id, { logEnd: -1, logStart: -1, caughtUpAt })
    }
    this.#moveHighWatermark()
    this.#watchLag()
    this.replica.notify()
  }

  get minIsr(): number {
    const { settings, replicas, holdsUnderMinIsr } = this.#host
    return holdsUnderMinIsr
      ? Math.min(settings.minInsyncReplicas, replicas.length)
      : settings.minInsyncReplicas
  }

  get hasEnoughReplicas(): boolean {
    return this.#host.isr.length >= this.minIsr
  }

  /** The least log start over the living replicas: what DeleteRecords waits for and answers. */
  get lowWatermark(): number {
    let low = this.replica.log.start
    for (const [id, follower] of this.#followers) {
      if (this.#host.isAlive(id)) low = Math.min(low, follower.logStart)
    }
    return low
  }

  /** Appends what a producer sent; `acks` and `apiVersion` are those of its request. */
  append(records: Buffer | null, request: { acks: number; apiVersion: number }): AppendResult {
    const { clock, settings } = this.#host
    if (request.acks === -1 && !this.hasEnoughReplicas) {
      const errorMessage = `${this.#host.isr.length} replicas are in sync, ${this.minIsr} are asked for`
      return { refusal: { errorCode: errorCode.NOT_ENOUGH_REPLICAS, errorMessage } }
    }
    try {
      const now = clock.now()
      const view = validateRecords(records, { settings, apiVersion: request.apiVersion, now })
      if (view.producerId >= 0) {
        const { log, producers } = this.replica
        const verdict = producers.judge(view, this.#host.strictStart && log.end === 0)
        if (verdict.kind !== 'append') return answerTo(verdict)
      }
      if (!this.#host.budget.makeRoom(view.sizeBytes)) {
        const errorMessage = 'the logs of this cluster are full, and nothing in them may go'
        return { refusal: { errorCode: errorCode.KAFKA_STORAGE_ERROR, errorMessage } }
      }
      const appendTimeMs = settings.stampsAppendTime ? now : undefined
      const baseOffset = this.replica.log.end
      const batch = placeBatch(view, { baseOffset, leaderEpoch: this.epoch, appendTimeMs })
      this.#take(batch)
      return { appended: { baseOffset, lastOffset: batch.lastOffset, logAppendTimeMs: appendTimeMs ?? -1 } }
    } catch (error) {
      if (error instanceof RefusedRecords) return { refusal: error.refusal }
      throw error
    }
  }

  #take(batch: StoredBatch): void {
    const { log, producers } = this.replica
    const now = this.#host.clock.monotonic()
    for (const follower of this.#followers.values()) {
      if (follower.logEnd === log.end) follower.caughtUpAt = now
    }
    log.append(batch)
    producers.record(batch)
    this.#host.grown()
    this.#moveHighWatermark()
    if (this.#followers.size > 0) {
      this.#host.wakeFollowers()
      this.#watchLag()
    }
  }

  /** Answers a follower's fetch, and learns from it how far the follower is. */
  answerFollower(fetch: FollowerFetch): FollowerAnswer {
    const { log } = this.replica
    const follower = this.#followers.get(fetch.nodeId)
    if (this.#isOver || follower === undefined || fetch.leaderEpoch !== this.epoch) return { kind: 'fenced' }
    if (fetch.lastEpoch >= 0) {
      const { epoch, endOffset } = log.epochs.endOf(fetch.lastEpoch, log.end)
      if (epoch < fetch.lastEpoch || endOffset < fetch.offset) return { kind: 'diverging', epoch, endOffset }
    }
    if (fetch.offset < log.start || fetch.offset > log.end) {
      return { kind: 'out-of-range', logStart: log.start }
    }
    follower.logEnd = fetch.offset
    const startMoved = follower.logStart !== fetch.logStart
    follower.logStart = fetch.logStart
    if (fetch.offset === log.end) follower.caughtUpAt = this.#host.clock.monotonic()
    this.#maybeJoin(fetch.nodeId, fetch.offset)
    this.#moveHighWatermark()
    if (startMoved) this.replica.notify()
    const maxBytes = this.#host.followerFetchBytes
    const batches = log.read({ offset: fetch.offset, upTo: log.end, maxBytes, atLeastOne: true })
    const { highWatermark } = this.replica
    return { kind: 'batches', batches, epochs: log.epochs, highWatermark, logStart: log.start }
  }

  /** The log start moved by retention or DeleteRecords: followers take it over with their next fetch. */
  startMoved(): void {
    this.#host.wakeFollowers()
    this.replica.notify()
  }

  #maybeJoin(nodeId: number, offset: number): void {
    const { isr } = this.#host
    if (isr.includes(nodeId) || !this.#host.isAlive(nodeId)) return
    if (offset < this.replica.highWatermark || offset < this.epochStart) return
    this.#host.alterIsr([...isr, nodeId])
  }

  #moveHighWatermark(): void {
    if (this.#isOver || (this.#host.holdsUnderMinIsr && !this.hasEnoughReplicas)) return
    let least = this.replica.log.end
    for (const id of this.#host.isr) {
      if (id === this.replica.nodeId) continue
      least = Math.min(least, this.#followers.get(id)?.logEnd ?? -1)
    }
    if (least <= this.replica.highWatermark) return
    this.replica.highWatermark = least
    this.#host.wakeFollowers()
  }

  /** One timer while an in-sync follower lacks something: at its end, who lacked it too long is out. */
  #watchLag(): void {
    if (this.#lagTimer !== undefined || this.#isOver) return
    const lacking = this.#lacking()
    if (lacking.length === 0) return
    const { clock, lagTimeMaxMs } = this.#host
    const since = Math.min(...lacking.map(({ caughtUpAt }) => caughtUpAt))
    const delayMs = Math.max(0, since + lagTimeMaxMs - clock.monotonic())
    this.#lagTimer = clock.setTimeout(() => {
      this.#lagTimer = undefined
      this.#dropLaggards()
      this.#watchLag()
    }, delayMs)
  }

  #dropLaggards(): void {
    const now = this.#host.clock.monotonic()
    const late = this.#lacking().filter(({ caughtUpAt }) => now - caughtUpAt >= this.#host.lagTimeMaxMs)
    if (late.length === 0) return
    const ids = late.map(({ id }) => id)
    this.#host.alterIsr(this.#host.isr.filter((id) => !ids.includes(id)))
  }

  /** In-sync followers that do not have everything. */
  #lacking(): { readonly id: number; readonly caughtUpAt: number }[] {
    const lacking: { id: number; caughtUpAt: number }[] = []
    for (const [id, { logEnd, caughtUpAt }] of this.#followers) {
      if (logEnd !== this.replica.log.end && this.#host.isr.includes(id)) lacking.push({ id, caughtUpAt })
    }
    return lacking
  }
}

function answerTo(verdict: Exclude<Verdict, { kind: 'append' }>): AppendResult {
  if (verdict.kind === 'refuse') {
    return { refusal: { errorCode: verdict.errorCode, errorMessage: verdict.message } }
  }
  const { baseOffset, lastOffset, timestamp } = verdict.of
  return { appended: { baseOffset, lastOffset, logAppendTimeMs: timestamp } }
}

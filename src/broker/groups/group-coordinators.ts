/**
 * The group coordinators of all nodes: the shell around the groups' states. It holds the requests that wait, one
 * timer per group, the committed offsets and each group's last record, and moves groups between nodes.
 *
 * A group belongs to a partition of `__consumer_offsets` and is coordinated by that partition's leader. When the
 * leader changes, whoever waits is answered NOT_COORDINATOR and the group comes back from its record, as Kafka's
 * does from the log: members and assignments are kept, a rebalance under way is not, sessions begin anew.
 */
import { OttlaError } from '../../errors.ts'
import { errorCode } from '../../protocol/error-codes.ts'
import type { Clock, Timer } from '../../util/clock.ts'
import type { Random } from '../../util/random.ts'
import { type JoinAnswer, joinRefused, type SyncAnswer, syncRefused } from './answers.ts'
import {
  type Committer,
  isSubscribed,
  mayCommit,
  mayDelete,
  mayDeleteOffsets,
  retentionBase,
} from './commit-rules.ts'
import { coordinatorPartition } from './coordinator-partition.ts'
import { describe, type GroupDescription } from './describe.ts'
import { type GroupLimits, groupLimits } from './group-limits.ts'
import { type CommittedOffset, GroupOffsets } from './group-offsets.ts'
import type { GroupRecord } from './group-record.ts'
import { GroupState, type Times } from './group-state.ts'
import { type HeartbeatRequest, heartbeat } from './heartbeat.ts'
import { type JoinRequest, join } from './join.ts'
import { type LeavingMember, leave } from './leave.ts'
import type { Ticket } from './member.ts'
import { type SyncRequest, sync } from './sync.ts'

/** What the coordinators need of the cluster that they are part of. */
export interface GroupHost {
  readonly clock: Clock
  readonly random: Random
  /** A broker setting by Kafka's name. */
  config(name: string, fallback: number): number
  /** The node that leads this partition of `__consumer_offsets`; -1: none. */
  offsetsLeader(partition: number): number
  /** How many partitions `__consumer_offsets` has. */
  readonly offsetsPartitions: number
}

interface Entry {
  group: GroupState
  readonly partition: number
  readonly offsets: GroupOffsets
  record: GroupRecord | undefined
  timer: Timer | undefined
  /** When the timer fires, monotonic. It may be too early, never too late. */
  firesAt: number
}

const LONGEST_TIMER_MS = 0x7fff_ffff

export class GroupCoordinators {
  readonly limits: GroupLimits
  readonly #host: GroupHost
  readonly #groups = new Map<string, Entry>()
  /** The leader under which each partition's groups were loaded. */
  readonly #loadedBy = new Map<number, number>()
  readonly #joins = new Map<Ticket, (answer: JoinAnswer) => void>()
  readonly #syncs = new Map<Ticket, (answer: SyncAnswer) => void>()
  #lastTicket: Ticket = 0
  #retentionTimer: Timer | undefined

  constructor(host: GroupHost) {
    this.#host = host
    this.limits = groupLimits((name, fallback) => host.config(name, fallback))
  }

  /** The partition of `__consumer_offsets` that keeps the group. */
  partitionOf(groupId: string): number {
    return coordinatorPartition(groupId, this.#host.offsetsPartitions)
  }

  /** The node that coordinates the group now; -1: none. */
  coordinatorOf(groupId: string): number {
    return this.#host.offsetsLeader(this.partitionOf(groupId))
  }

  /** Why this node cannot speak for the group; NONE when it can. */
  refusal(groupId: string, nodeId: number): number {
    return this.coordinatorOf(groupId) === nodeId ? errorCode.NONE : errorCode.NOT_COORDINATOR
  }

  /** `newMemberId` is made here: a random id behind the static name or the client id, as Kafka's. */
  join(groupId: string, request: Omit<JoinRequest, 'newMemberId'>): Promise<JoinAnswer> {
    const { sessionTimeoutMs, memberId } = request
    if (
      sessionTimeoutMs < this.limits.minSessionTimeoutMs ||
      sessionTimeoutMs > this.limits.maxSessionTimeoutMs
    ) {
      return Promise.resolve(joinRefused(errorCode.INVALID_SESSION_TIMEOUT, memberId))
    }
    let entry = this.#find(groupId)
    if (entry === undefined) {
      if (memberId !== '') return Promise.resolve(joinRefused(errorCode.UNKNOWN_MEMBER_ID, memberId))
      entry = this.#create(groupId)
    }
    const { group } = entry
    const newMemberId = `${request.groupInstanceId ?? request.clientId}-${this.#randomUuid()}`
    return new Promise((resolve) => {
      const ticket = ++this.#lastTicket
      this.#joins.set(ticket, resolve)
      join(group, { request: { ...request, newMemberId }, ticket }, this.#times())
      this.#settle(entry)
    })
  }

  sync(groupId: string, request: SyncRequest): Promise<SyncAnswer> {
    const entry = this.#find(groupId)
    if (entry === undefined) return Promise.resolve(syncRefused(errorCode.UNKNOWN_MEMBER_ID))
    return new Promise((resolve) => {
      const ticket = ++this.#lastTicket
      this.#syncs.set(ticket, resolve)
      sync(entry.group, { request, ticket }, this.#times())
      this.#settle(entry)
    })
  }

  heartbeat(groupId: string, request: HeartbeatRequest): number {
    const entry = this.#find(groupId)
    if (entry === undefined) return errorCode.UNKNOWN_MEMBER_ID
    const error = heartbeat(entry.group, request, this.#times().now)
    this.#settle(entry)
    return error
  }

  /** The error code of each member; undefined when there is no such group. */
  leave(groupId: string, leaving: readonly LeavingMember[]): readonly number[] | undefined {
    const entry = this.#find(groupId)
    if (entry === undefined) return undefined
    const errors = leave(entry.group, leaving, this.#times())
    this.#settle(entry)
    return errors
  }

  describe(groupId: string): GroupDescription | undefined {
    const entry = this.#find(groupId)
    return entry && describe(entry.group)
  }

  /** The groups that this node coordinates. */
  list(nodeId: number): { groupId: string; protocolType: string; groupState: string }[] {
    return [...this.#groups.keys()]
      .filter((groupId) => this.coordinatorOf(groupId) === nodeId)
      .map((groupId) => {
        const { groupState, protocolType } = this.describe(groupId) as GroupDescription
        return { groupId, protocolType, groupState }
      })
  }

  /** Deletes the group with its offsets; the error code. */
  delete(groupId: string): number {
    const entry = this.#find(groupId)
    if (entry === undefined) return errorCode.GROUP_ID_NOT_FOUND
    const error = mayDelete(entry.group)
    if (error === errorCode.NONE) this.#remove(groupId, entry, errorCode.COORDINATOR_NOT_AVAILABLE)
    return error
  }

  /**
   * Whether the committer may commit. A group that does not exist comes to be when no generation is named: a
   * consumer that assigns itself, or a tool.
   */
  mayCommit(groupId: string, committer: Committer): number {
    let entry = this.#find(groupId)
    if (entry === undefined) {
      if (committer.generationId >= 0) return errorCode.GROUP_ID_NOT_FOUND
      entry = this.#create(groupId)
    }
    const error = mayCommit(entry.group, committer)
    const member = entry.group.membership.get(committer.memberId)
    if (error === errorCode.NONE && member !== undefined) {
      // A commit is a sign of life too.
      entry.group.restartSession(member, this.#times().now)
      this.#settle(entry)
    }
    return error
  }

  commit(
    groupId: string,
    at: { topic: string; partition: number },
    committed: Omit<CommittedOffset, 'committedAt' | 'expiresAt'> & { retentionMs: number | undefined },
  ): void {
    const { retentionMs, ...rest } = committed
    const committedAt = this.#host.clock.now()
    const expiresAt = retentionMs === undefined ? undefined : committedAt + retentionMs
    const entry = this.#find(groupId) ?? this.#create(groupId)
    entry.offsets.commit(at.topic, at.partition, { ...rest, committedAt, expiresAt })
  }

  /** The group's committed offsets; undefined when there is no such group. */
  offsets(groupId: string): GroupOffsets | undefined {
    return this.#find(groupId)?.offsets
  }

  /** The error code of OffsetDelete as a whole, and which topics it may not touch. */
  mayDeleteOffsets(groupId: string): { error: number; isSubscribed: (topic: string) => boolean } {
    const group = this.#find(groupId)?.group
    const error = group === undefined ? errorCode.GROUP_ID_NOT_FOUND : mayDeleteOffsets(group)
    return { error, isSubscribed: (topic) => group !== undefined && isSubscribed(group, topic) }
  }

  /** The offsets of a deleted topic go with it. */
  topicDeleted(topic: string): void {
    for (const { offsets } of this.#groups.values()) offsets.deleteTopic(topic)
  }

  /** To be called when a partition of `__consumer_offsets` has another leader, or none. */
  leaderChanged(partition: number): void {
    const leader = this.#host.offsetsLeader(partition)
    if (this.#loadedBy.get(partition) === leader) return
    this.#loadedBy.set(partition, leader)
    for (const [groupId, entry] of this.#groups)
      if (entry.partition === partition) this.#reload(groupId, entry)
  }

  /** Acts as if the member's session had run out. The member may be named by its static name. */
  expireMember(groupId: string, memberId: string): void {
    const entry = this.#find(groupId)
    const membership = entry?.group.membership
    const id = membership?.get(memberId) ? memberId : membership?.staticMemberId(memberId)
    if (entry === undefined || id === undefined) {
      throw new OttlaError('INVALID_ARGUMENT', `group ${groupId} has no member ${memberId}`, { groupId })
    }
    entry.group.evict(id, this.#times())
    this.#settle(entry)
  }

  /** Whoever waits is answered; nothing happens by itself afterwards. */
  stop(): void {
    for (const entry of this.#groups.values()) {
      entry.group.kill(errorCode.COORDINATOR_NOT_AVAILABLE)
      this.#settle(entry)
    }
    if (this.#retentionTimer !== undefined) this.#host.clock.clearTimeout(this.#retentionTimer)
    this.#retentionTimer = undefined
  }

  #times(): Times {
    const { clock } = this.#host
    return { now: clock.monotonic(), wallNow: clock.now() }
  }

  #find(groupId: string): Entry | undefined {
    const entry = this.#groups.get(groupId)
    if (entry !== undefined) this.leaderChanged(entry.partition)
    return entry
  }

  #create(groupId: string): Entry {
    const partition = this.partitionOf(groupId)
    this.leaderChanged(partition)
    const group = new GroupState(groupId, this.limits, this.#host.clock.now())
    group.save()
    const record = group.takeUnsaved()
    const offsets = new GroupOffsets()
    const entry = { group, partition, offsets, record, timer: undefined, firesAt: Number.POSITIVE_INFINITY }
    this.#groups.set(groupId, entry)
    this.#armRetention()
    return entry
  }

  #remove(groupId: string, entry: Entry, error: number): void {
    entry.group.kill(error)
    this.#settle(entry)
    this.#groups.delete(groupId)
  }

  #reload(groupId: string, entry: Entry): void {
    entry.group.kill(errorCode.NOT_COORDINATOR)
    this.#settle(entry)
    if (this.#loadedBy.get(entry.partition) === -1 || entry.record === undefined) return
    entry.group = GroupState.restore(groupId, { limits: this.limits, record: entry.record }, this.#times())
    this.#settle(entry)
  }

  /** After every change of a group: keeps its record, gives its answers, sets its timer. */
  #settle(entry: Entry): void {
    entry.record = entry.group.takeUnsaved() ?? entry.record
    for (const answer of entry.group.takeAnswers()) {
      if ('join' in answer) take(this.#joins, answer.ticket)?.(answer.join)
      else take(this.#syncs, answer.ticket)?.(answer.sync)
    }
    this.#arm(entry)
  }

  /** A timer that fires too early is left as it is: heartbeats move the deadline on all the time. */
  #arm(entry: Entry): void {
    const { clock } = this.#host
    const wakeAt = entry.group.wakeAt
    if (wakeAt !== undefined && entry.firesAt <= wakeAt) return
    if (entry.timer !== undefined) clock.clearTimeout(entry.timer)
    entry.timer = undefined
    entry.firesAt = Number.POSITIVE_INFINITY
    if (wakeAt === undefined) return
    const now = clock.monotonic()
    const delayMs = Math.min(Math.max(wakeAt - now, 0), LONGEST_TIMER_MS)
    entry.firesAt = now + delayMs
    entry.timer = clock.setTimeout(() => {
      entry.timer = undefined
      entry.firesAt = Number.POSITIVE_INFINITY
      entry.group.expire(this.#times())
      this.#settle(entry)
    }, delayMs)
  }

  #armRetention(): void {
    this.#retentionTimer ??= this.#host.clock.setTimeout(() => {
      this.#retentionTimer = undefined
      this.#dropExpired()
      if (this.#groups.size > 0) this.#armRetention()
    }, this.limits.offsetRetentionCheckMs)
  }

  /** Drops old offsets, and then groups of which nothing is left. */
  #dropExpired(): void {
    const wallNow = this.#host.clock.now()
    for (const [groupId, entry] of [...this.#groups]) {
      const { group, offsets } = entry
      if (group.phase === 'Dead') continue
      const isKept = (topic: string) => isSubscribed(group, topic)
      offsets.expire(wallNow, { ms: this.limits.offsetRetentionMs, from: retentionBase(group), isKept })
      const isLeft = group.phase !== 'Empty' || group.membership.pendingJoin.size > 0 || !offsets.isEmpty
      if (!isLeft) this.#remove(groupId, entry, errorCode.COORDINATOR_NOT_AVAILABLE)
    }
  }

  #randomUuid(): string {
    const bytes = this.#host.random.bytes(16)
    bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
    bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
    const hex = bytes.toString('hex')
    return [
      [0, 8],
      [8, 12],
      [12, 16],
      [16, 20],
      [20, 32],
    ]
      .map(([from, to]) => hex.slice(from, to))
      .join('-')
  }
}

function take<K, V>(map: Map<K, V>, key: K): V | undefined {
  const value = map.get(key)
  map.delete(key)
  return value
}

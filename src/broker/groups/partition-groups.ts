/**
 * The groups that belong to one partition of `__consumer_offsets`, on the node that leads it: the shell around the
 * groups' states. It holds the requests that wait and one timer per group, and writes down what has to outlive the
 * node. Everything here is derived from that partition's log, and goes with the leadership.
 *
 * Decisions are taken on what is written; answered is what is committed. The offsets therefore stand here twice:
 * `written` may run ahead of `committed` by what the other replicas do not have yet.
 */
import { OttlaError } from '../../errors.ts'
import { errorCode } from '../../protocol/error-codes.ts'
import type { Clock, Timer } from '../../util/clock.ts'
import type { Random } from '../../util/random.ts'
import type { LeaderRole } from '../leader-role.ts'
import { type JoinAnswer, joinRefused, type SyncAnswer, syncRefused } from './answers.ts'
import {
  type Committer,
  isSubscribed,
  mayCommit,
  mayDelete,
  mayDeleteOffsets,
  retentionBase,
} from './commit-rules.ts'
import { CoordinatorLog } from './coordinator-log.ts'
import type { CommittedOffset, CoordinatorRecord } from './coordinator-record.ts'
import { describe, type GroupDescription } from './describe.ts'
import type { GroupLimits } from './group-limits.ts'
import { type GroupOffsets, OffsetsByGroup, type TopicPartition } from './group-offsets.ts'
import type { GroupRecord } from './group-record.ts'
import { GroupState, type Times, type Unsaved } from './group-state.ts'
import { type HeartbeatRequest, heartbeat } from './heartbeat.ts'
import { type JoinRequest, join } from './join.ts'
import { type LeavingMember, leave } from './leave.ts'
import type { Ticket } from './member.ts'
import { newMemberId } from './new-member-id.ts'
import { type SyncRequest, sync } from './sync.ts'

export interface PartitionGroupsHost {
  readonly clock: Clock
  readonly random: Random
  readonly limits: GroupLimits
  readonly waitsForReplicas: boolean
  /** Whether a test keeps the partition from being loaded. */
  isHeld(): boolean
  /** There are groups now: their offsets have to be looked after. */
  groupsFound(): void
  /** The node leads the partition no longer. */
  over(): void
}

interface Entry {
  readonly group: GroupState
  timer: Timer | undefined
  /** When the timer fires, monotonic. It may be too early, never too late. */
  firesAt: number
}

/** What a member, or a tool, commits for one partition. */
export interface Commit extends TopicPartition, Omit<CommittedOffset, 'committedAt' | 'expiresAt'> {
  readonly retentionMs: number | undefined
}

/** An error code: at once, or when the other replicas have what was written. */
export type Settled = number | Promise<number>

/** How members leave: the error code of each, and that of the whole. */
export interface Leaving {
  readonly members: readonly number[]
  readonly settled: Settled
}

const LONGEST_TIMER_MS = 0x7fff_ffff
/** Of one batch, so that no clean-up becomes too large for the log. */
const TOMBSTONES_PER_WRITE = 500

export class PartitionGroups {
  readonly limits: GroupLimits
  readonly #host: PartitionGroupsHost
  readonly #log: CoordinatorLog
  readonly #groups = new Map<string, Entry>()
  readonly #written = new OffsetsByGroup()
  readonly #committed = new OffsetsByGroup()
  /** What was read of groups while loading. */
  readonly #found = new Map<string, GroupRecord>()
  /** Topics that were deleted while loading. */
  readonly #deletedMeanwhile = new Set<string>()
  readonly #joins = new Map<Ticket, (answer: JoinAnswer) => void>()
  readonly #syncs = new Map<Ticket, (answer: SyncAnswer) => void>()
  #lastTicket: Ticket = 0

  constructor(leader: LeaderRole, host: PartitionGroupsHost) {
    this.#host = host
    this.limits = host.limits
    this.#log = new CoordinatorLog(leader, {
      clock: host.clock,
      commitTimeoutMs: host.limits.offsetCommitTimeoutMs,
      waitsForReplicas: host.waitsForReplicas,
      isHeld: () => host.isHeld(),
      written: (record) => this.#write(record),
      committed: (record) => this.#committed.apply(record),
      loaded: () => this.#loaded(),
      over: () => host.over(),
    })
  }

  get isLoading(): boolean {
    return this.#log.isLoading
  }

  get hasGroups(): boolean {
    return this.#groups.size > 0
  }

  /** Begins to load, or goes on with it after it was held. */
  load(): void {
    this.#log.load()
  }

  /** Loads all that is left, in this turn. False: a test holds it. */
  loadNow(): boolean {
    return this.#log.loadNow()
  }

  /** A group that does not exist comes to be, and that is written down. */
  join(groupId: string, request: Omit<JoinRequest, 'newMemberId'>): Promise<JoinAnswer> {
    const { sessionTimeoutMs, memberId } = request
    const refuse = (error: number) => Promise.resolve(joinRefused(error, memberId))
    const { minSessionTimeoutMs, maxSessionTimeoutMs } = this.limits
    if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs) {
      return refuse(errorCode.INVALID_SESSION_TIMEOUT)
    }
    let entry = this.#groups.get(groupId)
    if (entry === undefined) {
      if (memberId !== '') return refuse(errorCode.UNKNOWN_MEMBER_ID)
      const group = new GroupState(groupId, this.limits, this.#host.clock.now())
      const error = this.#log.append([{ kind: 'group', groupId, group: group.record() }])
      if (error !== errorCode.NONE) return refuse(error)
      entry = this.#add(group)
    }
    const asked = { ...request, newMemberId: newMemberId(request, this.#host.random) }
    return new Promise((resolve) => {
      const ticket = ++this.#lastTicket
      this.#joins.set(ticket, resolve)
      join(entry.group, { request: asked, ticket }, this.#times())
      this.#settle(entry)
    })
  }

  sync(groupId: string, request: SyncRequest): Promise<SyncAnswer> {
    const entry = this.#groups.get(groupId)
    if (entry === undefined) return Promise.resolve(syncRefused(errorCode.UNKNOWN_MEMBER_ID))
    return new Promise((resolve) => {
      const ticket = ++this.#lastTicket
      this.#syncs.set(ticket, resolve)
      sync(entry.group, { request, ticket })
      this.#settle(entry)
    })
  }

  /** What ends a membership is told at once, the rest behind what has been written. */
  heartbeat(groupId: string, request: HeartbeatRequest): Settled {
    const entry = this.#groups.get(groupId)
    if (entry === undefined) return errorCode.UNKNOWN_MEMBER_ID
    const error = heartbeat(entry.group, request, this.#times().now)
    this.#settle(entry)
    const isMember = error === errorCode.NONE || error === errorCode.REBALANCE_IN_PROGRESS
    return isMember ? this.#afterWrites(error) : error
  }

  /** The error code of each member, and that of the whole; undefined when there is no such group. */
  leave(groupId: string, leaving: readonly LeavingMember[]): Leaving | undefined {
    const entry = this.#groups.get(groupId)
    if (entry === undefined) return undefined
    const members = leave(entry.group, leaving, this.#times())
    this.#settle(entry)
    return { members, settled: this.#afterWrites() }
  }

  describe(groupId: string): GroupDescription | undefined {
    const entry = this.#groups.get(groupId)
    return entry && describe(entry.group)
  }

  list(): { groupId: string; protocolType: string; groupState: string }[] {
    return Array.from(this.#groups, ([groupId, { group }]) => {
      const { groupState, protocolType } = describe(group)
      return { groupId, protocolType, groupState }
    })
  }

  /** Deletes the group with its offsets. */
  delete(groupId: string): Settled {
    const entry = this.#groups.get(groupId)
    if (entry === undefined) return errorCode.GROUP_ID_NOT_FOUND
    const error = mayDelete(entry.group)
    return error === errorCode.NONE ? this.#remove(groupId, entry) : error
  }

  /** Whether the committer may commit. Who names no generation may to a group that does not exist yet. */
  mayCommit(groupId: string, committer: Committer): number {
    const entry = this.#groups.get(groupId)
    if (entry === undefined) {
      return committer.generationId >= 0 ? errorCode.GROUP_ID_NOT_FOUND : errorCode.NONE
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

  /** Commits all of these or none. The caller has asked `mayCommit`. */
  commit(groupId: string, commits: readonly Commit[]): Settled {
    const committedAt = this.#host.clock.now()
    const records = commits.map(({ topic, partition, retentionMs, ...rest }): CoordinatorRecord => {
      const expiresAt = retentionMs === undefined ? undefined : committedAt + retentionMs
      return { kind: 'offset', groupId, topic, partition, committed: { ...rest, committedAt, expiresAt } }
    })
    return this.#append(records)
  }

  /** The group's committed offsets; undefined when it has none. */
  offsets(groupId: string): GroupOffsets | undefined {
    return this.#committed.of(groupId)
  }

  /** Settles when `offsets` leaves out nothing that is in the log: a commit that waits for its replicas is waited for. */
  stable(): Settled {
    return settledBy((done) => this.#log.whenCommitted(done))
  }

  /** The error code of OffsetDelete as a whole, and which topics it may not touch. */
  mayDeleteOffsets(groupId: string): { error: number; isSubscribed: (topic: string) => boolean } {
    const group = this.#groups.get(groupId)?.group
    const error = group === undefined ? errorCode.GROUP_ID_NOT_FOUND : mayDeleteOffsets(group)
    return { error, isSubscribed: (topic) => group !== undefined && isSubscribed(group, topic) }
  }

  /** Those of the partitions that have an offset lose it. */
  deleteOffsets(groupId: string, partitions: readonly TopicPartition[]): Settled {
    const offsets = this.#written.of(groupId)
    const known = partitions.filter(({ topic, partition }) => offsets?.get(topic, partition) !== undefined)
    return known.length === 0 ? this.#afterWrites() : this.#append(tombstones(groupId, known))
  }

  /** The offsets of a deleted topic go with it. */
  topicDeleted(topic: string): void {
    if (this.isLoading) return void this.#deletedMeanwhile.add(topic)
    for (const groupId of this.#written.groupIds) {
      const partitions = this.#written.of(groupId)?.partitions() ?? []
      this.#forget(
        groupId,
        partitions.filter((one) => one.topic === topic),
      )
    }
  }

  /** Drops old offsets, and then groups of which nothing is left. */
  dropExpired(): void {
    if (this.isLoading) return
    const wallNow = this.#host.clock.now()
    for (const [groupId, entry] of [...this.#groups]) {
      const { group } = entry
      const isKept = (topic: string) => isSubscribed(group, topic)
      const rule = { ms: this.limits.offsetRetentionMs, from: retentionBase(group), isKept }
      const expired = this.#written.of(groupId)?.expired(wallNow, rule) ?? []
      this.#forget(groupId, expired)
      const isEmpty = this.#written.of(groupId) === undefined && group.membership.pendingJoin.size === 0
      if (isEmpty && group.phase === 'Empty') this.#remove(groupId, entry)
    }
  }

  /** Acts as if the member's session had run out. The member may be named by its static name. */
  expireMember(groupId: string, memberId: string): void {
    const entry = this.#groups.get(groupId)
    const membership = entry?.group.membership
    const id = membership?.get(memberId) ? memberId : membership?.staticMemberId(memberId)
    if (entry === undefined || id === undefined) {
      throw new OttlaError('INVALID_ARGUMENT', `group ${groupId} has no member ${memberId}`, { groupId })
    }
    entry.group.evict(id, this.#times())
    this.#settle(entry)
  }

  /** Whoever waits is answered with the error; nothing happens by itself afterwards. */
  end(error: number): void {
    for (const [groupId, entry] of [...this.#groups]) this.#kill(groupId, entry, error)
    this.#log.end(error)
  }

  #times(): Times {
    const { clock } = this.#host
    return { now: clock.monotonic(), wallNow: clock.now() }
  }

  #add(group: GroupState): Entry {
    const entry = { group, timer: undefined, firesAt: Number.POSITIVE_INFINITY }
    this.#groups.set(group.groupId, entry)
    this.#host.groupsFound()
    return entry
  }

  #kill(groupId: string, entry: Entry, error: number): void {
    // Gone first: what is still being written for it finds nobody.
    this.#groups.delete(groupId)
    entry.group.kill(error)
    this.#settle(entry)
  }

  /** A record is in the log. What it says of a group that lives is known; it may bring a group to life. */
  #write(record: CoordinatorRecord): void {
    this.#written.apply(record)
    const { groupId } = record
    if (!this.isLoading) {
      const isNew = record.kind === 'offset' && record.committed !== undefined && !this.#groups.has(groupId)
      if (isNew) this.#add(new GroupState(groupId, this.limits, this.#host.clock.now()))
    } else if (record.kind === 'group') {
      if (record.group === undefined) this.#found.delete(groupId)
      else this.#found.set(groupId, record.group)
    }
  }

  /** Groups come back as they were written down; one of which there are only offsets has no members. */
  #loaded(): void {
    const { limits } = this
    const times = this.#times()
    for (const [groupId, record] of this.#found) {
      this.#settle(this.#add(GroupState.restore(groupId, { limits, record }, times)))
    }
    this.#found.clear()
    for (const groupId of this.#written.groupIds) {
      if (!this.#groups.has(groupId)) this.#add(new GroupState(groupId, limits, times.wallNow))
    }
    // Nobody can have committed to a new topic of that name yet.
    for (const topic of this.#deletedMeanwhile) this.topicDeleted(topic)
    this.#deletedMeanwhile.clear()
  }

  #append(records: readonly CoordinatorRecord[]): Settled {
    return settledBy((done) => this.#log.append(records, done))
  }

  /** The answer, when all that is written by now is committed; the error, if that does not come about. */
  #afterWrites(answer: number = errorCode.NONE): Settled {
    if (!this.#host.waitsForReplicas) return answer
    return settledBy((done) =>
      this.#log.whenCommitted((error) => done(error === errorCode.NONE ? answer : error)),
    )
  }

  #remove(groupId: string, entry: Entry): Settled {
    const offsets = this.#written.of(groupId)?.partitions() ?? []
    const group: CoordinatorRecord = { kind: 'group', groupId, group: undefined }
    const ahead = offsets.length - (offsets.length % TOMBSTONES_PER_WRITE)
    this.#forget(groupId, offsets.slice(0, ahead))
    // Unless the log takes it the group stays as it is: it refuses all of these writes, or none.
    const settled = this.#append([...tombstones(groupId, offsets.slice(ahead)), group])
    if (typeof settled === 'number' && settled !== errorCode.NONE) return settled
    this.#kill(groupId, entry, errorCode.COORDINATOR_NOT_AVAILABLE)
    return settled
  }

  /** Nobody waits for these to go: what the log refuses now, the next round finds again. */
  #forget(groupId: string, partitions: readonly TopicPartition[]): void {
    for (let start = 0; start < partitions.length; start += TOMBSTONES_PER_WRITE) {
      this.#log.append(tombstones(groupId, partitions.slice(start, start + TOMBSTONES_PER_WRITE)))
    }
  }

  /** After every change of a group: writes down what has to be, gives its answers, sets its timer. */
  #settle(entry: Entry): void {
    for (const unsaved of entry.group.takeUnsaved()) this.#save(entry, unsaved)
    for (const answer of entry.group.takeAnswers()) {
      if ('join' in answer) take(this.#joins, answer.ticket)?.(answer.join)
      else take(this.#syncs, answer.ticket)?.(answer.sync)
    }
    this.#arm(entry)
  }

  #save(entry: Entry, unsaved: Unsaved): void {
    const { groupId } = entry.group
    const done = (error: number) => {
      if (this.#groups.get(groupId) !== entry) return
      entry.group.saved(unsaved, error, this.#times())
      this.#settle(entry)
    }
    const refused = this.#log.append([{ kind: 'group', groupId, group: unsaved.record }], done)
    if (refused !== errorCode.NONE) done(refused)
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
}

/** `begin` returns why nothing begins, or NONE; then `done` is called once, perhaps before it returns. */
function settledBy(begin: (done: (error: number) => void) => number): Settled {
  let settled: number | undefined
  let resolve: ((error: number) => void) | undefined
  const refused = begin((error) => {
    settled = error
    resolve?.(error)
  })
  if (refused !== errorCode.NONE) return refused
  return settled ?? new Promise((given) => (resolve = given))
}

const tombstones = (groupId: string, partitions: readonly TopicPartition[]): CoordinatorRecord[] =>
  partitions.map((one) => ({ kind: 'offset', groupId, ...one, committed: undefined }))

function take<K, V>(map: Map<K, V>, key: K): V | undefined {
  const value = map.get(key)
  map.delete(key)
  return value
}

/**
 * A classic consumer group (JoinGroup, SyncGroup, Heartbeat, LeaveGroup) as a state machine.
 *
 *            first member              all joined, or time over        leader's assignment
 *     Empty ──────────────▶ Preparing ────────────────────────▶ Completing ──────────────▶ Stable
 *       ▲                  Rebalance ◀──────────────────────── Rebalance                     │
 *       └──── nobody left ─────┘  ▲    a member comes, changes,     │                        │
 *                                 └────── leaves or expires ────────┴────────────────────────┘
 *                                                                    Dead: deleted, or moved to another node
 *
 * Synchronous: each call takes `now` (monotonic), changes the state, and leaves answers to be given in `answers`,
 * what has to be written down in `unsaved` and the time of the next deadline in `wakeAt`. What waits for the writing
 * goes on with `saved`: until then assignments are not given out, and a static member has not taken its place. It
 * holds no timer and no connection: a closed connection removes nobody, a session that runs out does.
 *
 * Invariants: a waiting JoinGroup exists only in PreparingRebalance, or while the change of a static member's id is
 * being written; a waiting SyncGroup only in CompletingRebalance; each ticket taken is answered exactly once; a
 * deadline exists for every member that has to heartbeat.
 */
import { errorCode } from '../../protocol/error-codes.ts'
import { type Answer, type JoinAnswer, joinRefused, NONE, type SyncAnswer, syncRefused } from './answers.ts'
import { Deadlines } from './deadlines.ts'
import type { GroupLimits } from './group-limits.ts'
import { type GroupRecord, recordMember, restoreMembers } from './group-record.ts'
import { type Member, metadataOf, NO_BYTES, needsNoHeartbeat, type Ticket } from './member.ts'
import { Membership } from './membership.ts'

/** The two clocks at one moment: deadlines count on `now` (monotonic), what is written down on `wallNow`. */
export interface Times {
  readonly now: number
  readonly wallNow: number
}

/** What goes on when a record is written, or cannot be. */
export type AfterSaving =
  /** Gives out the assignments of this generation. */
  | {
      readonly kind: 'assign'
      readonly generationId: number
      readonly assignments: ReadonlyMap<string, Uint8Array>
    }
  /** Answers the JoinGroup of a static member that has taken the place of `old`. */
  | {
      readonly kind: 'replace'
      readonly old: Member
      readonly memberId: string
      readonly ticket: Ticket
      readonly canSkipAssignment: boolean
      readonly formerLeader: string | null
    }

/** A group as it has to be written down. */
export interface Unsaved {
  readonly record: GroupRecord
  readonly after: AfterSaving | undefined
}

export type GroupPhase = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

export class GroupState {
  readonly groupId: string
  readonly limits: GroupLimits
  readonly membership = new Membership()
  readonly deadlines = new Deadlines()
  phase: GroupPhase
  generationId = 0
  protocolName: string | null = null
  /** Undefined: not known, which counts as all topics for Kafka's own consumers. */
  subscribedTopics: ReadonlySet<string> | undefined
  /** When the group came into its phase, wall clock. */
  stateSince: number
  /** The rebalance under way began with an empty group: it waits for the initial delay, not for members. */
  isInitialRebalance = false
  /** Somebody new came during the initial delay, which is therefore taken once more. */
  hasNewcomer = false
  #answers: Answer[] = []
  #unsaved: Unsaved[] = []

  constructor(groupId: string, limits: GroupLimits, wallNow: number) {
    this.groupId = groupId
    this.limits = limits
    this.phase = 'Empty'
    this.stateSince = wallNow
  }

  /** The group as it comes back on another node: the members keep their ids and get a whole session each. */
  static restore(
    groupId: string,
    { limits, record }: { readonly limits: GroupLimits; readonly record: GroupRecord },
    times: Times,
  ): GroupState {
    const group = new GroupState(groupId, limits, record.stateSince)
    group.generationId = record.generationId
    group.protocolName = record.protocolName
    restoreMembers(group.membership, record)
    group.phase = group.membership.size === 0 ? 'Empty' : 'Stable'
    group.subscribedTopics = group.membership.subscribedTopics(record.protocolName)
    for (const member of group.membership.members.values()) group.restartSession(member, times.now)
    if (group.membership.size > limits.maxSize) group.prepareRebalance(times)
    return group
  }

  get isActive(): boolean {
    return (
      this.phase === 'Stable' || this.phase === 'CompletingRebalance' || this.phase === 'PreparingRebalance'
    )
  }

  /** The time of the next deadline, monotonic. */
  get wakeAt(): number | undefined {
    return this.deadlines.next()
  }

  /** The answers that have become ready, once each. */
  takeAnswers(): readonly Answer[] {
    const answers = this.#answers
    this.#answers = []
    return answers
  }

  /** What has to be written down since the last call, in this order. */
  takeUnsaved(): readonly Unsaved[] {
    const unsaved = this.#unsaved
    this.#unsaved = []
    return unsaved
  }

  /** Notes the group as it stands for writing down. */
  save(after?: AfterSaving): void {
    this.#unsaved.push({ record: this.record(), after })
  }

  /** The group as it is written down, with the assignments that it is about to give out. */
  record(assignments?: ReadonlyMap<string, Uint8Array>): GroupRecord {
    const { protocolType, leader, members } = this.membership
    return {
      generationId: this.generationId,
      protocolType,
      protocolName: this.protocolName,
      leader,
      stateSince: this.stateSince,
      members: Array.from(members.values(), (member) => {
        const recorded = recordMember(member, this.protocolName)
        if (assignments === undefined) return recorded
        return { ...recorded, assignment: assignments.get(member.memberId) ?? NO_BYTES }
      }),
    }
  }

  /** A record is written, or, with an error, will not be. In between anything may have happened to the group. */
  saved({ after }: Unsaved, error: number, times: Times): void {
    if (after?.kind === 'assign') this.#assigned(after, error, times)
    else if (after?.kind === 'replace') this.#replaced(after, error, times)
  }

  answerJoin(ticket: number, join: JoinAnswer): void {
    this.#answers.push({ ticket, join })
  }

  answerSync(ticket: number, sync: SyncAnswer): void {
    this.#answers.push({ ticket, sync })
  }

  /** Answers a member's waiting JoinGroup, if there is one. */
  endJoin(member: Member, answer: JoinAnswer): void {
    if (member.waitingJoin === undefined) return
    this.answerJoin(member.waitingJoin, answer)
    member.waitingJoin = undefined
  }

  endSync(member: Member, answer: SyncAnswer): boolean {
    if (member.waitingSync === undefined) return false
    this.answerSync(member.waitingSync, answer)
    member.waitingSync = undefined
    return true
  }

  restartSession(member: Member, now: number, timeoutMs = member.sessionTimeoutMs): void {
    this.deadlines.set({ kind: 'session', memberId: member.memberId }, now + timeoutMs)
  }

  /**
   * The answer that tells a member the generation as it stands. Only the leader hears of the others, and not even
   * it when it joins a Stable group again without a change (its request then starts a rebalance instead).
   */
  generationAnswer(memberId: string): JoinAnswer {
    const isLeader = this.membership.leader === memberId
    return {
      errorCode: NONE,
      generationId: this.generationId,
      protocolType: this.membership.protocolType,
      protocolName: this.protocolName,
      leader: this.membership.leader ?? '',
      skipAssignment: false,
      memberId,
      members: isLeader ? this.joinedMembers() : [],
    }
  }

  joinedMembers(): JoinAnswer['members'] {
    return [...this.membership.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      metadata: metadataOf(member, this.protocolName),
    }))
  }

  /** Begins a rebalance when the phase allows one; in the middle of one, completes it if nobody is missing. */
  rebalance(times: Times): void {
    if (this.phase === 'PreparingRebalance') this.completeIfAllJoined(times)
    else if (this.phase !== 'Dead') this.prepareRebalance(times)
  }

  prepareRebalance(times: Times): void {
    if (this.phase === 'CompletingRebalance') {
      for (const member of this.membership.members.values()) member.assignment = NO_BYTES
      this.answerSyncs(syncRefused(errorCode.REBALANCE_IN_PROGRESS), times.now)
    }
    this.membership.pendingSync.clear()
    this.deadlines.delete({ kind: 'sync' })
    this.isInitialRebalance = this.phase === 'Empty'
    this.#enter('PreparingRebalance', times.wallNow)
    if (this.isInitialRebalance) {
      const delayMs = this.limits.initialRebalanceDelayMs
      const remainingMs = Math.max(this.membership.rebalanceTimeoutMs - delayMs, 0)
      this.deadlines.set({ kind: 'initial', delayMs, remainingMs }, times.now + delayMs)
    } else if (this.membership.hasEverybodyJoined) {
      this.completeJoin(times)
    } else {
      this.deadlines.set({ kind: 'join' }, times.now + this.membership.rebalanceTimeoutMs)
    }
  }

  /** An initial rebalance is never completed early: that is what its delay is for. */
  completeIfAllJoined(times: Times): void {
    if (this.phase !== 'PreparingRebalance' || this.isInitialRebalance) return
    if (this.membership.hasEverybodyJoined) this.completeJoin(times)
  }

  /**
   * Ends the joining: dynamic members that did not come are out, the generation begins, everybody is told.
   * Static members that did not come stay until their session ends.
   */
  completeJoin(times: Times): void {
    const { membership } = this
    this.deadlines.delete({ kind: 'join' })
    this.deadlines.delete({ kind: 'initial', delayMs: 0, remainingMs: 0 })
    for (const member of [...membership.members.values()]) {
      if (member.waitingJoin === undefined && member.groupInstanceId === null)
        this.removeMember(member.memberId)
    }
    if (!membership.electJoinedLeader() && membership.size > 0) {
      // Only static members are left and none of them came: wait until one does or all have expired.
      this.deadlines.set({ kind: 'join' }, times.now + membership.rebalanceTimeoutMs)
      return
    }
    this.generationId++
    this.isInitialRebalance = false
    this.protocolName = membership.size === 0 ? null : membership.electProtocol()
    this.subscribedTopics = membership.subscribedTopics(this.protocolName)
    membership.pendingSync.clear()
    if (membership.size === 0) {
      this.#enter('Empty', times.wallNow)
      this.save()
      return
    }
    this.#enter('CompletingRebalance', times.wallNow)
    for (const member of membership.members.values()) {
      this.endJoin(member, this.generationAnswer(member.memberId))
      this.restartSession(member, times.now)
      member.isNew = false
      membership.pendingSync.add(member.memberId)
    }
    this.deadlines.set({ kind: 'sync' }, times.now + membership.rebalanceTimeoutMs)
  }

  /** Takes the leader's assignments, to be given out when they are written: what it did not mention is empty. */
  assign(assignments: ReadonlyMap<string, Uint8Array>): void {
    const { generationId } = this
    this.#unsaved.push({
      record: this.record(assignments),
      after: { kind: 'assign', generationId, assignments },
    })
  }

  /** A new generation may have begun meanwhile, or the leader may have asked twice. */
  #assigned(
    { generationId, assignments }: Extract<AfterSaving, { kind: 'assign' }>,
    error: number,
    times: Times,
  ): void {
    if (this.phase !== 'CompletingRebalance' || this.generationId !== generationId) return
    if (error !== NONE) {
      this.answerSyncs(syncRefused(error), times.now)
      return this.prepareRebalance(times)
    }
    for (const member of this.membership.members.values()) {
      member.assignment = assignments.get(member.memberId) ?? NO_BYTES
    }
    const { protocolType } = this.membership
    const { protocolName } = this
    this.answerSyncs({ errorCode: NONE, protocolType, protocolName, assignment: NO_BYTES }, times.now)
    this.#enter('Stable', times.wallNow)
  }

  /** Meanwhile the member may be gone, replaced in its turn, or have been answered by a rebalance. */
  #replaced(after: Extract<AfterSaving, { kind: 'replace' }>, error: number, times: Times): void {
    const member = this.membership.get(after.memberId)
    if (member === undefined || member.waitingJoin !== after.ticket) return
    if (error !== NONE) return this.#takeBack(member, after.old, { error, now: times.now })
    const answer = this.generationAnswer(after.memberId)
    const isLeader = this.membership.leader === after.memberId
    this.restartSession(member, times.now)
    this.endJoin(
      member,
      after.canSkipAssignment
        ? { ...answer, skipAssignment: isLeader }
        : // It must not take itself for the leader, or it would wait to be asked for an assignment.
          { ...answer, leader: after.formerLeader ?? '', members: [] },
    )
  }

  /** The static member keeps the id that is written down. */
  #takeBack(member: Member, old: Member, { error, now }: { error: number; now: number }): void {
    this.endJoin(member, joinRefused(error, member.memberId))
    this.deadlines.delete({ kind: 'session', memberId: member.memberId })
    const back = this.membership.replace(member, old.memberId)
    back.protocols = old.protocols
    back.sessionTimeoutMs = old.sessionTimeoutMs
    back.rebalanceTimeoutMs = old.rebalanceTimeoutMs
    this.restartSession(back, now)
  }

  /** Answers every waiting SyncGroup with the answer and the member's own assignment. */
  answerSyncs(answer: SyncAnswer, now: number): void {
    for (const member of this.membership.members.values()) {
      if (this.endSync(member, { ...answer, assignment: member.assignment })) this.restartSession(member, now)
    }
  }

  /** Forgets an id and its session. The caller decides what follows. */
  removeMember(memberId: string): void {
    this.membership.remove(memberId)
    this.deadlines.delete({ kind: 'session', memberId })
  }

  /** The group goes away from here: whoever waits is told why, and what comes later finds it Dead. */
  kill(error: number): void {
    for (const member of this.membership.members.values()) {
      this.endJoin(member, joinRefused(error, member.memberId))
      this.endSync(member, syncRefused(error))
    }
    this.phase = 'Dead'
    this.deadlines.clear()
  }

  /** Acts on every deadline that has come. */
  expire(times: Times): void {
    for (let due = this.deadlines.due(times.now); due !== undefined; due = this.deadlines.due(times.now)) {
      if (due.kind === 'session') this.expireSession(due.memberId, times)
      else if (due.kind === 'sync') this.#expireSync(times)
      else if (due.kind === 'join') this.completeJoin(times)
      else this.#endInitialDelay(due, times)
    }
  }

  /** A member, or a pending id, was not heard of for its whole session. */
  expireSession(memberId: string, times: Times): void {
    const member = this.membership.get(memberId)
    if (member === undefined || !needsNoHeartbeat(member)) this.evict(memberId, times)
  }

  /** Puts a member, or a pending id, out of the group. */
  evict(memberId: string, times: Times): void {
    const member = this.membership.get(memberId)
    if (member !== undefined) {
      this.endJoin(member, joinRefused(errorCode.UNKNOWN_MEMBER_ID, ''))
      this.endSync(member, syncRefused(errorCode.UNKNOWN_MEMBER_ID))
    } else if (!this.membership.pendingJoin.has(memberId)) return
    this.removeMember(memberId)
    if (this.phase === 'PreparingRebalance') {
      if (this.membership.hasEverybodyJoined) this.completeJoin(times)
    } else if (member !== undefined) this.rebalance(times)
  }

  /** Members that took the generation but never asked for their assignment are out. */
  #expireSync(times: Times): void {
    if (this.phase !== 'CompletingRebalance' && this.phase !== 'Stable') return
    if (this.membership.pendingSync.size === 0) return
    for (const memberId of [...this.membership.pendingSync]) this.removeMember(memberId)
    this.prepareRebalance(times)
  }

  #endInitialDelay({ delayMs, remainingMs }: { delayMs: number; remainingMs: number }, times: Times): void {
    if (!this.hasNewcomer || remainingMs === 0) return this.completeJoin(times)
    this.hasNewcomer = false
    const nextDelayMs = Math.min(this.limits.initialRebalanceDelayMs, remainingMs)
    const next = { delayMs: nextDelayMs, remainingMs: Math.max(remainingMs - delayMs, 0) }
    this.deadlines.set({ kind: 'initial', ...next }, times.now + nextDelayMs)
  }

  #enter(phase: GroupPhase, wallNow: number): void {
    this.phase = phase
    this.stateSince = wallNow
  }
}

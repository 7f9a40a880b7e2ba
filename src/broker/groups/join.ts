/**
 * JoinGroup: a member comes, comes back, or comes with news.
 *
 * What it is answered at once, what waits for the rebalance, and when a rebalance begins is Kafka's: a follower
 * that joins a Stable group again unchanged gets the generation as it stands, a leader always begins a rebalance.
 */
import { errorCode } from '../../protocol/error-codes.ts'
import { joinRefused } from './answers.ts'
import type { GroupState, Times } from './group-state.ts'
import { hasProtocols, type Member, NO_BYTES, type Protocol, type Ticket } from './member.ts'
import { validateMember } from './validate-member.ts'

export interface JoinRequest {
  /** Empty: the member has no id yet. */
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocolType: string
  readonly protocols: readonly Protocol[]
  /** From version 4: a new dynamic member gets an id first and joins with it (KIP-394). */
  readonly requiresMemberId: boolean
  /** From version 9: a restarted static leader can be told to keep the assignment (KIP-814). */
  readonly canSkipAssignment: boolean
  /** The id to give to a member that has none. */
  readonly newMemberId: string
}

/** A request with the ticket under which it is answered. */
export interface AskedJoin {
  readonly request: JoinRequest
  readonly ticket: Ticket
}

/** Takes the request; its answer comes through `takeAnswers` under the ticket, now or after the rebalance. */
export function join(group: GroupState, asked: AskedJoin, times: Times): void {
  const { request, ticket } = asked
  const { memberId } = request
  const refuse = (error: number, id = memberId) => group.answerJoin(ticket, joinRefused(error, id))
  if (!hasRoomFor(group, memberId)) {
    group.removeMember(memberId)
    return refuse(errorCode.GROUP_MAX_SIZE_REACHED, '')
  }
  if (group.phase === 'Dead') return refuse(errorCode.COORDINATOR_NOT_AVAILABLE)
  if (!supports(group, request)) return refuse(errorCode.INCONSISTENT_GROUP_PROTOCOL)
  if (memberId === '') return joinNew(group, asked, times)
  if (group.membership.pendingJoin.has(memberId)) {
    // An id given to a dynamic member; Kafka takes a static name with it for a bug of the client.
    if (request.groupInstanceId !== null) return refuse(errorCode.UNKNOWN_SERVER_ERROR, '')
    return addMember(group, { request, memberId, ticket }, times)
  }
  const error = validateMember(group.membership, memberId, request.groupInstanceId)
  const member = group.membership.get(memberId)
  if (error !== errorCode.NONE || member === undefined) return refuse(error)
  rejoin(group, { ...asked, member }, times)
}

/** New members are let in up to `group.max.size`; during a rebalance those who have joined count. */
function hasRoomFor({ phase, membership, limits }: GroupState, memberId: string): boolean {
  if (phase === 'Empty' || phase === 'Dead') return true
  const member = membership.get(memberId)
  if (phase !== 'PreparingRebalance') return member !== undefined || membership.size < limits.maxSize
  return member?.waitingJoin !== undefined || membership.waitingJoins < limits.maxSize
}

function supports({ phase, membership }: GroupState, { protocolType, protocols }: JoinRequest): boolean {
  if (phase === 'Empty') return protocolType !== '' && protocols.length > 0
  return membership.offers(protocolType, protocols)
}

function joinNew(group: GroupState, { request, ticket }: AskedJoin, times: Times): void {
  const { newMemberId: memberId, groupInstanceId } = request
  const existingId = group.membership.staticMemberId(groupInstanceId)
  if (existingId !== undefined) return replaceStatic(group, { existingId, request, ticket }, times)
  if (groupInstanceId !== null || !request.requiresMemberId) {
    return addMember(group, { request, memberId, ticket }, times)
  }
  group.membership.pendingJoin.add(memberId)
  group.deadlines.set({ kind: 'session', memberId }, times.now + request.sessionTimeoutMs)
  group.answerJoin(ticket, joinRefused(errorCode.MEMBER_ID_REQUIRED, memberId))
}

function addMember(
  group: GroupState,
  { request, memberId, ticket }: AskedJoin & { readonly memberId: string },
  times: Times,
): void {
  const member: Member = {
    memberId,
    groupInstanceId: request.groupInstanceId,
    clientId: request.clientId,
    clientHost: request.clientHost,
    protocolType: request.protocolType,
    protocols: request.protocols,
    sessionTimeoutMs: request.sessionTimeoutMs,
    rebalanceTimeoutMs: request.rebalanceTimeoutMs,
    assignment: NO_BYTES,
    waitingJoin: ticket,
    waitingSync: undefined,
    isNew: true,
  }
  if (group.phase === 'PreparingRebalance' && group.isInitialRebalance) group.hasNewcomer = true
  group.membership.add(member)
  group.restartSession(member, times.now, group.limits.newMemberJoinTimeoutMs)
  group.rebalance(times)
}

/** A member that is known joins again. */
function rejoin(
  group: GroupState,
  { member, request, ticket }: AskedJoin & { readonly member: Member },
  times: Times,
): void {
  const { memberId } = member
  if (group.phase === 'Empty') {
    return group.answerJoin(ticket, joinRefused(errorCode.UNKNOWN_MEMBER_ID, memberId))
  }
  const isLeader = group.membership.leader === memberId
  const isUnchanged = hasProtocols(member, request.protocols)
  // The answer to its first JoinGroup may have been lost: the same again.
  if (group.phase === 'CompletingRebalance' && isUnchanged) {
    return group.answerJoin(ticket, group.generationAnswer(memberId))
  }
  if (group.phase === 'Stable' && isUnchanged && !isLeader) {
    return group.answerJoin(ticket, group.generationAnswer(memberId))
  }
  update(group, member, { request, ticket })
  group.rebalance(times)
}

function update(group: GroupState, member: Member, { request, ticket }: AskedJoin): void {
  member.protocols = request.protocols
  member.rebalanceTimeoutMs = request.rebalanceTimeoutMs
  member.sessionTimeoutMs = request.sessionTimeoutMs
  // A JoinGroup sent again on a new connection: the older one is answered too, so that no ticket is forgotten.
  group.endJoin(member, joinRefused(errorCode.REBALANCE_IN_PROGRESS, member.memberId))
  member.waitingJoin = ticket
}

/**
 * A static member was restarted and comes without its id: it takes the place of the old one. While the group is
 * Stable and the protocol stays, no rebalance follows and it keeps its assignment (KIP-345).
 */
function replaceStatic(
  group: GroupState,
  { existingId, request, ticket }: AskedJoin & { readonly existingId: string },
  times: Times,
): void {
  const { membership } = group
  const formerLeader = membership.leader
  const old = membership.get(existingId) as Member
  group.endJoin(old, joinRefused(errorCode.FENCED_INSTANCE_ID, existingId))
  const fenced = { errorCode: errorCode.FENCED_INSTANCE_ID, protocolType: null, protocolName: null }
  group.endSync(old, { ...fenced, assignment: NO_BYTES })
  const member = membership.replace(old, request.newMemberId)
  // The session of the old id ends with it.
  group.deadlines.delete({ kind: 'session', memberId: existingId })
  group.restartSession(member, times.now)
  update(group, member, { request, ticket })
  if (group.phase !== 'Stable') {
    // The leader may already be dividing the partitions among ids of which one is gone.
    if (group.phase === 'CompletingRebalance') return group.prepareRebalance(times)
    return group.completeIfAllJoined(times)
  }
  if (membership.electProtocol() !== group.protocolName) return group.rebalance(times)
  const { canSkipAssignment } = request
  group.save({ kind: 'replace', old, memberId: member.memberId, ticket, canSkipAssignment, formerLeader })
}

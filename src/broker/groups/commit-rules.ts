/** Who may commit, delete or expire the offsets of a group, in which state of it. */
import { errorCode } from '../../protocol/error-codes.ts'
import type { RetentionBase } from './group-offsets.ts'
import type { GroupState } from './group-state.ts'
import { CONSUMER } from './membership.ts'
import { validateMember } from './validate-member.ts'

export interface Committer {
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** Negative: not a member, a tool or a consumer that assigns itself. */
  readonly generationId: number
}

/** The error code of an OffsetCommit by this committer. */
export function mayCommit(group: GroupState, committer: Committer): number {
  const { memberId, groupInstanceId, generationId } = committer
  if (group.phase === 'Dead') return errorCode.COORDINATOR_NOT_AVAILABLE
  if (generationId < 0 && group.phase === 'Empty') return errorCode.NONE
  if (generationId < 0 && memberId === '' && groupInstanceId === null) return errorCode.UNKNOWN_MEMBER_ID
  const error = validateMember(group.membership, memberId, groupInstanceId)
  if (error !== errorCode.NONE) return error
  if (generationId !== group.generationId) return errorCode.ILLEGAL_GENERATION
  // The member knows the newest generation but not its assignment: it has to sync first.
  return group.phase === 'CompletingRebalance' ? errorCode.REBALANCE_IN_PROGRESS : errorCode.NONE
}

/** The error code of DeleteGroups. */
export function mayDelete(group: GroupState): number {
  if (group.phase === 'Dead') return errorCode.GROUP_ID_NOT_FOUND
  return group.isActive ? errorCode.NON_EMPTY_GROUP : errorCode.NONE
}

/** The error code of OffsetDelete: only of Kafka's own consumers is it known what they read. */
export function mayDeleteOffsets(group: GroupState): number {
  if (group.phase === 'Dead') return errorCode.GROUP_ID_NOT_FOUND
  return group.isActive && group.membership.protocolType !== CONSUMER
    ? errorCode.NON_EMPTY_GROUP
    : errorCode.NONE
}

/** Whether the members read the topic; where that cannot be known, Kafka's own consumers are taken to. */
export const isSubscribed = (group: GroupState, topic: string): boolean =>
  group.subscribedTopics?.has(topic) ?? group.membership.protocolType === CONSUMER

/** From when on the group's offsets age (KIP-211). */
export function retentionBase(group: GroupState): RetentionBase {
  if (group.membership.protocolType === null) return 'commit'
  if (group.phase === 'Empty') return group.stateSince
  const knowsTopics = group.membership.protocolType === CONSUMER && group.subscribedTopics !== undefined
  return knowsTopics && group.phase === 'Stable' ? 'commit' : 'never'
}

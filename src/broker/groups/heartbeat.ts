/** Heartbeat: a member shows that it lives, and learns whether it has to join again. */
import { errorCode } from '../../protocol/error-codes.ts'
import type { GroupState } from './group-state.ts'
import type { Member } from './member.ts'
import { validateMember } from './validate-member.ts'

export interface HeartbeatRequest {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generationId: number
}

/** Restarts the member's session and gives the error code to answer. */
export function heartbeat(group: GroupState, request: HeartbeatRequest, now: number): number {
  if (group.phase === 'Dead') return errorCode.COORDINATOR_NOT_AVAILABLE
  const error = validateMember(group.membership, request.memberId, request.groupInstanceId)
  if (error !== errorCode.NONE) return error
  if (request.generationId !== group.generationId) return errorCode.ILLEGAL_GENERATION
  group.restartSession(group.membership.get(request.memberId) as Member, now)
  return group.phase === 'PreparingRebalance' ? errorCode.REBALANCE_IN_PROGRESS : errorCode.NONE
}

/** SyncGroup: the leader hands in the assignments, everybody gets its own. */
import { errorCode } from '../../protocol/error-codes.ts'
import { NONE, syncRefused } from './answers.ts'
import type { GroupState } from './group-state.ts'
import type { Ticket } from './member.ts'
import { validateMember } from './validate-member.ts'

export interface SyncRequest {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generationId: number
  /** Null: not said, and so not checked (before version 5). */
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[]
}

/** Takes the request; everybody is answered when the leader's assignments are there and written down. */
export function sync(
  group: GroupState,
  { request, ticket }: { readonly request: SyncRequest; readonly ticket: Ticket },
): void {
  const { membership } = group
  const error = validate(group, request)
  const member = membership.get(request.memberId)
  if (error !== NONE || member === undefined) return group.answerSync(ticket, syncRefused(error))
  if (group.phase === 'PreparingRebalance') {
    return group.answerSync(ticket, syncRefused(errorCode.REBALANCE_IN_PROGRESS))
  }
  membership.pendingSync.delete(member.memberId)
  if (membership.pendingSync.size === 0) group.deadlines.delete({ kind: 'sync' })
  if (group.phase === 'Stable') {
    const { protocolName } = group
    const { protocolType } = membership
    return group.answerSync(ticket, {
      errorCode: NONE,
      protocolType,
      protocolName,
      assignment: member.assignment,
    })
  }
  // Asked again on a new connection: the older request is answered too, so that no ticket is forgotten.
  group.endSync(member, syncRefused(errorCode.REBALANCE_IN_PROGRESS))
  member.waitingSync = ticket
  if (membership.leader !== member.memberId) return
  group.assign(new Map(request.assignments.map((given) => [given.memberId, given.assignment])))
}

function validate(group: GroupState, request: SyncRequest): number {
  if (group.phase === 'Dead') return errorCode.COORDINATOR_NOT_AVAILABLE
  if (group.phase === 'Empty') return errorCode.UNKNOWN_MEMBER_ID
  const error = validateMember(group.membership, request.memberId, request.groupInstanceId)
  if (error !== NONE) return error
  if (request.generationId !== group.generationId) return errorCode.ILLEGAL_GENERATION
  const differs = (said: string | null, own: string | null) => said !== null && own !== null && said !== own
  if (
    differs(request.protocolType, group.membership.protocolType) ||
    differs(request.protocolName, group.protocolName)
  ) {
    return errorCode.INCONSISTENT_GROUP_PROTOCOL
  }
  return NONE
}

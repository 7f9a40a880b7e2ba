/** LeaveGroup: members go, or an administrator sends static ones away by their names (KIP-345). */
import { errorCode } from '../../protocol/error-codes.ts'
import { joinRefused, syncRefused } from './answers.ts'
import type { GroupState, Times } from './group-state.ts'
import type { Member } from './member.ts'
import { validateMember } from './validate-member.ts'

export interface LeavingMember {
  /** Empty, with a static name: whoever has that name. */
  readonly memberId: string
  readonly groupInstanceId: string | null
}

/** Removes the members and gives the error code of each. One rebalance follows for all of them. */
export function leave(group: GroupState, leaving: readonly LeavingMember[], times: Times): readonly number[] {
  const errors = leaving.map((one) => leaveOne(group, one))
  if (errors.includes(errorCode.NONE) && group.phase !== 'Empty') group.rebalance(times)
  return errors
}

function leaveOne(group: GroupState, { memberId, groupInstanceId }: LeavingMember): number {
  const { membership } = group
  if (membership.pendingJoin.has(memberId)) {
    group.removeMember(memberId)
    return errorCode.NONE
  }
  const id = memberId === '' ? (membership.staticMemberId(groupInstanceId) ?? '') : memberId
  const error = validateMember(membership, id, memberId === '' ? null : groupInstanceId)
  if (error !== errorCode.NONE) return error
  const member = membership.get(id) as Member
  group.endJoin(member, joinRefused(errorCode.UNKNOWN_MEMBER_ID, ''))
  group.endSync(member, syncRefused(errorCode.UNKNOWN_MEMBER_ID))
  group.removeMember(id)
  return errorCode.NONE
}

/** Whether a member id, with a static name or without, is one of the group's. */
import { errorCode } from '../../protocol/error-codes.ts'
import type { Membership } from './membership.ts'

export function validateMember(
  membership: Membership,
  memberId: string,
  groupInstanceId: string | null,
): number {
  if (groupInstanceId !== null) {
    const owner = membership.staticMemberId(groupInstanceId)
    if (owner === undefined) return errorCode.UNKNOWN_MEMBER_ID
    if (owner !== memberId) return errorCode.FENCED_INSTANCE_ID
  }
  return membership.get(memberId) === undefined ? errorCode.UNKNOWN_MEMBER_ID : errorCode.NONE
}

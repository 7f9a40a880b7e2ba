/** LeaveGroup (13). From version 3 for several members at once, each with its own answer. */
import { errorCode } from '../../protocol/error-codes.ts'
import { leaveGroup } from '../../protocol/messages/leave-group.ts'
import type { Handler } from '../handler.ts'

const BATCHED = 3

export const leaveGroupHandler: Handler<typeof leaveGroup> = {
  api: leaveGroup,
  versions: [0, 5],
  errors: [
    errorCode.INVALID_GROUP_ID,
    errorCode.NOT_COORDINATOR,
    errorCode.COORDINATOR_LOAD_IN_PROGRESS,
    errorCode.COORDINATOR_NOT_AVAILABLE,
    errorCode.UNKNOWN_MEMBER_ID,
    errorCode.FENCED_INSTANCE_ID,
  ],
  handle({ groupId, memberId, members }, { version, node }) {
    if (groupId === '') return { errorCode: errorCode.INVALID_GROUP_ID }
    const found = node.groups.find(groupId)
    if ('errorCode' in found) return found
    const leaving = version < BATCHED ? [{ memberId, groupInstanceId: null }] : members
    const left = found.groups.leave(groupId, leaving)
    const answer = (whole: number) => {
      if (whole !== errorCode.NONE) return { errorCode: whole }
      if (version < BATCHED) return { errorCode: left?.members[0] ?? errorCode.UNKNOWN_MEMBER_ID }
      return {
        errorCode: errorCode.NONE,
        members: leaving.map((one, index) => ({
          memberId: one.memberId,
          groupInstanceId: one.groupInstanceId,
          errorCode: left?.members[index] ?? errorCode.UNKNOWN_MEMBER_ID,
        })),
      }
    }
    const settled = left?.settled ?? errorCode.NONE
    return typeof settled === 'number' ? answer(settled) : settled.then(answer)
  },
  refuse: (_request, code) => ({ errorCode: code }),
}

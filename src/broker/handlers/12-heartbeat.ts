/** Heartbeat (12). */
import { errorCode } from '../../protocol/error-codes.ts'
import { heartbeat } from '../../protocol/messages/heartbeat.ts'
import type { Handler } from '../handler.ts'

export const heartbeatHandler: Handler<typeof heartbeat> = {
  api: heartbeat,
  versions: [0, 4],
  errors: [
    errorCode.INVALID_GROUP_ID,
    errorCode.NOT_COORDINATOR,
    errorCode.COORDINATOR_LOAD_IN_PROGRESS,
    errorCode.COORDINATOR_NOT_AVAILABLE,
    errorCode.UNKNOWN_MEMBER_ID,
    errorCode.FENCED_INSTANCE_ID,
    errorCode.ILLEGAL_GENERATION,
    errorCode.REBALANCE_IN_PROGRESS,
  ],
  handle({ groupId, generationId, memberId, groupInstanceId }, { node }) {
    if (groupId === '') return { errorCode: errorCode.INVALID_GROUP_ID }
    const found = node.groups.find(groupId)
    if ('errorCode' in found) return found
    const settled = found.groups.heartbeat(groupId, { generationId, memberId, groupInstanceId })
    if (typeof settled === 'number') return { errorCode: settled }
    return settled.then((error) => ({ errorCode: error }))
  },
  refuse: (_request, code) => ({ errorCode: code }),
}

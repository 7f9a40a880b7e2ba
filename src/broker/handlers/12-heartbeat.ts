/** Heartbeat (12). */
import { errorCode } from '../../protocol/error-codes.ts'
import { heartbeat } from '../../protocol/messages/heartbeat.ts'
import type { Handler } from '../handler.ts'

export const heartbeatHandler: Handler<typeof heartbeat> = {
  api: heartbeat,
  versions: [0, 4],
  handle({ groupId, generationId, memberId, groupInstanceId }, { node, cluster }) {
    if (groupId === '') return { errorCode: errorCode.INVALID_GROUP_ID }
    const refusal = cluster.groups.refusal(groupId, node.id)
    if (refusal !== errorCode.NONE) return { errorCode: refusal }
    return { errorCode: cluster.groups.heartbeat(groupId, { generationId, memberId, groupInstanceId }) }
  },
  refuse: (_request, code) => ({ errorCode: code }),
}

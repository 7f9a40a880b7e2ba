/** SyncGroup (14). Followers are answered when the leader has handed in the assignments. */
import { errorCode } from '../../protocol/error-codes.ts'
import { syncGroup } from '../../protocol/messages/sync-group.ts'
import { syncRefused } from '../groups/answers.ts'
import { copyOf } from '../groups/copy.ts'
import type { Handler } from '../handler.ts'

/** From here on type and name of the protocol must be said (KIP-559). */
const NAMES_PROTOCOL = 5

export const syncGroupHandler: Handler<typeof syncGroup> = {
  api: syncGroup,
  versions: [0, 5],
  errors: [
    errorCode.INVALID_GROUP_ID,
    errorCode.NOT_COORDINATOR,
    errorCode.COORDINATOR_LOAD_IN_PROGRESS,
    errorCode.COORDINATOR_NOT_AVAILABLE,
    errorCode.INCONSISTENT_GROUP_PROTOCOL,
    errorCode.UNKNOWN_MEMBER_ID,
    errorCode.FENCED_INSTANCE_ID,
    errorCode.ILLEGAL_GENERATION,
    errorCode.REBALANCE_IN_PROGRESS,
    errorCode.UNKNOWN_SERVER_ERROR,
  ],
  handle(request, { version, node }) {
    const { groupId, memberId, groupInstanceId, generationId, protocolType, protocolName } = request
    if (version >= NAMES_PROTOCOL && (protocolType === null || protocolName === null)) {
      return syncRefused(errorCode.INCONSISTENT_GROUP_PROTOCOL)
    }
    if (groupId === '') return syncRefused(errorCode.INVALID_GROUP_ID)
    const found = node.groups.find(groupId)
    if ('errorCode' in found) return syncRefused(found.errorCode)
    return found.groups.sync(groupId, {
      memberId,
      groupInstanceId,
      generationId,
      protocolType,
      protocolName,
      assignments: request.assignments.map((given) => ({
        memberId: given.memberId,
        assignment: copyOf(given.assignment),
      })),
    })
  },
  refuse: (_request, code) => syncRefused(code),
}

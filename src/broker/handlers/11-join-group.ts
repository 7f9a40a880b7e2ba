/** JoinGroup (11). Answered when the rebalance completes. */
import { errorCode } from '../../protocol/error-codes.ts'
import { joinGroup } from '../../protocol/messages/join-group.ts'
import { type JoinAnswer, joinRefused } from '../groups/answers.ts'
import { copyOf } from '../groups/copy.ts'
import type { Handler } from '../handler.ts'

/** The first version in which a new dynamic member gets its id before it joins (KIP-394). */
const REQUIRES_MEMBER_ID = 4
/** The first version that knows `skipAssignment` (KIP-814). */
const SKIPS_ASSIGNMENT = 9
/** The first version in which the protocol's name may be null. */
const NULLABLE_PROTOCOL = 7

export const joinGroupHandler: Handler<typeof joinGroup> = {
  api: joinGroup,
  versions: [0, 9],
  errors: [
    errorCode.INVALID_GROUP_ID,
    errorCode.NOT_COORDINATOR,
    errorCode.COORDINATOR_LOAD_IN_PROGRESS,
    errorCode.COORDINATOR_NOT_AVAILABLE,
    errorCode.INVALID_SESSION_TIMEOUT,
    errorCode.GROUP_MAX_SIZE_REACHED,
    errorCode.INCONSISTENT_GROUP_PROTOCOL,
    errorCode.MEMBER_ID_REQUIRED,
    errorCode.UNKNOWN_MEMBER_ID,
    errorCode.FENCED_INSTANCE_ID,
    errorCode.REBALANCE_IN_PROGRESS,
    errorCode.UNKNOWN_SERVER_ERROR,
  ],
  async handle(request, { version, clientId, node, session }) {
    const { groupId, memberId, sessionTimeoutMs } = request
    const answer = async () => {
      if (groupId === '') return joinRefused(errorCode.INVALID_GROUP_ID, memberId)
      const found = node.groups.find(groupId)
      if ('errorCode' in found) return joinRefused(found.errorCode, memberId)
      return found.groups.join(groupId, {
        memberId,
        groupInstanceId: request.groupInstanceId,
        clientId: clientId ?? '',
        clientHost: `/${session.remoteAddress}`,
        sessionTimeoutMs,
        // Version 0 has no time of its own for rebalances.
        rebalanceTimeoutMs: version === 0 ? sessionTimeoutMs : request.rebalanceTimeoutMs,
        protocolType: request.protocolType,
        protocols: request.protocols.map(({ name, metadata }) => ({ name, metadata: copyOf(metadata) })),
        requiresMemberId: version >= REQUIRES_MEMBER_ID,
        canSkipAssignment: version >= SKIPS_ASSIGNMENT,
      })
    }
    const answered = await answer()
    return forVersion(version, answered)
  },
  refuse: ({ memberId }, code, { version }) => forVersion(version, joinRefused(code, memberId)),
}

const forVersion = (version: number, answer: JoinAnswer) =>
  version < NULLABLE_PROTOCOL ? { ...answer, protocolName: answer.protocolName ?? '' } : answer

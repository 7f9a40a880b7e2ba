/** DescribeGroups (15). A group that does not exist is Dead, and from version 6 an error. */
import { errorCode } from '../../protocol/error-codes.ts'
import { describeGroups } from '../../protocol/messages/describe-groups.ts'
import type { Handler } from '../handler.ts'

const SAYS_NOT_FOUND = 6
/** Groups have READ, DELETE and DESCRIBE (and, since Kafka 4.0, their configs): bits of Kafka's AclOperation. */
const AUTHORIZED_OPERATIONS = (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11)
const NOT_ASKED = -0x8000_0000

export const describeGroupsHandler: Handler<typeof describeGroups> = {
  api: describeGroups,
  versions: [0, 6],
  errors: [errorCode.NOT_COORDINATOR, errorCode.COORDINATOR_LOAD_IN_PROGRESS, errorCode.GROUP_ID_NOT_FOUND],
  handle({ groups, includeAuthorizedOperations }, { version, node }) {
    const authorizedOperations = includeAuthorizedOperations ? AUTHORIZED_OPERATIONS : NOT_ASKED
    const described = groups.map((groupId) => {
      const found = node.groups.find(groupId)
      if ('errorCode' in found) return failed(groupId, found.errorCode, null)
      const description = found.groups.describe(groupId)
      if (description !== undefined) {
        return { ...description, groupId, errorCode: errorCode.NONE, authorizedOperations }
      }
      const dead = { ...failed(groupId, errorCode.NONE, null), groupState: 'Dead' }
      if (version < SAYS_NOT_FOUND) return dead
      return { ...dead, errorCode: errorCode.GROUP_ID_NOT_FOUND, errorMessage: `Group ${groupId} not found.` }
    })
    return { groups: described }
  },
  refuse: ({ groups }, code) => ({ groups: groups.map((groupId) => failed(groupId, code, null)) }),
}

const failed = (groupId: string, code: number, errorMessage: string | null) => ({
  groupId,
  errorCode: code,
  errorMessage,
  groupState: '',
  protocolType: '',
  protocolData: '',
  members: [],
})

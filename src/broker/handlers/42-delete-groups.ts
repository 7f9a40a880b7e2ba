/** DeleteGroups (42): groups without members, with their offsets. */
import { errorCode } from '../../protocol/error-codes.ts'
import { deleteGroups } from '../../protocol/messages/delete-groups.ts'
import type { Handler } from '../handler.ts'

export const deleteGroupsHandler: Handler<typeof deleteGroups> = {
  api: deleteGroups,
  versions: [0, 2],
  errors: [
    errorCode.NOT_COORDINATOR,
    errorCode.COORDINATOR_LOAD_IN_PROGRESS,
    errorCode.COORDINATOR_NOT_AVAILABLE,
    errorCode.GROUP_ID_NOT_FOUND,
    errorCode.NON_EMPTY_GROUP,
    errorCode.UNKNOWN_SERVER_ERROR,
  ],
  async handle({ groupsNames }, { node }) {
    const results = [...new Set(groupsNames)].map(async (groupId) => {
      const found = node.groups.find(groupId)
      return {
        groupId,
        errorCode: 'errorCode' in found ? found.errorCode : await found.groups.delete(groupId),
      }
    })
    return { throttleTimeMs: 0, results: await Promise.all(results) }
  },
  refuse: ({ groupsNames }, code) => ({
    throttleTimeMs: 0,
    results: groupsNames.map((groupId) => ({ groupId, errorCode: code })),
  }),
}

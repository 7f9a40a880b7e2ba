/** DeleteGroups (42): groups without members, with their offsets. */
import { deleteGroups } from '../../protocol/messages/delete-groups.ts'
import type { Handler } from '../handler.ts'

export const deleteGroupsHandler: Handler<typeof deleteGroups> = {
  api: deleteGroups,
  versions: [0, 2],
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

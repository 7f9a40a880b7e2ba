/** DeleteGroups (42): groups without members, with their offsets. */
import { errorCode } from '../../protocol/error-codes.ts'
import { deleteGroups } from '../../protocol/messages/delete-groups.ts'
import type { Handler } from '../handler.ts'

export const deleteGroupsHandler: Handler<typeof deleteGroups> = {
  api: deleteGroups,
  versions: [0, 2],
  handle({ groupsNames }, { node, cluster }) {
    const results = [...new Set(groupsNames)].map((groupId) => {
      const refusal = cluster.groups.refusal(groupId, node.id)
      return { groupId, errorCode: refusal === errorCode.NONE ? cluster.groups.delete(groupId) : refusal }
    })
    return { throttleTimeMs: 0, results }
  },
  refuse: ({ groupsNames }, code) => ({
    throttleTimeMs: 0,
    results: groupsNames.map((groupId) => ({ groupId, errorCode: code })),
  }),
}

/** ListGroups (16): the groups that this node coordinates. */
import { errorCode } from '../../protocol/error-codes.ts'
import { listGroups } from '../../protocol/messages/list-groups.ts'
import type { Handler } from '../handler.ts'

const GROUP_TYPE = 'classic'

export const listGroupsHandler: Handler<typeof listGroups> = {
  api: listGroups,
  versions: [0, 5],
  errors: [errorCode.COORDINATOR_LOAD_IN_PROGRESS],
  handle({ statesFilter, typesFilter }, { node }) {
    const states = statesFilter.map((state) => state.toLowerCase())
    const types = typesFilter.map((type) => type.toLowerCase())
    const found = node.groups.all()
    if ('errorCode' in found) return { errorCode: found.errorCode, groups: [] }
    const groups = found.groups
      .flatMap((one) => one.list())
      .filter(({ groupState }) => states.length === 0 || states.includes(groupState.toLowerCase()))
      .filter(() => types.length === 0 || types.includes(GROUP_TYPE))
      .map((group) => ({ ...group, groupType: GROUP_TYPE }))
    return { errorCode: errorCode.NONE, groups }
  },
  refuse: (_request, code) => ({ errorCode: code, groups: [] }),
}

/** OffsetDelete (47): single committed offsets, of topics that the group does not read any more. */
import { errorCode } from '../../protocol/error-codes.ts'
import { offsetDelete } from '../../protocol/messages/offset-delete.ts'
import type { Handler } from '../handler.ts'

export const offsetDeleteHandler: Handler<typeof offsetDelete> = {
  api: offsetDelete,
  versions: [0, 0],
  handle({ groupId, topics }, { node, cluster }) {
    if (groupId === '') return refuse(errorCode.INVALID_GROUP_ID)
    const refusal = cluster.groups.refusal(groupId, node.id)
    if (refusal !== errorCode.NONE) return refuse(refusal)
    const { error, isSubscribed } = cluster.groups.mayDeleteOffsets(groupId)
    if (error !== errorCode.NONE) return refuse(error)
    const offsets = cluster.groups.offsets(groupId)
    return {
      throttleTimeMs: 0,
      errorCode: errorCode.NONE,
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => {
          const answer = (code: number) => ({ partitionIndex, errorCode: code })
          const known = cluster.topic(name)
          if (known === undefined || partitionIndex >= known.partitions.length) {
            return answer(errorCode.UNKNOWN_TOPIC_OR_PARTITION)
          }
          if (isSubscribed(name)) return answer(errorCode.GROUP_SUBSCRIBED_TO_TOPIC)
          offsets?.delete(name, partitionIndex)
          return answer(errorCode.NONE)
        }),
      })),
    }
  },
  refuse: (_request, code) => refuse(code),
}

const refuse = (error: number) => ({ throttleTimeMs: 0, errorCode: error, topics: [] })

/** OffsetDelete (47): single committed offsets, of topics that the group does not read any more. */
import { errorCode } from '../../protocol/error-codes.ts'
import { offsetDelete } from '../../protocol/messages/offset-delete.ts'
import type { TopicPartition } from '../groups/group-offsets.ts'
import type { Handler } from '../handler.ts'

export const offsetDeleteHandler: Handler<typeof offsetDelete> = {
  api: offsetDelete,
  versions: [0, 0],
  errors: [
    errorCode.INVALID_GROUP_ID,
    errorCode.NOT_COORDINATOR,
    errorCode.COORDINATOR_LOAD_IN_PROGRESS,
    errorCode.COORDINATOR_NOT_AVAILABLE,
    errorCode.GROUP_ID_NOT_FOUND,
    errorCode.NON_EMPTY_GROUP,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.GROUP_SUBSCRIBED_TO_TOPIC,
    errorCode.UNKNOWN_SERVER_ERROR,
  ],
  async handle({ groupId, topics }, { node, cluster }) {
    if (groupId === '') return refuse(errorCode.INVALID_GROUP_ID)
    const found = node.groups.find(groupId)
    if ('errorCode' in found) return refuse(found.errorCode)
    const { error, isSubscribed } = found.groups.mayDeleteOffsets(groupId)
    if (error !== errorCode.NONE) return refuse(error)
    const deleted: TopicPartition[] = []
    const answered = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        const answer = (code: number) => ({ partitionIndex, errorCode: code })
        const known = cluster.topic(name)
        if (known === undefined || partitionIndex >= known.partitions.length) {
          return answer(errorCode.UNKNOWN_TOPIC_OR_PARTITION)
        }
        if (isSubscribed(name)) return answer(errorCode.GROUP_SUBSCRIBED_TO_TOPIC)
        deleted.push({ topic: name, partition: partitionIndex })
        return answer(errorCode.NONE)
      }),
    }))
    const failed = await found.groups.deleteOffsets(groupId, deleted)
    if (failed !== errorCode.NONE) return refuse(failed)
    return { throttleTimeMs: 0, errorCode: errorCode.NONE, topics: answered }
  },
  refuse: (_request, code) => refuse(code),
}

const refuse = (error: number) => ({ throttleTimeMs: 0, errorCode: error, topics: [] })

/** ListOffsets (2): the start, the end, or the place of a time, also inside of a batch. */
import { errorCode } from '../../protocol/error-codes.ts'
import { listOffsets } from '../../protocol/messages/list-offsets.ts'
import type { ReceivedRequestOf, SentResponseOf } from '../../protocol/schema.ts'
import { findLeader } from '../find-leader.ts'
import type { Handler, RequestContext } from '../handler.ts'
import { listOffset } from '../list-offset.ts'

type TopicRequest = ReceivedRequestOf<typeof listOffsets>['topics'][number]
type PartitionAnswer = SentResponseOf<typeof listOffsets>['topics'][number]['partitions'][number]

const LEADER_EPOCH_SINCE = 4

export const listOffsetsHandler: Handler<typeof listOffsets> = {
  api: listOffsets,
  versions: [1, 11],
  errors: [
    errorCode.INVALID_REQUEST,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.NOT_LEADER_OR_FOLLOWER,
    errorCode.FENCED_LEADER_EPOCH,
    errorCode.UNKNOWN_LEADER_EPOCH,
    errorCode.UNSUPPORTED_VERSION,
    errorCode.OFFSET_NOT_AVAILABLE,
    errorCode.LEADER_NOT_AVAILABLE,
  ],
  perPartition: true,
  handle({ topics }, context) {
    return { topics: topics.map((topic) => answerTopic(topic, context)) }
  },
}

/** A partition that is named twice is refused, once. */
function answerTopic({ name, partitions }: TopicRequest, context: RequestContext) {
  const answers = new Map<number, PartitionAnswer>()
  for (const asked of partitions) {
    const { partitionIndex } = asked
    const answer = answers.has(partitionIndex)
      ? { partitionIndex, errorCode: errorCode.INVALID_REQUEST }
      : answerPartition(name, asked, context)
    answers.set(partitionIndex, answer)
  }
  return { name, partitions: [...answers.values()] }
}

function answerPartition(
  topic: string,
  { partitionIndex, currentLeaderEpoch, timestamp }: TopicRequest['partitions'][number],
  context: RequestContext,
): PartitionAnswer {
  const leader = findLeader({ topic, partition: partitionIndex, currentLeaderEpoch }, context)
  if ('errorCode' in leader) return { partitionIndex, errorCode: leader.errorCode }
  const { leaderEpoch, ...found } = listOffset(leader.leader, timestamp, context.version)
  return {
    partitionIndex,
    ...found,
    ...(context.version >= LEADER_EPOCH_SINCE ? { leaderEpoch } : {}),
  }
}

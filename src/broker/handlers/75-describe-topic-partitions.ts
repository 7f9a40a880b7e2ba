/** DescribeTopicPartitions (75): topics page by page, in the order of their names. */
import { errorCode } from '../../protocol/error-codes.ts'
import { describeTopicPartitions } from '../../protocol/messages/describe-topic-partitions.ts'
import { type ReceivedRequestOf, type SentResponseOf, zeroUuid } from '../../protocol/schema.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Partition } from '../partition.ts'

type Request = ReceivedRequestOf<typeof describeTopicPartitions>
type TopicAnswer = SentResponseOf<typeof describeTopicPartitions>['topics'][number]
type Cursor = { topicName: string; partitionIndex: number }

/** Kafka's max.request.partition.size.limit. */
const MOST_PARTITIONS = 2000
const ALL_TOPIC_OPERATIONS = 0x0df8

export const describeTopicPartitionsHandler: Handler<typeof describeTopicPartitions> = {
  api: describeTopicPartitions,
  versions: [0, 0],
  perPartition: true,
  handle(request, context) {
    const { cursor } = request
    let left = Math.max(1, Math.min(request.responsePartitionLimit, MOST_PARTITIONS))
    const topics: TopicAnswer[] = []
    for (const name of namesOf(request, context)) {
      const first = cursor?.topicName === name ? cursor.partitionIndex : 0
      const answer = describe(name, { first, limit: left }, context)
      if (left === 0) return { throttleTimeMs: 0, topics, nextCursor: { topicName: name, partitionIndex: 0 } }
      topics.push(answer.topic)
      left -= answer.topic.partitions.length
      if (answer.next !== null) return { throttleTimeMs: 0, topics, nextCursor: answer.next }
    }
    return { throttleTimeMs: 0, topics, nextCursor: null }
  },
}

/** From the cursor on; without names, all topics. */
function namesOf(request: Request, { cluster }: RequestContext): string[] {
  const all = request.topics.length === 0
  const names = all ? [...cluster.topics()].map(({ name }) => name) : request.topics.map(({ name }) => name)
  const from = request.cursor?.topicName ?? ''
  return [...new Set(names)].filter((name) => name >= from).sort()
}

function describe(
  name: string,
  { first, limit }: { readonly first: number; readonly limit: number },
  context: RequestContext,
): { readonly topic: TopicAnswer; readonly next: Cursor | null } {
  const { cluster } = context
  const topic = cluster.topic(name)
  const code =
    context.injectedError(name, -1) || (topic === undefined ? errorCode.UNKNOWN_TOPIC_OR_PARTITION : 0)
  if (topic === undefined || code !== 0) {
    const answer = { errorCode: code, name, topicId: zeroUuid, isInternal: false, partitions: [] }
    return { topic: answer, next: null }
  }
  const end = Math.min(topic.partitions.length, first + limit)
  return {
    topic: {
      errorCode: errorCode.NONE,
      name,
      topicId: topic.id,
      isInternal: topic.isInternal,
      partitions: topic.partitions.slice(first, end).map((one) => answerPartition(one, context)),
      topicAuthorizedOperations: ALL_TOPIC_OPERATIONS,
    },
    next: end < topic.partitions.length ? { topicName: name, partitionIndex: end } : null,
  }
}

const answerPartition = (
  { leaderId, leaderEpoch, index, replicas, isr }: Partition,
  { cluster }: RequestContext,
) => ({
  errorCode: leaderId === -1 ? errorCode.LEADER_NOT_AVAILABLE : errorCode.NONE,
  partitionIndex: index,
  leaderId,
  leaderEpoch,
  replicaNodes: replicas,
  isrNodes: isr,
  eligibleLeaderReplicas: [],
  lastKnownElr: [],
  offlineReplicas: replicas.filter((id) => cluster.node(id) === undefined),
})

/** DescribeTopicPartitions (75): topics page by page, in the order of their names. */
import { errorCode } from '../../protocol/error-codes.ts'
import { describeTopicPartitions } from '../../protocol/messages/describe-topic-partitions.ts'
import { type ReceivedRequestOf, type SentResponseOf, zeroUuid } from '../../protocol/schema.ts'
import { ALL_TOPIC_OPERATIONS } from '../authorized-operations.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Partition } from '../partition.ts'
import { Topic } from '../topic.ts'

type Request = ReceivedRequestOf<typeof describeTopicPartitions>
type TopicAnswer = SentResponseOf<typeof describeTopicPartitions>['topics'][number]
type Cursor = { topicName: string; partitionIndex: number }

/** Kafka's max.request.partition.size.limit. */
const MOST_PARTITIONS = 2000

export const describeTopicPartitionsHandler: Handler<typeof describeTopicPartitions> = {
  api: describeTopicPartitions,
  versions: [0, 0],
  errors: [
    errorCode.INVALID_REQUEST,
    errorCode.INVALID_TOPIC_EXCEPTION,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.LEADER_NOT_AVAILABLE,
  ],
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
  const topic = context.cluster.topicOrCreate(name, false)
  const refuse = (code: number) => ({
    topic: { errorCode: code, name, topicId: zeroUuid, isInternal: false, partitions: [] },
    next: null,
  })
  if (!(topic instanceof Topic)) return refuse(topic.errorCode)
  const injected = context.injectedError(name, -1)
  if (injected !== 0) return refuse(injected)
  if (first < 0) return refuse(errorCode.INVALID_REQUEST)
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

/** CreatePartitions (37): a topic grows. */
import { errorCode } from '../../protocol/error-codes.ts'
import { createPartitions } from '../../protocol/messages/create-partitions.ts'
import type { ReceivedRequestOf, SentResponseOf } from '../../protocol/schema.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Topic } from '../topic.ts'
import { checkPartitionCount, checkReplicas, type Problem } from '../topic-rules.ts'

type TopicRequest = ReceivedRequestOf<typeof createPartitions>['topics'][number]
type TopicAnswer = SentResponseOf<typeof createPartitions>['results'][number]

export const createPartitionsHandler: Handler<typeof createPartitions> = {
  api: createPartitions,
  versions: [0, 3],
  errors: [
    errorCode.INVALID_REQUEST,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.INVALID_PARTITIONS,
    errorCode.INVALID_REPLICA_ASSIGNMENT,
    errorCode.POLICY_VIOLATION,
  ],
  perPartition: true,
  handle({ topics, validateOnly }, context) {
    const names = topics.map(({ name }) => name)
    const repeated = new Set(names.filter((name, index) => names.indexOf(name) !== index))
    const results = [...repeated].map((name) =>
      refused(name, { errorCode: errorCode.INVALID_REQUEST, message: 'Duplicate topic name.' }),
    )
    for (const topic of topics) {
      if (!repeated.has(topic.name)) results.push(grow(topic, validateOnly, context))
    }
    return { throttleTimeMs: 0, results }
  },
}

const refused = (name: string, { errorCode: code, message }: Problem): TopicAnswer => ({
  name,
  errorCode: code,
  errorMessage: message,
})

function grow(request: TopicRequest, validateOnly: boolean, context: RequestContext): TopicAnswer {
  const { cluster } = context
  const { name, count } = request
  const injected = context.injectedError(name, -1)
  if (injected !== 0) return refused(name, { errorCode: injected, message: '' })
  const topic = cluster.topic(name)
  if (topic === undefined) {
    const message = 'This server does not host this topic-partition.'
    return refused(name, { errorCode: errorCode.UNKNOWN_TOPIC_OR_PARTITION, message })
  }
  const problem = checkGrowth(topic, request, context)
  if (problem !== undefined) return refused(name, problem)
  const assignments = request.assignments?.map(({ brokerIds }) => brokerIds)
  if (!validateOnly) cluster.growTopic(topic, count, assignments)
  return { name, errorCode: errorCode.NONE, errorMessage: null }
}

function checkGrowth(topic: Topic, request: TopicRequest, { cluster }: RequestContext): Problem | undefined {
  const { count, assignments } = request
  const has = topic.partitions.length
  if (count <= has) {
    const message =
      count === has
        ? `Topic already has ${has} partition(s).`
        : `The topic ${topic.name} currently has ${has} partition(s); ${count} would not be an increase.`
    return { errorCode: errorCode.INVALID_PARTITIONS, message }
  }
  const tooMany = checkPartitionCount(count) ?? cluster.checkRoom(count - has)
  if (tooMany !== undefined || assignments === null) return tooMany
  if (assignments.length !== count - has) {
    const message = `${count - has} partitions are added, ${assignments.length} assignments are given`
    return { errorCode: errorCode.INVALID_REPLICA_ASSIGNMENT, message }
  }
  const factor = topic.partitions[0]?.replicas.length
  for (const { brokerIds } of assignments) {
    const wrong = checkReplicas(brokerIds, (id) => cluster.isNode(id))
    if (wrong !== undefined) return wrong
    if (brokerIds.length !== factor) {
      const message = `the other partitions have ${factor} replicas`
      return { errorCode: errorCode.INVALID_REPLICA_ASSIGNMENT, message }
    }
  }
  return undefined
}

/** Metadata (3): the living nodes, and the topics that were asked for. */
import { errorCode } from '../../protocol/error-codes.ts'
import { metadata } from '../../protocol/messages/metadata.ts'
import { type ReceivedRequestOf, type SentResponseOf, zeroUuid } from '../../protocol/schema.ts'
import { ALL_CLUSTER_OPERATIONS, ALL_TOPIC_OPERATIONS } from '../authorized-operations.ts'
import type { ClusterState } from '../cluster-state.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Partition } from '../partition.ts'
import { Topic } from '../topic.ts'

type Request = ReceivedRequestOf<typeof metadata>
type TopicAnswer = NonNullable<SentResponseOf<typeof metadata>['topics']>[number]

/** In version 0 an empty list asks for all topics; later null does. */
const NULL_MEANS_ALL = 1
/** Creation by asking can be refused; before, it is always meant. */
const CREATION_IS_ASKED = 4
/** Before, the request has room for ids, and Kafka refuses them. */
const IDS_SINCE = 12

export const metadataHandler: Handler<typeof metadata> = {
  api: metadata,
  versions: [0, 13],
  errors: [
    errorCode.INVALID_REQUEST,
    errorCode.UNKNOWN_TOPIC_ID,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.INVALID_TOPIC_EXCEPTION,
    errorCode.INVALID_PARTITIONS,
    errorCode.POLICY_VIOLATION,
    errorCode.LEADER_NOT_AVAILABLE,
  ],
  perPartition: true,
  handle(request, context) {
    const { cluster, version } = context
    const topics = answerTopics(request, context)
    return {
      brokers: cluster.nodes().map(({ id, host, port, rack }) => ({ nodeId: id, host, port, rack })),
      clusterId: cluster.clusterId,
      controllerId: cluster.controllerId,
      topics,
      ...(version >= 8 && version <= 10 && request.includeClusterAuthorizedOperations
        ? { clusterAuthorizedOperations: ALL_CLUSTER_OPERATIONS }
        : {}),
    }
  },
}

function answerTopics(request: Request, context: RequestContext): TopicAnswer[] {
  const { cluster, version } = context
  const { topics } = request
  if (topics === null || (version < NULL_MEANS_ALL && topics.length === 0)) {
    return [...cluster.topics()].map((topic) => answerTopic(topic, request, context))
  }
  if (version < IDS_SINCE && topics.some(({ name, topicId }) => name === null || topicId !== zeroUuid)) {
    const code = errorCode.INVALID_REQUEST
    return topics.map(({ name }) => ({ errorCode: code, name: name ?? '', partitions: [] }))
  }
  const mayCreate = version < CREATION_IS_ASKED || request.allowAutoTopicCreation
  const answers = new Map<string, TopicAnswer>()
  for (const { name, topicId } of topics) {
    const key = name ?? `/${topicId}`
    if (answers.has(key)) continue
    answers.set(key, answerAsked({ name, topicId, mayCreate }, request, context))
  }
  return [...answers.values()]
}

interface Asked {
  readonly name: string | null
  readonly topicId: string
  readonly mayCreate: boolean
}

function answerAsked(
  { name, topicId, mayCreate }: Asked,
  request: Request,
  context: RequestContext,
): TopicAnswer {
  const { cluster } = context
  const refuse = (code: number): TopicAnswer => ({ errorCode: code, name, topicId, partitions: [] })
  if (name === null) {
    const topic = cluster.topicById(topicId)
    return topic === undefined ? refuse(errorCode.UNKNOWN_TOPIC_ID) : answerTopic(topic, request, context)
  }
  // A topic that a fault keeps from being found is not made either.
  const injected = context.injectedError(name, -1)
  const topic = cluster.topicOrCreate(name, mayCreate && injected === 0)
  if (topic instanceof Topic) return answerTopic(topic, request, context)
  return refuse(injected || topic.errorCode)
}

function answerTopic(topic: Topic, request: Request, context: RequestContext): TopicAnswer {
  const injected = context.injectedError(topic.name, -1)
  return {
    errorCode: injected,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.isInternal,
    partitions: injected === 0 ? topic.partitions.map((one) => answerPartition(one, context.cluster)) : [],
    ...(context.version >= 8 && request.includeTopicAuthorizedOperations
      ? { topicAuthorizedOperations: ALL_TOPIC_OPERATIONS }
      : {}),
  }
}

function answerPartition(partition: Partition, cluster: ClusterState) {
  const { leaderId, leaderEpoch, index, replicas, isr } = partition
  return {
    errorCode: leaderId === -1 ? errorCode.LEADER_NOT_AVAILABLE : errorCode.NONE,
    partitionIndex: index,
    leaderId,
    leaderEpoch,
    replicaNodes: replicas,
    isrNodes: isr,
    offlineReplicas: replicas.filter((id) => cluster.node(id) === undefined),
  }
}

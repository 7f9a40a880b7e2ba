/** CreateTopics (19): each topic by itself, unless all of them together are too much for one request. */
import { errorCode } from '../../protocol/error-codes.ts'
import { createTopics } from '../../protocol/messages/create-topics.ts'
import type { ReceivedRequestOf, SentResponseOf } from '../../protocol/schema.ts'
import type { ClusterState } from '../cluster-state.ts'
import { describeTopicConfig } from '../describe-config.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Problem, TopicSpec } from '../topic-rules.ts'
import { topicConfigs } from '../topic-settings.ts'

type TopicRequest = ReceivedRequestOf<typeof createTopics>['topics'][number]
type TopicAnswer = SentResponseOf<typeof createTopics>['topics'][number]

/** Kafka writes what a request makes in one go: a record for each topic, partition and config, and no more than these. */
const MAX_RECORDS = 10_000

export const createTopicsHandler: Handler<typeof createTopics> = {
  api: createTopics,
  versions: [2, 7],
  errors: [
    errorCode.INVALID_REQUEST,
    errorCode.INVALID_TOPIC_EXCEPTION,
    errorCode.TOPIC_ALREADY_EXISTS,
    errorCode.INVALID_PARTITIONS,
    errorCode.INVALID_REPLICATION_FACTOR,
    errorCode.INVALID_REPLICA_ASSIGNMENT,
    errorCode.INVALID_CONFIG,
    errorCode.POLICY_VIOLATION,
  ],
  perPartition: true,
  handle({ topics, validateOnly }, context) {
    const names = topics.map(({ name }) => name)
    const repeated = new Set(names.filter((name, index) => names.indexOf(name) !== index))
    const answers: TopicAnswer[] = [...repeated].map((name) =>
      refused(name, {
        errorCode: errorCode.INVALID_REQUEST,
        message: 'Duplicate topic name.',
      }),
    )
    const single = topics.filter(({ name }) => !repeated.has(name))
    const tooMuch = checkSize(single, context.cluster)
    if (tooMuch !== undefined) {
      return { throttleTimeMs: 0, topics: topics.map(({ name }) => refused(name, tooMuch)) }
    }
    for (const topic of single) answers.push(create(topic, validateOnly, context))
    return { throttleTimeMs: 0, topics: answers }
  },
}

/** Partitions are counted as they are asked for, records only of topics that would be made. */
function checkSize(topics: readonly TopicRequest[], cluster: ClusterState): Problem | undefined {
  const refuse = (message: string) => ({ errorCode: errorCode.POLICY_VIOLATION, message })
  const partitionsOf = ({ assignments, numPartitions }: TopicRequest) => {
    if (assignments.length > 0) return assignments.length
    return numPartitions === -1 ? cluster.config('num.partitions') : Math.max(0, numPartitions)
  }
  const recordsOf = (topic: TopicRequest) => 1 + partitionsOf(topic) + topic.configs.length
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0)
  if (sum(topics.map(partitionsOf)) > MAX_RECORDS) {
    return refuse('Excessively large number of partitions per request.')
  }
  if (sum(topics.map(recordsOf)) <= MAX_RECORDS) return undefined
  const made = topics.filter((topic) => {
    const spec = specOf(topic)
    return !('errorCode' in spec) && cluster.checkTopic(spec) === undefined
  })
  if (sum(made.map(recordsOf)) <= MAX_RECORDS) return undefined
  return refuse('Unable to perform excessively large batch operation.')
}

function create(topic: TopicRequest, validateOnly: boolean, context: RequestContext): TopicAnswer {
  const { cluster } = context
  const injected = context.injectedError(topic.name, -1)
  if (injected !== 0) return refused(topic.name, { errorCode: injected, message: '' })
  const spec = specOf(topic)
  const problem = 'errorCode' in spec ? spec : cluster.checkTopic(spec)
  if (problem !== undefined) return refused(topic.name, problem)
  const valid = spec as TopicSpec
  const { partitions, replicationFactor } = cluster.layoutOf(valid)
  const made = validateOnly ? undefined : cluster.createTopic(valid)
  return {
    name: topic.name,
    ...(made === undefined ? {} : { topicId: made.id }),
    errorCode: errorCode.NONE,
    errorMessage: null,
    numPartitions: partitions,
    replicationFactor,
    configs: Object.keys(topicConfigs).map((name) =>
      describeTopicConfig(name, valid.configs ?? {}, cluster.configs),
    ),
  }
}

function specOf(topic: TopicRequest): TopicSpec | Problem {
  const { name, numPartitions, replicationFactor, assignments } = topic
  const configs: { [name: string]: string } = {}
  for (const { name: key, value } of topic.configs) {
    if (value === null) {
      return { errorCode: errorCode.INVALID_CONFIG, message: `Null value not supported for config ${key}` }
    }
    configs[key] = value
  }
  const spec = { name, partitions: numPartitions, replicationFactor, configs }
  if (assignments.length === 0) return spec
  const byPartition = new Map(assignments.map((one) => [one.partitionIndex, one.brokerIds]))
  const ordered: number[][] = []
  for (let index = 0; index < assignments.length; index++) {
    const replicas = byPartition.get(index)
    if (replicas === undefined) {
      const message = 'partitions must be numbered from 0 without a gap'
      return { errorCode: errorCode.INVALID_REPLICA_ASSIGNMENT, message }
    }
    ordered.push(replicas)
  }
  return { ...spec, assignments: ordered }
}

const refused = (name: string, { errorCode: code, message }: Problem): TopicAnswer => ({
  name,
  errorCode: code,
  errorMessage: message,
  numPartitions: -1,
  replicationFactor: -1,
  configs: [],
})

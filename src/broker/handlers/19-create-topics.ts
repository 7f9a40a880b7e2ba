/** CreateTopics (19). */
import { errorCode } from '../../protocol/error-codes.ts'
import { createTopics } from '../../protocol/messages/create-topics.ts'
import type { ReceivedRequestOf, SentResponseOf } from '../../protocol/schema.ts'
import { describeTopicConfig } from '../describe-config.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Problem, TopicSpec } from '../topic-rules.ts'
import { topicConfigs } from '../topic-settings.ts'

type TopicRequest = ReceivedRequestOf<typeof createTopics>['topics'][number]
type TopicAnswer = SentResponseOf<typeof createTopics>['topics'][number]

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
    for (const topic of topics) {
      if (!repeated.has(topic.name)) answers.push(create(topic, validateOnly, context))
    }
    return { throttleTimeMs: 0, topics: answers }
  },
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

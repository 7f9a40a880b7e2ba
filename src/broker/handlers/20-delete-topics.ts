/** DeleteTopics (20): by name, or from version 6 by id. */
import { errorCode } from '../../protocol/error-codes.ts'
import { deleteTopics } from '../../protocol/messages/delete-topics.ts'
import { type SentResponseOf, zeroUuid } from '../../protocol/schema.ts'
import type { Handler, RequestContext } from '../handler.ts'

type TopicAnswer = SentResponseOf<typeof deleteTopics>['responses'][number]

interface Asked {
  readonly name: string | null
  readonly topicId: string
}

const BY_ID_SINCE = 6

export const deleteTopicsHandler: Handler<typeof deleteTopics> = {
  api: deleteTopics,
  versions: [1, 6],
  perPartition: true,
  handle({ topics, topicNames }, context) {
    const asked: readonly Asked[] =
      context.version >= BY_ID_SINCE ? topics : topicNames.map((name) => ({ name, topicId: zeroUuid }))
    return { throttleTimeMs: 0, responses: asked.map((one) => remove(one, asked, context)) }
  },
}

function remove(asked: Asked, all: readonly Asked[], context: RequestContext): TopicAnswer {
  const { cluster } = context
  const { name, topicId } = asked
  const refuse = (code: number, errorMessage: string | null = null): TopicAnswer => ({
    name,
    topicId,
    errorCode: code,
    errorMessage,
  })
  const isById = topicId !== zeroUuid
  if ((name === null) !== isById) {
    const message = 'Exactly one of the topic name and the topic id must be given.'
    return refuse(errorCode.INVALID_REQUEST, message)
  }
  if (all.filter((other) => (isById ? other.topicId === topicId : other.name === name)).length > 1) {
    return refuse(errorCode.INVALID_REQUEST, 'Duplicate topic.')
  }
  const topic = isById ? cluster.topicById(topicId) : cluster.topic(name as string)
  const injected = context.injectedError(topic?.name ?? name ?? '', -1)
  if (injected !== 0) return refuse(injected)
  if (topic === undefined) {
    const code = isById ? errorCode.UNKNOWN_TOPIC_ID : errorCode.UNKNOWN_TOPIC_OR_PARTITION
    return refuse(code, 'This server does not host this topic.')
  }
  if (!cluster.configFlag('delete.topic.enable')) {
    return refuse(errorCode.TOPIC_DELETION_DISABLED, 'Topic deletion is disabled.')
  }
  cluster.deleteTopic(topic)
  return { name: topic.name, topicId: topic.id, errorCode: errorCode.NONE, errorMessage: null }
}

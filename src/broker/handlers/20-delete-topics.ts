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

const SAYS_DISABLED = 3
const BY_ID_SINCE = 6

export const deleteTopicsHandler: Handler<typeof deleteTopics> = {
  api: deleteTopics,
  versions: [1, 6],
  errors: [
    errorCode.INVALID_REQUEST,
    errorCode.UNKNOWN_TOPIC_ID,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.TOPIC_DELETION_DISABLED,
  ],
  perPartition: true,
  handle({ topics, topicNames }, context) {
    const asked: readonly Asked[] =
      context.version >= BY_ID_SINCE ? topics : topicNames.map((name) => ({ name, topicId: zeroUuid }))
    const responses = context.cluster.configFlag('delete.topic.enable')
      ? answerAll(asked, context)
      : asked.map((one) => disabled(one, context.version))
    return { throttleTimeMs: 0, responses }
  },
}

/** Whatever is asked for, topics that are not there too. */
const disabled = ({ name, topicId }: Asked, version: number): TopicAnswer => ({
  name,
  topicId,
  errorCode: version >= SAYS_DISABLED ? errorCode.TOPIC_DELETION_DISABLED : errorCode.INVALID_REQUEST,
  errorMessage: 'Topic deletion is disabled.',
})

const keyOf = ({ name, topicId }: Asked) => `${name ?? ''}/${topicId}`

/** A topic that is named twice, by name or by id, is refused, once. */
function answerAll(asked: readonly Asked[], context: RequestContext): TopicAnswer[] {
  const { cluster } = context
  const named = new Map<string, { readonly one: Asked; count: number }>()
  for (const one of asked) {
    const key = one.name ?? cluster.topicById(one.topicId)?.name ?? keyOf(one)
    const known = named.get(key)
    if (known === undefined) named.set(key, { one, count: 1 })
    else known.count++
  }
  return Array.from(named.values(), ({ one, count }) => {
    if (count === 1) return remove(one, context)
    const { topicId } = one
    const name = one.name ?? cluster.topicById(topicId)?.name ?? null
    return { name, topicId, errorCode: errorCode.INVALID_REQUEST, errorMessage: 'Duplicate topic.' }
  })
}

function remove({ name, topicId }: Asked, context: RequestContext): TopicAnswer {
  const { cluster } = context
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
  const topic = isById ? cluster.topicById(topicId) : cluster.topic(name as string)
  const injected = context.injectedError(topic?.name ?? name ?? '', -1)
  if (injected !== 0) return refuse(injected)
  if (topic === undefined) {
    const code = isById ? errorCode.UNKNOWN_TOPIC_ID : errorCode.UNKNOWN_TOPIC_OR_PARTITION
    return refuse(code, 'This server does not host this topic.')
  }
  cluster.deleteTopic(topic)
  return { name: topic.name, topicId: topic.id, errorCode: errorCode.NONE, errorMessage: null }
}

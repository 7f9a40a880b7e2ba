/**
 * Fetch (1): records up to the high watermark, with long polls that nothing but news or time ends.
 *
 * A fetch waits while fewer than `minBytes` are there. It looks again after each change of one of its replicas; in
 * between no work is done.
 */
import { errorCode } from '../../protocol/error-codes.ts'
import { fetch } from '../../protocol/messages/fetch.ts'
import type { ReceivedRequestOf, SentResponseOf } from '../../protocol/schema.ts'
import { type FetchPlan, planFetch } from '../fetch-plan.ts'
import { type FetchRead, type FetchScope, type PartitionRead, readAll } from '../fetch-reader.ts'
import type { Handler } from '../handler.ts'
import { LeaderHints } from '../leader-hints.ts'

type Request = ReceivedRequestOf<typeof fetch>
type Response = SentResponseOf<typeof fetch>

const HINTS_SINCE = 16
const WHOLE_ERROR_SINCE = 7
const NO_RECORDS = Buffer.alloc(0)

export const fetchHandler: Handler<typeof fetch> = {
  api: fetch,
  versions: [4, 18],
  errors: [
    errorCode.FETCH_SESSION_ID_NOT_FOUND,
    errorCode.INVALID_FETCH_SESSION_EPOCH,
    errorCode.FETCH_SESSION_TOPIC_ID_ERROR,
    errorCode.UNKNOWN_TOPIC_ID,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.NOT_LEADER_OR_FOLLOWER,
    errorCode.FENCED_LEADER_EPOCH,
    errorCode.UNKNOWN_LEADER_EPOCH,
    errorCode.OFFSET_OUT_OF_RANGE,
  ],
  perPartition: true,
  wholeErrors: [
    errorCode.FETCH_SESSION_ID_NOT_FOUND,
    errorCode.INVALID_FETCH_SESSION_EPOCH,
    errorCode.FETCH_SESSION_TOPIC_ID_ERROR,
  ],
  handle(request, context) {
    const isReplica = request.replicaId >= 0 || request.replicaState.replicaId >= 0
    // Replicas of this cluster copy inside the process: nobody else is one.
    if (isReplica) return refuseEach(request, errorCode.NOT_LEADER_OR_FOLLOWER)
    const plan = planFetch(request, context.node.fetchSessions, context.clock.monotonic())
    if ('errorCode' in plan) return refuseAll(plan.errorCode)
    const scope = { context, hints: new LeaderHints(context.cluster), request }
    const maxBytes = Math.min(request.maxBytes, context.cluster.config('fetch.max.bytes'))
    const first = readAll(plan, maxBytes, scope)
    if (isEnough(first, request) || plan.partitions.size === 0) return answer(first, plan, scope)
    return wait({ request, plan, scope, maxBytes }, first).then((read) => answer(read, plan, scope))
  },
  refuse: (request, code, { version }) =>
    version >= WHOLE_ERROR_SINCE ? refuseAll(code) : refuseEach(request, code),
}

const refuseAll = (code: number): Response => ({ throttleTimeMs: 0, errorCode: code, responses: [] })

const refuseEach = ({ topics }: Request, code: number): Response => ({
  throttleTimeMs: 0,
  errorCode: errorCode.NONE,
  responses: topics.map(({ topic, topicId, partitions }) => ({
    topic,
    topicId,
    partitions: partitions.map(({ partition }) => ({
      partitionIndex: partition,
      errorCode: code,
      highWatermark: -1,
      abortedTransactions: null,
      records: NO_RECORDS,
    })),
  })),
})

const isEnough = (read: FetchRead, request: Request) =>
  read.isUrgent || read.bytes >= request.minBytes || request.maxWaitMs <= 0

interface Waiting {
  readonly request: Request
  readonly plan: FetchPlan
  readonly scope: FetchScope
  readonly maxBytes: number
}

/** Resolves with what is there once it is enough, the time is over, or the connection is gone. */
function wait({ request, plan, scope, maxBytes }: Waiting, first: FetchRead): Promise<FetchRead> {
  const { clock, session } = scope.context
  return new Promise((resolve) => {
    let isDue = false
    let isOver = false
    const stops: (() => void)[] = []
    const finish = (read: FetchRead) => {
      isOver = true
      clock.clearTimeout(timer)
      for (const stop of stops) stop()
      resolve(read)
    }
    // One produce request may change many replicas in this turn: they are read together, after it.
    const look = () => {
      if (isDue) return
      isDue = true
      queueMicrotask(() => {
        isDue = false
        if (isOver) return
        const read = readAll(plan, maxBytes, scope)
        if (isEnough(read, request)) finish(read)
      })
    }
    const timer = clock.setTimeout(() => finish(readAll(plan, maxBytes, scope)), request.maxWaitMs)
    for (const { replica } of first.reads) if (replica !== undefined) stops.push(replica.watch(look))
    stops.push(session.onClose(() => finish(first)))
  })
}

function answer(read: FetchRead, plan: FetchPlan, scope: FetchScope): Response {
  const { version } = scope.context
  const told = plan.isIncremental ? read.reads.filter(hasNews) : read.reads
  for (const { asked, answer: sent } of told) {
    asked.toldHighWatermark = sent.highWatermark
    asked.toldLogStart = sent.logStartOffset ?? -1
  }
  // Who got records goes to the end, so that no partition starves the others (KIP-227).
  for (const { key, bytes } of told) if (bytes > 0) plan.session?.moveToEnd(key)
  return {
    throttleTimeMs: 0,
    errorCode: errorCode.NONE,
    sessionId: plan.session?.id ?? 0,
    responses: byTopic(told),
    ...(version >= HINTS_SINCE ? { nodeEndpoints: scope.hints.endpoints } : {}),
  }
}

const hasNews = ({ asked, answer: sent, bytes, replica }: PartitionRead) =>
  bytes > 0 ||
  replica === undefined ||
  sent.highWatermark !== asked.toldHighWatermark ||
  sent.logStartOffset !== asked.toldLogStart

function byTopic(reads: readonly PartitionRead[]): Response['responses'] {
  type Topic = { topic: string; topicId: string; partitions: PartitionRead['answer'][] }
  const topics = new Map<string, Topic>()
  for (const { asked, answer: sent } of reads) {
    const key = `${asked.topic}/${asked.topicId}`
    let topic = topics.get(key)
    if (topic === undefined) {
      topic = { topic: asked.topic, topicId: asked.topicId, partitions: [] }
      topics.set(key, topic)
    }
    topic.partitions.push(sent)
  }
  return [...topics.values()]
}

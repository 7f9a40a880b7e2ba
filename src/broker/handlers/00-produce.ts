/**
 * Produce (0): appends to the leaders that this node has, and with acks -1 waits for the high watermark.
 *
 * Advertised from 0, taken from 3: clients before librdkafka 2.15 look for version 0 before they compress, and Kafka 4
 * does the same (KAFKA-18659). A request below 3 closes the connection.
 */
import { errorCode } from '../../protocol/error-codes.ts'
import { produce } from '../../protocol/messages/produce.ts'
import type { ReceivedRequestOf, SentResponseOf } from '../../protocol/schema.ts'
import type { Handler, RequestContext } from '../handler.ts'
import { LeaderHints } from '../leader-hints.ts'
import type { LeaderRole } from '../leader-role.ts'
import type { Partition } from '../partition.ts'
import type { Refusal } from '../validate-records.ts'

type Request = ReceivedRequestOf<typeof produce>
type Response = SentResponseOf<typeof produce>
type PartitionAnswer = Response['responses'][number]['partitionResponses'][number]

const BY_TOPIC_ID = 13
const HINTS_SINCE = 10
const ACKS_ALL = -1

/** One partition's answer, and what it waits for. */
interface Entry {
  answer: PartitionAnswer
  readonly wait?: { readonly partition: Partition; readonly leader: LeaderRole; readonly end: number }
}

export const produceHandler: Handler<typeof produce> = {
  api: produce,
  versions: [0, 13],
  perPartition: true,
  handle(request, context) {
    const hints = new LeaderHints(context.cluster)
    const topics = request.topicData.map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      entries: topic.partitionData.map((data) => append(request, topic, data, { context, hints })),
    }))
    const entries = topics.flatMap((topic) => topic.entries)
    const answer = (): Response => ({
      responses: topics.map(({ name, topicId, entries: own }) => ({
        name,
        topicId,
        partitionResponses: own.map((entry) => entry.answer),
      })),
      ...(context.version >= HINTS_SINCE ? { nodeEndpoints: hints.endpoints } : {}),
    })
    if (request.acks === 0) {
      // Nobody hears of an error, so Kafka closes the connection to have the client look at its metadata again.
      if (entries.some((entry) => entry.answer.errorCode !== 0)) context.session.close()
      return undefined
    }
    const waiting = entries.filter((entry) => entry.wait !== undefined && settle(entry, { context, hints }))
    if (waiting.length === 0) return answer()
    return committed(waiting, request.timeoutMs, { context, hints }).then(answer)
  },
}

interface Scope {
  readonly context: RequestContext
  readonly hints: LeaderHints
}

function append(
  request: Request,
  topic: { readonly name: string; readonly topicId: string },
  { index, records }: { readonly index: number; readonly records: Buffer | null },
  scope: Scope,
): Entry {
  const { cluster, node, version, injectedError } = scope.context
  const byId = version >= BY_TOPIC_ID
  const known = byId ? cluster.topicById(topic.topicId) : cluster.topic(topic.name)
  const injected = injectedError(known?.name ?? topic.name, index)
  if (injected !== 0) return refused(index, { errorCode: injected }, scope, known?.partitions[index])
  if (request.acks < -1 || request.acks > 1) {
    return refused(index, { errorCode: errorCode.INVALID_REQUIRED_ACKS }, scope)
  }
  if (byId && known === undefined) return refused(index, { errorCode: errorCode.UNKNOWN_TOPIC_ID }, scope)
  const partition = known?.partitions[index]
  if (partition === undefined) {
    return refused(index, { errorCode: errorCode.UNKNOWN_TOPIC_OR_PARTITION }, scope)
  }
  const { leader } = partition
  if (leader === undefined || partition.leaderId !== node.id) {
    return refused(index, { errorCode: errorCode.NOT_LEADER_OR_FOLLOWER }, scope, partition)
  }
  const result = leader.append(records, { acks: request.acks, apiVersion: version })
  if ('refusal' in result) return refused(index, result.refusal, scope, partition)
  const { baseOffset, lastOffset, logAppendTimeMs } = result.appended
  const logStartOffset = leader.replica.log.start
  const answer = { index, errorCode: errorCode.NONE, baseOffset, logAppendTimeMs, logStartOffset }
  return request.acks === ACKS_ALL ? { answer, wait: { partition, leader, end: lastOffset + 1 } } : { answer }
}

function refused(index: number, refusal: Refusal, scope: Scope, partition?: Partition): Entry {
  const isStale = refusal.errorCode === errorCode.NOT_LEADER_OR_FOLLOWER
  const hasHint = isStale && partition !== undefined && scope.context.version >= HINTS_SINCE
  return {
    answer: {
      index,
      errorCode: refusal.errorCode,
      baseOffset: -1,
      errorMessage: refusal.errorMessage ?? null,
      recordErrors: refusal.recordErrors ?? [],
      ...(hasHint ? { currentLeader: scope.hints.of(partition) } : {}),
    },
  }
}

/** Looks whether an entry still has to wait; when not, its answer is what it should be. */
function settle(entry: Entry, scope: Scope): boolean {
  const { wait } = entry
  if (wait === undefined) return false
  const { partition, leader, end } = wait
  if (leader.isOver) {
    const code = partition.isDeleted ? errorCode.UNKNOWN_TOPIC_OR_PARTITION : errorCode.NOT_LEADER_OR_FOLLOWER
    entry.answer = refused(entry.answer.index, { errorCode: code }, scope, partition).answer
    return false
  }
  if (leader.replica.highWatermark < end) return true
  if (!leader.hasEnoughReplicas) {
    const code = errorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
    entry.answer = refused(entry.answer.index, { errorCode: code }, scope).answer
  }
  return false
}

/** Resolves when every entry is committed, refused, or out of time. */
function committed(entries: readonly Entry[], timeoutMs: number, scope: Scope): Promise<void> {
  const { clock } = scope.context
  return new Promise((resolve) => {
    let left = entries.length
    const unwatch: (() => void)[] = []
    const finish = () => {
      clock.clearTimeout(timer)
      for (const stop of unwatch) stop()
      resolve()
    }
    const timer = clock.setTimeout(
      () => {
        for (const entry of entries) {
          // Kafka says where it stands: it is in the leader's log, and may yet be committed.
          if (settle(entry, scope)) {
            entry.answer = { ...entry.answer, errorCode: errorCode.REQUEST_TIMED_OUT }
          }
        }
        finish()
      },
      Math.max(0, timeoutMs),
    )
    for (const entry of entries) {
      const { leader } = entry.wait as NonNullable<Entry['wait']>
      const stop = leader.replica.watch(() => {
        if (settle(entry, scope)) return
        stop()
        if (--left === 0) finish()
      })
      unwatch.push(stop)
    }
  })
}

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
  errors: [
    errorCode.INVALID_REQUIRED_ACKS,
    errorCode.UNKNOWN_TOPIC_ID,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.INVALID_TOPIC_EXCEPTION,
    errorCode.NOT_LEADER_OR_FOLLOWER,
    errorCode.NOT_ENOUGH_REPLICAS,
    errorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    errorCode.REQUEST_TIMED_OUT,
    errorCode.KAFKA_STORAGE_ERROR,
    errorCode.CORRUPT_MESSAGE,
    errorCode.INVALID_RECORD,
    errorCode.INVALID_TIMESTAMP,
    errorCode.UNSUPPORTED_COMPRESSION_TYPE,
    errorCode.MESSAGE_TOO_LARGE,
    errorCode.RECORD_LIST_TOO_LARGE,
    errorCode.INVALID_PRODUCER_EPOCH,
    errorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    errorCode.INVALID_TXN_STATE,
  ],
  perPartition: true,
  handle(request, context) {
    const hints = new LeaderHints(context.cluster)
    const topics = request.topicData.map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      entries: topic.partitionData.map((data) => append(topic, data, { request, context, hints })),
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
    const scope = { request, context, hints }
    const waiting = entries.filter((entry) => settle(entry, scope))
    return waiting.length === 0 ? answer() : committed(waiting, scope).then(answer)
  },
}

interface Scope {
  readonly request: Request
  readonly context: RequestContext
  readonly hints: LeaderHints
}

function append(
  topic: { readonly name: string; readonly topicId: string },
  { index, records }: { readonly index: number; readonly records: Buffer | null },
  scope: Scope,
): Entry {
  const { acks } = scope.request
  const { cluster, node, version, injectedError } = scope.context
  const byId = version >= BY_TOPIC_ID
  const known = byId ? cluster.topicById(topic.topicId) : cluster.topic(topic.name)
  const partition = known?.partitions[index]
  const refuse = (refusal: Refusal) => ({ answer: refused({ index, partition }, refusal, scope) })
  const injected = injectedError(known?.name ?? topic.name, index)
  if (injected !== 0) return refuse({ errorCode: injected })
  if (acks < -1 || acks > 1) return refuse({ errorCode: errorCode.INVALID_REQUIRED_ACKS })
  if (byId && known === undefined) return refuse({ errorCode: errorCode.UNKNOWN_TOPIC_ID })
  if (partition === undefined) return refuse({ errorCode: errorCode.UNKNOWN_TOPIC_OR_PARTITION })
  if (known?.isInternal) return refuse({ errorCode: errorCode.INVALID_TOPIC_EXCEPTION })
  const { leader } = partition
  if (leader === undefined || partition.leaderId !== node.id) {
    return refuse({ errorCode: errorCode.NOT_LEADER_OR_FOLLOWER })
  }
  const result = leader.append(records, { acks, apiVersion: version })
  if ('refusal' in result) return refuse(result.refusal)
  const { baseOffset, lastOffset, logAppendTimeMs } = result.appended
  const logStartOffset = leader.replica.log.start
  const answer = { index, errorCode: errorCode.NONE, baseOffset, logAppendTimeMs, logStartOffset }
  return acks === ACKS_ALL ? { answer, wait: { partition, leader, end: lastOffset + 1 } } : { answer }
}

interface Addressed {
  readonly index: number
  readonly partition: Partition | undefined
}

function refused({ index, partition }: Addressed, refusal: Refusal, scope: Scope): PartitionAnswer {
  const isStale = refusal.errorCode === errorCode.NOT_LEADER_OR_FOLLOWER
  const hasHint = isStale && partition !== undefined && scope.context.version >= HINTS_SINCE
  return {
    index,
    errorCode: refusal.errorCode,
    baseOffset: -1,
    logStartOffset: tellsLogStart(refusal) ? (partition?.leader?.replica.log.start ?? -1) : -1,
    errorMessage: refusal.errorMessage ?? null,
    recordErrors: refusal.recordErrors ?? [],
    ...(hasHint ? { currentLeader: scope.hints.of(partition) } : {}),
  }
}

/** Errors after which Kafka does not say where the log starts. */
const silent: ReadonlySet<number> = new Set([
  errorCode.CORRUPT_MESSAGE,
  errorCode.UNKNOWN_TOPIC_OR_PARTITION,
  errorCode.NOT_LEADER_OR_FOLLOWER,
  errorCode.MESSAGE_TOO_LARGE,
  errorCode.INVALID_TOPIC_EXCEPTION,
  errorCode.RECORD_LIST_TOO_LARGE,
  errorCode.INVALID_REQUIRED_ACKS,
  errorCode.KAFKA_STORAGE_ERROR,
  errorCode.UNKNOWN_TOPIC_ID,
])

const tellsLogStart = ({ errorCode: code, isEarly }: Refusal) => isEarly !== true && !silent.has(code)

/** Looks whether an entry still has to wait; when not, its answer is what it should be. */
function settle(entry: Entry, scope: Scope): boolean {
  const { wait } = entry
  if (wait === undefined) return false
  const { partition, leader, end } = wait
  const refuse = (code: number) => {
    entry.answer = refused({ index: entry.answer.index, partition }, { errorCode: code }, scope)
  }
  if (leader.isOver) {
    refuse(partition.isDeleted ? errorCode.UNKNOWN_TOPIC_OR_PARTITION : errorCode.NOT_LEADER_OR_FOLLOWER)
    return false
  }
  if (leader.replica.highWatermark < end) return true
  if (!leader.hasEnoughReplicas) refuse(errorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
  return false
}

/** Resolves when every entry is committed, refused, or out of time. */
function committed(entries: readonly Entry[], scope: Scope): Promise<void> {
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
      Math.max(0, scope.request.timeoutMs),
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

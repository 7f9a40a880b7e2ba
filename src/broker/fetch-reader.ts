/**
 * Reads for one Fetch: partition after partition within the request's bytes, the first records always, so that a
 * batch larger than every bound still gets through (KIP-74).
 */
import { errorCode } from '../protocol/error-codes.ts'
import type { fetch } from '../protocol/messages/fetch.ts'
import type { ReceivedRequestOf, SentResponseOf } from '../protocol/schema.ts'
import type { FetchPlan } from './fetch-plan.ts'
import type { SessionPartition } from './fetch-sessions.ts'
import { checkLeaderEpoch } from './find-leader.ts'
import type { RequestContext } from './handler.ts'
import type { LeaderHints } from './leader-hints.ts'
import type { Partition } from './partition.ts'
import { preferredReplica } from './preferred-replica.ts'
import type { Replica } from './replica.ts'

type PartitionAnswer = SentResponseOf<typeof fetch>['responses'][number]['partitions'][number]

/** From here on clients may read from followers (KIP-392). */
const FOLLOWER_FETCH_SINCE = 11
const BY_TOPIC_ID = 13
const HINTS_SINCE = 16
const READ_COMMITTED = 1
const NO_RECORDS = Buffer.alloc(0)

export interface FetchScope {
  readonly context: RequestContext
  readonly hints: LeaderHints
  readonly request: Pick<ReceivedRequestOf<typeof fetch>, 'rackId' | 'isolationLevel'>
}

export interface PartitionRead {
  readonly key: string
  readonly asked: SessionPartition
  readonly answer: PartitionAnswer
  readonly bytes: number
  /** The replica to wait on for more; undefined when the answer is final as it is. */
  readonly replica: Replica | undefined
}

export interface FetchRead {
  readonly reads: readonly PartitionRead[]
  readonly bytes: number
  /** Whether the answer must not wait: an error, a divergence or a better replica is told at once. */
  readonly isUrgent: boolean
}

export function readAll(plan: FetchPlan, maxBytes: number, scope: FetchScope): FetchRead {
  const reads: PartitionRead[] = []
  let left = maxBytes
  let bytes = 0
  let isUrgent = false
  for (const [key, asked] of plan.partitions) {
    const budget = { maxBytes: Math.min(left, asked.partitionMaxBytes), atLeastOne: bytes === 0 }
    const read = readPartition({ key, asked }, budget, scope)
    bytes += read.bytes
    left = Math.max(0, left - read.bytes)
    isUrgent ||= read.replica === undefined
    reads.push(read)
  }
  return { reads, bytes, isUrgent }
}

interface Budget {
  readonly maxBytes: number
  readonly atLeastOne: boolean
}

interface Asked {
  readonly key: string
  readonly asked: SessionPartition
}

function readPartition(one: Asked, budget: Budget, scope: FetchScope): PartitionRead {
  const { asked } = one
  const { cluster, node } = scope.context
  const byId = scope.context.version >= BY_TOPIC_ID
  const topic = byId ? cluster.topicById(asked.topicId) : cluster.topic(asked.topic)
  if (topic === undefined && byId) return failed(one, errorCode.UNKNOWN_TOPIC_ID)
  const partition = topic?.partitions[asked.partition]
  const injected = scope.context.injectedError(topic?.name ?? asked.topic, asked.partition)
  if (injected !== 0) return failed(one, injected, hintFor(injected, partition, scope))
  if (partition === undefined) return failed(one, errorCode.UNKNOWN_TOPIC_OR_PARTITION)
  const replica = partition.replicaOn(node.id)
  const code = replica === undefined ? errorCode.NOT_LEADER_OR_FOLLOWER : stale(partition, asked, scope)
  if (replica === undefined || code !== errorCode.NONE) {
    return failed(one, code, hintFor(code, partition, scope))
  }
  return readReplica(one, budget, { partition, replica, scope })
}

/** Why this node does not serve a fetch: its role, or the leader epoch that the client knows (KIP-320). */
function stale(partition: Partition, asked: SessionPartition, { context }: FetchScope): number {
  const epochError = checkLeaderEpoch(partition, asked.currentLeaderEpoch)
  if (epochError !== errorCode.NONE) return epochError
  const isLeader = partition.leaderId === context.node.id && partition.leader !== undefined
  if (isLeader || context.version >= FOLLOWER_FETCH_SINCE) return errorCode.NONE
  return errorCode.NOT_LEADER_OR_FOLLOWER
}

interface Source {
  readonly partition: Partition
  readonly replica: Replica
  readonly scope: FetchScope
}

function readReplica(one: Asked, budget: Budget, { partition, replica, scope }: Source): PartitionRead {
  const { asked } = one
  const { log, highWatermark } = replica
  // Without transactions nothing is unstable, and nothing was aborted.
  const abortedTransactions = scope.request.isolationLevel === READ_COMMITTED ? [] : null
  const standing = {
    highWatermark,
    lastStableOffset: highWatermark,
    logStartOffset: log.start,
    abortedTransactions,
  }
  if (asked.lastFetchedEpoch >= 0) {
    const { epoch, endOffset } = log.epochs.endOf(asked.lastFetchedEpoch, log.end)
    if (epoch < 0) return failed(one, errorCode.OFFSET_OUT_OF_RANGE)
    if (epoch < asked.lastFetchedEpoch || endOffset < asked.fetchOffset) {
      const answer = {
        ...empty(asked, errorCode.NONE),
        ...standing,
        divergingEpoch: { epoch, endOffset },
      }
      return { ...one, answer, bytes: 0, replica: undefined }
    }
  }
  // Beyond the high watermark but within the log it is only early: a client may know more than this follower.
  if (asked.fetchOffset < log.start || asked.fetchOffset > log.end) {
    return failed(one, errorCode.OFFSET_OUT_OF_RANGE)
  }
  const preferred = preferredReplica(partition, asked.fetchOffset, {
    context: scope.context,
    rackId: scope.request.rackId,
  })
  if (preferred !== -1) {
    const answer = { ...empty(asked, errorCode.NONE), ...standing, preferredReadReplica: preferred }
    return { ...one, answer, bytes: 0, replica: undefined }
  }
  const batches = log.read({ offset: asked.fetchOffset, upTo: highWatermark, ...budget })
  const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length, 0)
  const records = batches.length === 0 ? NO_RECORDS : batches.map((batch) => batch.bytes)
  return { ...one, answer: { ...empty(asked, errorCode.NONE), ...standing, records }, bytes, replica }
}

function hintFor(code: number, partition: Partition | undefined, { context, hints }: FetchScope) {
  const isStale = code === errorCode.NOT_LEADER_OR_FOLLOWER || code === errorCode.FENCED_LEADER_EPOCH
  if (!isStale || partition === undefined || context.version < HINTS_SINCE) return {}
  return { currentLeader: hints.of(partition) }
}

const empty = ({ partition }: SessionPartition, code: number): PartitionAnswer => ({
  partitionIndex: partition,
  errorCode: code,
  highWatermark: -1,
  abortedTransactions: null,
  records: NO_RECORDS,
})

const failed = (one: Asked, code: number, more: Partial<PartitionAnswer> = {}): PartitionRead => ({
  ...one,
  answer: { ...empty(one.asked, code), ...more },
  bytes: 0,
  replica: undefined,
})

/** ElectLeaders (43): the preferred leader, or, where nobody leads, any replica that runs (KIP-460). */
import { errorCode } from '../../protocol/error-codes.ts'
import { electLeaders } from '../../protocol/messages/elect-leaders.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Partition } from '../partition.ts'

const PREFERRED = 0
const UNCLEAN = 1
const TYPE_SINCE = 1

export const electLeadersHandler: Handler<typeof electLeaders> = {
  api: electLeaders,
  versions: [0, 2],
  errors: [
    errorCode.INVALID_REQUEST,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.ELECTION_NOT_NEEDED,
    errorCode.PREFERRED_LEADER_NOT_AVAILABLE,
    errorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE,
  ],
  perPartition: true,
  handle({ electionType, topicPartitions }, context) {
    const { cluster, version } = context
    const type = version >= TYPE_SINCE ? electionType : PREFERRED
    const asked =
      topicPartitions ??
      [...cluster.topics()].map(({ name, partitions }) => ({
        topic: name,
        partitions: partitions.map(({ index }) => index),
      }))
    const results = asked.map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => ({
        partitionId,
        errorCode: elect(topic, partitionId, { type, context }),
        errorMessage: null,
      })),
    }))
    // Asked for all, Kafka tells only of those that needed it.
    const needed = results.map((result) => ({
      ...result,
      partitionResult: result.partitionResult.filter(
        (one) => topicPartitions !== null || one.errorCode !== errorCode.ELECTION_NOT_NEEDED,
      ),
    }))
    const isKnown = type === PREFERRED || type === UNCLEAN
    return {
      throttleTimeMs: 0,
      ...(isKnown ? {} : { errorCode: errorCode.INVALID_REQUEST }),
      replicaElectionResults: needed.filter(({ partitionResult }) => partitionResult.length > 0),
    }
  },
}

function elect(
  topic: string,
  index: number,
  { type, context }: { readonly type: number; readonly context: RequestContext },
): number {
  if (type !== PREFERRED && type !== UNCLEAN) return errorCode.INVALID_REQUEST
  const injected = context.injectedError(topic, index)
  if (injected !== 0) return injected
  const partition = context.cluster.partition(topic, index)
  if (partition === undefined) return errorCode.UNKNOWN_TOPIC_OR_PARTITION
  return type === UNCLEAN ? electAny(partition) : electPreferred(partition)
}

function electPreferred(partition: Partition): number {
  const preferred = partition.replicas[0] ?? -1
  if (partition.leaderId === preferred) return errorCode.ELECTION_NOT_NEEDED
  if (!partition.isAlive(preferred) || !partition.isr.includes(preferred)) {
    return errorCode.PREFERRED_LEADER_NOT_AVAILABLE
  }
  partition.lead(preferred)
  return errorCode.NONE
}

function electAny(partition: Partition): number {
  if (partition.leaderId !== -1) return errorCode.ELECTION_NOT_NEEDED
  const running = partition.replicas.find((id) => partition.isAlive(id))
  if (running === undefined) return errorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
  partition.lead(running)
  return errorCode.NONE
}

/** AlterPartitionReassignments (45): other replicas for a partition; null ends a reassignment under way (KIP-455). */
import { errorCode } from '../../protocol/error-codes.ts'
import { alterPartitionReassignments } from '../../protocol/messages/alter-partition-reassignments.ts'
import type { Handler, RequestContext } from '../handler.ts'
import { checkReplicas, type Problem } from '../topic-rules.ts'

export const alterPartitionReassignmentsHandler: Handler<typeof alterPartitionReassignments> = {
  api: alterPartitionReassignments,
  versions: [0, 1],
  errors: [
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.NO_REASSIGNMENT_IN_PROGRESS,
    errorCode.INVALID_REPLICA_ASSIGNMENT,
    errorCode.INVALID_REPLICATION_FACTOR,
  ],
  perPartition: true,
  handle({ topics, allowReplicationFactorChange }, context) {
    return {
      throttleTimeMs: 0,
      errorCode: errorCode.NONE,
      errorMessage: null,
      allowReplicationFactorChange,
      responses: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, replicas }) => {
          const problem = assign(
            { topic: name, partitionIndex, replicas },
            allowReplicationFactorChange,
            context,
          )
          return {
            partitionIndex,
            errorCode: problem?.errorCode ?? errorCode.NONE,
            errorMessage: problem?.message ?? null,
          }
        }),
      })),
    }
  },
}

interface Assignment {
  readonly topic: string
  readonly partitionIndex: number
  readonly replicas: readonly number[] | null
}

function assign(
  { topic, partitionIndex, replicas }: Assignment,
  mayChangeFactor: boolean,
  context: RequestContext,
): Problem | undefined {
  const { cluster } = context
  const injected = context.injectedError(topic, partitionIndex)
  if (injected !== 0) return { errorCode: injected, message: '' }
  const partition = cluster.partition(topic, partitionIndex)
  if (partition === undefined) {
    const message = `Unable to find partition ${topic}-${partitionIndex}.`
    return { errorCode: errorCode.UNKNOWN_TOPIC_OR_PARTITION, message }
  }
  if (replicas === null) {
    if (partition.cancelAssignment()) return undefined
    const message = 'No partition reassignment is in progress.'
    return { errorCode: errorCode.NO_REASSIGNMENT_IN_PROGRESS, message }
  }
  const wrong = checkReplicas(replicas, (id) => cluster.isNode(id))
  if (wrong !== undefined) return wrong
  if (!mayChangeFactor && replicas.length !== partition.settledReplicas.length) {
    const message = `The replication factor is ${partition.settledReplicas.length} and must not change.`
    return { errorCode: errorCode.INVALID_REPLICATION_FACTOR, message }
  }
  partition.assign(replicas)
  return undefined
}

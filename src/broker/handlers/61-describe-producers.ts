/**
 * DescribeProducers (61): the producers that this node's replica knows, whether it leads or follows, uncommitted
 * batches included.
 */
import { errorCode } from '../../protocol/error-codes.ts'
import { describeProducers } from '../../protocol/messages/describe-producers.ts'
import type { SentResponseOf } from '../../protocol/schema.ts'
import type { Handler, RequestContext } from '../handler.ts'

type PartitionAnswer = SentResponseOf<typeof describeProducers>['topics'][number]['partitions'][number]

export const describeProducersHandler: Handler<typeof describeProducers> = {
  api: describeProducers,
  versions: [0, 0],
  errors: [errorCode.UNKNOWN_TOPIC_OR_PARTITION, errorCode.NOT_LEADER_OR_FOLLOWER],
  perPartition: true,
  handle({ topics }, context) {
    return {
      throttleTimeMs: 0,
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((index) => describe(name, index, context)),
      })),
    }
  },
}

function describe(topic: string, index: number, context: RequestContext): PartitionAnswer {
  const failed = (code: number) => ({ partitionIndex: index, errorCode: code, activeProducers: [] })
  const injected = context.injectedError(topic, index)
  if (injected !== 0) return failed(injected)
  const partition = context.cluster.partition(topic, index)
  if (partition === undefined) return failed(errorCode.UNKNOWN_TOPIC_OR_PARTITION)
  const replica = partition.replicaOn(context.node.id)
  if (replica === undefined) return failed(errorCode.NOT_LEADER_OR_FOLLOWER)
  const activeProducers = replica.producers.describe().map((producer) => ({
    ...producer,
    coordinatorEpoch: -1,
    currentTxnStartOffset: -1,
  }))
  return { partitionIndex: index, errorCode: errorCode.NONE, activeProducers }
}

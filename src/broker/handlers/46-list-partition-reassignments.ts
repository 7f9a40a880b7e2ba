/** ListPartitionReassignments (46): those under way. */
import { errorCode } from '../../protocol/error-codes.ts'
import { listPartitionReassignments } from '../../protocol/messages/list-partition-reassignments.ts'
import type { Handler } from '../handler.ts'
import type { Partition } from '../partition.ts'

export const listPartitionReassignmentsHandler: Handler<typeof listPartitionReassignments> = {
  api: listPartitionReassignments,
  versions: [0, 0],
  errors: [],
  handle({ topics }, { cluster }) {
    const asked =
      topics?.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((index) => cluster.partition(name, index)),
      })) ?? [...cluster.topics()].map(({ name, partitions }) => ({ name, partitions }))
    const moving = asked.map(({ name, partitions }) => ({
      name,
      partitions: partitions.filter((one) => one?.target !== undefined).map((one) => tell(one as Partition)),
    }))
    return {
      throttleTimeMs: 0,
      errorCode: errorCode.NONE,
      errorMessage: null,
      topics: moving.filter(({ partitions }) => partitions.length > 0),
    }
  },
  refuse: (_request, code) => ({ throttleTimeMs: 0, errorCode: code, errorMessage: null, topics: [] }),
}

function tell({ index, replicas, settledReplicas, target = [] }: Partition) {
  return {
    partitionIndex: index,
    replicas,
    addingReplicas: target.filter((id) => !settledReplicas.includes(id)),
    removingReplicas: settledReplicas.filter((id) => !target.includes(id)),
  }
}

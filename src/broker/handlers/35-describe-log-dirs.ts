/**
 * DescribeLogDirs (35): how large the replicas of this node are. They stand in one directory, which is memory; its size
 * is that of all logs of the cluster together, and so is what is left of it.
 */
import { errorCode } from '../../protocol/error-codes.ts'
import { describeLogDirs } from '../../protocol/messages/describe-log-dirs.ts'
import type { ReceivedRequestOf, SentResponseOf } from '../../protocol/schema.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Partition } from '../partition.ts'
import type { Replica } from '../replica.ts'

type Asked = ReceivedRequestOf<typeof describeLogDirs>['topics']
type Result = SentResponseOf<typeof describeLogDirs>['results'][number]

const LOG_DIR = '/memory'
/** The first version with an error of the whole. */
const WHOLE_ERROR = 3

export const describeLogDirsHandler: Handler<typeof describeLogDirs> = {
  api: describeLogDirs,
  versions: [1, 5],
  errors: [],
  handle({ topics }, context) {
    const { usedBytes, limitBytes } = context.cluster.budget
    const room = { totalBytes: limitBytes, usableBytes: Math.max(0, limitBytes - usedBytes) }
    const result = { errorCode: errorCode.NONE, logDir: LOG_DIR, topics: sizes(topics, context), ...room }
    return { throttleTimeMs: 0, results: [result] }
  },
  refuse(_request, code, { version }) {
    if (version >= WHOLE_ERROR) return { throttleTimeMs: 0, errorCode: code, results: [] }
    return { throttleTimeMs: 0, results: [{ errorCode: code, logDir: LOG_DIR, topics: [] }] }
  },
}

/** Of all topics when none are named; what is not on this node is left out. */
function sizes(asked: Asked, { cluster, node }: RequestContext): Result['topics'] {
  const names = asked?.map(({ topic }) => topic) ?? [...cluster.topics()].map(({ name }) => name)
  return [...new Set(names)].flatMap((name) => {
    const all = cluster.topic(name)?.partitions ?? []
    const wanted = asked?.filter(({ topic }) => topic === name).flatMap(({ partitions }) => partitions)
    const partitions = all.flatMap((partition) => {
      const replica = partition.replicaOn(node.id)
      if (replica === undefined || wanted?.includes(partition.index) === false) return []
      return [sizeOf(partition, replica)]
    })
    return partitions.length === 0 ? [] : [{ name, partitions }]
  })
}

const sizeOf = ({ index }: Partition, { log, highWatermark }: Replica) => ({
  partitionIndex: index,
  partitionSize: log.sizeBytes,
  offsetLag: Math.max(0, highWatermark - log.end),
  isFutureKey: false,
})

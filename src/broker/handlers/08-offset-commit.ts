/** OffsetCommit (8). By topic id from version 10 (KIP-848). */
import { errorCode } from '../../protocol/error-codes.ts'
import { offsetCommit } from '../../protocol/messages/offset-commit.ts'
import type { ReceivedRequestOf } from '../../protocol/schema.ts'
import type { Handler, RequestContext } from '../handler.ts'

type Request = ReceivedRequestOf<typeof offsetCommit>
type Topic = Request['topics'][number]
type Partition = Topic['partitions'][number]

/** Before this version a group that does not exist had no error of its own (KIP-848). */
const SAYS_NOT_FOUND = 9
const BY_TOPIC_ID = 10

export const offsetCommitHandler: Handler<typeof offsetCommit> = {
  api: offsetCommit,
  versions: [1, 10],
  perPartition: true,
  handle(request, context) {
    const byId = context.version >= BY_TOPIC_ID
    // Asked once, and only when there is something to ask for: unknown topics are answered without the group.
    let refusal: number | undefined
    const topics = request.topics.map((topic) => {
      const name = byId ? context.cluster.topicById(topic.topicId)?.name : topic.name
      const known = name === undefined ? undefined : context.cluster.topic(name)
      const partitions = topic.partitions.map((partition) => {
        const { partitionIndex } = partition
        const injected = context.injectedError(name ?? '', partitionIndex)
        if (injected !== errorCode.NONE) return { partitionIndex, errorCode: injected }
        if (name === undefined || known === undefined) {
          const error = byId ? errorCode.UNKNOWN_TOPIC_ID : errorCode.UNKNOWN_TOPIC_OR_PARTITION
          return { partitionIndex, errorCode: error }
        }
        if (partitionIndex < 0 || partitionIndex >= known.partitions.length) {
          return { partitionIndex, errorCode: errorCode.UNKNOWN_TOPIC_OR_PARTITION }
        }
        refusal ??= refusalOf(request, context)
        const error =
          refusal === errorCode.NONE ? commit(request, { topic: name, partition }, context) : refusal
        return { partitionIndex, errorCode: error }
      })
      return byId ? { topicId: topic.topicId, partitions } : { name: topic.name, partitions }
    })
    return { topics }
  },
}

function refusalOf(request: Request, { version, node, cluster }: RequestContext): number {
  const { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch: generationId } = request
  const refusal = cluster.groups.refusal(groupId, node.id)
  if (refusal !== errorCode.NONE) return refusal
  const error = cluster.groups.mayCommit(groupId, { memberId, groupInstanceId, generationId })
  const isTooNew = error === errorCode.GROUP_ID_NOT_FOUND && version < SAYS_NOT_FOUND
  return isTooNew ? errorCode.ILLEGAL_GENERATION : error
}

function commit(
  request: Request,
  { topic, partition }: { readonly topic: string; readonly partition: Partition },
  { cluster }: RequestContext,
): number {
  const { committedOffset: offset, committedLeaderEpoch: leaderEpoch, partitionIndex } = partition
  const metadata = partition.committedMetadata ?? ''
  if (metadata.length > cluster.groups.limits.offsetMetadataMaxBytes)
    return errorCode.OFFSET_METADATA_TOO_LARGE
  const retentionMs = request.retentionTimeMs < 0 ? undefined : request.retentionTimeMs
  cluster.groups.commit(
    request.groupId,
    { topic, partition: partitionIndex },
    { offset, leaderEpoch, metadata, retentionMs },
  )
  return errorCode.NONE
}

/** OffsetCommit (8). By topic id from version 10 (KIP-848). Answered when every in-sync replica has it. */
import { errorCode } from '../../protocol/error-codes.ts'
import { offsetCommit } from '../../protocol/messages/offset-commit.ts'
import type { ReceivedRequestOf } from '../../protocol/schema.ts'
import type { Commit, PartitionGroups } from '../groups/partition-groups.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { Topic } from '../topic.ts'

type Request = ReceivedRequestOf<typeof offsetCommit>
type TopicRequest = Request['topics'][number]
type PartitionRequest = TopicRequest['partitions'][number]

/** Before this version a group that does not exist had no error of its own (KIP-848). */
const SAYS_NOT_FOUND = 9
const BY_TOPIC_ID = 10

interface PartitionAnswer {
  readonly partitionIndex: number
  errorCode: number
}

export const offsetCommitHandler: Handler<typeof offsetCommit> = {
  api: offsetCommit,
  versions: [1, 10],
  errors: [
    errorCode.UNKNOWN_TOPIC_ID,
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.NOT_COORDINATOR,
    errorCode.COORDINATOR_LOAD_IN_PROGRESS,
    errorCode.COORDINATOR_NOT_AVAILABLE,
    errorCode.GROUP_ID_NOT_FOUND,
    errorCode.UNKNOWN_MEMBER_ID,
    errorCode.FENCED_INSTANCE_ID,
    errorCode.ILLEGAL_GENERATION,
    errorCode.REBALANCE_IN_PROGRESS,
    errorCode.OFFSET_METADATA_TOO_LARGE,
    errorCode.UNKNOWN_SERVER_ERROR,
  ],
  perPartition: true,
  handle(request, context) {
    const gathered = new GatheredCommits(request, context)
    const topics = request.topics.map((topic) => gathered.answerTopic(topic))
    const settled = gathered.commit()
    return settled === undefined ? { topics } : settled.then(() => ({ topics }))
  },
}

/** What of one request can be committed: it is written at once or not at all. */
class GatheredCommits {
  readonly #request: Request
  readonly #context: RequestContext
  readonly #commits: Commit[] = []
  readonly #answers: PartitionAnswer[] = []
  /** Asked once, and only when there is something to ask for: unknown topics are answered without the group. */
  #found: { readonly groups: PartitionGroups } | { readonly errorCode: number } | undefined

  constructor(request: Request, context: RequestContext) {
    this.#request = request
    this.#context = context
  }

  answerTopic(topic: TopicRequest) {
    const { cluster, version } = this.#context
    const byId = version >= BY_TOPIC_ID
    const known = byId ? cluster.topicById(topic.topicId) : cluster.topic(topic.name)
    const unknown = byId ? errorCode.UNKNOWN_TOPIC_ID : errorCode.UNKNOWN_TOPIC_OR_PARTITION
    const name = byId ? (known?.name ?? '') : topic.name
    const partitions = topic.partitions.map((partition) => {
      const { partitionIndex } = partition
      const injected = this.#context.injectedError(name, partitionIndex)
      if (injected !== errorCode.NONE) return { partitionIndex, errorCode: injected }
      if (known === undefined) return { partitionIndex, errorCode: unknown }
      return this.#answerPartition(known, partition)
    })
    return byId ? { topicId: topic.topicId, partitions } : { name: topic.name, partitions }
  }

  #answerPartition(topic: Topic, partition: PartitionRequest): PartitionAnswer {
    const { partitionIndex, committedOffset: offset, committedLeaderEpoch: leaderEpoch } = partition
    const answer = (error: number) => ({ partitionIndex, errorCode: error })
    if (partitionIndex < 0 || partitionIndex >= topic.partitions.length) {
      return answer(errorCode.UNKNOWN_TOPIC_OR_PARTITION)
    }
    const found = (this.#found ??= this.#find())
    if ('errorCode' in found) return answer(found.errorCode)
    const metadata = partition.committedMetadata ?? ''
    if (metadata.length > found.groups.limits.offsetMetadataMaxBytes) {
      return answer(errorCode.OFFSET_METADATA_TOO_LARGE)
    }
    const { retentionTimeMs } = this.#request
    const retentionMs = retentionTimeMs < 0 ? undefined : retentionTimeMs
    const at = { topic: topic.name, topicId: topic.id, partition: partitionIndex }
    this.#commits.push({ ...at, offset, leaderEpoch, metadata, retentionMs })
    const accepted = answer(errorCode.NONE)
    this.#answers.push(accepted)
    return accepted
  }

  #find() {
    const { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch: generationId } = this.#request
    const found = this.#context.node.groups.find(groupId)
    if ('errorCode' in found) return found
    const error = found.groups.mayCommit(groupId, { memberId, groupInstanceId, generationId })
    if (error === errorCode.NONE) return found
    const isTooNew = error === errorCode.GROUP_ID_NOT_FOUND && this.#context.version < SAYS_NOT_FOUND
    return { errorCode: isTooNew ? errorCode.ILLEGAL_GENERATION : error }
  }

  /** Undefined: done. The answers of what could not be written say why. */
  commit(): Promise<void> | undefined {
    if (this.#commits.length === 0 || this.#found === undefined || 'errorCode' in this.#found)
      return undefined
    const settled = this.#found.groups.commit(this.#request.groupId, this.#commits)
    if (typeof settled !== 'number') return settled.then((error) => this.#tell(error))
    this.#tell(settled)
    return undefined
  }

  #tell(error: number): void {
    for (const answer of this.#answers) answer.errorCode = error
  }
}

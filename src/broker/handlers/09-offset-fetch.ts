/** OffsetFetch (9): what a group has committed. Several groups from version 8, by topic id from version 10. */
import { errorCode } from '../../protocol/error-codes.ts'
import { offsetFetch } from '../../protocol/messages/offset-fetch.ts'
import type { ReceivedRequestOf } from '../../protocol/schema.ts'
import type { CommittedOffset } from '../groups/coordinator-record.ts'
import type { FoundGroups } from '../groups/group-coordinator.ts'
import type { GroupOffsets } from '../groups/group-offsets.ts'
import type { Handler, RequestContext } from '../handler.ts'

type Request = ReceivedRequestOf<typeof offsetFetch>
type Group = Request['groups'][number]

const GROUP_ERROR = 2
const BATCHED = 8
const BY_TOPIC_ID = 10

export const offsetFetchHandler: Handler<typeof offsetFetch> = {
  api: offsetFetch,
  versions: [1, 10],
  errors: [errorCode.NOT_COORDINATOR, errorCode.COORDINATOR_LOAD_IN_PROGRESS, errorCode.UNKNOWN_TOPIC_ID],
  perPartition: [
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.TOPIC_AUTHORIZATION_FAILED,
    errorCode.UNSTABLE_OFFSET_COMMIT,
    errorCode.UNKNOWN_TOPIC_ID,
  ],
  handle(request, context) {
    const isBatched = context.version >= BATCHED
    const asked = isBatched ? request.groups : [request]
    const found = asked.map(({ groupId }) => context.node.groups.find(groupId))
    const answer = (all: readonly FoundGroups[]) =>
      isBatched
        ? {
            groups: request.groups.map((group, index) =>
              fetchGroup(group, all[index] as FoundGroups, context),
            ),
          }
        : fetchOne(request, all[0] as FoundGroups, context)
    return request.requireStable ? Promise.all(found.map(stable)).then(answer) : answer(found)
  },
  refuse(request, code, { version }) {
    if (version < BATCHED) return refuseOne(request, code, version)
    return { groups: request.groups.map(({ groupId }) => refuseGroup(groupId, code)) }
  },
}

/**
 * What is told without `requireStable` (KIP-447) is what is committed by now, which of a coordinator that has just
 * loaded may be less than what groups were told to be committed: its high watermark still lags. With it, Kafka
 * treats the request as a write of nothing; one that is not committed in time is answered NOT_COORDINATOR.
 */
async function stable(found: FoundGroups): Promise<FoundGroups> {
  if ('errorCode' in found) return found
  const error = await found.groups.stable()
  return error === errorCode.NONE ? found : { errorCode: errorCode.NOT_COORDINATOR }
}

/** Up to version 7: one group; in version 1 its error has no place but in each partition. */
function fetchOne({ groupId, topics }: Request, found: FoundGroups, context: RequestContext) {
  if ('errorCode' in found) return refuseOne({ topics }, found.errorCode, context.version)
  const offsets = found.groups.offsets(groupId)
  return {
    topics: (topics ?? everything(offsets)).map(({ name, partitionIndexes }) => ({
      name,
      partitions: answerPartitions(name, partitionIndexes, { offsets, context }),
    })),
  }
}

function refuseOne({ topics }: Pick<Request, 'topics'>, code: number, version: number) {
  if (version >= GROUP_ERROR) return { topics: [], errorCode: code }
  return {
    topics: (topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partition) => partitionAnswer(partition, undefined, code)),
    })),
  }
}

const refuseGroup = (groupId: string, code: number) => ({ groupId, topics: [], errorCode: code })

function fetchGroup({ groupId, topics }: Group, found: FoundGroups, context: RequestContext) {
  const { version, cluster } = context
  if ('errorCode' in found) return refuseGroup(groupId, found.errorCode)
  const offsets = found.groups.offsets(groupId)
  if (version < BY_TOPIC_ID) {
    const asked = topics ?? everything(offsets)
    const answered = asked.map(({ name, partitionIndexes }) => ({
      name,
      partitions: answerPartitions(name, partitionIndexes, { offsets, context }),
    }))
    return { groupId, topics: answered, errorCode: errorCode.NONE }
  }
  const asked =
    topics ??
    everything(offsets).flatMap(({ name, partitionIndexes }) => {
      const topicId = cluster.topic(name)?.id
      return topicId === undefined ? [] : [{ topicId, partitionIndexes }]
    })
  const answered = asked.map(({ topicId, partitionIndexes }) => {
    const name = cluster.topicById(topicId)?.name
    const unknown = (partition: number) => partitionAnswer(partition, undefined, errorCode.UNKNOWN_TOPIC_ID)
    return {
      topicId,
      partitions:
        name === undefined
          ? partitionIndexes.map(unknown)
          : answerPartitions(name, partitionIndexes, { offsets, context }),
    }
  })
  return { groupId, topics: answered, errorCode: errorCode.NONE }
}

const everything = (offsets: GroupOffsets | undefined) =>
  (offsets?.topics ?? []).map((name) => ({
    name,
    partitionIndexes: (offsets as GroupOffsets).of(name).map(([partition]) => partition),
  }))

const answerPartitions = (
  topic: string,
  partitionIndexes: readonly number[],
  { offsets, context }: { readonly offsets: GroupOffsets | undefined; readonly context: RequestContext },
) =>
  partitionIndexes.map((partition) => {
    const injected = context.injectedError(topic, partition)
    return partitionAnswer(partition, injected === 0 ? offsets?.get(topic, partition) : undefined, injected)
  })

const partitionAnswer = (
  partitionIndex: number,
  committed: CommittedOffset | undefined,
  error: number = errorCode.NONE,
) => ({
  partitionIndex,
  committedOffset: committed?.offset ?? -1,
  committedLeaderEpoch: committed?.leaderEpoch ?? -1,
  metadata: committed?.metadata ?? '',
  errorCode: error,
})

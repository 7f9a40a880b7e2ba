/** What a group has committed: OffsetFetch (API key 9), OffsetCommit (8), OffsetDelete (47). */
import { OttlaError } from '../../errors.ts'
import { type BrokerError, errorCode } from '../../protocol/error-codes.ts'
import { offsetCommit, offsetDelete, offsetFetch } from '../../protocol/messages/index.ts'
import type { ResponseOf } from '../../protocol/schema.ts'
import type { Cluster } from '../cluster.ts'
import type { AdminCallOptions } from './call-time.ts'
import { type Asking, callItems, type Outcome, PartialFailureError } from './items.ts'
import {
  byPlace,
  byTopic,
  outcomesOf,
  partitionName,
  refused,
  type TopicPartition,
  toCoordinator,
} from './routes.ts'

export interface GroupOffset extends TopicPartition {
  readonly offset: number
  /** -1: not known. */
  readonly leaderEpoch: number
  readonly metadata: string
}

export interface GroupOffsetsOptions extends AdminCallOptions {
  /** Only these. Default: every partition that the group has committed. */
  readonly partitions?: readonly TopicPartition[]
  /**
   * Waits for what the coordinator has written and its replicas have not, and for open transactions (KIP-447), while
   * other calls to the same broker wait behind it. Default false: a coordinator that has just taken over may tell less,
   * for a moment, than groups were told to be committed.
   */
  readonly requireStable?: boolean
}

/** Up to these versions topics go by name; later ones want topic ids, which deleted topics have not. */
const FETCH_BY_NAME = 9
const COMMIT_BY_NAME = 9
/** From this version on the request is for several groups (KIP-709). */
const BATCHED = 8
/** From this version on what is written and not committed can be waited for (KIP-447). */
const STABLE_SINCE = 7

type Response = ResponseOf<typeof offsetFetch>
type FetchedTopic = { name: string; partitions: Response['topics'][number]['partitions'] }

/** By topic and partition; partitions without a committed offset are left out. */
export async function groupOffsetsOn(
  cluster: Cluster,
  groupId: string,
  options: GroupOffsetsOptions,
): Promise<GroupOffset[]> {
  const [offsets = []] = await callItems(
    cluster,
    {
      doing: 'OffsetFetch',
      items: [groupId],
      subject: (id) => id,
      route: toCoordinator(cluster),
      isIdempotent: true,
      ask: async (asking) => [await askOffsets(asking, groupId, options)],
    },
    options,
  )
  return offsets.sort(byPlace)
}

async function askOffsets(
  { connection, timeoutMs }: Asking,
  groupId: string,
  { partitions, requireStable = false }: GroupOffsetsOptions,
): Promise<Outcome<GroupOffset[]>> {
  const version = Math.min(connection.versionOf(offsetFetch), FETCH_BY_NAME)
  const topics =
    partitions === undefined
      ? null
      : byTopic(partitions).map(([name, chosen]) => ({
          name,
          partitionIndexes: chosen.map(({ partition }) => partition),
        }))
  const stability = version >= STABLE_SINCE ? { requireStable } : {}
  const body = version >= BATCHED ? { groups: [{ groupId, topics }] } : { groupId, topics }
  const response = await connection.request(offsetFetch, { ...body, ...stability }, { version, timeoutMs })
  const group = version >= BATCHED ? response.groups[0] : response
  const code = group?.errorCode ?? 0
  if (group === undefined || code !== 0) return { error: refused(code, 'OffsetFetch', { groupId }) }
  const offsets: GroupOffset[] = []
  for (const { name: topic, partitions: fetched } of group.topics as FetchedTopic[]) {
    for (const one of fetched) {
      const { partitionIndex: partition, committedOffset: offset } = one
      if (one.errorCode !== 0) {
        return { error: refused(one.errorCode, 'OffsetFetch', { groupId, topic, partition }) }
      }
      const { committedLeaderEpoch: leaderEpoch, metadata } = one
      if (offset >= 0) offsets.push({ topic, partition, offset, leaderEpoch, metadata: metadata ?? '' })
    }
  }
  return { value: offsets }
}

export interface NewGroupOffset extends TopicPartition {
  /** The next record that the group shall handle. */
  readonly offset: number
  /** Default -1: not known. */
  readonly leaderEpoch?: number
  readonly metadata?: string
}

/** One outcome per partition of a request that goes to the group's coordinator. */
function callPartitions<T extends TopicPartition>(
  cluster: Cluster,
  groupId: string,
  call: {
    readonly doing: string
    readonly items: readonly T[]
    readonly isIdempotent: boolean
    readonly options: AdminCallOptions
    readonly codes: (asking: Asking, items: readonly T[]) => Promise<Map<string, number>>
    /** What the caller is told instead of the broker's answer, where that says it badly. */
    readonly translate?: (error: BrokerError) => OttlaError | undefined
  },
): Promise<undefined[]> {
  const { doing, items, isIdempotent, options, codes } = call
  const coordinator = toCoordinator(cluster)
  return callItems(
    cluster,
    {
      doing,
      items,
      subject: partitionName,
      route: (_item, attempt) => coordinator(groupId, attempt),
      isIdempotent,
      ask: async (asking, asked) =>
        outcomesOf(asked, await codes(asking, asked), {
          subject: partitionName,
          outcome: ({ topic, partition }, code) => {
            if (code === 0) return { value: undefined }
            const error = refused(code, doing, { groupId, topic, partition })
            return { error: call.translate?.(error) ?? error }
          },
        }),
    },
    options,
  )
}

type CodesByTopic = readonly {
  readonly name: string
  readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[]
}[]

const codesOf = (topics: CodesByTopic) =>
  new Map(
    topics.flatMap(({ name: topic, partitions }) =>
      partitions.map(
        ({ partitionIndex: partition, errorCode }) =>
          [partitionName({ topic, partition }), errorCode] as const,
      ),
    ),
  )

/** The broker takes whoever is no member for one that it has lost; what is meant is that there are others. */
function hasMembers(cause: BrokerError): OttlaError | undefined {
  if (cause.errorCode !== errorCode.UNKNOWN_MEMBER_ID) return undefined
  const { groupId = '' } = cause
  const message = `the offsets of group ${groupId} can only be set while it has no members, and it has some: stop its consumers first`
  return new OttlaError('NON_EMPTY_GROUP', message, { groupId, cause })
}

/** Works while the group has no members. */
export async function alterGroupOffsetsOn(
  cluster: Cluster,
  groupId: string,
  change: { readonly offsets: readonly NewGroupOffset[]; readonly options: AdminCallOptions },
): Promise<void> {
  const set = callPartitions(cluster, groupId, {
    doing: 'OffsetCommit',
    items: change.offsets,
    isIdempotent: true,
    options: change.options,
    translate: hasMembers,
    codes: async ({ connection, timeoutMs }, items) => {
      const version = Math.min(connection.versionOf(offsetCommit), COMMIT_BY_NAME)
      const topics = byTopic(items).map(([name, chosen]) => ({
        name,
        partitions: chosen.map(({ partition, offset, leaderEpoch = -1, metadata = '' }) => ({
          partitionIndex: partition,
          committedOffset: offset,
          committedLeaderEpoch: leaderEpoch,
          committedMetadata: metadata,
        })),
      }))
      return codesOf(
        (await connection.request(offsetCommit, { groupId, memberId: '', topics }, { version, timeoutMs }))
          .topics,
      )
    },
  })
  await set.catch((error: unknown) => {
    // It is said of the group, and so the same for each partition.
    const all = error instanceof PartialFailureError ? error.results : []
    throw all.length > 0 && all.every((one) => one.error?.code === 'NON_EMPTY_GROUP') ? all[0]?.error : error
  })
}

/** Works for topics that no member of the group is subscribed to (KIP-496). */
export async function deleteGroupOffsetsOn(
  cluster: Cluster,
  groupId: string,
  change: { readonly partitions: readonly TopicPartition[]; readonly options: AdminCallOptions },
): Promise<void> {
  await callPartitions(cluster, groupId, {
    doing: 'OffsetDelete',
    items: change.partitions,
    isIdempotent: true,
    options: change.options,
    codes: async ({ connection, timeoutMs }, items) => {
      const topics = byTopic(items).map(([name, chosen]) => ({
        name,
        partitions: chosen.map(({ partition: partitionIndex }) => ({ partitionIndex })),
      }))
      const response = await connection.request(offsetDelete, { groupId, topics }, { timeoutMs })
      if (response.errorCode === 0) return codesOf(response.topics)
      return new Map(items.map((item) => [partitionName(item), response.errorCode]))
    },
  })
}

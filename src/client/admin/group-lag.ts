/**
 * How far a group is behind: what it has committed (OffsetFetch, API key 9) against the ends of the partitions (ListOffsets, 2).
 * The columns of `kafka-consumer-groups --describe`, under the same names.
 */
import type { Cluster, TopicMetadata } from '../cluster.ts'
import { type AdminCallOptions, shareOf } from './call-time.ts'
import { groupOffsetsOn } from './group-offsets.ts'
import { listOffsetsOn } from './offsets.ts'
import { byPlace, partitionName, type TopicPartition } from './routes.ts'
import { findTopicsOn } from './topics.ts'

export interface GroupLag extends TopicPartition {
  /** The next record that the group will handle; null: nothing is committed. */
  readonly committedOffset: number | null
  /** The first offset that the log still holds; null: there is no such topic or partition any more. */
  readonly logStartOffset: number | null
  /** Behind the last record; null as above. */
  readonly logEndOffset: number | null
  /**
   * How many offsets the group has before it, of those that the log still holds. Null where there is no such topic or partition
   * any more. A transaction's end mark is an offset too.
   */
  readonly lag: number | null
}

export interface GroupLagOptions extends AdminCallOptions {
  /** These are in the answer too when the group has committed nothing for them. Default none. */
  readonly partitions?: readonly TopicPartition[]
  /** Default read_uncommitted, as Kafka's own tool has it: the log ends at the high watermark. */
  readonly isolation?: 'read_committed' | 'read_uncommitted'
}

type Row = TopicPartition & { readonly committedOffset: number | null }

export async function groupLagOn(
  cluster: Cluster,
  groupId: string,
  options: GroupLagOptions,
): Promise<GroupLag[]> {
  const { partitions = [], isolation = 'read_uncommitted' } = options
  const share = shareOf(cluster, 'admin.groupLag', options)
  const committed = await groupOffsetsOn(cluster, groupId, share())
  const rows = new Map<string, Row>()
  for (const { topic, partition } of partitions) {
    rows.set(partitionName({ topic, partition }), { topic, partition, committedOffset: null })
  }
  for (const { topic, partition, offset } of committed) {
    rows.set(partitionName({ topic, partition }), { topic, partition, committedOffset: offset })
  }
  const sorted = [...rows.values()].sort(byPlace)
  const names = [...new Set(sorted.map(({ topic }) => topic))]
  const topics = new Map<string, TopicMetadata | undefined>(
    (await findTopicsOn(cluster, names, share())).map((found, index) => [names[index] as string, found]),
  )
  const there = sorted.filter(
    ({ topic, partition }) => topics.get(topic)?.partitions[partition] !== undefined,
  )
  const at = (position: 'earliest' | 'latest') =>
    there.map(({ topic, partition }) => ({ topic, partition, position }))
  const asked = [...at('earliest'), ...at('latest')]
  const found = await listOffsetsOn(cluster, asked, { ...share(), isolation })
  const bounds = new Map(
    there.map((row, index) => [row, [found[index]?.offset, found[there.length + index]?.offset]]),
  )
  return sorted.map((row) => {
    const [first, end] = bounds.get(row) ?? []
    return lagOf(row, first ?? null, end ?? null)
  })
}

/** Without a commit everything that the log still holds is to be done; what it holds no longer is not. */
function lagOf(row: Row, logStartOffset: number | null, logEndOffset: number | null): GroupLag {
  const next = Math.max(row.committedOffset ?? 0, logStartOffset ?? 0)
  const lag = logEndOffset === null ? null : Math.max(0, logEndOffset - next)
  return { ...row, logStartOffset, logEndOffset, lag }
}

/** What is in the partitions: ListOffsets (API key 2), DeleteRecords (21), DescribeProducers (61). */
import { deleteRecords, describeProducers, listOffsets } from '../../protocol/messages/index.ts'
import type { Cluster } from '../cluster.ts'
import type { AdminCallOptions } from './call-time.ts'
import { type Asking, callItems, type Outcome } from './items.ts'
import { byTopic, outcomesOf, partitionName, refused, type TopicPartition, toLeader } from './routes.ts'

export type OffsetPosition =
  | 'earliest'
  /** The high watermark, or the last stable offset under `read_committed`. */
  | 'latest'
  /** The record with the largest timestamp (KIP-734). */
  | 'maxTimestamp'
  /** The first record whose timestamp is this or later, milliseconds. */
  | { readonly timestamp: number }

export interface OffsetQuery extends TopicPartition {
  readonly position: OffsetPosition
}

export interface FoundOffset extends TopicPartition {
  /** -1 when there is no such record. */
  readonly offset: number
  /** Of the record found; -1 for earliest and latest. */
  readonly timestamp: number
  readonly leaderEpoch: number
}

export interface ListOffsetsOptions extends AdminCallOptions {
  /** Default read_uncommitted: `latest` is the high watermark. */
  readonly isolation?: 'read_committed' | 'read_uncommitted'
}

const timestamps = { latest: -1, earliest: -2, maxTimestamp: -3 } as const
const timestampOf = (position: OffsetPosition) =>
  typeof position === 'string' ? timestamps[position] : position.timestamp

/** A request asks one thing per partition: what asks several of the same goes in several requests. */
function waves<T extends TopicPartition>(items: readonly T[]): T[][] {
  const result: Map<string, T>[] = []
  for (const item of items) {
    const name = partitionName(item)
    const free = result.find((wave) => !wave.has(name))
    if (free === undefined) result.push(new Map([[name, item]]))
    else free.set(name, item)
  }
  return result.map((wave) => [...wave.values()])
}

export function listOffsetsOn(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  options: ListOffsetsOptions,
): Promise<FoundOffset[]> {
  const isolationLevel = options.isolation === 'read_committed' ? 1 : 0
  return callItems(
    cluster,
    {
      doing: 'ListOffsets',
      items: queries,
      subject: partitionName,
      route: toLeader(cluster, 'ListOffsets'),
      isIdempotent: true,
      ask: async (asking, items) => {
        const asked = waves(items).map(async (wave) => {
          const outcomes = await askOffsets(asking, wave, isolationLevel)
          return wave.map((item, index) => [item, outcomes[index] as Outcome<FoundOffset>] as const)
        })
        const found = new Map((await Promise.all(asked)).flat())
        return items.map((item) => found.get(item) as Outcome<FoundOffset>)
      },
    },
    options,
  )
}

async function askOffsets(
  { connection, brokerTimeoutMs, timeoutMs }: Asking,
  items: readonly OffsetQuery[],
  isolationLevel: number,
) {
  const topics = byTopic(items).map(([name, queries]) => ({
    name,
    partitions: queries.map(({ partition, position }) => ({
      partitionIndex: partition,
      timestamp: timestampOf(position),
    })),
  }))
  const body = { replicaId: -1, isolationLevel, topics, timeoutMs: brokerTimeoutMs }
  const response = await connection.request(listOffsets, body, { timeoutMs })
  const answers = new Map(
    response.topics.flatMap(({ name: topic, partitions }) =>
      partitions.map((one) => [partitionName({ topic, partition: one.partitionIndex }), one] as const),
    ),
  )
  return outcomesOf(items, answers, {
    subject: partitionName,
    outcome: (
      { topic, partition },
      { errorCode: code, offset, timestamp, leaderEpoch },
    ): Outcome<FoundOffset> =>
      code === 0
        ? { value: { topic, partition, offset, timestamp, leaderEpoch } }
        : { error: refused(code, 'ListOffsets', { topic, partition }) },
  })
}

export interface RecordsToDelete extends TopicPartition {
  /** Records before this offset go; `'latest'`: all that are committed. */
  readonly beforeOffset: number | 'latest'
}

export interface DeletedRecords extends TopicPartition {
  /** The offset at which the partition begins from now on. */
  readonly lowWatermark: number
}

export function deleteRecordsOn(
  cluster: Cluster,
  partitions: readonly RecordsToDelete[],
  options: AdminCallOptions,
): Promise<DeletedRecords[]> {
  return callItems(
    cluster,
    {
      doing: 'DeleteRecords',
      items: partitions,
      subject: partitionName,
      route: toLeader(cluster, 'DeleteRecords'),
      isIdempotent: true,
      ask: async ({ connection, brokerTimeoutMs, timeoutMs }, items) => {
        const topics = byTopic(items).map(([name, chosen]) => ({
          name,
          partitions: chosen.map(({ partition, beforeOffset }) => ({
            partitionIndex: partition,
            offset: beforeOffset === 'latest' ? -1 : beforeOffset,
          })),
        }))
        const body = { topics, timeoutMs: brokerTimeoutMs }
        const response = await connection.request(deleteRecords, body, { timeoutMs })
        const answers = new Map(
          response.topics.flatMap(({ name: topic, partitions: done }) =>
            done.map((one) => [partitionName({ topic, partition: one.partitionIndex }), one] as const),
          ),
        )
        return outcomesOf(items, answers, {
          subject: partitionName,
          outcome: ({ topic, partition }, { errorCode: code, lowWatermark }): Outcome<DeletedRecords> =>
            code === 0
              ? { value: { topic, partition, lowWatermark } }
              : { error: refused(code, 'DeleteRecords', { topic, partition }) },
        })
      },
    },
    options,
  )
}

export interface ActiveProducer {
  readonly producerId: number
  readonly producerEpoch: number
  /** -1: it has written nothing since its epoch began. */
  readonly lastSequence: number
  readonly lastTimestamp: number
  readonly coordinatorEpoch: number
  /** -1: no transaction is open. */
  readonly currentTransactionStartOffset: number
}

export interface PartitionProducers extends TopicPartition {
  readonly producers: readonly ActiveProducer[]
}

/** A partition's leader answers, or the replica on `nodeId`. */
export interface ProducersQuery extends TopicPartition {
  readonly nodeId?: number
}

export function describeProducersOn(
  cluster: Cluster,
  partitions: readonly ProducersQuery[],
  options: AdminCallOptions,
): Promise<PartitionProducers[]> {
  const leader = toLeader(cluster, 'DescribeProducers')
  return callItems(
    cluster,
    {
      doing: 'DescribeProducers',
      items: partitions,
      subject: partitionName,
      route: async (item, attempt) => {
        const leaderId = await leader(item, attempt)
        return item.nodeId ?? leaderId
      },
      isIdempotent: true,
      ask: async ({ connection, timeoutMs }, items) => {
        const topics = byTopic(items).map(([name, chosen]) => ({
          name,
          partitionIndexes: chosen.map(({ partition }) => partition),
        }))
        const response = await connection.request(describeProducers, { topics }, { timeoutMs })
        const answers = new Map(
          response.topics.flatMap(({ name: topic, partitions: found }) =>
            found.map((one) => [partitionName({ topic, partition: one.partitionIndex }), one] as const),
          ),
        )
        return outcomesOf(items, answers, {
          subject: partitionName,
          outcome: ({ topic, partition }, answer): Outcome<PartitionProducers> => {
            const { errorCode: code, errorMessage: brokerMessage } = answer
            if (code !== 0) {
              return {
                error: refused(code, 'DescribeProducers', { topic, partition, brokerMessage }),
              }
            }
            const producers = answer.activeProducers.map(({ currentTxnStartOffset, ...producer }) => ({
              ...producer,
              currentTransactionStartOffset: currentTxnStartOffset,
            }))
            return { value: { topic, partition, producers } }
          },
        })
      },
    },
    options,
  )
}

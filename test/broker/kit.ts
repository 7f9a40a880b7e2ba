/** What the broker's tests share: a cluster with raw connections, and short forms of common requests. */
import { type EmbeddedCluster, type StartClusterOptions, startCluster } from '../../src/broker/index.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { fetch } from '../../src/protocol/messages/fetch.ts'
import { metadata } from '../../src/protocol/messages/metadata.ts'
import { produce } from '../../src/protocol/messages/produce.ts'
import { encodeRecordBatch, readBatches } from '../../src/protocol/record-batch.ts'
import type { RequestOf, ResponseOf } from '../../src/protocol/schema.ts'
import { parseAddress, RawConnection } from '../support/raw-connection.ts'

export interface Kit {
  readonly cluster: EmbeddedCluster
  /** A connection to a node, closed with the kit. */
  to(nodeId: number): Promise<RawConnection>
  /** A connection to the leader of a partition. */
  toLeader(topic: string, partition?: number): Promise<RawConnection>
}

/** Runs a test against a cluster of its own; in memory unless it says otherwise. */
export async function withCluster(
  options: StartClusterOptions,
  run: (kit: Kit) => Promise<void>,
): Promise<void> {
  const cluster = await startCluster({ transport: 'memory', ...options })
  const connections: RawConnection[] = []
  const to = async (nodeId: number) => {
    const address = parseAddress(cluster.brokers[nodeId - 1] ?? '')
    const connection = await RawConnection.open(address, cluster.dial)
    connections.push(connection)
    return connection
  }
  try {
    await run({ cluster, to, toLeader: (topic, partition = 0) => to(cluster.leaderOf(topic, partition)) })
  } finally {
    for (const connection of connections) connection.close()
    await cluster.stop()
  }
}

type BatchOptions = NonNullable<Parameters<typeof encodeRecordBatch>[1]>

/** A batch of these values. */
export const batchOf = (values: readonly string[], options: BatchOptions = {}): Buffer =>
  encodeRecordBatch(
    values.map((value) => ({ key: 'k', value, timestamp: 1_700_000_000_000 })),
    options,
  )

/** A batch of an idempotent producer: so many records from this sequence on. */
export const sequenced = (
  producerId: number,
  baseSequence: number,
  count: number,
  options: BatchOptions = {},
): Buffer =>
  batchOf(
    Array.from({ length: count }, (_, index) => `${baseSequence + index}`),
    { producerId, producerEpoch: 0, baseSequence, ...options },
  )

export type ProduceAnswer = ResponseOf<typeof produce>['responses'][number]['partitionResponses'][number]

interface ProduceOptions {
  readonly partition?: number
  readonly acks?: number
  readonly timeoutMs?: number
  readonly version?: number
}

export const produceRequest = (
  topic: string,
  records: Buffer | null,
  { partition = 0, acks = -1, timeoutMs = 5000 }: ProduceOptions = {},
): RequestOf<typeof produce> => ({
  acks,
  timeoutMs,
  topicData: [{ name: topic, partitionData: [{ index: partition, records }] }],
})

/** Produces to one partition, and gives its answer. */
export async function send(
  connection: RawConnection,
  topic: string,
  records: Buffer | null,
  options: ProduceOptions = {},
): Promise<ProduceAnswer> {
  const request = produceRequest(topic, records, options)
  const { responses } = await connection.send(produce, options.version ?? 12, request)
  return responses[0]?.partitionResponses[0] as ProduceAnswer
}

/** The name of the error that a produce was answered. */
export const sendError = async (...args: Parameters<typeof send>) =>
  errorName((await send(...args)).errorCode)

export type FetchAnswer = ResponseOf<typeof fetch>['responses'][number]['partitions'][number]

interface FetchOptions {
  readonly partition?: number
  readonly version?: number
  readonly maxWaitMs?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly partitionMaxBytes?: number
  readonly currentLeaderEpoch?: number
  readonly lastFetchedEpoch?: number
  readonly topicId?: string
}

export const fetchRequest = (
  topic: string,
  fetchOffset: number,
  options: FetchOptions = {},
): RequestOf<typeof fetch> => ({
  maxWaitMs: options.maxWaitMs ?? 0,
  minBytes: options.minBytes ?? 1,
  maxBytes: options.maxBytes ?? 1 << 20,
  topics: [
    {
      topic,
      ...(options.topicId === undefined ? {} : { topicId: options.topicId }),
      partitions: [
        {
          partition: options.partition ?? 0,
          fetchOffset,
          partitionMaxBytes: options.partitionMaxBytes ?? 1 << 20,
          currentLeaderEpoch: options.currentLeaderEpoch ?? -1,
          lastFetchedEpoch: options.lastFetchedEpoch ?? -1,
        },
      ],
    },
  ],
  forgottenTopicsData: [],
})

/** Fetches from one partition, and gives its answer. */
export async function read(
  connection: RawConnection,
  topic: string,
  fetchOffset: number,
  options: FetchOptions = {},
): Promise<FetchAnswer> {
  const request = fetchRequest(topic, fetchOffset, options)
  const { responses } = await connection.send(fetch, options.version ?? 12, request)
  return responses[0]?.partitions[0] as FetchAnswer
}

/** The offsets of the batches in an answer: `0-1 2-4`. */
export const spansOf = (answer: FetchAnswer): string =>
  [...readBatches(answer.records ?? Buffer.alloc(0))]
    .map(({ baseOffset, lastOffset }) => `${baseOffset}-${lastOffset}`)
    .join(' ')

/** The values of the committed records, as text. */
export const valuesOf = (cluster: EmbeddedCluster, topic: string, partition = 0): string =>
  cluster
    .records(topic, partition)
    .map(({ value }) => String(value))
    .join(' ')

export const topicsOf = async (connection: RawConnection, topics: readonly string[] | null) =>
  (
    await connection.send(metadata, 12, {
      topics: topics?.map((name) => ({ name })) ?? null,
      includeTopicAuthorizedOperations: false,
    })
  ).topics

/** Turns of the loop until the condition holds; fails after many. */
export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  for (let turn = 0; turn < 2000; turn++) {
    if (condition()) return
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  throw new Error(`${what} did not come true`)
}

/** Produce and Fetch in the versions that cases want them in. */
import assert from 'node:assert/strict'
import { fetch, initProducerId, listOffsets, produce } from '../../src/protocol/messages/index.ts'
import { encodeRecordBatch, RecordCursor, readBatches } from '../../src/protocol/record-batch.ts'
import type { RequestOf } from '../../src/protocol/schema.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { named, type TopicInfo } from './target.ts'

export type Named = Pick<TopicInfo, 'name' | 'id'>

export const NOWHERE: Named = { name: 'no-such-topic', id: 'AAAAAAAAAAAAAAAAAAAAAQ' }

export interface ProduceGiven {
  readonly version?: number
  readonly topic: Named
  readonly partition?: number
  readonly records: Buffer | null
  readonly acks?: number
  readonly timeoutMs?: number
}

export function produceRequest(given: ProduceGiven): RequestOf<typeof produce> {
  const { version = 9, topic, partition = 0, records, acks = -1, timeoutMs = 5_000 } = given
  const key = version >= 13 ? { topicId: topic.id } : { name: topic.name }
  return { acks, timeoutMs, topicData: [{ ...key, partitionData: [{ index: partition, records }] }] }
}

/** Produces one batch to one partition; the partition's answer with its error by name. */
export async function produceTo(connection: RawConnection, given: ProduceGiven) {
  const { version = 9, topic } = given
  const { responses, nodeEndpoints } = await connection.send(produce, version, produceRequest(given))
  assert.equal(responses.length, 1)
  const [answered] = responses
  assert.equal(version >= 13 ? answered?.topicId : answered?.name, version >= 13 ? topic.id : topic.name)
  const answer = answered?.partitionResponses[0]
  assert.ok(answer)
  assert.equal(answered?.partitionResponses.length, 1)
  return { ...answer, error: named(answer.errorCode), nodeEndpoints }
}

export const batchOf = (...values: string[]): Buffer => encodeRecordBatch(values.map((value) => ({ value })))

/** A batch of an idempotent producer: `count` records whose values are their sequences. */
export const sequenced = (
  producer: { producerId: number; producerEpoch: number },
  baseSequence: number,
  count = 1,
): Buffer =>
  encodeRecordBatch(
    Array.from({ length: count }, (_, index) => ({ value: String(baseSequence + index) })),
    { ...producer, baseSequence },
  )

export async function newProducer(connection: RawConnection) {
  const answer = await connection.send(initProducerId, 1, {
    transactionalId: null,
    transactionTimeoutMs: 60_000,
  })
  assert.equal(named(answer.errorCode), 'NONE')
  return { producerId: answer.producerId, producerEpoch: answer.producerEpoch }
}

type FetchRequest = RequestOf<typeof fetch>
type FetchPartition = NonNullable<FetchRequest['topics'][number]['partitions']>[number]

export interface FetchGiven extends Partial<Omit<FetchRequest, 'topics'>> {
  readonly version?: number
  readonly topic: Named
  readonly partitions?: readonly Partial<FetchPartition>[]
}

export const fetchTopic = (
  version: number,
  topic: Named,
  partitions: readonly Partial<FetchPartition>[] = [{}],
) => ({
  ...(version >= 13 ? { topicId: topic.id } : { topic: topic.name }),
  partitions: partitions.map((one) => ({ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20, ...one })),
})

export function fetchFrom(connection: RawConnection, given: FetchGiven) {
  const { version = 12, topic, partitions, ...rest } = given
  const request = { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 24, ...rest }
  return connection.send(fetch, version, { ...request, topics: [fetchTopic(version, topic, partitions)] })
}

/** Fetches one partition outside any session. */
export async function fetchOne(connection: RawConnection, given: FetchGiven) {
  const { responses, errorCode, nodeEndpoints } = await fetchFrom(connection, given)
  assert.equal(named(errorCode), 'NONE')
  const answer = responses[0]?.partitions[0]
  assert.ok(answer, 'the partition is answered')
  return { ...answer, error: named(answer.errorCode), nodeEndpoints, values: valuesOf(answer.records) }
}

/** The records of a fetched set, as `offset:value`. */
export function valuesOf(records: Buffer | null): string[] {
  const values: string[] = []
  for (const batch of readBatches(records ?? Buffer.alloc(0))) {
    const cursor = new RecordCursor(batch, { maxDecompressedBytes: 1 << 24 })
    while (cursor.next()) values.push(`${cursor.offset}:${cursor.value()}`)
  }
  return values
}

/** Where a partition ends for a consumer, or at a timestamp. */
export async function offsetOf(connection: RawConnection, topic: Named, timestamp = -1, partition = 0) {
  const topics = [{ name: topic.name, partitions: [{ partitionIndex: partition, timestamp }] }]
  const answer = await connection.send(listOffsets, 5, { replicaId: -1, topics })
  return answer.topics[0]?.partitions[0]?.offset
}

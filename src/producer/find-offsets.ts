/**
 * Finds where batches came to lie whose answers were lost: DescribeProducers tells that they are in the log, not
 * where. Reads the headers of the batches behind a known offset (Fetch, API key 1), and gives up, which only leaves
 * the offsets unknown, when that would be a long way.
 */
import type { Connection } from '../client/connection.ts'
import { BrokerError } from '../protocol/error-codes.ts'
import { fetch } from '../protocol/messages/index.ts'
import { readBatches } from '../protocol/record-batch.ts'

export interface OffsetSearch {
  readonly topic: string
  readonly partition: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly leaderEpoch: number
  /** The range to look at: from an offset that is not behind the first batch, up to the log end. */
  readonly from: number
  readonly end: number
  readonly requestTimeoutMs: number
}

/** Where a batch lies. */
export interface FoundBatch {
  readonly baseOffset: number
  /** -1: the records keep their own times. */
  readonly appendTime: number
}

const FETCH_BYTES = 1024 * 1024
/** How much of what others wrote is read at most. */
const MOST_FETCHES = 32
/** The last version that names topics, so that no id is needed. */
const BY_NAME = 12
const MAX_WAIT_MS = 100

/** By base sequence; what was not found is missing. @throws what the broker answers */
export async function findOffsets(
  connection: Connection,
  search: OffsetSearch,
): Promise<Map<number, FoundBatch>> {
  const found = new Map<number, FoundBatch>()
  let next = search.from
  for (let fetches = 0; fetches < MOST_FETCHES && next < search.end; fetches++) {
    const records = await read(connection, search, next)
    const before = next
    for (const batch of readBatches(records)) {
      next = Math.max(next, batch.lastOffset + 1)
      if (batch.producerId !== search.producerId || batch.producerEpoch !== search.producerEpoch) continue
      const { baseOffset, timestampType, maxTimestamp } = batch
      const appendTime = timestampType === 'append' ? maxTimestamp : -1
      found.set(batch.baseSequence, { baseOffset, appendTime })
    }
    if (next === before) break
  }
  return found
}

async function read(connection: Connection, search: OffsetSearch, fetchOffset: number): Promise<Buffer> {
  const { topic, partition, leaderEpoch: currentLeaderEpoch, requestTimeoutMs: timeoutMs } = search
  const where = { partition, currentLeaderEpoch, fetchOffset, partitionMaxBytes: FETCH_BYTES }
  const body = {
    maxWaitMs: MAX_WAIT_MS,
    minBytes: 1,
    maxBytes: FETCH_BYTES,
    isolationLevel: 0,
    topics: [{ topic, partitions: [where] }],
  }
  const version = Math.min(BY_NAME, connection.versionOf(fetch))
  const answer = await connection.request(fetch, body, { version, timeoutMs })
  const entry = answer.responses[0]?.partitions[0]
  const code = answer.errorCode || entry?.errorCode || 0
  if (code !== 0) throw new BrokerError(code, `looking for records in ${topic}/${partition}`)
  return entry?.records ?? Buffer.alloc(0)
}

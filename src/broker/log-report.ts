/** What a test may see of the logs. */

import { addToSequence } from '../protocol/batch-layout.ts'
import { RecordCursor } from '../protocol/record-cursor.ts'
import type { Partition } from './partition.ts'
import type { Replica } from './replica.ts'

/** A batch as it lies in a log. */
export interface LoggedBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly leaderEpoch: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly sizeBytes: number
}

/** How a replica stands. */
export interface ReplicaReport {
  readonly isLeader: boolean
  readonly isInSync: boolean
  readonly leaderEpoch: number
  readonly logStart: number
  readonly logEnd: number
  readonly highWatermark: number
  readonly batches: readonly LoggedBatch[]
}

/** A record as it lies in a log. */
export interface LoggedRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [string, Buffer | null])[]
  readonly leaderEpoch: number
  /** -1: not from an idempotent producer. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly sequence: number
}

const MAX_DECOMPRESSED_BYTES = 1 << 30

export function reportOf(partition: Partition, replica: Replica): ReplicaReport {
  const { log, highWatermark, nodeId } = replica
  return {
    isLeader: partition.leaderId === nodeId,
    isInSync: partition.isr.includes(nodeId),
    leaderEpoch: log.epochs.latest,
    logStart: log.start,
    logEnd: log.end,
    highWatermark,
    batches: Array.from(log.batches(), (batch) => ({
      baseOffset: batch.baseOffset,
      lastOffset: batch.lastOffset,
      leaderEpoch: batch.leaderEpoch,
      producerId: batch.producerId,
      producerEpoch: batch.producerEpoch,
      baseSequence: batch.baseSequence,
      sizeBytes: batch.bytes.length,
    })),
  }
}

/** From the leader; without one, from an in-sync replica, which has all that was committed. */
export function recordsOf(partition: Partition): LoggedRecord[] {
  const source = partition.replicaOn(partition.leaderId) ?? partition.replicaOn(partition.isr[0] ?? -1)
  const records: LoggedRecord[] = []
  if (source === undefined) return records
  for (const batch of source.log.batches()) {
    if (batch.lastOffset >= source.highWatermark) break
    const view = batch.view()
    if (view.isControl) continue
    const cursor = new RecordCursor(view, { maxDecompressedBytes: MAX_DECOMPRESSED_BYTES })
    while (cursor.next()) {
      if (cursor.offset < source.log.start) continue
      records.push({
        offset: cursor.offset,
        timestamp: cursor.timestamp,
        key: cursor.key(),
        value: cursor.value(),
        headers: cursor.headers(),
        leaderEpoch: batch.leaderEpoch,
        producerId: batch.producerId,
        producerEpoch: batch.producerEpoch,
        sequence: addToSequence(batch.baseSequence, cursor.offset - batch.baseOffset),
      })
    }
  }
  return records
}

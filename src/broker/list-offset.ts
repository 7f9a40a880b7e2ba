/** Where in a log a time or a named place is: the answers of ListOffsets. */
import { errorCode } from '../protocol/error-codes.ts'
import { RecordCursor } from '../protocol/record-cursor.ts'
import type { LeaderRole } from './leader-role.ts'
import type { StoredBatch } from './stored-batch.ts'

/** Times that are names of places, with the version that brought each. */
export const place = {
  latest: { timestamp: -1, since: 1 },
  earliest: { timestamp: -2, since: 1 },
  /** The record with the largest timestamp (KIP-734). */
  largestTimestamp: { timestamp: -3, since: 7 },
  /** What is not in tiered storage (KIP-405): here, everything. */
  earliestLocal: { timestamp: -4, since: 8 },
  /** In tiered storage (KIP-1005): here, nothing. */
  latestTiered: { timestamp: -5, since: 9 },
  /** Not yet in tiered storage (KIP-1023). */
  earliestPendingUpload: { timestamp: -6, since: 11 },
} as const

/** KIP-207: a new leader may know less of what is committed than clients do. */
const NOT_AVAILABLE_SINCE = 5
const MAX_DECOMPRESSED_BYTES = 1 << 30

export interface FoundOffset {
  readonly errorCode: number
  readonly timestamp: number
  readonly offset: number
  readonly leaderEpoch: number
}

const found = (offset: number, leaderEpoch: number, timestamp = -1): FoundOffset => ({
  errorCode: errorCode.NONE,
  timestamp,
  offset,
  leaderEpoch,
})

const failed = (code: number): FoundOffset => ({
  errorCode: code,
  timestamp: -1,
  offset: -1,
  leaderEpoch: -1,
})

const nowhere = found(-1, -1)

export function listOffset(leader: LeaderRole, timestamp: number, version: number): FoundOffset {
  const { log, highWatermark } = leader.replica
  const known = Object.values(place).find((one) => one.timestamp === timestamp)
  if (timestamp < 0 && (known === undefined || version < known.since)) {
    return failed(errorCode.UNSUPPORTED_VERSION)
  }
  const isBehind = highWatermark < leader.epochStart
  const notYet =
    version >= NOT_AVAILABLE_SINCE ? errorCode.OFFSET_NOT_AVAILABLE : errorCode.LEADER_NOT_AVAILABLE
  switch (timestamp) {
    case place.earliest.timestamp:
    case place.earliestLocal.timestamp:
      return found(log.start, log.epochs.epochAt(log.start))
    case place.latest.timestamp:
      return isBehind ? failed(notYet) : found(highWatermark, leader.epoch)
    case place.latestTiered.timestamp:
    case place.earliestPendingUpload.timestamp:
      return nowhere
    case place.largestTimestamp.timestamp: {
      const batch = log.findLargestTimestamp(highWatermark)
      return batch === undefined ? nowhere : recordAt(batch, batch.maxTimestamp, log.start)
    }
    default: {
      const batch = log.findByTimestamp(timestamp, highWatermark)
      if (batch !== undefined) return recordAt(batch, timestamp, log.start)
      return isBehind ? failed(notYet) : nowhere
    }
  }
}

/** The first record of the batch with this time or later. */
function recordAt(batch: StoredBatch, timestamp: number, logStart: number): FoundOffset {
  const cursor = new RecordCursor(batch.view(), { maxDecompressedBytes: MAX_DECOMPRESSED_BYTES })
  while (cursor.next()) {
    if (cursor.timestamp >= timestamp && cursor.offset >= logStart) {
      return found(cursor.offset, batch.leaderEpoch, cursor.timestamp)
    }
  }
  // The header's largest timestamp is the producer's word; no record has it.
  return found(batch.lastOffset, batch.leaderEpoch, batch.maxTimestamp)
}

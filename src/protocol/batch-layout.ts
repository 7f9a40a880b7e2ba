/**
 * Where the fields of a record batch of format 2 stand (KIP-98):
 *
 *      0 baseOffset i64       21 attributes i16        43 producerId i64
 *      8 batchLength i32      23 lastOffsetDelta i32   51 producerEpoch i16
 *     12 leaderEpoch i32      27 baseTimestamp i64     53 baseSequence i32
 *     16 magic i8             35 maxTimestamp i64      57 count i32
 *     17 crc u32              (crc covers 21 to end)   61 records, compressed as a whole
 *
 * `batchLength` counts from byte 12. A record:
 *
 *     varint length | i8 attributes | varlong timestampDelta | varint offsetDelta
 *     | varint keyLength, key | varint valueLength, value | varint headers, each: key, value |
 */
import { OttlaError } from '../errors.ts'
import { readInt64 } from './big-endian.ts'

export const BATCH_OVERHEAD = 61
/** What stands before the part that `batchLength` counts. */
export const LOG_OVERHEAD = 12
export const MAGIC = 2

export const at = {
  baseOffset: 0,
  batchLength: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  count: 57,
} as const

export const attribute = {
  codecMask: 0x07,
  logAppendTime: 0x08,
  transactional: 0x10,
  control: 0x20,
  /** KIP-534: the base timestamp is the time after which a tombstone or marker may go. */
  deleteHorizon: 0x40,
} as const

/** How the records of a batch are compressed. */
export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** In the order of their numbers in the attributes. */
export const compressions = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const satisfies Compression[]

/** Headers as a producer gives them: ordered, keys may repeat. */
export type HeaderList = readonly (readonly [key: string, value: Uint8Array | string | null])[]

/** `create`: the producer's time; `append`: the broker's. */
export type TimestampType = 'create' | 'append'

/** A 64-bit number that must fit into a safe integer: offsets and ids are never rounded. */
export function readExact64(buffer: Buffer, offset: number): number {
  const value = readInt64(buffer, offset)
  if (!Number.isSafeInteger(value)) {
    throw new OttlaError('NUMBER_OUT_OF_RANGE', 'a 64-bit number in a batch does not fit into 2^53')
  }
  return value
}

/** A 64-bit time; saturates at the largest safe integer. */
export function readTimestamp(buffer: Buffer, offset: number): number {
  return saturate(readInt64(buffer, offset))
}

export const saturate = (value: number): number =>
  value > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Math.max(value, Number.MIN_SAFE_INTEGER)

const MAX_SEQUENCE = 0x7fff_ffff

/** Sequences run from 0 to 2^31 - 1 and then from 0 again; -1 stands for none and stays. */
export function addToSequence(sequence: number, increment: number): number {
  if (sequence < 0) return sequence
  const sum = sequence + increment
  return sum > MAX_SEQUENCE ? sum - MAX_SEQUENCE - 1 : sum
}

export const corrupt = (message: string, cause?: unknown) =>
  new OttlaError('CORRUPT_BATCH', message, cause === undefined ? {} : { cause })

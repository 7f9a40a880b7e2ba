/** Whole batches in one call, and what is written into a sealed one: where hot paths use `BatchBuilder` itself. */
import { BatchBuilder } from './batch-builder.ts'
import {
  at,
  attribute,
  BATCH_OVERHEAD,
  type Compression,
  type HeaderList,
  type TimestampType,
} from './batch-layout.ts'
import { readInt16, writeInt16, writeInt32, writeInt64 } from './big-endian.ts'
import { crc32c } from './crc32c.ts'

export interface ProducerStamp {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  /** Default: what the batch says already. */
  readonly transactional?: boolean
}

/** Writes the producer's fields into a sealed batch, and then its crc. May be done again with another stamp. */
export function stampBatch(batch: Buffer, stamp: ProducerStamp): void {
  writeInt64(batch, at.producerId, stamp.producerId)
  writeInt16(batch, at.producerEpoch, stamp.producerEpoch)
  writeInt32(batch, at.baseSequence, stamp.baseSequence)
  if (stamp.transactional !== undefined) {
    const others = readInt16(batch, at.attributes) & ~attribute.transactional
    writeInt16(batch, at.attributes, others | (stamp.transactional ? attribute.transactional : 0))
  }
  writeCrc(batch)
}

/** To be called after every change behind byte 21; offset and leader epoch are before it and not covered. */
export function writeCrc(batch: Buffer): void {
  writeInt32(batch, at.crc, crc32c(batch, at.attributes))
}

export interface EncodableRecord {
  readonly key?: string | Uint8Array | null
  readonly value?: string | Uint8Array | null
  readonly headers?: HeaderList
  readonly timestamp?: number
}

export interface EncodeRecordBatchOptions {
  /** Default 0. */
  readonly baseOffset?: number
  /** Default `none`. */
  readonly compression?: Compression
  /** This and the next two: default -1, none. */
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  /** Default -1. */
  readonly partitionLeaderEpoch?: number
  readonly transactional?: boolean
  readonly control?: boolean
  /** Of records that say none. Default -1: no timestamp. */
  readonly timestamp?: number
  /** Default `create`. */
  readonly timestampType?: TimestampType
}

const NO_HEADERS: HeaderList = []

/** A whole and valid batch, crc included. */
export function encodeRecordBatch(
  records: readonly EncodableRecord[],
  options: EncodeRecordBatchOptions = {},
): Buffer {
  const builder = new BatchBuilder({ capacity: BATCH_OVERHEAD + 64 * records.length })
  const { timestamp = -1, compression = 'none', timestampType = 'create' } = options
  for (const record of records) {
    const { key = null, value = null, headers = NO_HEADERS } = record
    builder.append(key, value, headers, record.timestamp ?? timestamp)
  }
  const batch = builder.seal({ compression, timestampType })
  writeInt64(batch, at.baseOffset, options.baseOffset ?? 0)
  writeInt32(batch, at.leaderEpoch, options.partitionLeaderEpoch ?? -1)
  if (options.control === true) {
    writeInt16(batch, at.attributes, readInt16(batch, at.attributes) | attribute.control)
  }
  const { producerId = -1, producerEpoch = -1, baseSequence = -1, transactional = false } = options
  stampBatch(batch, { producerId, producerEpoch, baseSequence, transactional })
  return batch
}

/** What a control batch ends a transaction with, in the order of their numbers. */
export const controlTypes = ['abort', 'commit'] as const
export type ControlType = (typeof controlTypes)[number]

export interface ControlBatchOptions {
  readonly baseOffset: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly type: ControlType
  readonly timestamp: number
  /** Of the transaction coordinator. Default 0. */
  readonly coordinatorEpoch?: number
  /** Default -1. */
  readonly partitionLeaderEpoch?: number
}

/** The marker that a broker writes at the end of a transaction (KIP-98): one record, of no sequence. */
export function encodeControlBatch(options: ControlBatchOptions): Buffer {
  const { type, timestamp, coordinatorEpoch = 0, ...fields } = options
  const key = Buffer.alloc(4)
  key.writeInt16BE(controlTypes.indexOf(type), 2)
  const value = Buffer.alloc(6)
  value.writeInt32BE(coordinatorEpoch, 2)
  return encodeRecordBatch([{ key, value, timestamp }], { ...fields, control: true, transactional: true })
}

/**
 * What one response brought of one partition: the batches that are to be delivered, read record by record or handed
 * over as batches.
 *
 * A chunk covers the offsets from where the fetch began up to `endOffset`, those that no record has included:
 * batches of markers and of aborted transactions are left out when the chunk is made.
 */
import { BatchView, RecordCursor } from '../protocol/record-batch.ts'
import { ConsumerBatch } from './consumer-batch.ts'
import { type ConsumerRecord, FetchedRecord, type RecordSource } from './consumer-record.ts'
import type { ResponsePart } from './held-response.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface ChunkFields {
  readonly owner: TopicPartition
  /** Those to be delivered, in order. */
  readonly batches: readonly BatchView[]
  /** Records below it are not delivered: a batch comes whole, also when its middle was asked for. */
  readonly firstOffset: number
  /** Where the next fetch begins. */
  readonly endOffset: number
  readonly highWatermark: number
  readonly sizeBytes: number
  readonly maxDecompressedBytes: number
}

export class FetchedChunk implements ResponsePart {
  readonly owner: TopicPartition
  readonly endOffset: number
  readonly highWatermark: number
  readonly sizeBytes: number
  readonly #maxDecompressedBytes: number
  #batches: readonly BatchView[]
  /** The batch that is read, or comes next. */
  #index = 0
  #cursor: RecordCursor | undefined
  #source: RecordSource | undefined
  /** What is below has been read. */
  #position: number
  #isHandedOver = false

  constructor(fields: ChunkFields) {
    this.owner = fields.owner
    this.#batches = fields.batches
    this.#position = fields.firstOffset
    this.endOffset = fields.endOffset
    this.highWatermark = fields.highWatermark
    this.sizeBytes = fields.sizeBytes
    this.#maxDecompressedBytes = fields.maxDecompressedBytes
  }

  /** What is below has been read. */
  get position(): number {
    return this.#position
  }

  /**
   * The next record; undefined when all are read.
   *
   * @throws CORRUPT_BATCH, DECOMPRESSED_TOO_LARGE, UNSUPPORTED_COMPRESSION; `skipBatch` goes on behind the batch.
   */
  next(): ConsumerRecord | undefined {
    for (;;) {
      const cursor = this.#cursor ?? this.#open()
      if (cursor === undefined) return undefined
      while (cursor.next()) {
        if (cursor.offset < this.#position) continue
        this.#position = cursor.offset + 1
        return new FetchedRecord(this.#source as RecordSource, cursor)
      }
      this.#closeBatch()
    }
  }

  /** Up to `maxRecords` records as one batch; undefined when all are read. May decompress to find the end. */
  nextBatch(maxRecords: number): ConsumerBatch | undefined {
    const batch = ConsumerBatch.from(this.#batches.slice(this.#index), {
      owner: this.owner,
      firstOffset: this.#position,
      endOffset: this.endOffset,
      maxRecords,
      highWatermark: this.highWatermark,
      maxDecompressedBytes: this.#maxDecompressedBytes,
    })
    if (batch === undefined) {
      this.#index = this.#batches.length
      return undefined
    }
    this.seek(batch.endOffset)
    this.#isHandedOver = true
    return batch
  }

  /** Whether there is nothing left. False may still turn out to be nothing: compaction leaves empty batches. */
  get isRead(): boolean {
    return this.#index >= this.#batches.length
  }

  /** Reads on from this offset, forwards or back, inside the chunk. */
  seek(offset: number): void {
    this.#position = offset
    this.#cursor = undefined
    this.#index = this.#batches.findIndex((batch) => batch.lastOffset >= offset)
    if (this.#index < 0) this.#index = this.#batches.length
  }

  /** Leaves out the rest of the batch that is read, or comes next; returns the offsets left out. */
  skipBatch(): { first: number; last: number } {
    const batch = this.#batches[this.#index]
    const first = Math.max(this.#position, batch?.baseOffset ?? 0)
    const last = batch?.lastOffset ?? this.endOffset - 1
    this.#closeBatch()
    return { first, last }
  }

  get canDetach(): boolean {
    return !this.#isHandedOver
  }

  detach(): number {
    const left = this.#batches.slice(this.#index)
    const first = left[0]
    const last = left.at(-1)
    this.#batches = []
    this.#index = 0
    this.#cursor = undefined
    if (first === undefined || last === undefined) return 0
    const copy = Buffer.allocUnsafeSlow(last.end - first.start)
    first.buffer.copy(copy, 0, first.start, last.end)
    this.#batches = left.map(({ start, end }) => new BatchView(copy, start - first.start, end - first.start))
    return copy.length
  }

  #open(): RecordCursor | undefined {
    const batch = this.#batches[this.#index]
    if (batch === undefined) return undefined
    const cursor = new RecordCursor(batch, { maxDecompressedBytes: this.#maxDecompressedBytes })
    this.#source = {
      topic: this.owner.topic,
      partition: this.owner.partition,
      leaderEpoch: batch.partitionLeaderEpoch,
      timestampType: batch.timestampType,
      payload: cursor.payload,
    }
    this.#cursor = cursor
    return cursor
  }

  #closeBatch(): void {
    const batch = this.#batches[this.#index]
    if (batch !== undefined) this.#position = Math.max(this.#position, batch.lastOffset + 1)
    this.#cursor = undefined
    this.#index++
  }
}

/**
 * The records of one partition that a batch handler gets together: what one fetch brought, or a part of it. Nothing is
 * decoded before it is read; a compressed batch is decompressed when the iteration comes to it, and again when
 * it is iterated again.
 */
import { type BatchView, RecordCursor } from '../protocol/record-batch.ts'
import { type ConsumerRecord, FetchedRecord, type RecordSource } from './consumer-record.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface BatchFields {
  readonly owner: TopicPartition
  /** Records below it do not belong to the batch. */
  readonly firstOffset: number
  /** Nor do those at it or above it. */
  readonly endOffset: number
  readonly maxRecords: number
  readonly highWatermark: number
  readonly maxDecompressedBytes: number
}

export class ConsumerBatch implements Iterable<ConsumerRecord> {
  readonly topic: string
  readonly partition: number
  /** How many records there are. */
  readonly length: number
  /** Of the first record; of its Kafka batch, where compaction has removed that record. */
  readonly firstOffset: number
  /** Of the last record, with the same exception. */
  readonly lastOffset: number
  /** End of what is committed to the partition's log, as the broker told with these records. */
  readonly highWatermark: number
  /** @internal Up to here the batch covers the log: offsets that no record has are counted in. */
  readonly endOffset: number
  readonly #batches: readonly BatchView[]
  readonly #fields: BatchFields

  private constructor(batches: readonly BatchView[], fields: BatchFields, extent: Extent) {
    this.topic = fields.owner.topic
    this.partition = fields.owner.partition
    this.highWatermark = fields.highWatermark
    this.length = extent.count
    this.firstOffset = extent.firstOffset
    this.lastOffset = extent.lastOffset
    this.endOffset = extent.endOffset
    this.#batches = batches.slice(0, extent.batches)
    this.#fields = fields
  }

  /** @internal Of these batches, which begin at or around `firstOffset`; undefined when no record is left in them. */
  static from(batches: readonly BatchView[], fields: BatchFields): ConsumerBatch | undefined {
    const extent = measure(batches, fields)
    return extent.count === 0 ? undefined : new ConsumerBatch(batches, fields, extent)
  }

  /** @internal The part of it that begins at this offset; undefined when there is none. */
  from(offset: number): ConsumerBatch | undefined {
    return ConsumerBatch.from(this.#batches, {
      ...this.#fields,
      firstOffset: Math.max(offset, this.firstOffset),
      endOffset: this.endOffset,
    })
  }

  [Symbol.iterator](): Iterator<ConsumerRecord> {
    return new RecordIterator(this.#batches, {
      ...this.#fields,
      firstOffset: this.firstOffset,
      endOffset: this.endOffset,
    })
  }
}

interface Extent {
  readonly count: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly endOffset: number
  /** How many of the batches it takes. */
  readonly batches: number
}

/**
 * How far the batch reaches. Batches that lie in it as a whole are counted by their headers; where a bound runs
 * through one, its records are walked over.
 */
function measure(batches: readonly BatchView[], fields: BatchFields): Extent {
  let count = 0
  let firstOffset = -1
  let lastOffset = -1
  let taken = 0
  let isCut = false
  for (const batch of batches) {
    if (batch.baseOffset >= fields.endOffset) break
    const room = fields.maxRecords - count
    if (room === 0) isCut = true
    if (isCut) break
    taken++
    const part = liesWithin(batch, fields, room) ? batch : partOf(batch, fields, room)
    if (part.count === 0) continue
    if (firstOffset < 0) firstOffset = part.baseOffset
    lastOffset = part.lastOffset
    count += part.count
    isCut = part !== batch && part.count === room && lastOffset < batch.lastOffset
  }
  return {
    count,
    firstOffset,
    lastOffset,
    endOffset: isCut ? lastOffset + 1 : fields.endOffset,
    batches: taken,
  }
}

const liesWithin = (batch: BatchView, fields: BatchFields, room: number) =>
  batch.baseOffset >= fields.firstOffset && batch.lastOffset < fields.endOffset && batch.count <= room

function partOf(batch: BatchView, fields: BatchFields, room: number) {
  const cursor = new RecordCursor(batch, fields)
  let count = 0
  let baseOffset = -1
  let lastOffset = -1
  while (count < room && cursor.next()) {
    if (cursor.offset < fields.firstOffset || cursor.offset >= fields.endOffset) continue
    if (baseOffset < 0) baseOffset = cursor.offset
    lastOffset = cursor.offset
    count++
  }
  return { count, baseOffset, lastOffset }
}

/** Written out, not as a generator: this is the hot path of a batch handler. */
class RecordIterator implements Iterator<ConsumerRecord> {
  readonly #batches: readonly BatchView[]
  readonly #fields: BatchFields
  #next = 0
  #cursor: RecordCursor | undefined
  #source: RecordSource | undefined

  constructor(batches: readonly BatchView[], fields: BatchFields) {
    this.#batches = batches
    this.#fields = fields
  }

  next(): IteratorResult<ConsumerRecord> {
    for (;;) {
      const cursor = this.#cursor ?? this.#open()
      if (cursor === undefined) return { done: true, value: undefined }
      while (cursor.next()) {
        if (cursor.offset < this.#fields.firstOffset) continue
        if (cursor.offset >= this.#fields.endOffset) return { done: true, value: undefined }
        return { done: false, value: new FetchedRecord(this.#source as RecordSource, cursor) }
      }
      this.#cursor = undefined
    }
  }

  #open(): RecordCursor | undefined {
    const batch = this.#batches[this.#next++]
    if (batch === undefined) return undefined
    const { owner } = this.#fields
    const cursor = new RecordCursor(batch, this.#fields)
    this.#source = {
      topic: owner.topic,
      partition: owner.partition,
      leaderEpoch: batch.partitionLeaderEpoch,
      timestampType: batch.timestampType,
      payload: cursor.payload,
    }
    this.#cursor = cursor
    return cursor
  }
}

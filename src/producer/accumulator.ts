/**
 * Puts records into their partition's open batch, and decides when a batch has waited enough.
 *
 *     append ─> open ── bytes, count or age ──> due ── the window has room ──> closed: sealed and queued
 *                └──────────────── full ────────────────────────────────────────┘
 *
 * A batch that is due stays open, and goes on filling, while the partition's window has no room: so batches grow
 * when brokers are slow. With lingerMs 0 a batch is due at the end of the turn of the loop in which it began.
 *
 * Invariants: a record is encoded once, here; `append` either takes a record or changes nothing that counts.
 */
import { OttlaError } from '../errors.ts'
import { BATCH_OVERHEAD, BatchBuilder, type HeaderList } from '../protocol/record-batch.ts'
import type { Clock, Timer } from '../util/clock.ts'
import { Fifo } from '../util/fifo.ts'
import { Batch } from './batch.ts'
import type { Bounds } from './bounds.ts'
import { capacityFor } from './buffer-pool.ts'
import type { Generations } from './generations.ts'
import type { ProducerSettings } from './producer-options.ts'
import type { Queue } from './queue/queue.ts'
import { measuredSizeOf, type ProducerRecord } from './record.ts'
import type { ProducerPartition } from './topic.ts'

export interface AccumulatorParts {
  readonly settings: ProducerSettings
  readonly clock: Clock
  readonly bounds: Bounds
  readonly generations: Generations
  readonly queue: Queue<Batch>
  /** The partition may have something to send. */
  readonly onDue: (partition: ProducerPartition) => void
  /** `endTurn` is to be called when the turn ends. */
  readonly atTurnEnd: () => void
  /** A batch could not be sealed: its records are to be settled. */
  readonly onUnsealed: (batch: Batch, error: OttlaError) => void
  /** Memory came back without anything being settled. */
  readonly onFreed: () => void
}

interface Lingering {
  readonly partition: ProducerPartition
  readonly batch: Batch
}

export class Accumulator {
  readonly #parts: AccumulatorParts
  readonly #settings: ProducerSettings
  readonly #bounds: Bounds
  /** Open batches in the order in which they began, until their linger is over. */
  readonly #lingering = new Fifo<Lingering>()
  #endsWithTurn = false
  #hurries = 0
  #timer: Timer | undefined

  constructor(parts: AccumulatorParts) {
    this.#parts = parts
    this.#settings = parts.settings
    this.#bounds = parts.bounds
  }

  /**
   * Encodes a record into its partition's open batch, which is returned; undefined when there is no room for it and
   * for the `callBytes` that come with it. The caller adds the run.
   *
   * @throws RECORD_TOO_LARGE
   */
  append(
    partition: ProducerPartition,
    record: ProducerRecord,
    headers: HeaderList,
    timestamp: number,
    callBytes: number,
  ): Batch | undefined {
    const key = record.key ?? null
    const most = BatchBuilder.maxSizeOf(key, record.value, headers)
    let batch = partition.open
    if (batch !== undefined && !this.#hasPlace(batch, most, record, headers, partition.topic.maxBatchBytes)) {
      this.close(partition)
      this.#parts.onDue(partition)
      batch = undefined
    }
    if (batch === undefined) {
      if (BATCH_OVERHEAD + most > this.#settings.maxBatchBytes) this.#checkSize(record, headers)
      batch = this.#begin(partition, most, callBytes)
      if (batch === undefined) return undefined
    } else if (!this.#canGrow(batch.builder as BatchBuilder, most, callBytes)) {
      return undefined
    }
    const builder = batch.builder as BatchBuilder
    builder.append(key, record.value, headers, timestamp)
    batch.count++
    if (key !== null) batch.hasKeys = true
    if (batch.due) partition.topic.sticky.leave(partition.index)
    else if (builder.sizeBytes >= this.#settings.lingerBytes || batch.count >= this.#settings.lingerRecords) {
      this.#due(partition, batch)
    }
    return batch
  }

  /**
   * Seals the open batch, if there is one, and puts it into the queue. The caller sees to it that it is sent. One that
   * cannot be sealed ends here, and nothing else does because of it.
   */
  close(partition: ProducerPartition): void {
    const batch = partition.open
    if (batch === undefined) return
    partition.open = undefined
    if (batch.count === 0) return this.#discard(batch)
    const { sizeBytes } = batch.builder as BatchBuilder
    const { expectedBytes } = partition
    partition.expectedBytes =
      sizeBytes > expectedBytes ? sizeBytes : expectedBytes - ((expectedBytes - sizeBytes) >> 2)
    batch.due = true
    partition.topic.sticky.leave(partition.index)
    try {
      batch.seal(this.#settings.compression, this.#settings.compressionLevel)
    } catch (error) {
      // It never gets a rank: what comes after it follows on what was before it, without a hole.
      return this.#parts.onUnsealed(batch, error as OttlaError)
    }
    this.#parts.queue.append(partition.stream, batch)
  }

  /** The turn is over, and with it the linger of batches that wait for nothing else. */
  endTurn(): void {
    if (!this.#endsWithTurn) return
    this.#endsWithTurn = false
    this.closeLingering()
  }

  /** Until the function that is returned is called, no batch lingers: for a flush and a stop. */
  hurry(): () => void {
    this.#hurries++
    this.closeLingering()
    return () => {
      this.#hurries--
    }
  }

  /** Ends every linger there is now: for callers that wait for room. */
  closeLingering(): void {
    for (let next = this.#lingering.shift(); next !== undefined; next = this.#lingering.shift()) {
      if (next.partition.open === next.batch) this.#due(next.partition, next.batch)
    }
  }

  /** Ends the timer. */
  stop(): void {
    if (this.#timer !== undefined) this.#parts.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #hasPlace(batch: Batch, most: number, record: ProducerRecord, headers: HeaderList, limit: number): boolean {
    const { sizeBytes } = batch.builder as BatchBuilder
    return sizeBytes + most <= limit || sizeBytes + measuredSizeOf(record, headers) <= limit
  }

  #canGrow(builder: BatchBuilder, most: number, callBytes: number): boolean {
    const needed = builder.sizeBytes + most
    const { capacityBytes } = builder
    const growth = needed <= capacityBytes ? 0 : capacityFor(Math.max(needed, capacityBytes * 2))
    return this.#bounds.fits(growth + callBytes)
  }

  #checkSize(record: ProducerRecord, headers: HeaderList): void {
    const bytes = BATCH_OVERHEAD + measuredSizeOf(record, headers)
    const { maxBatchBytes } = this.#settings
    if (bytes <= maxBatchBytes) return
    throw new OttlaError(
      'RECORD_TOO_LARGE',
      `a record takes about ${bytes} bytes in a batch; maxBatchBytes is ${maxBatchBytes}`,
      { topic: record.topic },
    )
  }

  #begin(partition: ProducerPartition, most: number, callBytes: number): Batch | undefined {
    const needed = Math.max(
      BATCH_OVERHEAD + most,
      Math.min(partition.expectedBytes, partition.topic.maxBatchBytes),
    )
    const capacity = capacityFor(needed)
    if (!this.#bounds.fits(capacity + callBytes)) return undefined
    const { clock, generations } = this.#parts
    const { pool } = this.#bounds
    const batch = new Batch({ topic: partition.topic.name, partition: partition.index }, pool, {
      openedAt: clock.monotonic(),
      generation: generations.enter(),
    })
    batch.builder = new BatchBuilder({ capacity, allocate: pool.allocate, release: pool.release })
    partition.open = batch
    this.#lingering.push({ partition, batch })
    this.#schedule()
    return batch
  }

  /** The record for which it was begun could not be encoded. */
  #discard(batch: Batch): void {
    batch.release(true)
    this.#parts.generations.leave(batch.generation)
    this.#parts.onFreed()
  }

  #schedule(): void {
    const { clock } = this.#parts
    if (this.#settings.lingerMs === 0 || this.#hurries > 0) {
      this.#endsWithTurn = true
      this.#parts.atTurnEnd()
      return
    }
    if (this.#timer !== undefined) return
    const first = this.#lingering.peek()
    if (first === undefined) return
    const delayMs = Math.max(0, first.batch.openedAt + this.#settings.lingerMs - clock.monotonic())
    this.#timer = clock.setTimeout(this.#endLinger, delayMs)
  }

  readonly #endLinger = (): void => {
    this.#timer = undefined
    const before = this.#parts.clock.monotonic() - this.#settings.lingerMs
    for (let next = this.#lingering.peek(); next !== undefined; next = this.#lingering.peek()) {
      const isOpen = next.partition.open === next.batch && !next.batch.due
      // A timer may fire a fraction of a millisecond early.
      if (isOpen && next.batch.openedAt > before + 0.5) break
      this.#lingering.shift()
      if (isOpen) this.#due(next.partition, next.batch)
    }
    this.#schedule()
  }

  #due(partition: ProducerPartition, batch: Batch): void {
    if (batch.due) return
    batch.due = true
    partition.topic.sticky.leave(partition.index)
    this.#parts.onDue(partition)
  }
}

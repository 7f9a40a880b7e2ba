/**
 * Settles records: tells who waits, tells the listeners, and takes the charge off.
 *
 * Accepted means answered exactly once: a batch is settled once (an assertion), its runs cover all of its records
 * (another), and so does each call. Listeners run after the turn's own work, one after the other; one that throws or
 * rejects is logged, and neither it nor a slow one stops the sending.
 */
import type { OttlaError } from '../errors.ts'
import { BatchView, type HeaderList, RecordCursor } from '../protocol/record-batch.ts'
import { assert } from '../util/assert.ts'
import { Fifo } from '../util/fifo.ts'
import type { Logger } from '../util/logger.ts'
import type { Batch } from './batch.ts'
import type { Bounds } from './bounds.ts'
import type { Landing, Run } from './calls.ts'
import type { Generations } from './generations.ts'
import type { Queue } from './queue/queue.ts'
import type { DeliveryListener, DeliveryReport, FailedReport } from './receipts.ts'
import type { SpooledRecord } from './topic.ts'

/** What happened since the producer was made, in records unless said otherwise. */
export interface DeliveryCounts {
  delivered: number
  failed: number
  /** Of those that failed: it is not known whether they are in the log. */
  unknown: number
  /** Of those delivered: found in the log by proof, because no answer told. */
  proved: number
  /** Sent again although it could not be proved that they are not in the log. */
  uncertain: number
  /** Acknowledged once, and missing in the log when the broker was asked later. */
  lost: number
  /** Batches that were sent again. */
  retriedBatches: number
  /** Batches that were too large and were cut. */
  splitBatches: number
}

export interface DeliveryParts {
  readonly bounds: Bounds
  readonly generations: Generations
  readonly queue: Queue<Batch>
  readonly logger: Logger
  /** Something was settled: there may be room. */
  readonly onSettled: () => void
}

/** A batch is the producer's own, so only the format's limit bounds what it unpacks to. */
const MAX_BYTES = 0x3fff_ffff

export class Delivery {
  readonly counts: DeliveryCounts = {
    delivered: 0,
    failed: 0,
    unknown: 0,
    proved: 0,
    uncertain: 0,
    lost: 0,
    retriedBatches: 0,
    splitBatches: 0,
  }
  readonly #parts: DeliveryParts
  readonly #listeners: DeliveryListener[] = []
  readonly #reports = new Fifo<DeliveryReport>()
  #isTelling = false

  constructor(parts: DeliveryParts) {
    this.#parts = parts
  }

  /** Returns a function that ends it. */
  listen(listener: DeliveryListener): () => void {
    this.#listeners.push(listener)
    return () => {
      const index = this.#listeners.indexOf(listener)
      if (index >= 0) this.#listeners.splice(index, 1)
    }
  }

  delivered(batch: Batch, landing: Landing): void {
    batch.markSettled()
    let index = 0
    let finished = 0
    const { runs } = batch
    const isHeard = this.#listeners.length > 0
    const keys = isHeard && batch.hasKeys ? this.#keysOf(batch) : undefined
    for (let at = 0; at < runs.length; at++) {
      const run = runs[at] as Run
      finished += run.delivered(landing, index)
      if (isHeard) this.#reportDelivered(run, landing, { index, uncertain: batch.uncertain, keys })
      index += run.count
    }
    assert(index === batch.count, 'the runs of a batch do not cover its records')
    this.counts.delivered += batch.count
    this.#settled(batch, finished)
  }

  failed(batch: Batch, error: OttlaError): void {
    batch.markSettled()
    if (this.#listeners.length > 0) this.#reportFailed(batch, error, undefined)
    else this.#warn(batch.topic, batch.count, error)
    let index = 0
    let finished = 0
    for (const run of batch.runs) {
      finished += run.failed(error)
      index += run.count
    }
    assert(index === batch.count, 'the runs of a batch do not cover its records')
    this.#countFailed(batch.count, error)
    this.#settled(batch, finished)
  }

  /** Some records of a batch are refused; what remains of it goes on as another batch. */
  refused(batch: Batch, runs: readonly Run[], records: ReadonlyMap<number, OttlaError>): void {
    const [first] = records.values()
    assert(first !== undefined, 'no record was refused')
    if (this.#listeners.length > 0) this.#reportFailed(batch, first, records)
    else this.#warn(batch.topic, records.size, first)
    let finished = 0
    const errors = [...records.values()]
    for (const [index, run] of runs.entries()) finished += run.failed(errors[index] as OttlaError)
    this.#countFailed(records.size, first)
    this.#parts.bounds.calls -= finished
  }

  spooledFailed(spooled: SpooledRecord, error: OttlaError): void {
    const { record, run } = spooled
    const { bounds, generations } = this.#parts
    bounds.spooledBytes -= spooled.bytes
    bounds.calls -= run.failed(error)
    this.#countFailed(1, error)
    if (this.#listeners.length > 0) {
      this.#report({
        status: 'failed',
        topic: record.topic,
        partition: record.partition ?? -1,
        timestamp: record.timestamp as number,
        replayed: false,
        uncertain: false,
        error,
        key: bytesOf(record.key ?? null),
        value: bytesOf(record.value),
        headers: (record.headers as HeaderList).map(([name, value]) => [name, bytesOf(value)] as const),
      })
    } else this.#warn(record.topic, 1, error)
    generations.leave(spooled.generation)
    this.#parts.onSettled()
  }

  #settled(batch: Batch, finished: number): void {
    const { bounds, queue, generations, onSettled } = this.#parts
    bounds.calls -= finished
    assert(bounds.calls >= 0, 'more calls were settled than were accepted')
    // One that could not be sealed was never queued.
    if (batch.position >= 0) queue.settle(batch.position, batch.span)
    batch.runs = []
    generations.leave(batch.generation)
    onSettled()
  }

  #countFailed(count: number, error: OttlaError): void {
    this.counts.failed += count
    if (error.code === 'DELIVERY_UNKNOWN' || error.code === 'UNPROVEN_DELIVERY') this.counts.unknown += count
  }

  // ---------------------------------------------------------------------------------------------- reports

  #reportDelivered(
    run: Run,
    landing: Landing,
    of: {
      readonly index: number
      readonly uncertain: boolean
      readonly keys: readonly (Buffer | null)[] | undefined
    },
  ): void {
    const { topic, partition, baseOffset, appendTime } = landing
    const { index, uncertain, keys } = of
    for (let at = index; at < index + run.count; at++) {
      this.#report({
        status: 'delivered',
        topic,
        partition,
        key: keys?.[at] ?? null,
        offset: baseOffset < 0 ? -1 : baseOffset + at,
        timestamp: appendTime < 0 ? run.timestampAt(at - index) : appendTime,
        replayed: false,
        uncertain,
      })
    }
  }

  /** Whatever is wrong with them, the records are settled. */
  #keysOf(batch: Batch): readonly (Buffer | null)[] | undefined {
    const keys: (Buffer | null)[] = []
    try {
      for (const cursor = recordsOf(batch); cursor.next(); ) keys.push(bytesOf(cursor.key()))
      return keys
    } catch (error) {
      this.#parts.logger.error(
        { err: error, topic: batch.topic },
        'the keys of delivered records could not be read',
      )
      return undefined
    }
  }

  /** `only`: the records that are meant, by their place in the batch, each with its own error. */
  #reportFailed(batch: Batch, error: OttlaError, only: ReadonlyMap<number, OttlaError> | undefined): void {
    const isMeant = (index: number) => only === undefined || only.has(index)
    const contents = this.#contentsOf(batch, isMeant)
    let index = -1
    for (const timestamp of timestampsOf(batch.runs)) {
      if (!isMeant(++index)) continue
      this.#report({
        status: 'failed',
        topic: batch.topic,
        partition: batch.partition,
        timestamp,
        replayed: false,
        uncertain: batch.uncertain,
        error: only?.get(index) ?? error,
        ...(contents[index] ?? NO_CONTENT),
      })
    }
  }

  /** Whatever is wrong with them, the records are settled: what cannot be read is missing at the end. */
  #contentsOf(batch: Batch, isMeant: (index: number) => boolean): readonly Content[] {
    const contents: Content[] = []
    try {
      for (const cursor = recordsOf(batch); cursor.next(); ) {
        contents.push(isMeant(contents.length) ? contentOf(cursor) : NO_CONTENT)
      }
    } catch (error) {
      const fields = { err: error, topic: batch.topic }
      this.#parts.logger.error(
        fields,
        'records that failed could not be read: their reports lack the content',
      )
    }
    return contents
  }

  #report(report: DeliveryReport): void {
    this.#reports.push(report)
    if (this.#isTelling) return
    this.#isTelling = true
    queueMicrotask(() => this.#tell())
  }

  #tell(): void {
    for (let report = this.#reports.shift(); report !== undefined; report = this.#reports.shift()) {
      for (const listener of [...this.#listeners]) this.#call(listener, report)
    }
    this.#isTelling = false
  }

  #call(listener: DeliveryListener, report: DeliveryReport): void {
    const onError = (error: unknown) => {
      this.#parts.logger.error({ err: error, topic: report.topic }, 'a delivery listener threw')
    }
    try {
      const outcome: unknown = listener(report)
      if (outcome instanceof Promise) outcome.catch(onError)
    } catch (error) {
      onError(error)
    }
  }

  #warn(topic: string, records: number, error: OttlaError): void {
    this.#parts.logger.warn({ topic, records, code: error.code, err: error }, 'records were not delivered')
  }
}

type Content = Pick<FailedReport, 'key' | 'value' | 'headers'>

const NO_CONTENT: Content = { key: null, value: null, headers: [] }

const contentOf = (cursor: RecordCursor): Content => ({
  key: bytesOf(cursor.key()),
  value: bytesOf(cursor.value()),
  headers: cursor.headers().map(([name, value]) => [name, bytesOf(value)] as const),
})

function* timestampsOf(runs: readonly Run[]): Generator<number> {
  for (const run of runs) for (let place = 0; place < run.count; place++) yield run.timestampAt(place)
}

const recordsOf = (batch: Batch): RecordCursor =>
  new RecordCursor(new BatchView(batch.bytes, 0, batch.bytes.length), { maxDecompressedBytes: MAX_BYTES })

const bytesOf = (payload: string | Uint8Array | null): Buffer | null =>
  payload === null ? null : Buffer.from(payload as Uint8Array)

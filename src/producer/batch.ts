/**
 * One batch of one partition, from its first record until its last record is settled.
 *
 *     open ── close ──> sealed, queued ── take ──> waiting <──> wire ──> settled
 *
 * It holds the encoded records and the runs: who waits for which of its records. Invariants: the runs cover the
 * records exactly and in order; it is settled once; its memory is given back once, and not while a socket may
 * still read it.
 */
import { OttlaError } from '../errors.ts'
import { type BatchBuilder, BatchView, type Compression, stampBatch } from '../protocol/record-batch.ts'
import { assert } from '../util/assert.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { Run } from './calls.ts'
import type { QueuedBatch } from './queue/queue.ts'

const EMPTY = Buffer.alloc(0)
const NO_RUNS: Run[] = []

/** Where a batch is between the queue and its answer. */
export type FlightState = 'queued' | 'waiting' | 'wire' | 'delivered' | 'gone'

export class Batch implements QueuedBatch {
  readonly topic: string
  readonly partition: number
  /** Monotonic time of the first record, from which delivery and linger are counted. */
  readonly openedAt: number
  builder: BatchBuilder | undefined
  /** The sealed bytes; empty before. */
  bytes: Buffer = EMPTY
  count = 0
  /** Whether any of its records has one: else nobody need look for them. */
  hasKeys = false
  /** Size before compression. */
  plainBytes = 0
  /** Of the first record, and the latest of all. */
  baseTimestamp = -1
  maxTimestamp = -1
  /** Who waits, in the order of the records. */
  runs = NO_RUNS
  /** Of the flush that waits for this batch and all before it. */
  generation: number
  /** The linger is over: it leaves as soon as the window has room. */
  due = false

  position = -1
  rank = -1
  taken = false
  /** Positions of the queue that this batch answers for: more than its records when some of them were refused. */
  span = 0

  state: FlightState = 'queued'
  /** Its records are settled although a request with it is still unanswered. */
  givenUp = false
  /** A request with it ended without a clear answer: it may be in the log. */
  maybeInLog = false
  /** Answered out-of-order in a walk: it is in the log if a later one turns out to be. */
  walked = false
  /** It was sent again although it could not be proved to be missing from the log. */
  uncertain = false
  attempts = 0

  #settled = false
  #stamped = false
  #stampedId = -1
  #stampedEpoch = -1
  #stampedSequence = -1
  /** Bytes held for it outside of the builder. */
  #extraBytes = 0
  readonly #pool: BufferPool

  constructor(target: { topic: string; partition: number }, pool: BufferPool, born: BatchBirth) {
    this.topic = target.topic
    this.partition = target.partition
    this.openedAt = born.openedAt
    this.generation = born.generation
    this.#pool = pool
  }

  /** Under the numbers with which it was sent last; -1 without. */
  get baseSequence(): number {
    return this.#stampedSequence
  }

  /** The first rank after this batch. */
  get endRank(): number {
    return this.rank + this.count
  }

  /** The run that the next record may join. */
  get lastRun(): Run | undefined {
    return this.runs[this.runs.length - 1]
  }

  addRun(run: Run): void {
    if (this.runs.length === 0) this.runs = [run]
    else this.runs.push(run)
  }

  get isSettled(): boolean {
    return this.#settled
  }

  /**
   * Makes the bytes final. Compressed ones take the place of the builder's.
   *
   * @throws COMPRESSION_FAILED; then the bytes are the plain ones, from which its records can be told
   */
  seal(compression: Compression, level: number | undefined): void {
    const { builder } = this
    assert(builder !== undefined && this.bytes === EMPTY, 'a batch was sealed twice')
    this.baseTimestamp = builder.baseTimestamp
    this.maxTimestamp = builder.maxTimestamp
    this.plainBytes = builder.sizeBytes
    this.span = this.count
    try {
      this.bytes = builder.seal(level === undefined ? { compression } : { compression, level })
    } catch (error) {
      this.bytes = builder.seal()
      throw notCompressed(this, error)
    }
    if (compression === 'none' || new BatchView(this.bytes, 0, this.bytes.length).compression === 'none')
      return
    this.#hold(this.bytes.length)
    builder.release()
    this.builder = undefined
  }

  /** Takes bytes that were encoded elsewhere, for some of another batch's records; it comes after that one's seal. */
  adopt(bytes: Buffer, of: Batch, runs: Run[]): void {
    const view = new BatchView(bytes, 0, bytes.length)
    this.bytes = bytes
    this.count = this.span = view.count
    this.plainBytes = Math.ceil((of.plainBytes * view.count) / of.count)
    this.baseTimestamp = view.baseTimestamp
    this.maxTimestamp = view.maxTimestamp
    this.runs = runs
    this.due = true
    this.uncertain = of.uncertain
    this.hasKeys = of.hasKeys
    this.#hold(bytes.length)
  }

  #hold(bytes: number): void {
    this.#extraBytes += bytes
    this.#pool.charge(bytes)
  }

  /** Writes the producer's fields and the crc, unless they stand there already. */
  stamp(producerId: number, producerEpoch: number, baseSequence: number): void {
    if (
      this.#stamped &&
      this.#stampedId === producerId &&
      this.#stampedEpoch === producerEpoch &&
      this.#stampedSequence === baseSequence
    ) {
      return
    }
    this.#stamped = true
    this.#stampedId = producerId
    this.#stampedEpoch = producerEpoch
    this.#stampedSequence = baseSequence
    stampBatch(this.bytes, { producerId, producerEpoch, baseSequence })
  }

  /** To be called before anything else is done about the outcome. */
  markSettled(): void {
    assert(!this.#settled, 'a batch was settled twice')
    this.#settled = true
  }

  /** Gives the memory back. `reuse` is false when a socket may still read from it. */
  release(reuse: boolean): void {
    this.#pool.charge(-this.#extraBytes)
    this.#extraBytes = 0
    const { builder } = this
    if (builder === undefined) return
    this.builder = undefined
    if (reuse) builder.release()
    else this.#pool.abandon(builder.capacityBytes)
  }
}

export interface BatchBirth {
  readonly openedAt: number
  readonly generation: number
}

/** What became of a batch's records when a codec threw over them. */
export const notCompressed = ({ topic, partition }: Batch, cause: unknown): OttlaError =>
  new OttlaError(
    'COMPRESSION_FAILED',
    `records for ${topic}/${partition} could not be compressed: ${(cause as Error).message}`,
    { retriable: true, topic, partition, cause },
  )

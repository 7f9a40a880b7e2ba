/**
 * The bytes that a consumer may hold before its handlers: responses that wait, and room kept free for responses
 * on their way. Counted are whole responses, because a record is a view that pins the response it lies in.
 *
 * A request takes its room before it is sent. At most half of the bound is promised to requests and at most half
 * to the shares of the partitions, so a partition whose handler stands still cannot keep the others from fetching.
 * The bound is passed only by what Kafka sends in spite of a limit: the first batch of a response comes whole.
 */
import { assert } from '../util/assert.ts'

export interface PrefetchLimits {
  /** Bytes held and on their way, in all. */
  readonly prefetchBytes: number
  /** Bytes held of one partition. */
  readonly partitionPrefetchBytes: number
  /** Bytes asked for in one request. */
  readonly fetchMaxBytes: number
  /** Bytes asked for of one partition in one request. */
  readonly partitionFetchBytes: number
}

/** Below this a request costs more than the bytes it brings. */
const SMALLEST_PARTITION_SHARE = 16 * 1024
const SMALLEST_REQUEST = 64 * 1024
const SMALLEST_PART = 64 * 1024

export class PrefetchBudget {
  readonly #limits: PrefetchLimits
  #heldBytes = 0
  #promisedBytes = 0
  #isShort = false
  #partitions = 1
  #requesters = 1

  constructor(limits: PrefetchLimits) {
    this.#limits = limits
  }

  /** Bytes of responses that are held. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Bytes for which requests are on their way. */
  get promisedBytes(): number {
    return this.#promisedBytes
  }

  /** Whether a request has found no room since `retry`. */
  get isShort(): boolean {
    return this.#isShort
  }

  /** Everybody who wants room asks again. */
  retry(): void {
    this.#isShort = false
  }

  /** Divides the bound among so many partitions and so many brokers that are asked at a time. */
  divide(partitions: number, requesters: number): void {
    this.#partitions = Math.max(1, partitions)
    this.#requesters = Math.max(1, requesters)
  }

  /** A partition that holds this much is not fetched until it holds less. */
  get partitionShare(): number {
    const fair = Math.floor(this.#limits.prefetchBytes / (4 * this.#partitions))
    return Math.max(SMALLEST_PARTITION_SHARE, Math.min(this.#limits.partitionPrefetchBytes, fair))
  }

  /** What a request for so many partitions may ask for of each: together they fill it. */
  partitionRequestBytes(partitions: number): number {
    const fair = Math.floor(this.requestBytes / Math.max(1, partitions))
    const { partitionFetchBytes } = this.#limits
    return Math.min(partitionFetchBytes, this.partitionShare, Math.max(SMALLEST_PART, fair))
  }

  /** What one request may ask for in all. */
  get requestBytes(): number {
    const fair = Math.floor(this.#limits.prefetchBytes / (2 * this.#requesters))
    return Math.min(this.#limits.fetchMaxBytes, Math.max(SMALLEST_REQUEST, fair))
  }

  /** Takes the room for a request; 0 when there is none now. */
  promise(): number {
    const bytes = this.requestBytes
    const free = this.#limits.prefetchBytes - this.#heldBytes - this.#promisedBytes
    // With nothing held or promised a request always goes out, whatever the bound: something has to move.
    if (bytes > free && this.#heldBytes + this.#promisedBytes > 0) {
      // It stays noted when another request finds room: whoever found none waits to be asked again.
      this.#isShort = true
      return 0
    }
    this.#promisedBytes += bytes
    return bytes
  }

  /** Gives back the room of a request that has been answered or has failed. */
  settle(bytes: number): void {
    this.#promisedBytes -= bytes
    assert(this.#promisedBytes >= 0, 'more room was given back than taken')
  }

  hold(bytes: number): void {
    this.#heldBytes += bytes
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes
    assert(this.#heldBytes >= 0, 'more bytes were released than held')
  }
}

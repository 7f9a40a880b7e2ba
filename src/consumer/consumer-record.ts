/**
 * One record as a handler gets it: positions into the response it came in. Keys, values and headers become Buffer
 * views when they are read, and a view keeps the whole response in memory: `copy()` what outlives the handler.
 */
import { inspect } from 'node:util'
import type { RecordCursor, TimestampType } from '../protocol/record-batch.ts'
import { readHeaders } from './record-headers.ts'

export interface ConsumerRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
  /** `create`: the producer's time; `append`: the broker's. */
  readonly timestampType: TimestampType
  /** A new view at each read. */
  readonly key: Buffer | null
  /** A new view at each read; null for a tombstone. */
  readonly value: Buffer | null
  /** In their order; a name may come more than once. Decoded at each read. */
  readonly headers: [name: string, value: Buffer | null][]
  /** The epoch of the leader that took the record. */
  readonly leaderEpoch: number
  /** The same record with bytes of its own: it keeps nothing else in memory. */
  copy(): ConsumerRecord
}

/** What the records of one batch share. */
export interface RecordSource {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly timestampType: TimestampType
  /** Where the positions point into. */
  readonly payload: Buffer
}

/** The part of a cursor that a record is made of. */
type Positions = Pick<
  RecordCursor,
  | 'offset'
  | 'timestamp'
  | 'keyStart'
  | 'keyLength'
  | 'valueStart'
  | 'valueLength'
  | 'headersStart'
  | 'headerCount'
  | 'recordEnd'
>

export class FetchedRecord implements ConsumerRecord {
  readonly offset: number
  readonly timestamp: number
  readonly #source: RecordSource
  readonly #keyStart: number
  readonly #keyLength: number
  readonly #valueStart: number
  readonly #valueLength: number
  readonly #headersStart: number
  readonly #headerCount: number
  readonly #end: number

  constructor(source: RecordSource, at: Positions) {
    this.#source = source
    this.offset = at.offset
    this.timestamp = at.timestamp
    this.#keyStart = at.keyStart
    this.#keyLength = at.keyLength
    this.#valueStart = at.valueStart
    this.#valueLength = at.valueLength
    this.#headersStart = at.headersStart
    this.#headerCount = at.headerCount
    this.#end = at.recordEnd
  }

  get topic(): string {
    return this.#source.topic
  }

  get partition(): number {
    return this.#source.partition
  }

  get leaderEpoch(): number {
    return this.#source.leaderEpoch
  }

  get timestampType(): TimestampType {
    return this.#source.timestampType
  }

  get key(): Buffer | null {
    const length = this.#keyLength
    return length < 0 ? null : this.#source.payload.subarray(this.#keyStart, this.#keyStart + length)
  }

  get value(): Buffer | null {
    const length = this.#valueLength
    return length < 0 ? null : this.#source.payload.subarray(this.#valueStart, this.#valueStart + length)
  }

  get headers(): [name: string, value: Buffer | null][] {
    if (this.#headerCount === 0) return []
    const at = { start: this.#headersStart, end: this.#end, count: this.#headerCount }
    return readHeaders(this.#source.payload, at)
  }

  copy(): ConsumerRecord {
    const start = this.#keyStart
    const payload = Buffer.allocUnsafeSlow(this.#end - start)
    this.#source.payload.copy(payload, 0, start, this.#end)
    const { topic, partition, leaderEpoch, timestampType } = this.#source
    return new FetchedRecord(
      { topic, partition, leaderEpoch, timestampType, payload },
      {
        offset: this.offset,
        timestamp: this.timestamp,
        keyStart: 0,
        keyLength: this.#keyLength,
        valueStart: this.#valueStart - start,
        valueLength: this.#valueLength,
        headersStart: this.#headersStart - start,
        headerCount: this.#headerCount,
        recordEnd: this.#end - start,
      },
    )
  }

  [inspect.custom](): object {
    const { topic, partition, offset, timestamp, key, value, headers } = this
    return { topic, partition, offset, timestamp, key, value, headers }
  }
}

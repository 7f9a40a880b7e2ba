/**
 * Who waits for records: one object per call of `send`, and per batch the runs of records that belong to it.
 *
 * The hot path makes nothing per record but the promise with its two functions. Each record is settled once, and a
 * bug that would settle it again stops at an assertion.
 */
import type { OttlaError } from '../errors.ts'
import { assert } from '../util/assert.ts'
import { type DeliveryResult, PartialDeliveryError, type Receipt } from './receipts.ts'

/** Where a batch came to lie. */
export interface Landing {
  readonly topic: string
  readonly partition: number
  /** Of the batch's first record; -1 when it is not known. */
  readonly baseOffset: number
  /** -1: the records keep their own times. */
  readonly appendTime: number
}

/** Neighbouring records of a batch for which one object answers. */
export interface Run {
  readonly count: number
  /** Of the record at this place in the run. */
  timestampAt(place: number): number
  /** `index` is that of the run's first record in the batch. Returns how many calls are finished by it. */
  delivered(landing: Landing, index: number): number
  failed(error: OttlaError): number
  /** Keeps the first `count` records and gives the others. */
  cut(count: number): Run
}

const receiptOf = (landing: Landing, index: number, timestamp: number): Receipt => ({
  topic: landing.topic,
  partition: landing.partition,
  offset: landing.baseOffset < 0 ? -1 : landing.baseOffset + index,
  timestamp: landing.appendTime < 0 ? timestamp : landing.appendTime,
})

/**
 * Neighbouring calls of `send` for one record each. Three arrays instead of an object per call: at ten thousand calls
 * under way that is what the garbage collector has to carry.
 */
export class SingleRun implements Run {
  readonly #resolves: ((receipt: Receipt) => void)[] = []
  readonly #rejects: ((error: OttlaError) => void)[] = []
  readonly #timestamps: number[] = []
  #settled = false

  get count(): number {
    return this.#resolves.length
  }

  add(resolve: (receipt: Receipt) => void, reject: (error: OttlaError) => void, timestamp: number): void {
    this.#resolves.push(resolve)
    this.#rejects.push(reject)
    this.#timestamps.push(timestamp)
  }

  timestampAt(place: number): number {
    return this.#timestamps[place] as number
  }

  delivered(landing: Landing, index: number): number {
    this.#settle()
    const resolves = this.#resolves
    const timestamps = this.#timestamps
    for (let at = 0; at < resolves.length; at++) {
      ;(resolves[at] as (receipt: Receipt) => void)(receiptOf(landing, index + at, timestamps[at] as number))
    }
    return resolves.length
  }

  failed(error: OttlaError): number {
    this.#settle()
    for (const reject of this.#rejects) reject(error)
    return this.#rejects.length
  }

  cut(count: number): Run {
    const rest = new SingleRun()
    rest.#resolves.push(...this.#resolves.splice(count))
    rest.#rejects.push(...this.#rejects.splice(count))
    rest.#timestamps.push(...this.#timestamps.splice(count))
    return rest
  }

  #settle(): void {
    assert(!this.#settled, 'a record was settled twice')
    this.#settled = true
  }
}

/** A `send` of several records: one promise, one counter, one array of outcomes. */
export class ManyCall {
  readonly #resolve: (receipts: Receipt[]) => void
  readonly #reject: (error: OttlaError) => void
  readonly #outcomes: (Receipt | OttlaError | undefined)[]
  #left: number
  #failures = 0

  constructor(resolve: (receipts: Receipt[]) => void, reject: (error: OttlaError) => void, count: number) {
    this.#resolve = resolve
    this.#reject = reject
    this.#outcomes = new Array(count)
    this.#left = count
  }

  delivered(run: ManyRun, landing: Landing, index: number): number {
    const outcomes = this.#outcomes
    const { places, timestamp } = run
    for (let at = 0; at < places.length; at++) {
      const place = places[at] as number
      assert(outcomes[place] === undefined, 'a record was settled twice')
      outcomes[place] = receiptOf(landing, index + at, timestamp)
    }
    return this.#finish(places.length)
  }

  failed(places: readonly number[], error: OttlaError): number {
    const outcomes = this.#outcomes
    for (const place of places) {
      assert(outcomes[place] === undefined, 'a record was settled twice')
      outcomes[place] = error
    }
    this.#failures += places.length
    return this.#finish(places.length)
  }

  #finish(count: number): number {
    this.#left -= count
    if (this.#left > 0) return 0
    if (this.#failures === 0) this.#resolve(this.#outcomes as Receipt[])
    else this.#reject(new PartialDeliveryError(this.#outcomes.map(resultOf)))
    return 1
  }
}

const resultOf = (outcome: Receipt | OttlaError | undefined): DeliveryResult =>
  outcome instanceof Error
    ? { status: 'failed', error: outcome }
    : { status: 'delivered', ...(outcome as Receipt) }

/** Neighbouring records of a batch that belong to one call, and have one timestamp. */
export class ManyRun implements Run {
  readonly timestamp: number
  readonly #call: ManyCall
  /** Where the records stand in the call: with keys they are scattered over the batches. */
  readonly places: number[]

  constructor(call: ManyCall, places: number[], timestamp: number) {
    this.#call = call
    this.places = places
    this.timestamp = timestamp
  }

  get count(): number {
    return this.places.length
  }

  /** Takes a record of the call too; false when it needs a run of its own. */
  takes(call: ManyCall, place: number, timestamp: number): boolean {
    if (call !== this.#call || timestamp !== this.timestamp) return false
    this.places.push(place)
    return true
  }

  timestampAt(): number {
    return this.timestamp
  }

  delivered(landing: Landing, index: number): number {
    return this.#call.delivered(this, landing, index)
  }

  failed(error: OttlaError): number {
    return this.#call.failed(this.places, error)
  }

  cut(count: number): Run {
    return new ManyRun(this.#call, this.places.splice(count), this.timestamp)
  }
}

/** Enqueued records: nobody waits, only reports tell. */
export class QuietRun implements Run {
  count = 1
  readonly timestamp: number

  constructor(timestamp: number) {
    this.timestamp = timestamp
  }

  timestampAt(): number {
    return this.timestamp
  }

  delivered(): number {
    return 0
  }

  failed(): number {
    return 0
  }

  cut(count: number): Run {
    const rest = new QuietRun(this.timestamp)
    rest.count = this.count - count
    this.count = count
    return rest
  }
}

/** The runs of a batch's first `count` records and those of the rest; a run across the cut becomes two. */
export function cutRuns(runs: readonly Run[], count: number): [Run[], Run[]] {
  const first: Run[] = []
  const rest: Run[] = []
  let left = count
  for (const run of runs) {
    if (left <= 0) rest.push(run)
    else if (run.count <= left) first.push(run)
    else {
      rest.push(run.cut(left))
      first.push(run)
    }
    left -= run.count
  }
  return [first, rest]
}

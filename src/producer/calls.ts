/**
 * Who waits for records: one object per call of `send`, and per batch the runs of records that belong to it.
 *
 * The hot path makes nothing per record but its promise. Each record is settled once, and a bug that would settle it
 * again stops at an assertion.
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
  /** The first `count` records and the others, in place of this run. */
  cut(count: number): [Run, Run]
}

const receiptOf = (landing: Landing, index: number, timestamp: number): Receipt => ({
  topic: landing.topic,
  partition: landing.partition,
  offset: landing.baseOffset < 0 ? -1 : landing.baseOffset + index,
  timestamp: landing.appendTime < 0 ? timestamp : landing.appendTime,
})

/** What the promise of a run says: where the record at this place lies, or what else it has to wait for. */
type Placed = (place: number) => Receipt | Promise<Receipt>

/**
 * Neighbouring calls of `send` for one record each. They have one promise in common, and what a caller gets is what
 * follows it: a promise with two functions of its own would be three times as heavy, and a producer may hold
 * ten thousands of them. Reactions of a promise run in the order in which they were made (ECMA-262, 27.2.1.8), so
 * a count tells each record its place.
 */
export class SingleRun implements Run {
  count = 0
  /** Neighbours mostly have one timestamp: `#stamps[i]` is that of the records up to `#ends[i]`. */
  readonly #stamps: number[]
  readonly #ends = [0]
  #cursor = 0
  readonly #common: Promise<Placed>
  #resolve!: (placed: Placed) => void
  #reject!: (error: OttlaError) => void
  readonly #follow: (placed: Placed) => Receipt | Promise<Receipt>
  #settled = false

  /** `timestamp`: that of its first record. */
  constructor(timestamp: number) {
    this.#stamps = [timestamp]
    this.#common = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    let next = 0
    this.#follow = (placed) => placed(next++)
  }

  /** Takes one more record, and returns the promise of its call. */
  add(timestamp: number): Promise<Receipt> {
    this.#note(timestamp)
    return this.#common.then(this.#follow)
  }

  timestampAt(place: number): number {
    const ends = this.#ends
    let at = this.#cursor
    while (place >= (ends[at] as number)) at++
    while (at > 0 && place < (ends[at - 1] as number)) at--
    this.#cursor = at
    return this.#stamps[at] as number
  }

  delivered(landing: Landing, index: number): number {
    this.#settle()
    this.#resolve((place) => receiptOf(landing, index + place, this.timestampAt(place)))
    return this.count
  }

  failed(error: OttlaError): number {
    this.#settle()
    this.#reject(error)
    return this.count
  }

  cut(count: number): [Run, Run] {
    this.#settle()
    const first = new SingleRun(this.timestampAt(0))
    const rest = new SingleRun(this.timestampAt(count))
    const partOf = (place: number) => (place < count ? first : rest)
    for (let place = 0; place < this.count; place++) partOf(place).#note(this.timestampAt(place))
    this.#resolve((place) => {
      const part = partOf(place)
      return part.#common.then(part.#follow)
    })
    return [first, rest]
  }

  #note(timestamp: number): void {
    const last = this.#stamps.length - 1
    this.count++
    if (this.#stamps[last] === timestamp) this.#ends[last] = this.count
    else {
      this.#stamps.push(timestamp)
      this.#ends.push(this.count)
    }
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

  cut(count: number): [Run, Run] {
    const run = (places: number[]) => new ManyRun(this.#call, places, this.timestamp)
    return [run(this.places.slice(0, count)), run(this.places.slice(count))]
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

  cut(count: number): [Run, Run] {
    const parts: [QuietRun, QuietRun] = [new QuietRun(this.timestamp), new QuietRun(this.timestamp)]
    parts[0].count = count
    parts[1].count = this.count - count
    return parts
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
      const [kept, cut] = run.cut(left)
      first.push(kept)
      rest.push(cut)
    }
    left -= run.count
  }
  return [first, rest]
}

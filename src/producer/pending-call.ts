/** A call on its way in: which of its records are accepted, and who is told about the others. */
import type { OttlaError } from '../errors.ts'
import { CALL_BYTES } from './bounds.ts'
import { ManyCall, ManyRun, QuietRun, type Run, SingleRun } from './calls.ts'
import type { Receipt } from './receipts.ts'
import type { ProducerRecord } from './record.ts'

/** The three kinds of calls, to what is done with a record that is accepted or not. */
export interface Caller {
  /** What it is charged from its first accepted record on, besides the records' bytes. */
  readonly costBytes: number
  /**
   * Who stands in a batch for the record `index`. When `last`, the batch's last run, can stand for it too, it is
   * told so and nothing is returned.
   */
  runFor(index: number, timestamp: number, last: Run | undefined): Run | undefined
  /** All records are accepted. */
  accepted(): void
  /** One record is refused. Returns how many calls are finished by it: 0 or 1. */
  refuse(index: number, error: OttlaError): number
  /** None from this record on is accepted. Returns how many calls are finished by it. */
  failFrom(index: number, error: OttlaError): number
}

export class PendingCall {
  readonly records: readonly ProducerRecord[]
  readonly caller: Caller
  /** The first record that is neither accepted nor refused. */
  next = 0
  isCharged = false
  /** Of the flush that waits for it, while it waits for room. */
  generation = -1
  /** Its signal fired while it waited. */
  isWithdrawn = false

  constructor(records: readonly ProducerRecord[], caller: Caller) {
    this.records = records
    this.caller = caller
  }

  /** What accepting its next record costs besides the record. */
  get callBytes(): number {
    return this.isCharged ? 0 : this.caller.costBytes
  }
}

const nothing = () => undefined

export class SendCaller implements Caller {
  readonly costBytes = CALL_BYTES
  readonly accepted = nothing
  readonly #resolve: (receipt: Receipt) => void
  readonly #reject: (error: OttlaError) => void

  constructor(resolve: (receipt: Receipt) => void, reject: (error: OttlaError) => void) {
    this.#resolve = resolve
    this.#reject = reject
  }

  runFor(_index: number, timestamp: number, last: Run | undefined): Run | undefined {
    const run = last instanceof SingleRun ? last : new SingleRun(timestamp)
    run.add(timestamp).then(this.#resolve, this.#reject)
    return run === last ? undefined : run
  }

  refuse(_index: number, error: OttlaError): number {
    this.#reject(error)
    return 1
  }

  failFrom(index: number, error: OttlaError): number {
    return this.refuse(index, error)
  }
}

export class SendManyCaller implements Caller {
  readonly costBytes = CALL_BYTES
  readonly accepted = nothing
  readonly #reject: (error: OttlaError) => void
  readonly #call: ManyCall
  readonly #count: number

  constructor(count: number, resolve: (receipts: Receipt[]) => void, reject: (error: OttlaError) => void) {
    this.#count = count
    this.#reject = reject
    this.#call = new ManyCall(resolve, reject, count)
  }

  runFor(index: number, timestamp: number, last: Run | undefined): Run | undefined {
    if (last instanceof ManyRun && last.takes(this.#call, index, timestamp)) return undefined
    return new ManyRun(this.#call, [index], timestamp)
  }

  refuse(index: number, error: OttlaError): number {
    return this.#call.failed([index], error)
  }

  failFrom(index: number, error: OttlaError): number {
    if (index > 0) {
      const rest = Array.from({ length: this.#count - index }, (_, place) => index + place)
      return this.#call.failed(rest, error)
    }
    this.#reject(error)
    return 1
  }
}

/** The promise tells that the records are held; reports tell the rest. */
export class EnqueueCaller implements Caller {
  readonly costBytes = 0
  readonly accepted: () => void
  readonly #reject: (error: OttlaError) => void

  constructor(resolve: () => void, reject: (error: OttlaError) => void) {
    this.accepted = resolve
    this.#reject = reject
  }

  runFor(_index: number, timestamp: number, last: Run | undefined): Run | undefined {
    if (last instanceof QuietRun && last.timestamp === timestamp) {
      last.count++
      return undefined
    }
    return new QuietRun(timestamp)
  }

  refuse(_index: number, error: OttlaError): number {
    this.#reject(error)
    return 0
  }

  failFrom(index: number, error: OttlaError): number {
    return this.refuse(index, error)
  }
}

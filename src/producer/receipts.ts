/** What a producer answers for a record: receipts, reports, and the error of a call of which only a part went well. */
import { OttlaError } from '../errors.ts'

/** Where a record lies in the log. */
export interface Receipt {
  readonly topic: string
  readonly partition: number
  /**
   * -1 with acks 0. After lost answers it is looked up in the log; -1 as well when that is not allowed, or others have
   * written so much meanwhile that it was given up: that the record is there was proved nevertheless.
   */
  readonly offset: number
  /** The record's own, or the broker's where the topic has `message.timestamp.type=LogAppendTime`. */
  readonly timestamp: number
}

/** The outcome for one record of a call, in the order of the call's records. */
export type DeliveryResult =
  | ({ readonly status: 'delivered' } & Receipt)
  | { readonly status: 'failed'; readonly error: OttlaError }

/** What `onDelivery` gets for each record, once. */
export type DeliveryReport = DeliveredReport | FailedReport

interface CommonReport {
  readonly topic: string
  /** The record's own key, copied: what tells whose report it is, where keys are told apart. */
  readonly key: Buffer | null
  readonly timestamp: number
  /** Whether the record was queued by an earlier process. */
  readonly replayed: boolean
  /**
   * Whether it was sent again although it could not be proved to be missing from the log (`onUncertain: 'resend'`):
   * then it may be there twice.
   */
  readonly uncertain: boolean
}

export interface DeliveredReport extends CommonReport {
  readonly status: 'delivered'
  readonly partition: number
  /** As in a `Receipt`. */
  readonly offset: number
}

export interface FailedReport extends CommonReport {
  readonly status: 'failed'
  /** -1 when no partition was chosen yet. */
  readonly partition: number
  readonly error: OttlaError
  /** The rest of the record, for a log or another topic: copies. Without content where the batch could not be read again. */
  readonly value: Buffer | null
  readonly headers: readonly (readonly [key: string, value: Buffer | null])[]
}

export type DeliveryListener = (report: DeliveryReport) => void | PromiseLike<void>

/** At least one record of a `send([…])` was not delivered; `results` tells the outcome of each. */
export class PartialDeliveryError extends OttlaError {
  /** In the order of the call's records. Not enumerable: a log line need not show thousands of them. */
  declare readonly results: readonly DeliveryResult[]

  constructor(results: readonly DeliveryResult[]) {
    const failures = results.filter((result) => result.status === 'failed')
    const first = failures[0]?.error
    super(
      'PARTIAL_DELIVERY',
      `${failures.length} of ${results.length} records were not delivered; the first because: ${first?.message}`,
      { cause: first },
    )
    Object.defineProperty(this, 'results', { value: results })
  }
}

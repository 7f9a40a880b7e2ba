/** What a consumer calls with its records: the kinds of handlers and what they are told besides. */
import type { ConsumerBatch } from './consumer-batch.ts'
import type { ConsumerRecord } from './consumer-record.ts'

export interface HandlerContext {
  /**
   * Fires when the time for ending is over: the partition is being given up, or the consumer stops, and
   * `drainTimeoutMs` have passed; or the partition was taken away. What the handler does after it does not count.
   */
  readonly signal: AbortSignal
  readonly topic: string
  readonly partition: number
  /** The generation of the group of which this member is a part now; -1 while it is apart. */
  readonly generation: number
  /** 1 for the first call with this work, one more for each retry. */
  readonly attempt: number
}

/** The record counts as finished when the handler returns, or when its promise resolves. */
export type RecordHandler = (record: ConsumerRecord, context: HandlerContext) => void | Promise<void>

/** All records of the batch count as finished then. A {@link FailedAtError} finishes those before its offset. */
export type BatchHandler = (batch: ConsumerBatch, context: HandlerContext) => void | Promise<void>

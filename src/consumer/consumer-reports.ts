/**
 * What a consumer tells its owner besides records: partitions that come and go, records given up, results that came
 * too late, positions that moved.
 */
import type { OttlaError } from '../errors.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { TopicPartition } from './topic-partition.ts'

export interface RebalanceEvent {
  /**
   * `assigned`: these are ours now, and are read from once the callback is done. `revoked`: they are being given
   * up; their handlers have ended or run into the deadline, their finished work is committed after the callback.
   * `lost`: they were taken away (the session ended, or the member was unknown), or the consumer was aborted: nothing
   * can be committed any more. What was assigned is told as gone once, as the one or as the other.
   */
  readonly type: 'assigned' | 'revoked' | 'lost'
  readonly partitions: readonly TopicPartition[]
  /** All that is left to this member, these included when they were assigned. */
  readonly owned: readonly TopicPartition[]
  readonly memberId: string
  readonly generation: number
}

/** What the coordinator answered to a commit. */
export interface CommitReport {
  readonly generation: number
  /** The offset is the one to go on from: everything below it is finished. */
  readonly offsets: readonly (TopicPartition & { readonly offset: number })[]
  /** Why these were not taken. What passes is tried again. */
  readonly error?: OttlaError
}

/** Work that was given up by `failure: { onExhausted: 'skip' }`. */
export interface SkipReport {
  readonly topic: string
  readonly partition: number
  /** First offset that was given up. */
  readonly offset: number
  /** Last offset that was given up; that of `offset` for a single record. */
  readonly lastOffset: number
  /** The records, where they could be read. Views: `copy()` what is kept. */
  readonly records: readonly ConsumerRecord[]
  /** HANDLER_FAILED with what the handler threw as `cause`, or why the batch could not be read. */
  readonly error: OttlaError
  /** How often the handler was called. */
  readonly attempts: number
}

/** Work whose result does not count: the partition had been given up. The next owner handles it (again). */
export interface FencedReport {
  readonly topic: string
  readonly partition: number
  /** `late`: a handler ended after the partition was gone. `commit`: finished, but gone before it could be committed. */
  readonly reason: 'late' | 'commit'
  /** First offset whose result does not count. */
  readonly offset: number
  /** End of those offsets, itself not among them. */
  readonly endOffset: number
  readonly error?: OttlaError
}

export interface ResetReport {
  readonly topic: string
  readonly partition: number
  /** `out-of-range`: not in the log. `truncated`: the log was cut by a fail-over. `recreated`: another topic of that name. */
  readonly reason: 'out-of-range' | 'truncated' | 'recreated'
  /** The position that could not be read from. */
  readonly from: number
  /** The position taken instead. */
  readonly to: number
}

/**
 * A topic as a producer sees it: its partitions with their open batch and window, the choice for records without a
 * key, and the records that wait until its partitions are known.
 *
 * Plain state; what is done with it stands in the accumulator, the sender and the topics directory.
 */

import type { TopicMetadata } from '../client/cluster.ts'
import type { Connection } from '../client/connection.ts'
import type { OttlaError } from '../errors.ts'
import { zeroUuid } from '../protocol/schema.ts'
import { Fifo } from '../util/fifo.ts'
import type { Random } from '../util/random.ts'
import type { Batch } from './batch.ts'
import type { Run } from './calls.ts'
import { type PartitionerContext, StickyChoice } from './partitioners.ts'
import type { QueueStream } from './queue/queue.ts'
import type { ProducerRecord } from './record.ts'
import type { SendWindow } from './send-window.ts'

/** One partition that records go to. */
export class ProducerPartition {
  readonly topic: ProducerTopic
  readonly index: number
  readonly window: SendWindow
  readonly stream: QueueStream<Batch>
  /** The batch that takes records. */
  open: Batch | undefined
  /** -1: none. */
  leaderId = -1
  leaderEpoch = -1
  /** Where the requests that are in flight went: nothing goes elsewhere before they are answered. */
  connection: Connection | undefined
  /** Failures since the last acknowledgement. */
  failures = 0
  /** Waits before it tries again. */
  isPaused = false
  /** Why it does not get on: the cause that a timeout gives. */
  lastError: OttlaError | undefined
  /** The offset behind the last acknowledged record; -1 while there is none. */
  nextOffset = -1
  /** What its last batches took, the larger ones above all: the size to begin with. */
  expectedBytes = 0
  /** Whether the sender is to look at it. */
  isAwake = false
  /** Its topic has fewer partitions now. */
  isGone = false

  constructor(topic: ProducerTopic, index: number, parts: PartitionParts) {
    this.topic = topic
    this.index = index
    this.window = parts.window
    this.stream = parts.stream
  }

  /** Whether any record of it is not settled yet. */
  get isBusy(): boolean {
    return this.open !== undefined || this.stream.length > 0 || this.window.flights.length > 0
  }
}

export interface PartitionParts {
  readonly window: SendWindow
  readonly stream: QueueStream<Batch>
}

/** A record that was accepted, and copied, before its topic's partitions were known. */
export interface SpooledRecord {
  readonly record: ProducerRecord
  readonly run: Run
  readonly bytes: number
  /** Monotonic. */
  readonly acceptedAt: number
  readonly generation: number
}

export class ProducerTopic implements PartitionerContext {
  readonly name: string
  readonly sticky: StickyChoice
  /** Kafka's text form; zeros while it is not known. */
  topicId = zeroUuid
  /** Whether partitions are known: records find their place at once. */
  isReady = false
  partitions: ProducerPartition[] = []
  available: readonly number[] = []
  readonly spool = new Fifo<SpooledRecord>()
  /** The metadata that was last applied: the same object means no news. */
  applied: TopicMetadata | undefined
  /** Batches are closed at this many bytes: the option, or what the topic was found to take. */
  maxBatchBytes: number
  /** Monotonic time at which a learned limit is doubted. */
  limitUntil = Number.POSITIVE_INFINITY
  /** Whether the topic's limit is being asked for. */
  isLearning = false
  /** Since when the cluster says that there is no such topic; -1: it does not. */
  unknownSince = -1
  /** Why its partitions are not known yet. */
  lastError: OttlaError | undefined
  unwatch: (() => void) | undefined

  constructor(name: string, settings: { readonly random: Random; readonly maxBatchBytes: number }) {
    this.name = name
    this.sticky = new StickyChoice(settings.random)
    this.maxBatchBytes = settings.maxBatchBytes
  }

  get partitionCount(): number {
    return this.partitions.length
  }

  get isBusy(): boolean {
    return this.spool.length > 0 || this.partitions.some((partition) => partition.isBusy)
  }
}

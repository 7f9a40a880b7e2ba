/**
 * One partition of `__consumer_offsets`, as the coordinator on the node that leads it reads and writes it.
 *
 *     loading ──────▶ active ──────▶ over
 *     every record    appends        the node leads no longer: whoever waits is answered, nothing is told any more
 *     is told         are told
 *
 * A record is told twice: `written` when it is in this log, which is how the coordinator decides, and `committed` when
 * every in-sync replica has it, which is what it answers with. What was written and is not committed may be lost with
 * the leadership, and everything derived from it goes then too.
 *
 * `committed` comes in the order of the log, each write's `done` right behind it. A write that is not committed in
 * time is answered, but stays in the log and may still become so. That goes for a log with too few replicas in sync
 * too, whose high watermark stands still; before 4.0 Kafka refused to write to it.
 */
import { encodeRecordBatch } from '../../protocol/encode-batch.ts'
import { errorCode } from '../../protocol/error-codes.ts'
import { RecordCursor } from '../../protocol/record-cursor.ts'
import type { Clock, Timer } from '../../util/clock.ts'
import { Fifo } from '../../util/fifo.ts'
import type { LeaderRole } from '../leader-role.ts'
import type { StoredBatch } from '../stored-batch.ts'
import {
  type CoordinatorRecord,
  decodeCoordinatorRecord,
  encodeCoordinatorRecord,
} from './coordinator-record.ts'

export interface CoordinatorLogHost {
  readonly clock: Clock
  /** How long a write waits for the other replicas. */
  readonly commitTimeoutMs: number
  /**
   * Kafka 4.0: where fewer replicas are in sync than are asked for, the log is written and they are waited for; and
   * what was only looked up is answered when all that it may rest on is committed.
   */
  readonly waitsForReplicas: boolean
  /** Whether a test keeps this log from being read. */
  isHeld(): boolean
  written(record: CoordinatorRecord): void
  committed(record: CoordinatorRecord): void
  /** Everything has been read. */
  loaded(): void
  /** Leadership has ended. */
  over(): void
}

interface Write {
  /** The write is committed when the high watermark is here. */
  readonly end: number
  readonly records: readonly CoordinatorRecord[]
  deadline: number
  done: ((error: number) => void) | undefined
}

const ACKS_LEADER = 1
const ACKS_ALL = -1
/** Any version that takes batches of format 2. */
const PRODUCE_VERSION = 12
/** Read in one turn of the loop while loading. */
const LOAD_BYTES = 1 << 20

export class CoordinatorLog {
  readonly #leader: LeaderRole
  readonly #host: CoordinatorLogHost
  readonly #uncommitted = new Fifo<Write>()
  readonly #unwatch: () => void
  #timer: Timer | undefined
  #state: 'loading' | 'active' | 'over' = 'loading'
  #loadedTo: number
  #isReading = false

  constructor(leader: LeaderRole, host: CoordinatorLogHost) {
    this.#leader = leader
    this.#host = host
    this.#loadedTo = leader.replica.log.start
    this.#unwatch = leader.replica.watch(() => this.#look())
  }

  get isLoading(): boolean {
    return this.#state === 'loading'
  }

  /** Reads on, unless it is held: piece by piece, so that a long log holds up nobody. */
  load(): void {
    if (!this.isLoading || this.#isReading || this.#host.isHeld()) return
    if (this.#loadedTo >= this.#leader.replica.log.end) return this.#activate()
    this.#isReading = true
    this.#host.clock.defer(() => {
      this.#isReading = false
      if (!this.isLoading || this.#host.isHeld()) return
      this.#read()
      this.load()
    })
  }

  /** Reads all that is left, in this turn. False: it is held. */
  loadNow(): boolean {
    while (this.isLoading && !this.#host.isHeld()) {
      if (this.#loadedTo < this.#leader.replica.log.end) this.#read()
      else this.#activate()
    }
    return !this.isLoading
  }

  #activate(): void {
    this.#state = 'active'
    this.#host.loaded()
  }

  #read(): void {
    const { log } = this.#leader.replica
    const range = { offset: this.#loadedTo, upTo: log.end, maxBytes: LOAD_BYTES, atLeastOne: true }
    const batches = log.read(range)
    for (const batch of batches) {
      const records = recordsOf(batch)
      for (const record of records) this.#host.written(record)
      this.#uncommitted.push({ end: batch.lastOffset + 1, records, deadline: 0, done: undefined })
    }
    this.#loadedTo = (batches.at(-1)?.lastOffset ?? log.end - 1) + 1
    this.#look()
  }

  /**
   * Appends all of these or none; NONE, or the error that the client is to be answered. `done` is called once, when
   * they are committed or will not be waited for; on a single replica that is before this returns.
   */
  append(records: readonly CoordinatorRecord[], done?: (error: number) => void): number {
    // A leader that has resigned would still append: to a log that is another's now.
    if (this.#state !== 'active' || this.#leader.isOver) return errorCode.NOT_COORDINATOR
    const { clock, commitTimeoutMs, waitsForReplicas } = this.#host
    const now = clock.now()
    const batch = encodeRecordBatch(records.map((record) => encodeCoordinatorRecord(record, now)))
    const acks = waitsForReplicas ? ACKS_LEADER : ACKS_ALL
    const result = this.#leader.append(batch, { acks, apiVersion: PRODUCE_VERSION })
    if ('refusal' in result) return answeredAs(result.refusal.errorCode)
    for (const record of records) this.#host.written(record)
    const deadline = clock.monotonic() + commitTimeoutMs
    this.#uncommitted.push({ end: result.appended.lastOffset + 1, records, deadline, done })
    this.#look()
    if (done !== undefined) this.#arm()
    return errorCode.NONE
  }

  /** As `append` of nothing: `done` is called when all that is written by now is committed, or will not be waited for. */
  whenCommitted(done: (error: number) => void): number {
    if (this.#state !== 'active') return errorCode.NOT_COORDINATOR
    const last = this.#uncommitted.at(this.#uncommitted.length - 1)
    if (last === undefined) {
      done(errorCode.NONE)
      return errorCode.NONE
    }
    const { clock, commitTimeoutMs } = this.#host
    const deadline = clock.monotonic() + commitTimeoutMs
    // One that is not waited for any longer gives its place away: while nothing is committed they would pile up.
    if (last.records.length === 0 && last.done === undefined) Object.assign(last, { deadline, done })
    else this.#uncommitted.push({ end: last.end, records: [], deadline, done })
    this.#arm()
    return errorCode.NONE
  }

  /** Whoever waits is answered with the error. */
  end(error: number): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#unwatch()
    this.#disarm()
    for (let write = this.#uncommitted.shift(); write !== undefined; write = this.#uncommitted.shift()) {
      write.done?.(error)
    }
  }

  /** The high watermark has moved, or the leadership is over. */
  #look(): void {
    if (this.#state === 'over') return
    if (this.#leader.isOver) return this.#host.over()
    const { highWatermark } = this.#leader.replica
    for (let write = this.#uncommitted.peek(); write !== undefined && write.end <= highWatermark; ) {
      this.#uncommitted.shift()
      for (const record of write.records) this.#host.committed(record)
      write.done?.(errorCode.NONE)
      write = this.#uncommitted.peek()
    }
    if (this.#uncommitted.length === 0) this.#disarm()
  }

  /** One timer, for the write that has waited longest: all may wait equally long. */
  #arm(): void {
    const { clock } = this.#host
    const oldest = this.#timer === undefined ? this.#oldestWaiting() : undefined
    if (oldest === undefined) return
    this.#timer = clock.setTimeout(
      () => {
        this.#timer = undefined
        this.#giveUp()
        this.#arm()
      },
      Math.max(0, oldest.deadline - clock.monotonic()),
    )
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#host.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #oldestWaiting(): Write | undefined {
    for (const write of this.#uncommitted) if (write.done !== undefined) return write
    return undefined
  }

  #giveUp(): void {
    const now = this.#host.clock.monotonic()
    const late = [...this.#uncommitted].filter(({ done, deadline }) => done !== undefined && deadline <= now)
    for (const write of late) {
      const { done } = write
      write.done = undefined
      done?.(answeredAs(errorCode.REQUEST_TIMED_OUT))
    }
  }
}

const recordsOf = (batch: StoredBatch): CoordinatorRecord[] => {
  const cursor = new RecordCursor(batch.view(), { maxDecompressedBytes: LOAD_BYTES })
  const records: CoordinatorRecord[] = []
  while (cursor.next()) {
    const record = decodeCoordinatorRecord(cursor.key(), cursor.value())
    if (record !== undefined) records.push(record)
  }
  return records
}

/** What a client is told of an append that failed: Kafka's own translation. */
function answeredAs(error: number): number {
  switch (error) {
    case errorCode.NOT_ENOUGH_REPLICAS:
    case errorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case errorCode.REQUEST_TIMED_OUT:
      return errorCode.COORDINATOR_NOT_AVAILABLE
    case errorCode.NOT_LEADER_OR_FOLLOWER:
    case errorCode.KAFKA_STORAGE_ERROR:
      return errorCode.NOT_COORDINATOR
    default:
      // Too large for the log: nothing that the client can mend by asking again.
      return errorCode.UNKNOWN_SERVER_ERROR
  }
}

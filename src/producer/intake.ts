/**
 * Takes records in: checks them, chooses their partition, and decides what happens when there is no room.
 *
 *     check ─ topic known? ─ room? ─> the partition's open batch
 *                │ no          │ no
 *                spool         wait, reject or drop-oldest
 *
 * A record is accepted when it stands in a batch or a spool: from then on it is settled once. Invariants: records of
 * one topic are accepted in the order of the calls, so nothing overtakes a call that waits for room, or a spool;
 * what waits for room is neither copied nor charged. Nothing here awaits: the way of a record whose topic is known
 * is synchronous.
 */
import { OttlaError } from '../errors.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'
import type { HeaderList } from '../protocol/record-batch.ts'
import { assert } from '../util/assert.ts'
import type { Clock } from '../util/clock.ts'
import { Fifo } from '../util/fifo.ts'
import type { Accumulator } from './accumulator.ts'
import type { Batch } from './batch.ts'
import { type Bounds, CALL_BYTES } from './bounds.ts'
import { SingleRun } from './calls.ts'
import type { Delivery } from './delivery.ts'
import type { Generations } from './generations.ts'
import type { Holdings } from './holdings.ts'
import { askPartitioner, partitionOf } from './partitioners.ts'
import type { PendingCall } from './pending-call.ts'
import type { ProducerSettings } from './producer-options.ts'
import type { Receipt } from './receipts.ts'
import { checkRecord, copyOf, headersOf, measuredSizeOf, type ProducerRecord } from './record.ts'
import type { ProducerPartition, ProducerTopic } from './topic.ts'
import type { Topics } from './topics.ts'

export interface IntakeParts {
  readonly settings: ProducerSettings
  readonly clock: Clock
  readonly bounds: Bounds
  readonly generations: Generations
  readonly accumulator: Accumulator
  readonly delivery: Delivery
  readonly holdings: Holdings
  readonly topics: Topics
  /** `endTurn` is to be called when the turn ends. */
  readonly atTurnEnd: () => void
}

/** What the objects of a spooled record take besides its bytes. */
const SPOOL_OVERHEAD = 256
/** What is spooled is charged already, so its move into a batch is not held up by the bound. */
const MOVES = Number.NEGATIVE_INFINITY
/** One for all who ask while there is room: it may be asked before every record. */
const ROOM = Promise.resolve()
/** `ready` wants so much room, or an eighth of a small buffer. */
const READY_BYTES = 64 * 1024

/** Records of a turn that share one look at the clock. */
const TIME_SHARED_BY = 31

export class Intake {
  readonly #parts: IntakeParts
  readonly #waiting = new Fifo<PendingCall>()
  /** Those in `#waiting` that were not withdrawn. */
  #waitingCount = 0
  #readyWaiters: { readonly resolve: () => void; readonly reject: (error: OttlaError) => void }[] = []
  #isAdmitting = false
  /** A call was refused for want of room, and nothing has come free since: whatever `ready` asks for is too little. */
  #isRefusing = false
  #now = 0
  #timeLeft = 0
  /** Why nothing new is accepted. */
  #refusal: OttlaError | undefined

  constructor(parts: IntakeParts) {
    this.#parts = parts
  }

  /** Calls that wait for room. */
  get waitingCount(): number {
    return this.#waitingCount
  }

  /** The fast way of a call for one record. Undefined: it has to be submitted as a pending call. */
  sendNow(record: ProducerRecord): Promise<Receipt> | undefined {
    if (this.#waiting.length > 0 || this.#refusal !== undefined) return undefined
    const topic = this.#parts.topics.ready(record.topic)
    if (topic === undefined) return undefined
    const headers = headersOf(record, 'record')
    const timestamp = record.timestamp ?? this.#time()
    const partition = this.#choose(topic, record)
    const batch = this.#parts.accumulator.append(partition, record, headers, timestamp, CALL_BYTES)
    if (batch === undefined) return undefined
    let run = batch.lastRun
    if (!(run instanceof SingleRun)) batch.addRun((run = new SingleRun(timestamp)))
    this.#parts.bounds.calls++
    this.#parts.holdings.watch()
    return (run as SingleRun).add(timestamp)
  }

  /** Takes in what it can of a call; the rest waits, or is refused. */
  submit(call: PendingCall): void {
    if (this.#refusal !== undefined) return this.#fail(call, this.#refusal)
    if (this.#waitingCount === 0 && this.#admit(call)) return
    const { onFull, maxWaitingCalls } = this.#parts.settings
    if (onFull === 'drop-oldest') {
      while (this.#parts.holdings.dropOldest()) if (this.#admit(call)) return
    }
    if (onFull !== 'wait' || this.#waitingCount >= maxWaitingCalls) {
      this.#isRefusing = true
      return this.#fail(call, this.#full())
    }
    call.generation = this.#parts.generations.enter()
    this.#waiting.push(call)
    this.#waitingCount++
    // While calls wait for room, no batch waits for records.
    this.#parts.accumulator.closeLingering()
  }

  /** Its signal fired. What is accepted of it goes on. */
  withdraw(call: PendingCall, error: OttlaError): void {
    if (call.generation < 0 || call.isWithdrawn) return
    call.isWithdrawn = true
    this.#waitingCount--
    this.#endWaiting(call)
    this.#fail(call, error)
    // What it kept waiting may need less room.
    this.onRoom()
  }

  /** Resolves when there is room. */
  ready(): Promise<void> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal)
    if (!this.#isRefusing && this.#hasRoom()) return ROOM
    return new Promise((resolve, reject) => this.#readyWaiters.push({ resolve, reject }))
  }

  /** Something was settled, memory came back, or a call that waited is gone. */
  readonly onRoom = (): void => {
    this.#isRefusing = false
    if (this.#isAdmitting || (this.#waiting.length === 0 && this.#readyWaiters.length === 0)) return
    this.#isAdmitting = true
    queueMicrotask(this.#admitWaiting)
  }

  /** The partitions of a topic are known now. */
  drainSpool(topic: ProducerTopic): void {
    const { spool } = topic
    for (let next = spool.peek(); next !== undefined; next = spool.peek()) {
      const { record, run, bytes, generation } = next
      const { accumulator, bounds, generations, delivery } = this.#parts
      try {
        const partition = this.#choose(topic, record)
        const headers = record.headers as HeaderList
        const batch = accumulator.append(partition, record, headers, record.timestamp as number, MOVES)
        assert(batch !== undefined, 'a spooled record found no room')
        batch.addRun(run)
        this.#joinFlush(batch, generation)
        bounds.spooledBytes -= bytes
        generations.leave(generation)
        spool.shift()
      } catch (error) {
        if (!(error instanceof OttlaError) || error.code === 'ASSERTION_FAILED') throw error
        spool.shift()
        delivery.spooledFailed(next, error)
      }
    }
  }

  /** What comes next belongs to another turn, and has another time. */
  endTurn(): void {
    this.#timeLeft = 0
  }

  /** Nothing new is accepted any more. */
  close(refusal: OttlaError): void {
    this.#refusal ??= refusal
    for (const { reject } of this.#readyWaiters) reject(refusal)
    this.#readyWaiters = []
  }

  /** Gives up the calls that wait for room. */
  failWaiting(error: OttlaError): void {
    for (let call = this.#waiting.shift(); call !== undefined; call = this.#waiting.shift()) {
      if (call.isWithdrawn) continue
      this.#waitingCount--
      this.#endWaiting(call)
      this.#fail(call, error)
    }
  }

  /**
   * The wall clock, looked at once for so many records of a turn: the look costs as much as the encoding. A turn that
   * is long is looked at again and again, and the next turn begins with a look of its own.
   */
  #time(): number {
    if (this.#timeLeft > 0) {
      this.#timeLeft--
      return this.#now
    }
    this.#timeLeft = TIME_SHARED_BY
    this.#now = this.#parts.clock.now()
    this.#parts.atTurnEnd()
    return this.#now
  }

  // ---------------------------------------------------------------------------------------------- admission

  /** True when the call is done with: all of its records are accepted or refused. */
  #admit(call: PendingCall): boolean {
    const { records } = call
    let topic: ProducerTopic | undefined
    const now = this.#parts.clock.now()
    while (call.next < records.length) {
      const { topic: name } = records[call.next] as ProducerRecord
      if (topic?.name !== name) topic = this.#parts.topics.get(name)
      try {
        if (!this.#accept(call, topic, now)) return false
      } catch (error) {
        if (!(error instanceof OttlaError) || error.code === 'ASSERTION_FAILED') throw error
        this.#refuse(call, error)
      }
      call.next++
    }
    call.caller.accepted()
    return true
  }

  #accept(call: PendingCall, topic: ProducerTopic, now: number): boolean {
    const record = call.records[call.next] as ProducerRecord
    const headers = headersOf(record, 'record')
    const timestamp = record.timestamp ?? now
    const isKnown = topic.isReady && topic.spool.length === 0
    if (!isKnown) {
      if (!this.#spool(call, topic, copyOf(record, headers, timestamp))) return false
    } else {
      const partition = this.#choose(topic, record)
      const batch = this.#parts.accumulator.append(partition, record, headers, timestamp, call.callBytes)
      if (batch === undefined) return false
      const run = call.caller.runFor(call.next, timestamp, batch.lastRun)
      if (run !== undefined) batch.addRun(run)
      if (call.generation >= 0) this.#joinFlush(batch, call.generation)
    }
    if (!call.isCharged && call.caller.costBytes > 0) {
      call.isCharged = true
      this.#parts.bounds.calls++
    }
    this.#parts.holdings.watch()
    return true
  }

  #spool(call: PendingCall, topic: ProducerTopic, record: ProducerRecord): boolean {
    const { bounds, generations, clock } = this.#parts
    const bytes = SPOOL_OVERHEAD + measuredSizeOf(record, record.headers as HeaderList)
    if (!bounds.fits(bytes + call.callBytes)) return false
    bounds.spooledBytes += bytes
    const generation = generations.enter()
    const run = call.caller.runFor(call.next, record.timestamp as number, undefined)
    assert(run !== undefined, 'a spooled record has nobody who waits for it')
    topic.spool.push({ record, run, bytes, acceptedAt: clock.monotonic(), generation })
    return true
  }

  #choose(topic: ProducerTopic, record: ProducerRecord): ProducerPartition {
    const { partitions } = topic
    const { partition, key } = record
    const { partitioner } = this.#parts.settings
    let index: number
    if (partition !== undefined) index = partition
    else if (partitioner !== undefined) index = askPartitioner(partitioner, record, topic)
    else if (key !== undefined && key !== null) index = partitionOf(key, partitions.length)
    else index = topic.sticky.partition(topic)
    return partitions[index] ?? this.#noSuchPartition(topic, index)
  }

  /** It may have been added a moment ago: whoever asks again shall find it. */
  #noSuchPartition(topic: ProducerTopic, index: number): never {
    this.#parts.topics.look(topic)
    const doing = `${topic.name} has ${topic.partitions.length} partitions as far as is known, none with the number ${index}`
    const fields = { topic: topic.name, partition: index }
    throw new BrokerError(errorCode.UNKNOWN_TOPIC_OR_PARTITION, doing, fields)
  }

  /** A flush that waits for the record waits for its batch. */
  #joinFlush(batch: Batch, generation: number): void {
    const { generations } = this.#parts
    if (batch.generation <= generation) return
    generations.join(generation)
    generations.leave(batch.generation)
    batch.generation = generation
  }

  readonly #admitWaiting = (): void => {
    this.#isAdmitting = false
    for (let call = this.#waiting.peek(); call !== undefined; call = this.#waiting.peek()) {
      if (!call.isWithdrawn) {
        if (!this.#admit(call)) {
          this.#parts.accumulator.closeLingering()
          return
        }
        this.#waitingCount--
        this.#endWaiting(call)
      }
      this.#waiting.shift()
    }
    if (!this.#hasRoom()) return
    for (const { resolve } of this.#readyWaiters) resolve()
    this.#readyWaiters = []
  }

  #hasRoom(): boolean {
    const { bounds, settings } = this.#parts
    return this.#waitingCount === 0 && bounds.fits(Math.min(READY_BYTES, settings.bufferBytes >>> 3))
  }

  #endWaiting(call: PendingCall): void {
    const { generation } = call
    call.generation = -1
    this.#parts.generations.leave(generation)
  }

  #refuse(call: PendingCall, error: OttlaError): void {
    const finished = call.caller.refuse(call.next, error)
    if (call.isCharged) this.#parts.bounds.calls -= finished
  }

  #fail(call: PendingCall, error: OttlaError): void {
    const finished = call.caller.failFrom(call.next, error)
    if (call.isCharged) this.#parts.bounds.calls -= finished
  }

  #full(): OttlaError {
    const { settings } = this.#parts
    const message =
      settings.onFull === 'wait'
        ? `${settings.maxWaitingCalls} calls wait for room already`
        : `the producer holds bufferBytes (${settings.bufferBytes}) of records that are not settled`
    return new OttlaError('QUEUE_FULL', message, { retriable: true })
  }
}

/** Throws for the first record that is not one. */
export function checkRecords(records: readonly ProducerRecord[]): void {
  for (let index = 0; index < records.length; index++) checkRecord(records[index] as ProducerRecord, index)
}

/**
 * One partition while it is assigned to this member: where it is read, what waits for a handler, and what is finished.
 *
 *     locating ──position known──▶ fetching ⇄ validating (the leader has changed)
 *                                     │
 *                     draining (no new work; what runs may end) ──▶ closed
 *
 * Synchronous. Invariants:
 * - `offset`, where the next fetch begins, is the end of the last chunk appended.
 * - Nothing is finished or committed once it is closed: the partition is another member's by then.
 */
import { zeroUuid } from '../protocol/schema.ts'
import { assert } from '../util/assert.ts'
import { Fifo } from '../util/fifo.ts'
import { CompletionTracker } from './completion-tracker.ts'
import type { FetchTarget } from './fetch-session.ts'
import type { FetchedChunk } from './fetched-chunk.ts'
import type { HeldResponse } from './held-response.ts'
import type { HandlerContext } from './work.ts'

/** An offset together with the epoch of the leader that wrote the record before it; -1 when unknown. */
export interface Position {
  readonly offset: number
  readonly leaderEpoch: number
}

export type Phase = 'locating' | 'validating' | 'fetching'

interface Waiting {
  readonly chunk: FetchedChunk
  readonly response: HeldResponse
}

export interface PartitionPorts {
  /** That of the group. */
  readonly generation: () => number
  /** Resolves when the user is done with all that was told of comings and goings. */
  readonly told: () => Promise<void>
}

const alone: PartitionPorts = { generation: () => -1, told: () => Promise.resolve() }

export class AssignedPartition implements FetchTarget {
  readonly topic: string
  readonly partition: number
  phase: Phase = 'locating'

  // ------------------------------------------------------------------------------------ for the fetcher
  topicId: string = zeroUuid
  offset = -1
  maxBytes = 0
  /** A batch at the position that did not fit: ask for so much. */
  neededBytes = 0
  /** Of the leader as metadata tells it: the broker refuses when it knows better. */
  leaderEpoch = -1
  /** The broker to read from; -1 when none is known. */
  nodeId = -1
  /** A follower that the leader has named (KIP-392), until when. */
  preferredReplica = -1
  preferredUntil = 0
  /** Not before this monotonic time, after trouble. */
  retryAt = 0
  failures = 0
  /** How often in a row the batch at the position came damaged. */
  damages = 0
  highWatermark = -1

  // --------------------------------------------------------------------------------- for the dispatcher
  isPaused = false
  /** A handler has work of this partition. */
  isRunning = false
  /** Waits for a free place among the running ones. */
  isQueued = false

  // ------------------------------------------------------------------------------------- for its ending
  /** The user has been told that it was revoked or lost. */
  isEndTold = false

  readonly #waiting = new Fifo<Waiting>()
  #waitingBytes = 0
  #tracker: CompletionTracker | undefined
  /** Where the epochs of the records read begin, ascending. */
  #epochs: { from: number; leaderEpoch: number }[] = []
  #committed: Position | undefined
  /** Where finished work begins that is not committed. */
  #uncommittedFrom = -1
  #isDraining = false
  #isClosed = false
  #isUnfinished = false
  readonly #ending = new AbortController()
  readonly #deadline = new AbortController()
  #idleWaiters: (() => void)[] = []
  #dryWaiters: (() => void)[] = []
  readonly context: HandlerContext
  readonly #told: () => Promise<void>

  constructor(topic: string, partition: number, { generation, told }: PartitionPorts = alone) {
    this.topic = topic
    this.partition = partition
    this.#told = told
    this.context = {
      signal: this.#deadline.signal,
      topic,
      partition,
      attempt: 1,
      get generation() {
        return generation()
      },
    }
  }

  // ------------------------------------------------------------------------------------------ positions

  /** Begins at this position. `committed`: what the group has committed, if anything. */
  begin(position: Position, committed: Position | undefined): void {
    assert(!this.isRunning && this.#waiting.length === 0, 'a partition began while it was worked on')
    this.#tracker = new CompletionTracker(position.offset)
    this.offset = position.offset
    this.#epochs = [{ from: -1, leaderEpoch: position.leaderEpoch }]
    this.#committed = committed
    this.#uncommittedFrom = position.offset
    this.retryAt = 0
    this.failures = 0
    this.damages = 0
  }

  /** The epoch of the record before `offset`; -1 when unknown. */
  get positionEpoch(): number {
    return this.#epochs.at(-1)?.leaderEpoch ?? -1
  }

  /** What to commit; undefined when that is committed already, or cannot be any more. */
  commitPoint(): Position | undefined {
    if (this.#isClosed || this.#tracker === undefined) return undefined
    const { mark } = this.#tracker
    return mark === this.#committed?.offset
      ? undefined
      : { offset: mark, leaderEpoch: this.#epochBefore(mark) }
  }

  /** What the group has committed, as far as is known here. */
  get lastCommitted(): Position | undefined {
    return this.#committed
  }

  /** Records in the log that are not finished, as far as is known. */
  get lag(): number | undefined {
    if (this.#tracker === undefined || this.highWatermark < 0) return undefined
    return Math.max(0, this.highWatermark - this.#tracker.mark)
  }

  committed(position: Position): void {
    this.#committed = position
    this.#uncommittedFrom = position.offset
  }

  /** Finished and not committed: from the last commit, or where it was begun, up to the mark. */
  uncommitted(): { offset: number; endOffset: number } | undefined {
    if (this.#isClosed || this.#tracker === undefined) return undefined
    const { mark } = this.#tracker
    return mark > this.#uncommittedFrom ? { offset: this.#uncommittedFrom, endOffset: mark } : undefined
  }

  #epochBefore(offset: number): number {
    while (this.#epochs.length > 1 && (this.#epochs[1]?.from ?? offset) < offset) this.#epochs.shift()
    return this.#epochs[0]?.leaderEpoch ?? -1
  }

  // --------------------------------------------------------------------------------------------- chunks

  /** Takes what was fetched from `offset` on. */
  append(chunk: FetchedChunk, response: HeldResponse): void {
    this.offset = chunk.endOffset
    this.highWatermark = chunk.highWatermark
    this.#waiting.push({ chunk, response })
    this.#waitingBytes += chunk.sizeBytes
  }

  /** What was appended last; undefined when nothing waits. */
  get latest(): FetchedChunk | undefined {
    return this.#waiting.at(this.#waiting.length - 1)?.chunk
  }

  /** Takes back what was appended last: the next fetch begins where it began. */
  takeBack(): void {
    const last = this.#waiting.pop()
    assert(last !== undefined, 'nothing was appended that could be taken back')
    this.offset = last.chunk.position
    this.#waitingBytes -= last.chunk.sizeBytes
    last.response.release(last.chunk)
  }

  /** Notes the epoch of a batch that was fetched. */
  noteEpoch(from: number, leaderEpoch: number): void {
    if (leaderEpoch > this.positionEpoch) this.#epochs.push({ from, leaderEpoch })
  }

  /** What the next work comes from. */
  peek(): FetchedChunk | undefined {
    return this.#waiting.peek()?.chunk
  }

  /** The first chunk is done. */
  shift(): void {
    const first = this.#waiting.shift()
    if (first === undefined) return
    this.#waitingBytes -= first.chunk.sizeBytes
    first.response.release(first.chunk)
  }

  /** Drops all that waits. */
  clear(): void {
    while (this.#waiting.length > 0) this.shift()
    this.#checkDry()
  }

  /**
   * Gives back what waits and no handler has, to be fetched again from there on; returns whether that was anything.
   * Not while its position is looked for or checked: what waits is handled before that is over.
   */
  unfetch(): boolean {
    if (this.phase !== 'fetching') return false
    const inWork = this.isRunning ? this.#waiting.shift() : undefined
    const first = this.#waiting.peek()
    if (first !== undefined) {
      this.offset = first.chunk.position
      while (this.#epochs.length > 1 && (this.#epochs.at(-1)?.from ?? -1) >= this.offset) this.#epochs.pop()
      this.clear()
    }
    if (inWork !== undefined) this.#waiting.unshift(inWork)
    return first !== undefined
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** The responses that it keeps in memory. */
  *responses(): Generator<HeldResponse> {
    for (const { response } of this.#waiting) yield response
  }

  /** Whether the dispatcher may begin something. */
  get mayRun(): boolean {
    return !this.#isDraining && !this.isPaused && this.#waiting.length > 0
  }

  // ------------------------------------------------------------------------------------------- finishing

  /** Notes finished work; false when the partition is not ours any more and the result does not count. */
  finish(first: number, end: number): boolean {
    if (this.#isClosed) return false
    this.#tracker?.finish(first, end)
    return true
  }

  /** A handler has ended and no other begins at once. */
  rest(): void {
    this.isRunning = false
    if (this.#isDraining) this.clear()
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const resolve of waiters) resolve()
    this.#checkDry()
  }

  /** Resolves when no handler has work of this partition. */
  idle(): Promise<void> {
    return this.isRunning ? new Promise((resolve) => this.#idleWaiters.push(resolve)) : Promise.resolve()
  }

  /** Resolves when neither a handler nor a callback is at work, or those were told to give up. */
  drained(): Promise<void> {
    if (this.#deadline.signal.aborted) return Promise.resolve()
    const expired = new Promise<void>((resolve) => {
      this.#deadline.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    return Promise.race([Promise.all([this.idle(), this.#told()]).then(() => undefined), expired])
  }

  /** Resolves when no handler has it and nothing waits for one. */
  dry(): Promise<void> {
    const waiting = new Promise<void>((resolve) => this.#dryWaiters.push(resolve))
    this.#checkDry()
    return waiting
  }

  #checkDry(): void {
    if (this.isRunning || this.#waiting.length > 0) return
    const waiters = this.#dryWaiters
    this.#dryWaiters = []
    for (const resolve of waiters) resolve()
  }

  // ----------------------------------------------------------------------------------------------- ending

  get isDraining(): boolean {
    return this.#isDraining
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** A handler was at work when it was closed, or had failed and was not called again. */
  get isUnfinished(): boolean {
    return this.#isUnfinished
  }

  /** What failed is not tried again here: the next owner gets it. */
  leave(): void {
    this.#isUnfinished = true
  }

  /** Fires when draining begins: waits between retries end. */
  get ending(): AbortSignal {
    return this.#ending.signal
  }

  /** Fires when handlers should give up. */
  get deadline(): AbortSignal {
    return this.#deadline.signal
  }

  /** No new work; what waits is dropped and will be fetched by the next owner. */
  drain(): void {
    if (this.#isDraining) return
    this.#isDraining = true
    this.#ending.abort()
    // The chunk in work keeps its memory until its handler has ended.
    if (!this.isRunning) this.clear()
  }

  /** Tells running handlers to give up. */
  expire(reason: Error): void {
    this.#deadline.abort(reason)
  }

  /** The partition is given up: what ends later does not count. */
  close(reason: Error): void {
    this.drain()
    if (this.isRunning) this.leave()
    this.#isClosed = true
    this.expire(reason)
  }
}

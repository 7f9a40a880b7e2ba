/**
 * What of one partition is on the wire, in which order it leaves again, and under which sequences: the pure core
 * of the promise that a record is in the log once and in order.
 *
 *     doneRank ▼      flights, by rank                    the queue's cursor ▼
 *     ─ settled ─ │ [wire] [wire] [waiting] │ hole │ [waiting] │ [queued] [queued]
 *
 * Invariants
 *  - A batch leaves only when everything before it, down to doneRank, is on the wire or in the log. So nothing is
 *    ever sent behind a hole under the same mapping.
 *  - After a failure nothing leaves until each request of the partition is answered or its connection is closed;
 *    then the lowest unsettled batch goes first, alone, until one is acknowledged.
 *  - One is in flight, too, until the mapping's first acknowledgement: a broker that does not know the producer id
 *    takes any sequence as the first (Kafka 4.1), so a second one behind a lost first would make a hole.
 *  - A hole (a batch that was given up, refused or dropped) ends the mapping. The next one, with a higher epoch,
 *    begins behind it once everything before it is settled, and only when what comes behind it is known not to be
 *    in the log: otherwise that is proved first.
 *
 * Synchronous; owns no timer and no connection.
 */
import { assert } from '../util/assert.ts'
import type { Batch } from './batch.ts'
import { rankAfter, type SequenceMapping, sequenceOf } from './sequence.ts'

export interface SendWindowOptions {
  /** Whether records are numbered, so that a broker can tell a repetition. */
  readonly idempotent: boolean
  readonly maxInFlight: number
}

/** What has to happen next. */
export type Step =
  | { readonly kind: 'wait' }
  /** `queued`: it is the queue's next and has to be taken from there. */
  | { readonly kind: 'send'; readonly batch: Batch; readonly queued: boolean }
  /** Numbers have to begin anew at this rank. */
  | { readonly kind: 'map'; readonly rank: number }
  | { readonly kind: 'prove' }
  /** A walk came to its end without finding any of these in the log. */
  | { readonly kind: 'unresolved'; readonly batches: readonly Batch[] }

/** What the leader of the partition says about the producer id; see recovery. */
export type Proof =
  | { readonly kind: 'found'; readonly epoch: number; readonly lastSequence: number }
  /** `forgettable`: the broker may have known it once. */
  | { readonly kind: 'absent'; readonly forgettable: boolean }
  /** The broker cannot or may not say. */
  | { readonly kind: 'unable' }

export interface ProofOutcome {
  /** In the log: to be settled as delivered. */
  readonly delivered: readonly Batch[]
  /** Nothing can be proved about these. */
  readonly uncertain: readonly Batch[]
  /** Acknowledged records that the broker no longer has. */
  readonly lost: number
}

/** Half of Kafka's `producer.id.expiration.ms`: beyond it a broker may soon forget who wrote a record. */
export const CAUTIOUS_AGE_MS = 12 * 3600 * 1000
/** Proofs that change nothing before numbers begin anew: the broker refuses what it says it expects. */
const FRUITLESS_PROOFS = 3

const NONE: readonly Batch[] = []
const WAIT: Step = { kind: 'wait' }
const PROVE: Step = { kind: 'prove' }

export class SendWindow {
  readonly #idempotent: boolean
  readonly #maxInFlight: number
  #mapping: SequenceMapping | undefined
  #flights: Batch[] = []
  #onWire = 0
  /** Everything below is settled. -1: numbers have to begin anew. */
  #doneRank = -1
  /** The end of what was ever sent under this mapping. */
  #sentRank = -1
  /** Wall time of the last acknowledgement under this mapping; -1 while there is none. */
  #provenAt = -1
  #holding = false
  #careful = false
  #wantsProof = false
  #proving = false
  #walking = false
  #fruitless = 0
  /** The producer id itself is of no use any more. */
  needsNewId = false

  constructor(options: SendWindowOptions) {
    this.#idempotent = options.idempotent
    this.#maxInFlight = options.maxInFlight
  }

  get onWire(): number {
    return this.#onWire
  }

  /** Batches that left the queue and are neither in the log nor forgotten. */
  get flights(): readonly Batch[] {
    return this.#flights
  }

  get mapping(): SequenceMapping | undefined {
    return this.#mapping
  }

  get isWalking(): boolean {
    return this.#walking
  }

  /** Whether a batch may leave at all now: what is open need not be sealed before. */
  hasRoom(wallNow: number): boolean {
    if (this.#proving || (this.#holding && this.#onWire > 0)) return false
    return this.#onWire < this.#limit(undefined, wallNow)
  }

  /** Decides; changes nothing but the end of a pause. `head` is the queue's next batch. */
  step(head: Batch | undefined, wallNow: number): Step {
    if (this.#proving) return WAIT
    if (this.#holding) {
      if (this.#onWire > 0) return WAIT
      this.#holding = false
    }
    if (this.#onWire >= this.#limit(head, wallNow)) return WAIT
    if (!this.#idempotent) return this.#unnumbered(head)
    if (this.#wantsProof && this.#onWire === 0) {
      if (this.#flights.length > 0) return PROVE
      // What was doubtful is settled by its deadline meanwhile.
      this.#wantsProof = false
    }
    // A walk tries what stands behind a hole too: once it is taken, the hole was none.
    let expected = this.#walking ? (this.#flights[0]?.rank ?? this.#doneRank) : this.#doneRank
    // By index, here and in what is called for each request: iterators would be most of what it leaves to collect.
    for (let index = 0; index < this.#flights.length; index++) {
      const flight = this.#flights[index] as Batch
      if (flight.rank !== expected) return this.#atHole(flight)
      expected = flight.endRank
      if (flight.state === 'waiting' && !flight.walked) return { kind: 'send', batch: flight, queued: false }
    }
    if (head === undefined) return this.#walking && this.#onWire === 0 ? this.#endOfWalk() : WAIT
    if (head.rank !== expected) {
      if (this.#onWire > 0) return WAIT
      return this.#flights.length === 0 ? { kind: 'map', rank: head.rank } : this.#endOfWalk()
    }
    return { kind: 'send', batch: head, queued: true }
  }

  /** The batch of a `send` step is written. `queued` as in the step. */
  sent(batch: Batch, queued: boolean): void {
    assert(this.#onWire === 0 || !this.#holding, 'a batch was sent while the partition pauses')
    if (queued) this.#flights.push(batch)
    else assert(batch.state === 'waiting', 'a batch was sent twice at once')
    batch.state = 'wire'
    batch.attempts++
    this.#onWire++
    if (batch.endRank > this.#sentRank) this.#sentRank = batch.endRank
  }

  /** The sequence of a batch under the present mapping; -1 for all three without numbers. */
  stampOf(batch: Batch): { producerId: number; producerEpoch: number; baseSequence: number } {
    const mapping = this.#mapping
    if (!this.#idempotent) return { producerId: -1, producerEpoch: -1, baseSequence: -1 }
    assert(mapping !== undefined, 'a batch was sent without numbers')
    const { producerId, producerEpoch } = mapping
    return { producerId, producerEpoch, baseSequence: sequenceOf(mapping, batch.rank) }
  }

  /** Numbers begin anew: the answer to a `map` step. */
  map(mapping: SequenceMapping): void {
    assert(this.#onWire === 0, 'numbers began anew while a request was on the wire')
    this.#mapping = mapping
    this.#doneRank = this.#sentRank = mapping.baseRank
    this.#provenAt = -1
    this.#fruitless = 0
    this.needsNewId = false
    this.#endWalk()
  }

  /**
   * It is in the log. Returns what is thereby known to be in the log besides: what was walked over before it. Those
   * that were given up are among them.
   */
  delivered(batch: Batch, wallNow: number): readonly Batch[] {
    this.#landed(batch)
    const walked = this.#walking ? this.#walkedBefore(batch) : NONE
    for (const flight of walked) this.#inLog(flight)
    this.#inLog(batch)
    this.#careful = false
    this.#fruitless = 0
    this.#provenAt = wallNow
    this.#endWalk()
    this.#popDelivered()
    return walked
  }

  /** It has to be sent again. `maybeInLog`: the answer leaves that open, or there was none. */
  failed(batch: Batch, maybeInLog: boolean, wallNow: number): void {
    this.#landed(batch)
    this.#pause()
    if (maybeInLog) {
      batch.maybeInLog = true
      // A broker may already have forgotten who wrote an old record: a repetition would then be taken as new.
      if (this.#isCautious(batch, wallNow)) this.#wantsProof = true
      this.#endWalk()
    }
    if (batch.givenUp) this.#remove(batch)
  }

  /** OUT_OF_ORDER_SEQUENCE_NUMBER, and what says the same. */
  outOfSequence(batch: Batch): void {
    const explained = this.#flights.some((flight) => flight.rank < batch.rank && flight.state !== 'delivered')
    this.#landed(batch)
    if (this.#walking) {
      batch.walked = true
    } else {
      this.#pause()
      const behindHole = this.#flights[0] === batch && batch.rank !== this.#doneRank
      if (!explained && !behindHole) this.#wantsProof = true
    }
    if (batch.givenUp) this.#remove(batch)
  }

  /** The producer id or epoch is refused: a new id is needed, and whatever may be in the log is proved before. */
  fenced(batch: Batch): void {
    this.#landed(batch)
    this.#pause()
    this.needsNewId = true
    this.#doneRank = -1
    if (batch.givenUp) this.#remove(batch)
  }

  /** In its place stand others of the same ranks, or of the last of them: halves, or what was not refused. */
  replace(batch: Batch, others: readonly Batch[]): void {
    this.#landed(batch)
    this.#pause()
    const index = this.#flights.indexOf(batch)
    for (const other of others) {
      other.state = 'waiting'
      other.taken = true
      other.maybeInLog = batch.maybeInLog
      other.attempts = 1
    }
    this.#flights.splice(index, 1, ...others)
    batch.state = 'gone'
  }

  /**
   * Its records are settled as not delivered. While a request with it is unanswered it keeps its place; afterwards
   * there is a hole, unless it turns out to be in the log. Returns whether its memory is free.
   */
  giveUp(batch: Batch): boolean {
    batch.givenUp = true
    if (batch.state === 'wire') return false
    this.#remove(batch)
    return true
  }

  /** The topic is another one under the same name: whatever was sent to the old one is gone with it. */
  beginAnew(): void {
    for (const flight of this.#flights) flight.maybeInLog = false
    this.#doneRank = -1
    this.#wantsProof = false
    if (this.#onWire > 0) this.#pause()
    this.#endWalk()
  }

  beginProof(): void {
    assert(this.#onWire === 0 && !this.#proving, 'a proof began while a request was on the wire')
    this.#proving = true
  }

  /** The proof is given up for now; the next step asks for it again. */
  endProof(): void {
    this.#proving = false
    this.#wantsProof = true
  }

  proved(proof: Proof): ProofOutcome {
    assert(this.#proving, 'a proof came that nobody waits for')
    this.#proving = this.#wantsProof = false
    this.#careful = true
    if (proof.kind === 'unable') return this.#walk()
    if (proof.kind === 'absent') {
      if (proof.forgettable) return this.#unproved()
      return this.#nothingBeyond(this.#doneRank, 0)
    }
    const mapping = this.#mapping as SequenceMapping
    if (proof.epoch > mapping.producerEpoch) return this.#foreign()
    if (proof.epoch < mapping.producerEpoch) return this.#nothingBeyond(this.#doneRank, 0)
    const near = this.#doneRank >= 0 ? this.#doneRank : (this.#flights[0]?.rank ?? this.#sentRank)
    const next = rankAfter(mapping, proof.lastSequence, near)
    if (next > this.#sentRank) return this.#foreign()
    const lost = this.#doneRank < 0 ? 0 : Math.max(0, this.#doneRank - next)
    return this.#nothingBeyond(next, lost)
  }

  /** Sends them again under new numbers although they may be in the log: the policy for what cannot be proved. */
  resendUncertain(batches: readonly Batch[]): void {
    for (const batch of batches) {
      batch.maybeInLog = false
      batch.uncertain = true
    }
    this.#doneRank = -1
    this.#endWalk()
  }

  #unnumbered(head: Batch | undefined): Step {
    const again = this.#flights.find((flight) => flight.state === 'waiting')
    if (again !== undefined) return { kind: 'send', batch: again, queued: false }
    return head === undefined ? WAIT : { kind: 'send', batch: head, queued: true }
  }

  #limit(head: Batch | undefined, wallNow: number): number {
    if (this.#careful) return 1
    if (!this.#idempotent) return this.#maxInFlight
    if (this.#provenAt < wallNow - CAUTIOUS_AGE_MS) return 1
    if (head !== undefined && this.#isCautious(head, wallNow)) return 1
    for (let index = 0; index < this.#flights.length; index++) {
      if (this.#isCautious(this.#flights[index] as Batch, wallNow)) return 1
    }
    return this.#maxInFlight
  }

  #isCautious(batch: Batch, wallNow: number): boolean {
    return batch.maxTimestamp < wallNow - CAUTIOUS_AGE_MS
  }

  /** A flight that does not follow on what is known to be in the log or on the wire. */
  #atHole(flight: Batch): Step {
    if (this.#onWire > 0) return WAIT
    if (this.#flights[0] !== flight) return this.#endOfWalk()
    if (this.#mapping === undefined) return { kind: 'map', rank: flight.rank }
    return this.#flights.some((other) => other.maybeInLog) ? PROVE : { kind: 'map', rank: flight.rank }
  }

  /** All that were walked over and none found: the last of them would have been known as a repetition. */
  #endOfWalk(): Step {
    return { kind: 'unresolved', batches: this.#flights.filter((flight) => flight.walked) }
  }

  #landed(batch: Batch): void {
    assert(batch.state === 'wire', 'an answer came for a batch that is not on the wire')
    batch.state = 'waiting'
    this.#onWire--
  }

  #pause(): void {
    this.#holding = true
    this.#careful = true
  }

  #inLog(flight: Batch): void {
    flight.state = 'delivered'
    flight.maybeInLog = false
    flight.walked = false
  }

  #popDelivered(): void {
    let count = 0
    for (let index = 0; index < this.#flights.length; index++) {
      const flight = this.#flights[index] as Batch
      if (flight.state !== 'delivered') break
      // Under numbers that have to begin anew nothing counts as the beginning.
      if (this.#doneRank >= 0) this.#doneRank = flight.endRank
      count++
    }
    // Popped one by one, the array keeps its room.
    if (count === this.#flights.length) while (count-- > 0) this.#flights.pop()
    else if (count > 0) this.#flights.splice(0, count)
  }

  #remove(batch: Batch): void {
    const index = this.#flights.indexOf(batch)
    if (index >= 0) this.#flights.splice(index, 1)
    batch.state = 'gone'
    this.#popDelivered()
  }

  #walkedBefore(batch: Batch): Batch[] {
    return this.#flights.slice(0, this.#flights.indexOf(batch)).filter((flight) => flight.walked)
  }

  #walk(): ProofOutcome {
    this.#walking = true
    return { delivered: [], uncertain: [], lost: 0 }
  }

  #endWalk(): void {
    if (!this.#walking) return
    this.#walking = false
    for (const flight of this.#flights) flight.walked = false
  }

  /** Someone else writes with this producer id: nothing that it says can be trusted. */
  #foreign(): ProofOutcome {
    this.needsNewId = true
    return this.#unproved()
  }

  #unproved(): ProofOutcome {
    this.#doneRank = -1
    return { delivered: [], uncertain: this.#flights.filter((flight) => flight.maybeInLog), lost: 0 }
  }

  /** Everything below `next` is in the log, and nothing else. */
  #nothingBeyond(next: number, lost: number): ProofOutcome {
    const delivered = this.#flights.filter((flight) => flight.endRank <= next)
    const torn = this.#flights.filter((flight) => flight.rank < next && flight.endRank > next)
    for (const flight of this.#flights) flight.maybeInLog = torn.includes(flight)
    for (const flight of delivered) this.#inLog(flight)
    this.#fruitless = delivered.length > 0 ? 0 : this.#fruitless + 1
    if (this.#doneRank >= 0 && next > this.#doneRank) this.#doneRank = next
    this.#popDelivered()
    if (lost > 0 || this.#fruitless >= FRUITLESS_PROOFS) this.#doneRank = -1
    return { delivered, uncertain: torn, lost }
  }
}

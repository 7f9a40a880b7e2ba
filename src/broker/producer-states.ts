/**
 * What one replica knows of the idempotent producers that write to it (KIP-98): per producer id the epoch and the
 * last batches, from which duplicates, gaps and old epochs are told apart.
 *
 * The rules are those of Kafka 4.1, measured on it:
 * - a repeat of one of the last 5 batches, with exactly its sequences, is a duplicate; everything else that is not
 *   the very next sequence is OUT_OF_ORDER_SEQUENCE_NUMBER, older duplicates included. Content is never compared;
 * - a lower epoch is INVALID_PRODUCER_EPOCH; a higher one must begin with sequence 0;
 * - a producer id that is not known may begin anywhere. `strictStart` is the rule of 4.5: in a partition whose log
 *   never held a record it must begin with 0;
 * - a producer is forgotten by the timestamp of its last record, not by when that record came.
 *
 * All of it is derived from the log: truncation rebuilds it, and a restart knows one batch for each producer.
 */
import { errorCode } from '../protocol/error-codes.ts'
import type { StoredBatch } from './stored-batch.ts'

/** Batches remembered for each producer. */
export const REMEMBERED_BATCHES = 5
const MAX_SEQUENCE = 0x7fff_ffff

/** The producer's part of a batch that is about to be appended. */
export interface ProducedBatch {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly lastSequence: number
}

interface RememberedBatch {
  readonly baseSequence: number
  readonly lastSequence: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly timestamp: number
}

interface ProducerEntry {
  epoch: number
  batches: RememberedBatch[]
}

export type Verdict =
  | { readonly kind: 'append' }
  | { readonly kind: 'duplicate'; readonly of: RememberedBatch }
  | { readonly kind: 'refuse'; readonly errorCode: number; readonly message: string }

const APPEND: Verdict = { kind: 'append' }

export interface DescribedProducer {
  readonly producerId: number
  readonly producerEpoch: number
  readonly lastSequence: number
  readonly lastTimestamp: number
}

export class ProducerStates {
  readonly #entries = new Map<number, ProducerEntry>()

  get size(): number {
    return this.#entries.size
  }

  /** What the leader does with a batch; `strictStart`: the log never held a record, and Kafka 4.5's rule is asked for. */
  judge(batch: ProducedBatch, strictStart: boolean): Verdict {
    const entry = this.#entries.get(batch.producerId)
    if (entry === undefined) {
      if (strictStart && batch.baseSequence !== 0) return outOfOrder(batch, 'a new partition begins with 0')
      return APPEND
    }
    if (batch.producerEpoch < entry.epoch) {
      const message = `epoch ${batch.producerEpoch} of producer ${batch.producerId} is older than ${entry.epoch}`
      return { kind: 'refuse', errorCode: errorCode.INVALID_PRODUCER_EPOCH, message }
    }
    if (batch.producerEpoch > entry.epoch) {
      return batch.baseSequence === 0 ? APPEND : outOfOrder(batch, 'a new epoch begins with 0')
    }
    for (const known of entry.batches) {
      if (known.baseSequence === batch.baseSequence && known.lastSequence === batch.lastSequence) {
        return { kind: 'duplicate', of: known }
      }
    }
    const last = (entry.batches.at(-1) as RememberedBatch).lastSequence
    const next = last === MAX_SEQUENCE ? 0 : last + 1
    return batch.baseSequence === next ? APPEND : outOfOrder(batch, `${next} comes next`)
  }

  /** Notes a batch that is in the log now. */
  record(batch: StoredBatch, remembered = REMEMBERED_BATCHES): void {
    if (batch.producerId < 0) return
    let entry = this.#entries.get(batch.producerId)
    if (entry === undefined || entry.epoch !== batch.producerEpoch) {
      this.#entries.delete(batch.producerId)
      entry = { epoch: batch.producerEpoch, batches: [] }
      this.#entries.set(batch.producerId, entry)
    }
    entry.batches.push({
      baseSequence: batch.baseSequence,
      lastSequence: batch.lastSequence,
      baseOffset: batch.baseOffset,
      lastOffset: batch.lastOffset,
      timestamp: batch.maxTimestamp,
    })
    if (entry.batches.length > remembered) entry.batches.shift()
  }

  /** Begins again from what the log holds: after a truncation, or with one batch for each after a restart. */
  rebuild(batches: Iterable<StoredBatch>, remembered = REMEMBERED_BATCHES): void {
    this.#entries.clear()
    for (const batch of batches) this.record(batch, remembered)
  }

  /** Forgets the producers whose last record is older than `expirationMs`. */
  expire(now: number, expirationMs: number): void {
    for (const [producerId, entry] of this.#entries) {
      const last = entry.batches.at(-1) as RememberedBatch
      if (now - last.timestamp >= expirationMs) this.#entries.delete(producerId)
    }
  }

  clear(): void {
    this.#entries.clear()
  }

  /** As DescribeProducers tells it, uncommitted batches included. */
  describe(): DescribedProducer[] {
    return Array.from(this.#entries, ([producerId, { epoch, batches }]) => {
      const last = batches.at(-1) as RememberedBatch
      return {
        producerId,
        producerEpoch: epoch,
        lastSequence: last.lastSequence,
        lastTimestamp: last.timestamp,
      }
    })
  }
}

const outOfOrder = (batch: ProducedBatch, why: string): Verdict => ({
  kind: 'refuse',
  errorCode: errorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
  message: `sequence ${batch.baseSequence} of producer ${batch.producerId} is out of order: ${why}`,
})

/**
 * The bytes that all logs of a cluster hold together, and the bound on them.
 *
 * A batch that several replicas hold counts once. Over the bound the oldest batches of the whole cluster go first,
 * as if their retention had ended: log starts move. Only committed batches may go; when nothing may, the append is
 * refused as if the disk were full.
 */
import { Fifo } from '../util/fifo.ts'
import type { StoredBatch } from './stored-batch.ts'

/** A log as the budget sees it. */
export interface BudgetedLog {
  /** Removes the batch if it is the oldest and committed. False: it must stay for now. */
  evict(batch: StoredBatch): boolean
}

export class LogBudget {
  readonly limitBytes: number
  #usedBytes = 0
  readonly #order = new Fifo<{ readonly log: BudgetedLog; readonly batch: StoredBatch }>()
  #deadEntries = 0

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** What the order of eviction remembers: some more than there are batches. */
  get entryCount(): number {
    return this.#order.length
  }

  /** A log took the batch. */
  retain(log: BudgetedLog, batch: StoredBatch): void {
    if (batch.holders++ === 0) this.#usedBytes += batch.bytes.length
    this.#order.push({ log, batch })
  }

  /** A log let the batch go. */
  release(batch: StoredBatch): void {
    if (--batch.holders === 0) this.#usedBytes -= batch.bytes.length
    this.#deadEntries++
    if (this.#deadEntries > 1024 && this.#deadEntries * 2 > this.#order.length) this.#forgetDead()
  }

  /** Makes room for `bytes` more. False: what is held may not go. */
  makeRoom(bytes: number): boolean {
    const most = this.limitBytes - bytes
    if (this.#usedBytes <= most) return true
    for (let left = this.#order.length; left > 0 && this.#usedBytes > most; left--) {
      const entry = this.#order.shift()
      if (entry === undefined || entry.batch.holders === 0) continue
      if (!entry.log.evict(entry.batch)) this.#order.push(entry)
    }
    return this.#usedBytes <= most
  }

  /** Entries of batches that went by themselves would otherwise pile up under a low retention. */
  #forgetDead(): void {
    for (let left = this.#order.length; left > 0; left--) {
      const entry = this.#order.shift()
      if (entry !== undefined && entry.batch.holders > 0) this.#order.push(entry)
    }
    this.#deadEntries = 0
  }
}

/**
 * The log of one replica: batches in offset order, from its start to its end. Synchronous; owns no timer.
 *
 *     start                     end
 *       |[batch][batch]…[batch] |
 *
 * Offsets of neighbouring batches may leave gaps, never overlap. `start` may stand inside the first batch
 * (DeleteRecords), which then stays whole. Byte accounting goes through the cluster's budget.
 */
import { assert } from '../util/assert.ts'
import { EpochCache } from './epoch-cache.ts'
import type { BudgetedLog, LogBudget } from './log-budget.ts'
import { type CleaningRule, cleaned } from './log-cleaner.ts'
import type { StoredBatch } from './stored-batch.ts'

export interface ReadRange {
  readonly offset: number
  /** Batches from here on are left out: the high watermark, or the end of the log. */
  readonly upTo: number
  readonly maxBytes: number
  /** The first batch is given even when it alone is larger than `maxBytes`. */
  readonly atLeastOne: boolean
}

export interface RetentionRule {
  /** -1: no bound. */
  readonly retentionBytes: number
  /** -1: no bound. */
  readonly retentionMs: number
  readonly now: number
}

export class PartitionLog implements BudgetedLog {
  readonly epochs = new EpochCache()
  readonly #budget: LogBudget
  /** What lies below it is committed, and may be removed by retention and by the budget. */
  readonly #committedTo: () => number
  #batches: StoredBatch[] = []
  #head = 0
  #start = 0
  #end = 0
  #bytes = 0
  /** What was left by the last cleaning. */
  #cleanedBytes = 0

  constructor(budget: LogBudget, committedTo: () => number) {
    this.#budget = budget
    this.#committedTo = committedTo
  }

  /** The first offset that may be read. */
  get start(): number {
    return this.#start
  }

  /** The offset that the next record gets. */
  get end(): number {
    return this.#end
  }

  get sizeBytes(): number {
    return this.#bytes
  }

  get batchCount(): number {
    return this.#batches.length - this.#head
  }

  append(batch: StoredBatch): void {
    assert(batch.baseOffset >= this.#end, `a batch at ${batch.baseOffset} behind a log end of ${this.#end}`)
    this.#batches.push(batch)
    this.#end = batch.lastOffset + 1
    this.epochs.assign(batch.leaderEpoch, batch.baseOffset)
    this.#hold(batch)
  }

  *batches(): Generator<StoredBatch, void> {
    for (let index = this.#head; index < this.#batches.length; index++) yield this.#at(index)
  }

  /** Whole batches from the one that holds `offset` on. */
  read(range: ReadRange): StoredBatch[] {
    const found: StoredBatch[] = []
    let bytes = 0
    for (let index = this.#indexOf(range.offset); index < this.#batches.length; index++) {
      const batch = this.#at(index)
      if (batch.lastOffset >= range.upTo) break
      bytes += batch.bytes.length
      if (bytes > range.maxBytes && !(range.atLeastOne && found.length === 0)) break
      found.push(batch)
    }
    return found
  }

  /** Bytes between `offset` and `upTo`, counted no further than `enough`. */
  availableBytes(offset: number, upTo: number, enough: number): number {
    let bytes = 0
    for (let index = this.#indexOf(offset); index < this.#batches.length && bytes < enough; index++) {
      const batch = this.#at(index)
      if (batch.lastOffset >= upTo) break
      bytes += batch.bytes.length
    }
    return bytes
  }

  /** The first batch below `upTo` that holds a record of this time or later. */
  findByTimestamp(timestamp: number, upTo: number): StoredBatch | undefined {
    for (let index = this.#indexOf(this.#start); index < this.#batches.length; index++) {
      const batch = this.#at(index)
      if (batch.baseOffset >= upTo) return undefined
      if (batch.maxTimestamp >= timestamp) return batch
    }
    return undefined
  }

  /** The first batch below `upTo` with the largest timestamp of all. */
  findLargestTimestamp(upTo: number): StoredBatch | undefined {
    let largest: StoredBatch | undefined
    for (const batch of this.batches()) {
      if (batch.baseOffset >= upTo) break
      if (largest === undefined || batch.maxTimestamp > largest.maxTimestamp) largest = batch
    }
    return largest
  }

  /** Cuts the log so that it ends at `offset`; returns how many batches went. */
  truncateTo(offset: number): number {
    // Also epochs under which nothing was written: they begin at the end.
    this.epochs.truncateTo(offset)
    if (offset >= this.#end) return 0
    let removed = 0
    while (this.batchCount > 0 && (this.#batches.at(-1) as StoredBatch).lastOffset >= offset) {
      this.#letGo(this.#batches.pop() as StoredBatch)
      removed++
    }
    this.#end = Math.max(offset, this.#start)
    return removed
  }

  /** Empties the log and lets it go on at `offset`. */
  restartAt(offset: number): void {
    for (const batch of this.batches()) this.#letGo(batch)
    this.#batches = []
    this.#head = 0
    this.epochs.clear()
    this.#start = offset
    this.#end = offset
  }

  /** Moves the start forward; batches wholly below it go. */
  advanceStart(offset: number): boolean {
    if (offset <= this.#start) return false
    assert(offset <= this.#end, `a log start of ${offset} behind a log end of ${this.#end}`)
    this.#start = offset
    while (this.batchCount > 0 && this.#at(this.#head).lastOffset < offset) this.#dropFirst()
    this.epochs.advanceStart(offset)
    return true
  }

  /** Applies retention, batch by batch, to what is committed. True when the start moved. */
  retain(rule: RetentionRule): boolean {
    let start = this.#start
    let bytes = this.#bytes
    for (const batch of this.batches()) {
      if (batch.lastOffset >= this.#committedTo()) break
      const { maxTimestamp } = batch
      const isOld = rule.retentionMs >= 0 && maxTimestamp >= 0 && maxTimestamp < rule.now - rule.retentionMs
      const isOver = rule.retentionBytes >= 0 && bytes - batch.bytes.length >= rule.retentionBytes
      if (!isOld && !isOver) break
      bytes -= batch.bytes.length
      start = batch.lastOffset + 1
    }
    return this.advanceStart(start)
  }

  /** Whether so much has come since the last cleaning that another one is worth it. */
  isDirty({ segmentBytes, cleanableRatio }: { segmentBytes: number; cleanableRatio: number }): boolean {
    const dirtyBytes = this.#bytes - this.#cleanedBytes
    return this.#bytes >= segmentBytes && dirtyBytes > this.#bytes * cleanableRatio
  }

  /** Compacts what is committed. The last batch stays whole, as Kafka's active segment does: the log ends with it. */
  clean(rule: CleaningRule): void {
    const batches = [...this.batches()]
    const open = batches.findIndex(({ lastOffset }) => lastOffset >= this.#committedTo())
    const end = open === -1 ? batches.length - 1 : Math.min(open, batches.length - 1)
    if (end <= 0) return
    const before = batches.slice(0, end)
    const after = cleaned(before, rule)
    const [had, has] = [new Set(before), new Set(after)]
    for (const batch of after) if (!had.has(batch)) this.#hold(batch)
    for (const batch of before) if (!has.has(batch)) this.#letGo(batch)
    this.#batches = [...after, ...batches.slice(end)]
    this.#head = 0
    this.#cleanedBytes = this.#bytes
  }

  evict(batch: StoredBatch): boolean {
    // Gone already from this log, by truncation or retention: nothing to wait for.
    if (this.batchCount === 0 || batch.baseOffset < this.#at(this.#head).baseOffset) return true
    if (this.#at(this.#head) !== batch) return batch.baseOffset >= this.#end
    if (batch.lastOffset >= this.#committedTo()) return false
    return this.advanceStart(batch.lastOffset + 1)
  }

  #at(index: number): StoredBatch {
    return this.#batches[index] as StoredBatch
  }

  /** The first batch that ends at or behind `offset`. */
  #indexOf(offset: number): number {
    let low = this.#head
    let high = this.#batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#at(middle).lastOffset < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #dropFirst(): void {
    this.#letGo(this.#at(this.#head))
    this.#head++
    if (this.#head > 256 && this.#head * 2 > this.#batches.length) {
      this.#batches.splice(0, this.#head)
      this.#head = 0
    }
  }

  #hold(batch: StoredBatch): void {
    this.#bytes += batch.bytes.length
    this.#budget.retain(this, batch)
  }

  #letGo(batch: StoredBatch): void {
    this.#bytes -= batch.bytes.length
    this.#budget.release(batch)
  }
}

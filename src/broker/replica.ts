/**
 * One copy of a partition on one node: its log, what it knows of producers, and its high watermark. What stops with
 * the node and what stays on its disk is decided here: the log and the high watermark stay.
 *
 * Who waits for something here (long polls, acks=all) registers a watcher; it is told of every change of the high
 * watermark and of leadership, and looks again.
 */
import type { LogBudget } from './log-budget.ts'
import { PartitionLog } from './partition-log.ts'
import { ProducerStates } from './producer-states.ts'

export class Replica {
  readonly nodeId: number
  readonly log: PartitionLog
  readonly producers = new ProducerStates()
  /** Holds of a test: while there is one, this replica does not copy from its leader. */
  holds = 0
  #highWatermark = 0
  readonly #watchers = new Set<() => void>()

  constructor(nodeId: number, budget: LogBudget) {
    this.nodeId = nodeId
    this.log = new PartitionLog(budget, () => this.#highWatermark)
  }

  /** Everything below it is on every in-sync replica, as far as this replica knows. */
  get highWatermark(): number {
    return this.#highWatermark
  }

  set highWatermark(offset: number) {
    if (offset === this.#highWatermark) return
    this.#highWatermark = offset
    this.notify()
  }

  /** Calls the listener after each change until the returned function is called. */
  watch(listener: () => void): () => void {
    this.#watchers.add(listener)
    return () => void this.#watchers.delete(listener)
  }

  notify(): void {
    for (const listener of [...this.#watchers]) listener()
  }

  truncateTo(offset: number): void {
    if (this.log.truncateTo(offset) > 0) this.producers.rebuild(this.log.batches())
    this.#clampHighWatermark()
  }

  restartAt(offset: number): void {
    this.log.restartAt(offset)
    this.producers.clear()
    this.#highWatermark = offset
  }

  /** What a start of the node finds: producer state as its snapshot would give it, one batch for each. */
  reload(now: number, producerExpirationMs: number): void {
    this.producers.rebuild(this.log.batches(), 1)
    this.producers.expire(now, producerExpirationMs)
  }

  /** Moves the start of the log; the high watermark is never below it. */
  advanceStart(offset: number): void {
    this.log.advanceStart(Math.min(offset, this.log.end))
    this.#clampHighWatermark()
  }

  #clampHighWatermark(): void {
    const within = Math.max(this.log.start, Math.min(this.#highWatermark, this.log.end))
    this.highWatermark = within
  }

  /** The partition is deleted. */
  discard(): void {
    this.restartAt(0)
    this.notify()
  }
}

/**
 * Runs handlers: of each partition one at a time, in the order of the offsets; of all partitions at most
 * `concurrency` at a time. A partition that waits for a place gets one when another rests, or has had its share.
 *
 * Begins at once, in the same turn of the event loop in which the records came.
 */
import type { Clock } from '../util/clock.ts'
import { Fifo } from '../util/fifo.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import type { Turns } from './turns.ts'

/** One way of handling what waits in a partition. */
export interface Work {
  /**
   * Handles what waits until nothing does, the partition must rest, or `mustYield` says so. Rejects when the
   * consumer has to stop.
   */
  run(partition: AssignedPartition, mustYield: () => boolean): Promise<void>
}

/** What the consumer gives partitions to that have something to handle. */
export interface Runner {
  ready(partition: AssignedPartition): void
}

export interface DispatcherPorts {
  readonly clock: Clock
  readonly turns: Turns
  readonly concurrency: number
  readonly work: Work
  readonly onFailed: (error: unknown) => void
}

/** How long a partition keeps its place while others wait for one. */
const SHARE_MS = 20

export class Dispatcher implements Runner {
  readonly #ports: DispatcherPorts
  readonly #waiting = new Fifo<AssignedPartition>()
  #running = 0

  constructor(ports: DispatcherPorts) {
    this.#ports = ports
  }

  /** Something waits in the partition. */
  ready(partition: AssignedPartition): void {
    if (partition.isRunning || partition.isQueued || !partition.mayRun) return
    if (this.#running < this.#ports.concurrency) return void this.#run(partition)
    partition.isQueued = true
    this.#waiting.push(partition)
  }

  async #run(partition: AssignedPartition): Promise<void> {
    const { clock, turns, work, onFailed } = this.#ports
    if (this.#running === 0) turns.begin()
    this.#running++
    partition.isRunning = true
    const until = clock.monotonic() + SHARE_MS
    try {
      await work.run(partition, () => this.#waiting.length > 0 && clock.monotonic() >= until)
    } catch (error) {
      onFailed(error)
    }
    this.#running--
    partition.rest()
    this.#next()
    this.ready(partition)
  }

  #next(): void {
    while (this.#running < this.#ports.concurrency) {
      const partition = this.#waiting.shift()
      if (partition === undefined) return
      partition.isQueued = false
      this.ready(partition)
    }
  }
}

/**
 * The pause of a partition after a failure: a back-off, and new metadata where that was out of date. It ends early
 * when the partition gets another leader.
 */
import type { Cluster } from '../client/cluster.ts'
import { backoffMs } from '../util/backoff.ts'
import type { Timer } from '../util/clock.ts'
import type { ProducerSettings } from './producer-options.ts'
import type { ProducerPartition } from './topic.ts'

interface Pause {
  timer: Timer | undefined
  awaitsMetadata: boolean
}

export interface PausesParts {
  readonly cluster: Cluster
  readonly settings: ProducerSettings
  readonly signal: AbortSignal
  /** The partition may go on. */
  readonly onEnd: (partition: ProducerPartition) => void
}

export class Pauses {
  readonly #parts: PausesParts
  readonly #pauses = new Map<ProducerPartition, Pause>()

  constructor(parts: PausesParts) {
    this.#parts = parts
  }

  /** The more failures in a row, the longer. `refresh`: it also waits for metadata. */
  begin(partition: ProducerPartition, refresh: boolean): void {
    const { cluster, settings, signal } = this.#parts
    if (signal.aborted) return
    let pause = this.#pauses.get(partition)
    if (pause === undefined) {
      const { retryBackoffMs: minMs, retryBackoffMaxMs: maxMs } = settings
      const delayMs = backoffMs(partition.failures++, { minMs, maxMs }, cluster.options.random)
      const begun: Pause = { timer: undefined, awaitsMetadata: false }
      begun.timer = cluster.options.clock.setTimeout(() => {
        begun.timer = undefined
        this.#endIfOver(partition, begun)
      }, delayMs)
      this.#pauses.set(partition, begun)
      partition.isPaused = true
      pause = begun
    }
    if (refresh && !pause.awaitsMetadata) void this.#awaitMetadata(partition, pause)
  }

  /** Ends the pause now: what it waited for has come. */
  end(partition: ProducerPartition): void {
    const pause = this.#pauses.get(partition)
    if (pause === undefined) return
    if (pause.timer !== undefined) this.#parts.cluster.options.clock.clearTimeout(pause.timer)
    this.#remove(partition)
  }

  stop(): void {
    for (const pause of this.#pauses.values()) {
      if (pause.timer !== undefined) this.#parts.cluster.options.clock.clearTimeout(pause.timer)
    }
    this.#pauses.clear()
  }

  async #awaitMetadata(partition: ProducerPartition, pause: Pause): Promise<void> {
    const { cluster, signal } = this.#parts
    pause.awaitsMetadata = true
    try {
      await cluster.refresh({ topics: [partition.topic.name], signal })
    } catch (error) {
      // No broker told anything: the next attempt finds out for itself.
      cluster.options.logger.debug(
        { err: error, topic: partition.topic.name },
        'no new metadata after a failure',
      )
    }
    pause.awaitsMetadata = false
    this.#endIfOver(partition, pause)
  }

  #endIfOver(partition: ProducerPartition, pause: Pause): void {
    if (this.#pauses.get(partition) !== pause) return
    if (pause.timer === undefined && !pause.awaitsMetadata) this.#remove(partition)
  }

  #remove(partition: ProducerPartition): void {
    this.#pauses.delete(partition)
    partition.isPaused = false
    this.#parts.onEnd(partition)
  }
}

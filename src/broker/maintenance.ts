/** What a cluster does from time to time: retention, and forgetting producers. One timer for each. */
import type { Timer } from '../util/clock.ts'
import type { ClusterState } from './cluster-state.ts'

const LONGEST_TIMER_MS = 0x7fff_ffff

export class Maintenance {
  readonly #cluster: ClusterState
  readonly #timers = new Map<string, Timer>()

  constructor(cluster: ClusterState) {
    this.#cluster = cluster
  }

  start(): void {
    this.#every('log.retention.check.interval.ms', () => this.#retain())
    this.#every('producer.id.expiration.check.interval.ms', () => this.#expireProducers())
  }

  stop(): void {
    for (const timer of this.#timers.values()) this.#cluster.clock.clearTimeout(timer)
    this.#timers.clear()
  }

  /** The interval is read anew each time: it may have been altered. */
  #every(interval: string, run: () => void): void {
    const delayMs = Math.min(LONGEST_TIMER_MS, this.#cluster.config(interval))
    const timer = this.#cluster.clock.setTimeout(() => {
      run()
      this.#every(interval, run)
    }, delayMs)
    this.#timers.set(interval, timer)
  }

  #retain(): void {
    const now = this.#cluster.clock.now()
    for (const partition of this.#cluster.partitions()) {
      const { settings, leader } = partition
      if (!settings.isDeleted) continue
      const { retentionBytes, retentionMs } = settings
      for (const replica of partition.copies()) {
        if (!this.#cluster.isAlive(replica.nodeId)) continue
        const moved = replica.log.retain({ retentionBytes, retentionMs, now })
        if (moved && leader?.replica === replica) leader.startMoved()
      }
    }
  }

  #expireProducers(): void {
    const now = this.#cluster.clock.now()
    const { producerExpirationMs } = this.#cluster
    for (const partition of this.#cluster.partitions()) {
      for (const replica of partition.copies()) {
        if (this.#cluster.isAlive(replica.nodeId)) replica.producers.expire(now, producerExpirationMs)
      }
    }
  }
}

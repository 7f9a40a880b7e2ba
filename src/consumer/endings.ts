/**
 * How partitions come to their end, whoever asks for it: the group (a rebalance), the coordinator (a membership that
 * is void), the user (stop, abort).
 *
 *     assigned ──give up──▶ draining ──▶ told `revoked` ──▶ committing ──▶ closed
 *        └───────────────────────┴─ lose, cut: at once, told `lost` if not told yet ─▶ closed
 *
 * Invariants:
 * - A partition ends once. Whoever asks again waits for the ending that is under way, and may only shorten its draining.
 * - It is told `revoked` or `lost` once, never both.
 * - Its next life here begins after the last handler of this one has ended.
 */
import { untilAborted } from '../client/cancellation.ts'
import type { OttlaError } from '../errors.ts'
import type { Clock } from '../util/clock.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import { settledWithin } from './settled-within.ts'
import { partitionKey, type TopicPartition } from './topic-partition.ts'

export interface EndingPorts {
  readonly clock: Clock
  /** Fires when the consumer is over: a callback is not waited for any more. */
  readonly signal: AbortSignal
  /** Nothing more of it is read. */
  readonly onDraining: (partition: AssignedPartition) => void
  /** Tells the user. */
  readonly tell: (type: 'revoked' | 'lost', partitions: readonly TopicPartition[]) => Promise<void>
  /** Commits what is finished, trying until `deadline` (monotonic). */
  readonly commit: (partitions: readonly AssignedPartition[], deadline: number) => Promise<unknown>
  /** Finished work could not be committed. */
  readonly onUncommitted: (partition: AssignedPartition, range: { offset: number; endOffset: number }) => void
  /** It is not ours any more. */
  readonly onClosed: (partition: AssignedPartition) => void
}

export interface Patience {
  /** How long handlers may take. */
  readonly drainTimeoutMs: number
  /** How long the callback and the last commit may take. */
  readonly farewellMs: number
  /** What handlers are told at the deadline. */
  readonly reason: OttlaError
}

export class Endings {
  readonly #ports: EndingPorts
  readonly #underWay = new Map<AssignedPartition, Promise<void>>()
  /** Closed while a handler ran; by partition, until it has ended. */
  readonly #lingering = new Map<string, Promise<void>>()

  constructor(ports: EndingPorts) {
    this.#ports = ports
  }

  /** Drains until the deadline, tells, commits, closes. */
  async giveUp(partitions: readonly AssignedPartition[], patience: Patience): Promise<void> {
    if (partitions.length === 0) return
    const fresh = partitions.filter((partition) => !this.#underWay.has(partition))
    const ending = this.#drain(partitions, patience).then(() => this.#finish(fresh, patience))
    for (const partition of fresh) this.#underWay.set(partition, ending)
    await Promise.all([ending, ...partitions.map((partition) => this.#underWay.get(partition))])
    for (const partition of fresh) this.#underWay.delete(partition)
  }

  /** The coordinator has given them to others, or will: nothing can be committed any more. */
  lose(partitions: readonly AssignedPartition[], reason: OttlaError): void {
    for (const partition of partitions) this.#reportUncommitted(partition)
    this.cut(partitions, reason)
  }

  /** Ends them where they stand. */
  cut(partitions: readonly AssignedPartition[], reason: OttlaError): void {
    for (const partition of partitions) this.#close(partition, reason)
    void this.#tell('lost', partitions)
  }

  /** Resolves when the handler that outlived this partition has ended; undefined when none has. */
  lingering(partition: TopicPartition): Promise<void> | undefined {
    return this.#lingering.get(partitionKey(partition))
  }

  /** The wait ends early where somebody with less patience, or a loss, has told the handlers already. */
  async #drain(
    partitions: readonly AssignedPartition[],
    { drainTimeoutMs, reason }: Patience,
  ): Promise<void> {
    for (const partition of partitions) {
      partition.drain()
      this.#ports.onDraining(partition)
    }
    const drained = Promise.all(partitions.map((partition) => partition.drained()))
    await settledWithin(drained, this.#ports.clock, drainTimeoutMs)
    for (const partition of partitions) if (partition.isRunning) partition.expire(reason)
  }

  async #finish(drained: readonly AssignedPartition[], { farewellMs, reason }: Patience): Promise<void> {
    const { clock, signal, commit } = this.#ports
    const deadline = clock.monotonic() + farewellMs
    // The callback may commit elsewhere what it knows to be finished; it is given as long as our own commit.
    const told = untilAborted(this.#tell('revoked', drained), signal, () => reason)
    await settledWithin(told, clock, farewellMs)
    await commit(drained, Math.max(deadline, clock.monotonic() + farewellMs / 2))
    for (const partition of drained) {
      // Lost meanwhile: that has been reported.
      if (partition.isClosed) continue
      this.#reportUncommitted(partition)
      this.#close(partition, reason)
    }
  }

  async #tell(type: 'revoked' | 'lost', partitions: readonly AssignedPartition[]): Promise<void> {
    const untold = partitions.filter((partition) => !partition.isEndTold)
    if (untold.length === 0) return
    for (const partition of untold) partition.isEndTold = true
    await this.#ports.tell(type, untold)
  }

  #reportUncommitted(partition: AssignedPartition): void {
    const uncommitted = partition.uncommitted()
    if (uncommitted !== undefined) this.#ports.onUncommitted(partition, uncommitted)
  }

  #close(partition: AssignedPartition, reason: OttlaError): void {
    if (partition.isClosed) return
    partition.close(reason)
    this.#ports.onClosed(partition)
    if (!partition.isRunning) return
    const key = partitionKey(partition)
    const idle: Promise<void> = partition.idle().then(() => {
      if (this.#lingering.get(key) === idle) this.#lingering.delete(key)
    })
    this.#lingering.set(key, idle)
  }
}

/**
 * One consumer at work: the rooms of this folder put together.
 *
 *     group ──assign, revoke──▶ partitions ──▶ starter (where to begin) ──▶ fetcher ──▶ runner (handlers)
 *       ▲                                                                                   │
 *       └──────────────── committer ◀──────────────────── finished ─────────────────────────┘
 *
 * Owns which partitions are assigned; how they are given up is in endings.ts.
 * Invariant: a partition is in the map from its assignment until it is closed, and no partition is begun while a
 * handler of its earlier life here still runs.
 */
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { AssignedPartition } from './assigned-partition.ts'
import { CallQueue } from './call-queue.ts'
import { Committer } from './committer.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import type { FencedReport, RebalanceEvent } from './consumer-reports.ts'
import { CoordinatorLink } from './coordinator-link.ts'
import type { Runner } from './dispatcher.ts'
import { Endings } from './endings.ts'
import { FailurePolicy } from './failure-policy.ts'
import { Fetcher } from './fetcher.ts'
import { Group } from './group.ts'
import type { WorkPorts } from './handler-work.ts'
import { watchTopics } from './missing-topics.ts'
import { PartitionStarter } from './partition-starter.ts'
import { Positions } from './positions.ts'
import { settledWithin } from './settled-within.ts'
import { addedTo, listPartitions, partitionKey, type TopicPartition } from './topic-partition.ts'
import { Turns } from './turns.ts'

export interface ConsumptionPorts {
  readonly cluster: Cluster
  readonly options: ResolvedConsumerOptions
  /** Makes what handles the records. */
  readonly runner: (ports: WorkPorts, fail: (error: unknown) => void) => Runner
  /** Work cannot go on. */
  readonly onFailed: (error: unknown) => void
}

/** What the last commit may take besides the draining. */
const FAREWELL_MS = 4000
/** And the good-bye, without which the group finds out by itself. */
const GOODBYE_MS = 1000

export class Consumption {
  readonly #cluster: Cluster
  readonly #options: ResolvedConsumerOptions
  readonly #onFailed: (error: unknown) => void
  readonly #closing = new AbortController()
  readonly #partitions = new Map<string, AssignedPartition>()
  /** Those that were read here and given up or lost, the last of each. */
  readonly #former = new Map<string, AssignedPartition>()
  readonly #paused = new Set<string>()
  readonly #links: readonly [held: CoordinatorLink, prompt: CoordinatorLink]
  readonly #group: Group
  readonly #endings: Endings
  readonly #committer: Committer
  readonly #fetcher: Fetcher
  readonly #starter: PartitionStarter
  readonly #runner: Runner
  readonly #unwatch: () => void
  readonly #callbacks: CallQueue
  #isStopping = false

  constructor({ cluster, options, runner, onFailed }: ConsumptionPorts) {
    const { signal } = this.#closing
    const { groupId } = options
    const id = cluster.options.random.bytes(6).toString('hex')
    const link = (what: string) => new CoordinatorLink({ cluster, groupId, purpose: `${what}:${id}`, signal })
    const links = [link('join'), link('group')] as const
    this.#cluster = cluster
    this.#options = options
    this.#onFailed = onFailed
    this.#callbacks = new CallQueue(cluster.options.clock)
    this.#links = links
    const fail = (error: unknown) => this.#fail(error)
    this.#group = new Group({
      cluster,
      options,
      link: links[0],
      promptLink: links[1],
      signal,
      owned: () => [...this.#partitions.values()].map(({ topic, partition }) => ({ topic, partition })),
      assign: (partitions) => this.#assign(partitions),
      revoke: (partitions) => this.#revoke(partitions),
      lose: (partitions) => this.#lose(partitions),
      fail,
    })
    this.#committer = new Committer({
      cluster,
      options,
      link: links[1],
      signal,
      partitions: () => this.#partitions.values(),
      identity: () => this.#group.identity(),
      onLost: (code, identity) => this.#group.refused(code, identity),
      onFatal: fail,
    })
    this.#endings = this.#makeEndings()
    const positions = new Positions({ cluster, options, link: links[1] })
    this.#starter = new PartitionStarter({
      cluster,
      options,
      positions,
      signal,
      former: (partition) => this.#former.get(partitionKey(partition)),
      onLocated: (partition) => {
        this.#fetcher.add(partition)
        // A beginning that was found and not committed would be looked for again after a crash: elsewhere, with `latest`.
        if (partition.commitPoint() !== undefined) this.#committer.finished(0)
      },
      onFatal: fail,
    })
    this.#fetcher = new Fetcher({
      cluster,
      options,
      purpose: `fetch:${id}`,
      signal,
      isSettling: () => [...this.#partitions.values()].some(({ phase }) => phase !== 'fetching'),
      onReady: (partition) => this.#runner.ready(partition),
      onNewLeader: (partition) => void this.#starter.checkEpoch(partition),
      onOffLog: (partition, reason) => void this.#starter.reset(partition, reason),
      onFatal: fail,
    })
    this.#runner = runner(this.#workPorts(), fail)
    this.#unwatch = watchTopics(cluster, options)
  }

  #makeEndings(): Endings {
    return new Endings({
      clock: this.#cluster.options.clock,
      signal: this.#closing.signal,
      onDraining: (partition) => this.#fetcher.remove(partition),
      tell: (type, partitions) => this.#tell(type, partitions),
      commit: (partitions, deadline) => this.#committer.flush(partitions, deadline),
      onUncommitted: ({ topic, partition }, range) =>
        this.#fenced({ topic, partition, reason: 'commit', ...range }),
      onClosed: (partition) => {
        const key = partitionKey(partition)
        if (this.#partitions.get(key) === partition) this.#partitions.delete(key)
        // One that never committed knows no more than the one before it.
        if (partition.lastCommitted !== undefined) this.#former.set(key, partition)
        this.#fetcher.remove(partition)
      },
    })
  }

  #workPorts(): WorkPorts {
    return {
      turns: new Turns(this.#cluster.options.clock),
      policy: new FailurePolicy(this.#cluster, this.#options),
      onFinished: (records) => this.#committer.finished(records),
      onRoom: (partition) => this.#fetcher.wake(partition),
      onLate: ({ topic, partition }, { first, end }) =>
        this.#fenced({ topic, partition, reason: 'late', offset: first, endOffset: end }),
    }
  }

  start(): void {
    this.#group.start()
  }

  // --------------------------------------------------------------------------------------- while it runs

  assignment(): TopicPartition[] {
    return [...this.#partitions.values()].map(({ topic, partition }) => ({ topic, partition }))
  }

  /** Of each assigned partition: records in the log that no handler has finished; undefined before the first fetch. */
  lag(partition: TopicPartition): number | undefined {
    return this.#partitions.get(partitionKey(partition))?.lag
  }

  /** Bytes of responses held before the handlers. */
  get heldBytes(): number {
    return this.#fetcher.heldBytes
  }

  /** Holds for partitions that are assigned later, too. */
  pause(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) {
      this.#paused.add(partitionKey(partition))
      const assigned = this.#partitions.get(partitionKey(partition))
      if (assigned === undefined) continue
      assigned.isPaused = true
      // Where room is short, what it holds is room for others; what its handler has, once that has ended.
      this.#fetcher.wake(assigned)
      if (assigned.isRunning) void assigned.idle().then(() => this.#fetcher.wake(assigned))
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) {
      this.#paused.delete(partitionKey(partition))
      const assigned = this.#partitions.get(partitionKey(partition))
      if (assigned !== undefined) assigned.isPaused = false
    }
    for (const assigned of this.#find(partitions)) {
      this.#runner.ready(assigned)
      this.#fetcher.wake(assigned)
    }
  }

  paused(): string[] {
    return [...this.#paused]
  }

  // -------------------------------------------------------------------------------- coming and going

  #assign(partitions: readonly TopicPartition[]): void {
    if (this.#isStopping) return
    const assigned = partitions.map(({ topic, partition }) => {
      const made = new AssignedPartition(topic, partition, {
        generation: () => this.#group.generation,
        told: () => this.#callbacks.idle(),
      })
      const key = partitionKey(made)
      made.isPaused = this.#paused.has(key)
      this.#partitions.set(key, made)
      return made
    })
    void this.#tell('assigned', partitions).then(() => this.#begin(assigned))
  }

  async #begin(assigned: readonly AssignedPartition[]): Promise<void> {
    const free: AssignedPartition[] = []
    for (const partition of assigned) {
      const lingering = this.#endings.lingering(partition)
      if (lingering === undefined) free.push(partition)
      // Order holds over a rebalance too: the handler that came too late ends first.
      else void lingering.then(() => this.#starter.start([partition]))
    }
    if (free.length === 0) return
    this.#fetcher.expect(free)
    await this.#starter.start(free)
  }

  async #revoke(partitions: readonly TopicPartition[]): Promise<void> {
    const { drainTimeoutMs, rebalanceTimeoutMs } = this.#options
    const reason = new OttlaError('DRAIN_TIMEOUT', `given up: ${listPartitions(partitions)}`)
    const farewellMs = Math.min(FAREWELL_MS, (rebalanceTimeoutMs - drainTimeoutMs) / 2)
    await this.#endings.giveUp(this.#find(partitions), { drainTimeoutMs, farewellMs, reason })
  }

  #lose(partitions: readonly TopicPartition[]): void {
    const reason = new OttlaError('DRAIN_TIMEOUT', `taken away: ${listPartitions(partitions)}`)
    this.#endings.lose(this.#find(partitions), reason)
  }

  #find(partitions: readonly TopicPartition[]): AssignedPartition[] {
    return partitions
      .map((partition) => this.#partitions.get(partitionKey(partition)))
      .filter((partition) => partition !== undefined)
  }

  // ------------------------------------------------------------------------------------------- ending

  /** Drains, commits, leaves. Returns the partitions whose handlers did not end in time. */
  async stop(drainTimeoutMs: number): Promise<TopicPartition[]> {
    this.#isStopping = true
    const reason = new OttlaError('DRAIN_TIMEOUT', 'the consumer stops and does not wait any longer')
    const all = [...this.#partitions.values()]
    await this.#endings.giveUp(all, { drainTimeoutMs, farewellMs: FAREWELL_MS, reason })
    // Aborted meanwhile: nothing is left to say good-bye with.
    if (!this.#closing.signal.aborted) {
      await settledWithin(this.#group.leave(GOODBYE_MS), this.#cluster.options.clock, GOODBYE_MS)
    }
    this.#end(reason)
    return all
      .filter(({ isUnfinished }) => isUnfinished)
      .map(({ topic, partition }) => ({ topic, partition }))
  }

  /** Ends at once: nothing more is waited for or committed. */
  abort(reason: OttlaError): void {
    this.#isStopping = true
    this.#group.abort()
    this.#end(reason)
    this.#endings.cut([...this.#partitions.values()], reason)
  }

  #end(reason: OttlaError): void {
    if (this.#closing.signal.aborted) return
    this.#committer.close()
    this.#fetcher.close()
    this.#unwatch()
    this.#closing.abort(reason)
    this.#callbacks.hurry()
    for (const link of this.#links) link.close()
  }

  #fail(error: unknown): void {
    if (!this.#isStopping) this.#onFailed(error)
  }

  // ------------------------------------------------------------------------------------------ telling

  /** Resolves when the callback has ended. Never rejects. */
  #tell(type: RebalanceEvent['type'], partitions: readonly TopicPartition[]): Promise<void> {
    const { logger } = this.#cluster.options
    const { groupId, onRebalance, drainTimeoutMs } = this.#options
    const { memberId, generation } = this.#group
    const named = partitions.map(({ topic, partition }) => ({ topic, partition }))
    const owned = type === 'assigned' ? this.assignment() : addedTo(named, this.assignment())
    logger.info({ groupId, memberId, generation, partitions: listPartitions(named) }, `partitions ${type}`)
    // Callbacks that still run have been waited for while the partitions were drained.
    const isLate = type === 'revoked' || this.#closing.signal.aborted
    return this.#callbacks.add(
      async () => {
        try {
          await onRebalance?.({ type, partitions: named, owned, memberId, generation })
        } catch (error) {
          logger.error({ err: error, groupId }, 'onRebalance threw')
        }
      },
      isLate ? 0 : drainTimeoutMs,
    )
  }

  #fenced(report: FencedReport): void {
    const { logger } = this.#cluster.options
    logger.warn(report, 'work does not count: the partition is not ours any more')
    try {
      this.#options.onFenced?.(report)
    } catch (error) {
      logger.error({ err: error }, 'onFenced threw')
    }
  }
}

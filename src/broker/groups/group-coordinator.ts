/**
 * The group coordinator of one node: the partitions of `__consumer_offsets` that the node leads, each with its groups.
 *
 * A group belongs to the partition that its id hashes to. The node begins to load a partition when it becomes its
 * leader, and drops everything about it when it is that no longer: whoever waits is answered NOT_COORDINATOR, and the
 * next leader finds in its own log what was committed.
 */
import { errorCode } from '../../protocol/error-codes.ts'
import type { Clock, Timer } from '../../util/clock.ts'
import type { Random } from '../../util/random.ts'
import type { LeaderRole } from '../leader-role.ts'
import { coordinatorPartition } from './coordinator-partition.ts'
import type { GroupLimits } from './group-limits.ts'
import { PartitionGroups } from './partition-groups.ts'

/** What the coordinators of a cluster share. */
export interface CoordinatorHost {
  readonly clock: Clock
  readonly random: Random
  readonly groupLimits: GroupLimits
  /** Kafka 4.0: a coordinator writes, and waits, however few replicas are in sync. */
  readonly waitsForReplicas: boolean
  /** How many partitions `__consumer_offsets` has. */
  readonly offsetsPartitions: number
}

export type FoundGroups = { readonly groups: PartitionGroups } | { readonly errorCode: number }

export class GroupCoordinator {
  readonly #host: CoordinatorHost
  readonly #partitions = new Map<number, PartitionGroups>()
  /** Holds of a test: while there is one, the partition is not loaded. */
  readonly #holds = new Map<number, number>()
  #retentionTimer: Timer | undefined

  constructor(host: CoordinatorHost) {
    this.#host = host
  }

  /** The groups among which this one is, or why this node cannot speak for it. */
  find(groupId: string): FoundGroups {
    const partition = coordinatorPartition(groupId, this.#host.offsetsPartitions)
    const groups = this.#partitions.get(partition)
    if (groups === undefined) return { errorCode: errorCode.NOT_COORDINATOR }
    return groups.isLoading ? { errorCode: errorCode.COORDINATOR_LOAD_IN_PROGRESS } : { groups }
  }

  /** Loads the partition of a group in this turn. False: a test holds it, or the node does not lead it. */
  loadNow(groupId: string): boolean {
    return (
      this.#partitions.get(coordinatorPartition(groupId, this.#host.offsetsPartitions))?.loadNow() ?? false
    )
  }

  /** All that this node coordinates, or why that cannot be told. */
  all(): { readonly groups: readonly PartitionGroups[] } | { readonly errorCode: number } {
    const groups = [...this.#partitions.values()]
    const isLoading = groups.some((one) => one.isLoading)
    return isLoading ? { errorCode: errorCode.COORDINATOR_LOAD_IN_PROGRESS } : { groups }
  }

  /** The node leads this partition of `__consumer_offsets` from now on. */
  elected(partition: number, leader: LeaderRole): void {
    const { clock, random, groupLimits, waitsForReplicas } = this.#host
    const groups = new PartitionGroups(leader, {
      clock,
      random,
      limits: groupLimits,
      waitsForReplicas,
      isHeld: () => this.#holds.has(partition),
      groupsFound: () => this.#armRetention(),
      over: () => {
        this.#partitions.delete(partition)
        groups.end(errorCode.NOT_COORDINATOR)
      },
    })
    this.#partitions.set(partition, groups)
    groups.load()
  }

  /** Keeps the partition from being loaded, until the returned function is called. */
  holdLoading(partition: number): () => void {
    this.#holds.set(partition, (this.#holds.get(partition) ?? 0) + 1)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      const left = (this.#holds.get(partition) ?? 0) - 1
      if (left > 0) this.#holds.set(partition, left)
      else this.#holds.delete(partition)
      this.#partitions.get(partition)?.load()
    }
  }

  topicDeleted(topic: string): void {
    for (const groups of this.#partitions.values()) groups.topicDeleted(topic)
  }

  /** Whoever waits is answered; nothing happens by itself afterwards. */
  stop(): void {
    for (const groups of this.#partitions.values()) groups.end(errorCode.COORDINATOR_NOT_AVAILABLE)
    this.#partitions.clear()
    if (this.#retentionTimer !== undefined) this.#host.clock.clearTimeout(this.#retentionTimer)
    this.#retentionTimer = undefined
  }

  /** One timer for all, while there are groups. */
  #armRetention(): void {
    this.#retentionTimer ??= this.#host.clock.setTimeout(() => {
      this.#retentionTimer = undefined
      for (const groups of this.#partitions.values()) groups.dropExpired()
      if ([...this.#partitions.values()].some((groups) => groups.hasGroups)) this.#armRetention()
    }, this.#host.groupLimits.offsetRetentionCheckMs)
  }
}

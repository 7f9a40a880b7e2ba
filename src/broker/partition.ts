/**
 * A partition as the cluster's controller knows it, with the replicas that its nodes hold.
 *
 * Every change of leader raises the leader epoch; a leader comes from the in-sync replicas, or, with
 * unclean.leader.election.enable, from any that runs. The in-sync replicas are never empty: the last one stays,
 * also when its node is down, because only it surely has what was committed.
 */
import type { Clock } from '../util/clock.ts'
import { FollowerRole } from './follower-role.ts'
import { type LeaderHost, LeaderRole } from './leader-role.ts'
import type { LogBudget } from './log-budget.ts'
import { Replica } from './replica.ts'
import type { TopicSettings } from './topic-settings.ts'

/** What a partition needs of the cluster. */
export interface PartitionHost {
  readonly clock: Clock
  readonly budget: LogBudget
  /** Of Kafka's own topics: what they hold is bounded by compaction, and never in the way of a user's records. */
  readonly internalBudget: LogBudget
  readonly strictStart: boolean
  readonly holdsUnderMinIsr: boolean
  readonly lagTimeMaxMs: number
  readonly followerFetchBytes: number
  readonly producerExpirationMs: number
  isAlive(nodeId: number): boolean
  /** The partition has another leader, or none. */
  leaderChanged(partition: Partition): void
}

export interface PartitionOwner {
  readonly name: string
  readonly id: string
  readonly isInternal: boolean
  readonly settings: TopicSettings
}

export class Partition implements LeaderHost {
  readonly topic: PartitionOwner
  readonly index: number
  readonly #host: PartitionHost
  #replicas: readonly number[]
  #settled: readonly number[]
  #isr: readonly number[]
  #leaderId = -1
  #leaderEpoch = -1
  #leader: LeaderRole | undefined
  readonly #copies = new Map<number, Replica>()
  readonly #followers = new Map<number, FollowerRole>()
  #target: readonly number[] | undefined
  #isCleaningDue = false
  #isDeleted = false

  constructor(
    topic: PartitionOwner,
    { index, replicas }: { readonly index: number; readonly replicas: readonly number[] },
    host: PartitionHost,
  ) {
    this.topic = topic
    this.index = index
    this.#host = host
    this.#replicas = replicas
    this.#settled = replicas
    for (const id of replicas) this.#copies.set(id, new Replica(id, this.budget))
    const alive = replicas.filter((id) => host.isAlive(id))
    this.#isr = alive.length > 0 ? alive : replicas.slice(0, 1)
    this.#setLeader(alive[0] ?? -1)
  }

  get replicas(): readonly number[] {
    return this.#replicas
  }

  get isr(): readonly number[] {
    return this.#isr
  }

  /** -1: none. */
  get leaderId(): number {
    return this.#leaderId
  }

  get leaderEpoch(): number {
    return this.#leaderEpoch
  }

  get leader(): LeaderRole | undefined {
    return this.#leader
  }

  get isDeleted(): boolean {
    return this.#isDeleted
  }

  get clock(): Clock {
    return this.#host.clock
  }

  get budget(): LogBudget {
    return this.topic.isInternal ? this.#host.internalBudget : this.#host.budget
  }

  get settings(): TopicSettings {
    return this.topic.settings
  }

  get strictStart(): boolean {
    return this.#host.strictStart
  }

  get holdsUnderMinIsr(): boolean {
    return this.#host.holdsUnderMinIsr
  }

  get lagTimeMaxMs(): number {
    return this.#host.lagTimeMaxMs
  }

  get followerFetchBytes(): number {
    return this.#host.followerFetchBytes
  }

  isAlive(nodeId: number): boolean {
    return this.#host.isAlive(nodeId)
  }

  /** The replica of a node, whether the node runs or not. */
  replicaOn(nodeId: number): Replica | undefined {
    return this.#copies.get(nodeId)
  }

  copies(): IterableIterator<Replica> {
    return this.#copies.values()
  }

  alterIsr(isr: readonly number[]): void {
    // Kept in the order of the replicas, so that the preferred leader comes first in an election.
    const ordered = this.#replicas.filter((id) => isr.includes(id))
    if (ordered.length === 0) return
    this.#isr = ordered
    this.#leader?.syncReplicas()
    this.#finishAssignment()
  }

  wakeFollowers(): void {
    for (const follower of this.#followers.values()) follower.wake()
  }

  /** The log of an internal topic is compacted when that is worth it, on every node, at the end of the turn. */
  grown(): void {
    const { topic, settings } = this
    if (this.#isCleaningDue || !topic.isInternal || !settings.isCompacted) return
    if (this.#leader?.replica.log.isDirty(settings) !== true) return
    this.#isCleaningDue = true
    this.clock.defer(() => {
      this.#isCleaningDue = false
      const tombstonesBefore = this.clock.now() - this.settings.deleteRetentionMs
      for (const copy of this.copies()) if (this.isAlive(copy.nodeId)) copy.log.clean({ tombstonesBefore })
    })
  }

  /** Makes `nodeId` the leader. The caller has checked that it may be. */
  lead(nodeId: number): void {
    if (!this.#isr.includes(nodeId)) this.#isr = [nodeId]
    this.#setLeader(nodeId)
  }

  /** The node's process ended; the cluster has not noticed yet. */
  halt(nodeId: number): void {
    this.#followers.get(nodeId)?.stop()
    this.#followers.delete(nodeId)
    if (this.#leaderId !== nodeId) return
    this.#leader?.resign()
    this.#leader = undefined
  }

  /** The node is gone, or about to go: it leads nothing and is in sync with nothing, unless nobody else is. */
  nodeDown(nodeId: number): void {
    if (!this.#replicas.includes(nodeId)) return
    this.#followers.get(nodeId)?.stop()
    this.#followers.delete(nodeId)
    const isr = this.#isr.filter((id) => id !== nodeId)
    if (isr.length > 0) this.#isr = isr
    if (this.#leaderId === nodeId) this.#setLeader(this.#electable())
    else this.#leader?.syncReplicas()
  }

  nodeUp(nodeId: number): void {
    const copy = this.#copies.get(nodeId)
    if (copy === undefined) return
    copy.reload(this.clock.now(), this.#host.producerExpirationMs)
    if (this.#leaderId === -1) {
      const electable = this.#electable()
      if (electable !== -1) return this.#setLeader(electable)
    }
    this.#follow(nodeId)
  }

  /** What a reassignment under way wants in the end; undefined when there is none. */
  get target(): readonly number[] | undefined {
    return this.#target
  }

  /** The replicas without those that a reassignment under way is adding. */
  get settledReplicas(): readonly number[] {
    return this.#settled
  }

  /** Gives the partition other replicas: new ones are added, and when they are in sync the others go. */
  assign(target: readonly number[]): void {
    for (const id of target) {
      if (!this.#copies.has(id)) this.#copies.set(id, new Replica(id, this.budget))
    }
    this.#target = target
    this.#keepOnly([...target, ...this.#settled.filter((id) => !target.includes(id))])
    for (const id of target) if (!this.#followers.has(id)) this.#follow(id)
    this.#leader?.syncReplicas()
    this.#finishAssignment()
  }

  /** Gives up a reassignment under way: the replicas are as before. False: there is none. */
  cancelAssignment(): boolean {
    if (this.#target === undefined) return false
    this.#target = undefined
    this.#keepOnly(this.#settled)
    return true
  }

  #finishAssignment(): void {
    const target = this.#target
    if (target === undefined || !target.every((id) => this.#isr.includes(id))) return
    this.#target = undefined
    this.#settled = target
    this.#keepOnly(target)
  }

  /** Sets the replicas, which include an in-sync one; copies on other nodes are thrown away. */
  #keepOnly(replicas: readonly number[]): void {
    this.#replicas = replicas
    const isr = replicas.filter((id) => this.#isr.includes(id))
    this.#isr = isr.length > 0 ? isr : replicas.slice(0, 1)
    const dropped = [...this.#copies.keys()].filter((id) => !replicas.includes(id))
    for (const id of dropped) {
      this.#followers.get(id)?.stop()
      this.#followers.delete(id)
    }
    if (replicas.includes(this.#leaderId)) this.#leader?.syncReplicas()
    else this.#setLeader(this.#electable())
    for (const id of dropped) {
      this.#copies.get(id)?.discard()
      this.#copies.delete(id)
    }
  }

  hold(nodeId: number): () => void {
    const copy = this.#copies.get(nodeId)
    if (copy === undefined) return () => undefined
    copy.holds++
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      copy.holds--
      this.#followers.get(nodeId)?.wake()
    }
  }

  delete(): void {
    this.#isDeleted = true
    this.#retireRoles()
    this.#leaderId = -1
    for (const copy of this.#copies.values()) copy.discard()
  }

  /** Ends all roles: the cluster stops. */
  stop(): void {
    this.#retireRoles()
  }

  #electable(): number {
    const alive = (id: number) => this.isAlive(id)
    const inSync = this.#replicas.find((id) => this.#isr.includes(id) && alive(id))
    if (inSync !== undefined) return inSync
    return this.settings.uncleanElection ? (this.#replicas.find(alive) ?? -1) : -1
  }

  #setLeader(nodeId: number): void {
    if (nodeId !== -1 && !this.#isr.includes(nodeId)) this.#isr = [nodeId]
    this.#retireRoles()
    this.#leaderId = nodeId
    this.#leaderEpoch++
    const copy = this.#copies.get(nodeId)
    if (copy !== undefined) {
      this.#leader = new LeaderRole(copy, this.#leaderEpoch, this)
      for (const id of this.#replicas) this.#follow(id)
    }
    this.#host.leaderChanged(this)
  }

  #follow(nodeId: number): void {
    const copy = this.#copies.get(nodeId)
    if (copy === undefined || nodeId === this.#leaderId || !this.isAlive(nodeId)) return
    this.#followers.get(nodeId)?.stop()
    const follower = new FollowerRole(copy, this.#leaderEpoch, this)
    this.#followers.set(nodeId, follower)
    follower.wake()
  }

  #retireRoles(): void {
    this.#leader?.resign()
    this.#leader = undefined
    for (const follower of this.#followers.values()) follower.stop()
    this.#followers.clear()
  }
}

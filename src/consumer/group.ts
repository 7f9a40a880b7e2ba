/**
 * Membership in a group of the classic protocol: joins, keeps alive, joins again when the group changes, leaves.
 *
 *     ┌▶ give up all (eager) ─ JoinGroup ─ SyncGroup ─┬─ what is gone: revoke, then join again ─┐
 *     │                                               └─ what is new: assign                     │
 *     └──────────── heartbeat says so, topics changed, the coordinator forgot us ◀──── wait ◀────┘
 *
 * One loop does one thing at a time; heartbeats, metadata and failed commits only tell it to go on. What a
 * membership means is in membership.ts. Invariant: partitions are assigned and revoked by the loop alone, except
 * that a lost membership loses them at once, wherever the loop stands.
 */
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { errorCode } from '../protocol/error-codes.ts'
import {
  assignment,
  decodeConsumerProtocol,
  encodeConsumerProtocol,
  subscription,
} from '../protocol/messages/consumer-protocol.ts'
import { joinGroup, leaveGroup, syncGroup } from '../protocol/messages/index.ts'
import type { ResponseOf } from '../protocol/schema.ts'
import { type Deferred, deferred } from '../util/deferred.ts'
import { assignors } from './assignors.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import type { CoordinatorLink } from './coordinator-link.ts'
import { GroupLeader } from './group-leader.ts'
import { Heartbeats } from './heartbeats.ts'
import { type Asked, type Identity, Membership, refusal, type Verdict, verdictOf } from './membership.ts'
import { asOttlaError, mayPass, pauseBefore } from './retry.ts'
import { addedTo, byTopic, type TopicPartition } from './topic-partition.ts'

export interface GroupPorts {
  readonly cluster: Cluster
  /** For what the coordinator holds until all members have come: JoinGroup and SyncGroup. */
  readonly link: CoordinatorLink
  /** For what it answers at once: heartbeats, also while a JoinGroup is held, and the good-bye. */
  readonly promptLink: CoordinatorLink
  readonly options: ResolvedConsumerOptions
  readonly signal: AbortSignal
  /** What is assigned and not given up. */
  readonly owned: () => TopicPartition[]
  readonly assign: (partitions: readonly TopicPartition[]) => void
  /** Resolves when they are drained, committed and given up. */
  readonly revoke: (partitions: readonly TopicPartition[]) => Promise<void>
  /** They are gone. */
  readonly lose: (partitions: readonly TopicPartition[]) => void
  /** The membership is over, and no joining helps. */
  readonly fail: (error: OttlaError) => void
}

/** An answer that is not what the loop wanted: what to do about it. */
class Refused extends OttlaError {
  readonly verdict: Verdict
  readonly errorCode: number

  constructor(verdict: Verdict, errorCode: number, cause: OttlaError) {
    super(cause.code, cause.message, { cause })
    this.verdict = verdict
    this.errorCode = errorCode
  }
}

type Joined = ResponseOf<typeof joinGroup>

/** The coordinator answers a JoinGroup after the rebalance timeout at the latest; then some more for the way. */
const JOIN_MARGIN_MS = 5000

export class Group {
  readonly #ports: GroupPorts
  readonly #membership = new Membership()
  readonly #heartbeats: Heartbeats
  readonly #leader: GroupLeader
  readonly #isEager: boolean
  #isEnding = false
  #attempt = 0
  #mustRejoin: Deferred<void> = deferred()
  #unlisten: (() => void) | undefined

  constructor(ports: GroupPorts) {
    const { cluster, promptLink, options } = ports
    this.#ports = ports
    this.#leader = new GroupLeader(cluster, options.groupId)
    // As in Java: one eager assignor among those offered makes the member eager.
    this.#isEager = options.assignors.some((name) => assignors[name].protocol === 'eager')
    this.#heartbeats = new Heartbeats({
      clock: cluster.options.clock,
      link: promptLink,
      groupId: options.groupId,
      groupInstanceId: options.groupInstanceId,
      intervalMs: options.heartbeatIntervalMs,
      sessionTimeoutMs: options.sessionTimeoutMs,
      onAnswer: (code, identity) => this.#onHeartbeat(code, identity),
      onFailure: (error) => cluster.options.logger.warn({ err: error }, 'a heartbeat failed'),
      onSessionOver: () => this.#loseIfOver(),
    })
  }

  start(): void {
    this.#unlisten = this.#ports.cluster.onChange(() => {
      if (this.#leader.hasNews()) this.rejoin('topics have changed')
    })
    void this.#live()
  }

  /** As whom to commit; undefined while apart from the group. */
  identity(): Identity | undefined {
    return this.#membership.identity()
  }

  get generation(): number {
    return this.#membership.generation
  }

  get memberId(): string {
    return this.#membership.memberId
  }

  /** Ends the waiting of the loop. */
  rejoin(reason: string): void {
    const { cluster, options } = this.#ports
    cluster.options.logger.info({ groupId: options.groupId, reason }, 'joining the group again')
    this.#membership.unsettled()
    this.#mustRejoin.resolve()
  }

  /** A commit was refused because the membership under which it was made is void. */
  refused(code: number, identity: Identity): void {
    this.#voidIfCurrent(code, identity)
  }

  /** Stops the loop and, but for a static member, tells the coordinator. Afterwards nothing is sent any more. */
  async leave(timeoutMs: number): Promise<void> {
    const { memberId } = this.#membership
    this.#end()
    const { promptLink, options, cluster } = this.#ports
    if (memberId === '' || options.groupInstanceId !== undefined) return
    try {
      await promptLink.request(
        leaveGroup,
        (version) => ({
          groupId: options.groupId,
          ...(version >= 3 ? { members: [{ memberId, reason: 'the consumer is stopping' }] } : { memberId }),
        }),
        { timeoutMs },
      )
    } catch (error) {
      // The session timeout will end the membership.
      cluster.options.logger.warn({ err: error, groupId: options.groupId }, 'leaving the group failed')
    }
  }

  /** Stops without a word. */
  abort(): void {
    this.#end()
  }

  #end(): void {
    this.#isEnding = true
    this.#unlisten?.()
    this.#heartbeats.stop()
    this.#leader.resign()
    this.#mustRejoin.resolve()
  }

  // ------------------------------------------------------------------------------------------------- the loop

  async #live(): Promise<void> {
    while (!this.#isEnding) {
      try {
        await this.#round()
        this.#attempt = 0
        await this.#mustRejoin.promise
      } catch (error) {
        if (this.#isEnding) return
        if (!(await this.#recover(error))) return
      }
    }
  }

  /** From whatever is owned to the assignment of a new generation. */
  async #round(): Promise<void> {
    const { owned, revoke, link, promptLink } = this.#ports
    if (this.#isEager && owned().length > 0) await revoke(owned())
    if (this.#isEnding) return
    this.#mustRejoin = deferred()
    const joined = await this.#join()
    // A former coordinator that is cut off from the cluster goes on answering: with the offsets of its time.
    promptLink.follow(link)
    promptLink.connect()
    const assigned = await this.#sync(joined)
    await this.#apply(assigned)
  }

  async #join(): Promise<Joined> {
    const { options, link, cluster } = this.#ports
    const { groupId, groupInstanceId = null, sessionTimeoutMs, rebalanceTimeoutMs } = options
    const sentAt = cluster.options.clock.monotonic()
    this.#membership.joining()
    // The group waits for the slowest member by that one's rebalance timeout, which may be longer than ours: then the
    // same is asked again. Heartbeats tell meanwhile that we are waited for, too.
    const joined = await link.request(
      joinGroup,
      (version) => ({
        groupId,
        sessionTimeoutMs,
        rebalanceTimeoutMs,
        memberId: this.#membership.memberId,
        ...(version >= 5 ? { groupInstanceId } : {}),
        protocolType: 'consumer',
        protocols: options.assignors.map((name) => ({ name, metadata: this.#subscription() })),
      }),
      { timeoutMs: rebalanceTimeoutMs + JOIN_MARGIN_MS },
    )
    if (verdictOf('join', joined.errorCode) === 'again') this.#membership.named(joined.memberId)
    this.#check('join', joined.errorCode)
    this.#checkEnding()
    this.#heartbeats.heard(sentAt)
    const identity = { memberId: joined.memberId, generation: joined.generationId }
    this.#membership.joined(identity)
    this.#heartbeats.start(identity)
    return joined
  }

  #subscription(): Buffer {
    const { options, owned, cluster } = this.#ports
    const { ownedGeneration } = this.#membership
    // Members of before KIP-792 find the generation of what is owned in the user data of cooperative-sticky.
    const userData = Buffer.alloc(4)
    userData.writeInt32BE(ownedGeneration)
    return encodeConsumerProtocol(subscription, {
      topics: options.topics,
      userData: this.#isEager ? null : userData,
      ownedPartitions: byTopic(owned()),
      generationId: ownedGeneration,
      rackId: cluster.options.rack ?? null,
    })
  }

  async #sync(joined: Joined): Promise<TopicPartition[]> {
    const { options, link, signal, cluster } = this.#ports
    const { groupId, groupInstanceId = null } = options
    const { memberId, generation } = this.#membership
    const isLeader = joined.leader === joined.memberId
    if (!isLeader) this.#leader.resign()
    const assignments = isLeader ? await this.#leader.divide(joined, signal) : []
    this.#checkEnding()
    const sentAt = cluster.options.clock.monotonic()
    const synced = await link.request(
      syncGroup,
      (version) => ({
        groupId,
        generationId: generation,
        memberId,
        ...(version >= 3 ? { groupInstanceId } : {}),
        ...(version >= 5 ? { protocolType: 'consumer', protocolName: joined.protocolName } : {}),
        assignments,
      }),
      { timeoutMs: options.rebalanceTimeoutMs + JOIN_MARGIN_MS },
    )
    this.#check('sync', synced.errorCode)
    this.#checkEnding()
    this.#heartbeats.heard(sentAt)
    this.#membership.synced()
    // A member for which nothing is left gets no bytes at all.
    if (synced.assignment.length === 0) return []
    return decodeConsumerProtocol(assignment, synced.assignment).assignedPartitions.flatMap(
      ({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })),
    )
  }

  async #apply(assigned: readonly TopicPartition[]): Promise<void> {
    const { owned, assign, revoke } = this.#ports
    const before = owned()
    const gone = addedTo(assigned, before)
    const { generation } = this.#membership
    const added = addedTo(before, assigned)
    if (added.length > 0) assign(added)
    if (gone.length === 0) return
    await revoke(gone)
    // The others get what we gave up in a round of its own (KIP-429). If ours has ended meanwhile, one is due anyway.
    if (this.#membership.generation === generation) this.rejoin('partitions were given up')
  }

  /** What to do after a failed round; false when nothing helps. */
  async #recover(error: unknown): Promise<boolean> {
    const { options, signal, cluster, link, fail } = this.#ports
    const { logger } = cluster.options
    if (error instanceof Refused) {
      if (error.verdict === 'again' || error.verdict === 'rejoin') return true
      if (error.verdict === 'coordinator') link.forget()
      if (error.verdict === 'lost') this.#void(error.errorCode)
      if (error.verdict === 'fenced' || error.verdict === 'fatal') {
        fail(refusal(error.errorCode, 'joining', options.groupId))
        return false
      }
    } else if (!mayPass(error)) {
      fail(asOttlaError(error))
      return false
    }
    logger.warn({ err: error, groupId: options.groupId }, 'joining the group failed and is tried again')
    this.#loseIfOver()
    try {
      await pauseBefore(this.#attempt++, cluster.options, signal)
    } catch {
      // The signal fired: the loop sees that it is ending.
    }
    return true
  }

  #check(asked: Asked, code: number): void {
    const verdict = verdictOf(asked, code)
    if (verdict !== 'ok') throw new Refused(verdict, code, refusal(code, asked, this.#ports.options.groupId))
  }

  /** After each wait: a group that is being left takes no assignment. */
  #checkEnding(): void {
    if (this.#isEnding) throw new OttlaError('ABORTED', 'the consumer is stopping')
  }

  // --------------------------------------------------------------------------------------- what is told

  #onHeartbeat(code: number, identity: Identity): void {
    const { promptLink, fail, options } = this.#ports
    const verdict = verdictOf('heartbeat', code)
    if (verdict === 'rejoin') {
      if (this.#membership.isStable) this.rejoin('the group is rebalancing')
    } else if (verdict === 'coordinator') promptLink.forget()
    else if (verdict === 'lost') this.#voidIfCurrent(code, identity)
    else if (verdict === 'fenced' || verdict === 'fatal') fail(refusal(code, 'a heartbeat', options.groupId))
  }

  #voidIfCurrent(code: number, identity: Identity): void {
    const current = this.#membership.identity()
    if (current === undefined || current.generation !== identity.generation) return
    if (current.memberId !== identity.memberId || this.#isEnding) return
    // The next generation may have begun, with the answer to our JoinGroup on its way on the other connection: that
    // answer tells whether we are in it.
    if (code === errorCode.ILLEGAL_GENERATION && this.#membership.isJoining) return
    this.#void(code)
    this.rejoin('the coordinator does not know this membership')
  }

  /** By our own clock the coordinator has given our partitions away: nothing more may be done with them. */
  #loseIfOver(): void {
    if (!this.#heartbeats.isSessionOver || this.#isEnding) return
    // A stable member without partitions has nothing to lose, but it beats no more: it has to join again, too.
    if (this.#ports.owned().length === 0 && !this.#membership.isStable) return
    this.#void(0)
    this.rejoin('the session is over')
  }

  #void(code: number): void {
    this.#heartbeats.stop()
    this.#membership.lost(code)
    this.#ports.lose(this.#ports.owned())
  }
}

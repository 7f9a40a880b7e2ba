/**
 * What a member of a group knows of its membership, and what each answer of the coordinator means for it.
 *
 *              JoinGroup          SyncGroup
 *     apart ────────────▶ joined ──────────▶ stable ──┐ REBALANCE_IN_PROGRESS: join again,
 *       ▲                                      ▲      │ with what is owned (cooperative) or
 *       │ UNKNOWN_MEMBER_ID,                   └──────┘ with nothing (eager)
 *       └─ ILLEGAL_GENERATION, session over: what was owned is lost
 *
 * Synchronous. The shell (group.ts) owns the connection, the timers and the order of the steps.
 *
 * Invariant: `ownedGeneration` is the generation whose SyncGroup gave what is owned. A member that joined a
 * generation and missed its SyncGroup claims its partitions under the older number, so that its claim yields.
 */
import { OttlaError } from '../errors.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'

/** What a coordinator's error code asks for. */
export type Verdict =
  /** No error. */
  | 'ok'
  /** The same request again at once, with the member id just given. */
  | 'again'
  /** The same request again after a back-off. */
  | 'retry'
  /** The coordinator is elsewhere: look it up, then as `retry`. */
  | 'coordinator'
  /** Join again; what is owned stays owned until then. */
  | 'rejoin'
  /** The membership is void: what was owned is lost. Join again. */
  | 'lost'
  /** Another member has taken over the group instance id. For good. */
  | 'fenced'
  /** For good: configuration, authorization, or a bug. */
  | 'fatal'

/** Which request was answered: the same code means different things. */
export type Asked = 'join' | 'sync' | 'heartbeat' | 'commit' | 'offsets'

const always: ReadonlyMap<number, Verdict> = new Map([
  [errorCode.NONE, 'ok'],
  // The coordinator has moved or is being elected.
  [errorCode.NOT_COORDINATOR, 'coordinator'],
  [errorCode.COORDINATOR_NOT_AVAILABLE, 'coordinator'],
  // It is reading the group from its log.
  [errorCode.COORDINATOR_LOAD_IN_PROGRESS, 'retry'],
  // Its log is slow to take the write, or the broker failed inside: nothing of ours is wrong.
  [errorCode.REQUEST_TIMED_OUT, 'retry'],
  [errorCode.UNKNOWN_SERVER_ERROR, 'retry'],
  [errorCode.NOT_ENOUGH_REPLICAS, 'retry'],
  [errorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND, 'retry'],
  [errorCode.THROTTLING_QUOTA_EXCEEDED, 'retry'],
  // The group goes on without us.
  [errorCode.UNKNOWN_MEMBER_ID, 'lost'],
  [errorCode.ILLEGAL_GENERATION, 'lost'],
  [errorCode.REBALANCE_IN_PROGRESS, 'rejoin'],
  [errorCode.FENCED_INSTANCE_ID, 'fenced'],
])

const byRequest: { readonly [A in Asked]: ReadonlyMap<number, Verdict> } = {
  join: new Map([
    // KIP-394: the id given with the error is ours; joining with it proves that we got it.
    [errorCode.MEMBER_ID_REQUIRED, 'again'],
    [errorCode.REBALANCE_IN_PROGRESS, 'retry'],
  ]),
  sync: new Map(),
  heartbeat: new Map(),
  commit: new Map([
    // Joined, not synced yet: the same commit is right under the new generation.
    [errorCode.REBALANCE_IN_PROGRESS, 'retry'],
    // Metadata of a new topic has not reached the coordinator yet.
    [errorCode.UNKNOWN_TOPIC_OR_PARTITION, 'retry'],
    [errorCode.UNKNOWN_TOPIC_ID, 'retry'],
  ]),
  offsets: new Map([
    // KIP-447: a transaction of the group has offsets that are not decided yet.
    [errorCode.UNSTABLE_OFFSET_COMMIT, 'retry'],
    [errorCode.UNKNOWN_TOPIC_OR_PARTITION, 'retry'],
  ]),
}

export const verdictOf = (asked: Asked, code: number): Verdict =>
  byRequest[asked].get(code) ?? always.get(code) ?? 'fatal'

/** What is thrown for a verdict that is for good. */
export function refusal(code: number, doing: string, groupId: string): OttlaError {
  if (code !== errorCode.FENCED_INSTANCE_ID) {
    return new BrokerError(code, `${doing} of group ${groupId}`, { groupId })
  }
  return new OttlaError('GROUP_FENCED', `group ${groupId}: another member took over this group instance id`, {
    groupId,
    cause: new BrokerError(code, doing, { groupId }),
  })
}

/** Who a request comes from, as heartbeats and commits tell it. */
export interface Identity {
  readonly memberId: string
  readonly generation: number
}

export class Membership {
  #memberId = ''
  #generation = -1
  #ownedGeneration = -1
  #stable = false
  #isJoining = false

  /** Empty before the coordinator has given one. */
  get memberId(): string {
    return this.#memberId
  }

  /** The generation joined last; -1 when apart. */
  get generation(): number {
    return this.#generation
  }

  /** The generation whose assignment is held; -1 when none is. */
  get ownedGeneration(): number {
    return this.#ownedGeneration
  }

  /** Whether the assignment of the current generation is known. */
  get isStable(): boolean {
    return this.#stable
  }

  /** A JoinGroup is under way, or its answer was lost: the coordinator may be in the next generation already. */
  get isJoining(): boolean {
    return this.#isJoining
  }

  /** As which commits are made; undefined when apart. */
  identity(): Identity | undefined {
    return this.#generation < 0 ? undefined : { memberId: this.#memberId, generation: this.#generation }
  }

  /** Keeps the id that came with MEMBER_ID_REQUIRED. */
  named(memberId: string): void {
    this.#memberId = memberId
  }

  joining(): void {
    this.#isJoining = true
  }

  joined({ memberId, generation }: Identity): void {
    this.#memberId = memberId
    this.#generation = generation
    this.#stable = false
    this.#isJoining = false
  }

  synced(): void {
    this.#ownedGeneration = this.#generation
    this.#stable = true
  }

  /** A rebalance is on: the generation stays good for heartbeats and commits until the next one is joined. */
  unsettled(): void {
    this.#stable = false
  }

  /** The membership is void. The id goes only where the coordinator said that it does not know it. */
  lost(code: number): void {
    this.#generation = -1
    this.#ownedGeneration = -1
    this.#stable = false
    this.#isJoining = false
    if (code === errorCode.UNKNOWN_MEMBER_ID) this.#memberId = ''
  }
}

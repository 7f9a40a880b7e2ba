/**
 * Who is in a classic group: members, the names of static ones, ids handed out but not yet joined, ids that have
 * joined but not yet synced, the leader, and the protocols that everybody offers.
 *
 * Invariants: every static name points at a member; the leader is a member, and there is one whenever there are
 * members; a pending id is not a member; `waitingJoins` is the number of members with a waiting JoinGroup.
 */
import { Reader } from '../../protocol/reader.ts'
import { type Member, metadataOf, type Protocol } from './member.ts'

/** The protocol type of Kafka's own consumers: only its metadata can be read by a coordinator. */
export const CONSUMER = 'consumer'

export class Membership {
  readonly members = new Map<string, Member>()
  /** Static name to member id. */
  readonly #static = new Map<string, string>()
  /** Ids given out with MEMBER_ID_REQUIRED (KIP-394). */
  readonly pendingJoin = new Set<string>()
  readonly pendingSync = new Set<string>()
  protocolType: string | null = null
  leader: string | null = null

  get size(): number {
    return this.members.size
  }

  get waitingJoins(): number {
    let waiting = 0
    for (const member of this.members.values()) if (member.waitingJoin !== undefined) waiting++
    return waiting
  }

  get hasEverybodyJoined(): boolean {
    return this.pendingJoin.size === 0 && this.waitingJoins === this.size
  }

  /** How long a rebalance waits for members: the longest that any of them asked for. */
  get rebalanceTimeoutMs(): number {
    let longest = 0
    for (const member of this.members.values()) longest = Math.max(longest, member.rebalanceTimeoutMs)
    return longest
  }

  get(memberId: string): Member | undefined {
    return this.members.get(memberId)
  }

  staticMemberId(groupInstanceId: string | null): string | undefined {
    return groupInstanceId === null ? undefined : this.#static.get(groupInstanceId)
  }

  add(member: Member): void {
    if (this.size === 0) this.protocolType = member.protocolType
    if (member.groupInstanceId !== null) this.#static.set(member.groupInstanceId, member.memberId)
    this.members.set(member.memberId, member)
    this.leader ??= member.memberId
    this.pendingJoin.delete(member.memberId)
  }

  /** Forgets an id, whatever it was: a member, a pending one, unknown. */
  remove(memberId: string): void {
    const member = this.members.get(memberId)
    if (member !== undefined) {
      this.members.delete(memberId)
      if (member.groupInstanceId !== null) this.#static.delete(member.groupInstanceId)
    }
    if (this.leader === memberId) this.leader = firstOf(this.members.keys())
    this.pendingJoin.delete(memberId)
    this.pendingSync.delete(memberId)
  }

  /** Gives a static member a new id: everything else, its place as leader too, stays (KIP-345). */
  replace(old: Member, memberId: string): Member {
    const renewed: Member = {
      ...old,
      memberId,
      isNew: false,
      waitingJoin: undefined,
      waitingSync: undefined,
    }
    this.members.delete(old.memberId)
    this.members.set(memberId, renewed)
    if (old.groupInstanceId !== null) this.#static.set(old.groupInstanceId, memberId)
    if (this.leader === old.memberId) this.leader = memberId
    // Whoever takes the place has to ask for the assignment too, if the old one has not yet.
    if (this.pendingSync.delete(old.memberId)) this.pendingSync.add(memberId)
    return renewed
  }

  /** Makes sure that the leader is one who joined. False when nobody did, or nobody is left. */
  electJoinedLeader(): boolean {
    if (this.leader === null) return false
    if (this.members.get(this.leader)?.waitingJoin !== undefined) return true
    for (const member of this.members.values()) {
      if (member.waitingJoin === undefined) continue
      this.leader = member.memberId
      return true
    }
    return false
  }

  /** Whether at least one of these protocols is offered by every member. */
  offers(protocolType: string, protocols: readonly Protocol[]): boolean {
    if (protocolType !== this.protocolType) return false
    return protocols.some(({ name }) => this.#isOfferedByAll(name))
  }

  #isOfferedByAll(name: string): boolean {
    for (const member of this.members.values()) {
      if (!member.protocols.some((protocol) => protocol.name === name)) return false
    }
    return true
  }

  /** The protocol with the most votes: each member votes for the first of its own that all others offer too. */
  electProtocol(): string | null {
    const votes = new Map<string, number>()
    for (const member of this.members.values()) {
      const vote = member.protocols.find(({ name }) => this.#isOfferedByAll(name))
      if (vote !== undefined) votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1)
    }
    let elected: string | null = null
    for (const [name, count] of votes) {
      if (elected === null || count > (votes.get(elected) as number)) elected = name
    }
    return elected
  }

  /** The topics that the members subscribe to; undefined when that cannot be known. */
  subscribedTopics(protocolName: string | null): ReadonlySet<string> | undefined {
    if (this.protocolType !== CONSUMER) return undefined
    if (this.size > 0 && protocolName === null) return undefined
    const topics = new Set<string>()
    for (const member of this.members.values()) {
      const subscribed = readTopics(metadataOf(member, protocolName))
      if (subscribed === undefined) return undefined
      for (const topic of subscribed) topics.add(topic)
    }
    return topics
  }
}

const firstOf = <T>(values: Iterable<T>): T | null => {
  for (const value of values) return value
  return null
}

/** The topics of a subscription. Only its version 0 is read, which every later version begins with. */
function readTopics(metadata: Uint8Array): string[] | undefined {
  const reader = new Reader(Buffer.from(metadata.buffer, metadata.byteOffset, metadata.byteLength))
  try {
    reader.int16()
    const topics: string[] = []
    for (let left = reader.count(reader.int32()); left > 0; left--) topics.push(reader.text(reader.int16()))
    return topics
  } catch {
    // Not Kafka's own format: the protocol type is a member's claim, and the bytes are its own affair.
    return undefined
  }
}

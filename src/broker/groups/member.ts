/** One member of a classic group, as its coordinator knows it. */

/** A way of assigning partitions that a member offers, with what it says about itself under it. */
export interface Protocol {
  readonly name: string
  readonly metadata: Uint8Array
}

/** A request that waits for its answer. The core only stores it; who holds the connection redeems it. */
export type Ticket = number

export interface Member {
  readonly memberId: string
  /** The name of a static member (KIP-345); null for a dynamic one. */
  readonly groupInstanceId: string | null
  readonly clientId: string
  /** As Kafka shows it: `/127.0.0.1`. */
  readonly clientHost: string
  readonly protocolType: string
  /** In the member's order of preference. */
  protocols: readonly Protocol[]
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  assignment: Uint8Array
  /** The JoinGroup that waits for the rebalance to complete. */
  waitingJoin: Ticket | undefined
  /** The SyncGroup that waits for the leader's assignment. */
  waitingSync: Ticket | undefined
  /** Until its first JoinGroup is answered: such a member cannot heartbeat, and may expire while it waits. */
  isNew: boolean
}

export const NO_BYTES = Buffer.alloc(0)

/** What the member said about itself under a protocol; nothing for a protocol that it does not offer. */
export const metadataOf = (member: Member, protocolName: string | null): Uint8Array =>
  member.protocols.find(({ name }) => name === protocolName)?.metadata ?? NO_BYTES

/** Whether these are the member's own protocols: same names, same bytes, same order. */
export const hasProtocols = (member: Member, protocols: readonly Protocol[]): boolean =>
  protocols.length === member.protocols.length &&
  protocols.every(({ name, metadata }, index) => {
    const own = member.protocols[index] as Protocol
    return own.name === name && Buffer.compare(own.metadata, metadata) === 0
  })

/** A member that waits for a join or a sync needs no heartbeat; a new one may expire even then. */
export const needsNoHeartbeat = (member: Member): boolean =>
  !member.isNew && (member.waitingJoin !== undefined || member.waitingSync !== undefined)

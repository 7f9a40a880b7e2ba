/**
 * What of a group is written down, as Kafka writes it to `__consumer_offsets`, and so what is left of it when its
 * coordinator moves: the last generation that was complete. A rebalance under way is not in it.
 */
import { type Member, metadataOf } from './member.ts'
import type { Membership } from './membership.ts'

export interface GroupRecord {
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string | null
  /** When the group came into its state, wall clock: retention of an empty group counts from here. */
  readonly stateSince: number
  readonly members: readonly MemberRecord[]
}

export interface MemberRecord {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: number
  readonly sessionTimeoutMs: number
  /** What it said under the protocol that was chosen; its other protocols are not kept. */
  readonly metadata: Uint8Array
  readonly assignment: Uint8Array
}

export const recordMember = (member: Member, protocolName: string | null): MemberRecord => ({
  memberId: member.memberId,
  groupInstanceId: member.groupInstanceId,
  clientId: member.clientId,
  clientHost: member.clientHost,
  rebalanceTimeoutMs: member.rebalanceTimeoutMs,
  sessionTimeoutMs: member.sessionTimeoutMs,
  metadata: metadataOf(member, protocolName),
  assignment: member.assignment,
})

/** Puts the recorded members back. */
export function restoreMembers(membership: Membership, record: GroupRecord): void {
  for (const { metadata, ...member } of record.members) {
    membership.add({
      ...member,
      protocolType: record.protocolType ?? '',
      protocols: [{ name: record.protocolName ?? '', metadata }],
      waitingJoin: undefined,
      waitingSync: undefined,
      isNew: false,
    })
  }
  membership.protocolType = record.protocolType
  membership.leader = record.leader
}

/**
 * What members of a group tell each other, as the leader that computes the assignment sees it.
 */
import { decodeConsumerProtocol, subscription } from '../protocol/messages/consumer-protocol.ts'
import type { TopicPartition } from './topic-partition.ts'

/** A member of the group as the leader sees it. */
export interface GroupMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly topics: readonly string[]
  /** What the member says that it owns. */
  readonly owned: readonly TopicPartition[]
  /** The generation in which it got them; -1 when it does not say. */
  readonly generation: number
}

/** How many partitions each topic has. A topic that does not exist is not in it. */
export type PartitionCounts = ReadonlyMap<string, number>

export type Assignment = ReadonlyMap<string, readonly TopicPartition[]>

/** Names that a member may offer. */
export type AssignorName = 'range' | 'roundrobin' | 'cooperative-sticky'

export interface Assignor {
  readonly name: AssignorName
  /**
   * `eager`: every member gives up everything before it joins. `cooperative` (KIP-429): members keep what they
   * have; a partition that moves is given up in one round and assigned in the next.
   */
  readonly protocol: 'eager' | 'cooperative'
  assign(members: readonly GroupMember[], partitions: PartitionCounts): Assignment
}

/** Reads what a member sent in its JoinGroup, of whatever client and version. */
export function readMember(member: {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly metadata: Buffer
}): GroupMember {
  const decoded = decodeConsumerProtocol(subscription, member.metadata)
  const owned = decoded.ownedPartitions.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition })),
  )
  return {
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    topics: [...new Set(decoded.topics)],
    owned,
    generation: decoded.generationId >= 0 ? decoded.generationId : generationIn(decoded.userData),
  }
}

/** Before version 2 of the subscription, cooperative-sticky members told their generation in the user data. */
const generationIn = (userData: Buffer | null): number =>
  userData !== null && userData.length >= 4 ? userData.readInt32BE(0) : -1

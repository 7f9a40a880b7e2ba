/** What most requests about a partition begin with: is it here, does this node lead it, does the client know so. */
import { errorCode } from '../protocol/error-codes.ts'
import type { RequestContext } from './handler.ts'
import type { LeaderRole } from './leader-role.ts'
import type { Partition } from './partition.ts'

export interface PartitionRequest {
  readonly topic: string
  readonly partition: number
  /** The leader epoch that the client knows (KIP-320); -1: it does not say. */
  readonly currentLeaderEpoch: number
}

export type FoundLeader = { readonly partition: Partition; readonly leader: LeaderRole }

/** The leader on this node, or the error to answer. An injected error goes before everything. */
export function findLeader(
  request: PartitionRequest,
  context: RequestContext,
): FoundLeader | { readonly errorCode: number } {
  const injected = context.injectedError(request.topic, request.partition)
  if (injected !== 0) return { errorCode: injected }
  const partition = context.cluster.partition(request.topic, request.partition)
  if (partition === undefined) return { errorCode: errorCode.UNKNOWN_TOPIC_OR_PARTITION }
  const epochError = checkLeaderEpoch(partition, request.currentLeaderEpoch)
  if (epochError !== errorCode.NONE) return { errorCode: epochError }
  const { leader } = partition
  if (leader === undefined || partition.leaderId !== context.node.id) {
    return { errorCode: errorCode.NOT_LEADER_OR_FOLLOWER }
  }
  return { partition, leader }
}

/** Only -1 says nothing of the epoch; anything else is compared. */
export function checkLeaderEpoch(partition: Partition, known: number): number {
  if (known === -1 || known === partition.leaderEpoch) return errorCode.NONE
  return known < partition.leaderEpoch ? errorCode.FENCED_LEADER_EPOCH : errorCode.UNKNOWN_LEADER_EPOCH
}

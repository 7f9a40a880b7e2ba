/**
 * Which replica a consumer should read from (KIP-392): with the rack-aware selector the one in its own rack that has
 * what it asks for, else the leader.
 */

import type { RequestContext } from './handler.ts'
import type { Partition } from './partition.ts'

const RACK_AWARE = 'org.apache.kafka.common.replica.RackAwareReplicaSelector'

/** -1: the leader, or no selector. Only the leader knows, so only it is asked. */
export function preferredReplica(
  partition: Partition,
  offset: number,
  { context, rackId }: { readonly context: RequestContext; readonly rackId: string },
): number {
  const { cluster, node } = context
  if (rackId === '' || partition.leaderId !== node.id || node.rack === rackId) return -1
  if (cluster.configText('replica.selector.class') !== RACK_AWARE) return -1
  for (const id of partition.isr) {
    const replica = partition.replicaOn(id)
    if (id === node.id || replica === undefined || cluster.node(id)?.rack !== rackId) continue
    if (offset >= replica.log.start && offset <= replica.log.end) return id
  }
  return -1
}

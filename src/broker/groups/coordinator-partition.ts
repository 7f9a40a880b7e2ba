/** Which partition of `__consumer_offsets` keeps a group: Java's hash of the group id, as in every Kafka. */

export function coordinatorPartition(groupId: string, partitions: number): number {
  let hash = 0
  for (let index = 0; index < groupId.length; index++)
    hash = (Math.imul(31, hash) + groupId.charCodeAt(index)) | 0
  return (hash === -0x8000_0000 ? 0 : Math.abs(hash)) % partitions
}

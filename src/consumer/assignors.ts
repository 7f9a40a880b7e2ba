/**
 * Who of a group gets which partitions. The leader of the group computes it for all members, whatever client they
 * are: subscriptions and assignments are those of the Java client (ConsumerProtocol), and so are the names.
 *
 * Pure: the same members and topics give the same assignment, in any order of the members.
 */
import type { Assignor, AssignorName, GroupMember, PartitionCounts } from './assignment.ts'
import { assignSticky, withoutHandovers } from './sticky-assignor.ts'
import { comparePartitions, type TopicPartition } from './topic-partition.ts'

/** Java's order of members: static ones first, by instance id; then the others, by member id. */
function inOrder(members: readonly GroupMember[]): GroupMember[] {
  return [...members].sort((a, b) => {
    if (a.groupInstanceId !== null && b.groupInstanceId !== null) {
      return compareText(a.groupInstanceId, b.groupInstanceId)
    }
    if (a.groupInstanceId !== null) return -1
    if (b.groupInstanceId !== null) return 1
    return compareText(a.memberId, b.memberId)
  })
}

const compareText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

const emptyAssignment = (members: readonly GroupMember[]) =>
  new Map<string, TopicPartition[]>(members.map(({ memberId }) => [memberId, []]))

/** Of each topic, consecutive partitions; the first members get one more where it does not divide. */
export const range: Assignor = {
  name: 'range',
  protocol: 'eager',
  assign(members, partitions) {
    const assignment = emptyAssignment(members)
    const ordered = inOrder(members)
    for (const [topic, count] of partitions) {
      const takers = ordered.filter((member) => member.topics.includes(topic))
      let next = 0
      for (const [index, taker] of takers.entries()) {
        const share = Math.floor(count / takers.length) + (index < count % takers.length ? 1 : 0)
        for (const end = next + share; next < end; next++) {
          assignment.get(taker.memberId)?.push({ topic, partition: next })
        }
      }
    }
    return assignment
  },
}

/** All partitions of all topics, dealt out one by one to the members that want their topic. */
export const roundRobin: Assignor = {
  name: 'roundrobin',
  protocol: 'eager',
  assign(members, partitions) {
    const assignment = emptyAssignment(members)
    const ordered = inOrder(members)
    let turn = 0
    for (const topicPartition of allPartitions(partitions)) {
      const taker = nextTaker(ordered, turn, topicPartition.topic)
      if (taker < 0) continue
      assignment.get(ordered[taker]?.memberId ?? '')?.push(topicPartition)
      turn = (taker + 1) % ordered.length
    }
    return assignment
  },
}

function nextTaker(members: readonly GroupMember[], from: number, topic: string): number {
  for (let step = 0; step < members.length; step++) {
    const index = (from + step) % members.length
    if (members[index]?.topics.includes(topic)) return index
  }
  return -1
}

/** As balanced as the subscriptions allow, and each member keeps what it has as far as that is compatible with it. */
export const cooperativeSticky: Assignor = {
  name: 'cooperative-sticky',
  protocol: 'cooperative',
  assign(members, partitions) {
    const ordered = inOrder(members)
    return withoutHandovers(ordered, assignSticky(ordered, allPartitions(partitions)))
  },
}

function allPartitions(partitions: PartitionCounts): TopicPartition[] {
  return [...partitions]
    .flatMap(([topic, count]) => Array.from({ length: count }, (_, partition) => ({ topic, partition })))
    .sort(comparePartitions)
}

export const assignors: { readonly [Name in AssignorName]: Assignor } = {
  range,
  roundrobin: roundRobin,
  'cooperative-sticky': cooperativeSticky,
}

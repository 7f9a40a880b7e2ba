/**
 * What the leader of a group does: divides the partitions among all members, and notices when a topic has more or
 * fewer of them than when it did (KIP-568 leaves that to the client of the leader).
 */
import type { Cluster } from '../client/cluster.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'
import { assignment, encodeConsumerProtocol } from '../protocol/messages/consumer-protocol.ts'
import type { joinGroup } from '../protocol/messages/index.ts'
import type { ResponseOf } from '../protocol/schema.ts'
import { refreshQuietly } from './ask-leaders.ts'
import { type PartitionCounts, readMember } from './assignment.ts'
import { assignors } from './assignors.ts'
import { byTopic } from './topic-partition.ts'

type Joined = ResponseOf<typeof joinGroup>

export class GroupLeader {
  readonly #cluster: Cluster
  readonly #groupId: string
  #unwatch: (() => void) | undefined
  /** Those that any member wants. */
  #topics: readonly string[] = []
  /** As they were when the partitions were divided; undefined while another member leads. */
  #counts: PartitionCounts | undefined

  constructor(cluster: Cluster, groupId: string) {
    this.#cluster = cluster
    this.#groupId = groupId
  }

  /** What each member gets, encoded for SyncGroup. */
  async divide(joined: Joined, signal: AbortSignal): Promise<{ memberId: string; assignment: Buffer }[]> {
    const members = joined.members.map(readMember)
    const topics = [...new Set(members.flatMap((member) => member.topics))].sort()
    await this.#learn(topics, signal)
    this.#counts = this.#count(topics)
    // Static members that come back under the same plan (KIP-814): the coordinator keeps the assignment it has.
    if (joined.skipAssignment) return []
    const assignor = Object.values(assignors).find(({ name }) => name === joined.protocolName)
    if (assignor === undefined) {
      const doing = `group ${this.#groupId} chose the assignor ${joined.protocolName}`
      throw new BrokerError(errorCode.INCONSISTENT_GROUP_PROTOCOL, doing, { groupId: this.#groupId })
    }
    const assigned = assignor.assign(members, this.#counts)
    return members.map(({ memberId }) => ({
      memberId,
      assignment: encodeConsumerProtocol(assignment, {
        assignedPartitions: byTopic(assigned.get(memberId) ?? []),
      }),
    }))
  }

  /** Another member leads now, or none does. */
  resign(): void {
    this.#unwatch?.()
    this.#unwatch = undefined
    this.#counts = undefined
  }

  /** Whether the partitions have to be divided anew because topics have changed. */
  hasNews(): boolean {
    if (this.#counts === undefined) return false
    const before = this.#counts
    const now = this.#count(this.#topics)
    return this.#topics.some((topic) => this.#isSure(topic) && now.get(topic) !== before.get(topic))
  }

  async #learn(topics: readonly string[], signal: AbortSignal): Promise<void> {
    const unwatch = this.#cluster.watch(topics)
    this.#unwatch?.()
    this.#unwatch = unwatch
    this.#topics = topics
    const unknown = topics.filter((topic) => !this.#count([topic]).has(topic))
    if (unknown.length === 0) return
    await refreshQuietly(
      this.#cluster,
      unknown.map((topic) => ({ topic, partition: 0 })),
      signal,
    )
  }

  /** Whether its metadata say how it is: an error that passes is no reason to take a topic from the group. */
  #isSure(topic: string): boolean {
    const code = this.#cluster.topic(topic)?.errorCode ?? errorCode.NONE
    return code === errorCode.NONE || code === errorCode.UNKNOWN_TOPIC_OR_PARTITION
  }

  /** A topic that does not exist, or cannot be read, is not counted. */
  #count(topics: readonly string[]): PartitionCounts {
    const counts = new Map<string, number>()
    for (const topic of topics) {
      const known = this.#cluster.topic(topic)
      if (known !== undefined && known.errorCode === 0 && known.partitions.length > 0) {
        counts.set(topic, known.partitions.length)
      }
    }
    return counts
  }
}

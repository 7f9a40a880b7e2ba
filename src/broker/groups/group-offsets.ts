/**
 * The offsets that groups have committed, by topic and partition, with the rules by which they expire (KIP-211).
 *
 * They are kept by topic name, as in Kafka, and outlive the group's members and its coordinator's moves.
 */
import type { CommittedOffset, CoordinatorRecord } from './coordinator-record.ts'

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** What retention counts from: nothing expires, each commit's own time, or one moment for all. */
export type RetentionBase = 'never' | 'commit' | number

/** Of one group. */
export class GroupOffsets {
  readonly #topics = new Map<string, Map<number, CommittedOffset>>()

  get isEmpty(): boolean {
    return this.#topics.size === 0
  }

  get topics(): readonly string[] {
    return [...this.#topics.keys()]
  }

  commit(topic: string, partition: number, committed: CommittedOffset): void {
    let partitions = this.#topics.get(topic)
    if (partitions === undefined) this.#topics.set(topic, (partitions = new Map()))
    partitions.set(partition, committed)
  }

  get(topic: string, partition: number): CommittedOffset | undefined {
    return this.#topics.get(topic)?.get(partition)
  }

  of(topic: string): readonly (readonly [partition: number, committed: CommittedOffset])[] {
    return [...(this.#topics.get(topic) ?? [])]
  }

  delete(topic: string, partition: number): void {
    const partitions = this.#topics.get(topic)
    partitions?.delete(partition)
    if (partitions?.size === 0) this.#topics.delete(topic)
  }

  partitions(): TopicPartition[] {
    return this.topics.flatMap((topic) => this.of(topic).map(([partition]) => ({ topic, partition })))
  }

  /** What is older than the retention. `isKept` names topics that the group still reads. */
  expired(
    wallNow: number,
    retention: { readonly ms: number; readonly from: RetentionBase; isKept(topic: string): boolean },
  ): TopicPartition[] {
    const { from } = retention
    if (from === 'never') return []
    return this.partitions().filter(({ topic, partition }) => {
      const { committedAt, expiresAt } = this.get(topic, partition) as CommittedOffset
      const base = from === 'commit' ? committedAt : from
      return !retention.isKept(topic) && wallNow >= (expiresAt ?? base + retention.ms)
    })
  }
}

/** Of all groups of a coordinator: what its log says up to a point, record by record. */
export class OffsetsByGroup {
  readonly #groups = new Map<string, GroupOffsets>()

  get groupIds(): readonly string[] {
    return [...this.#groups.keys()]
  }

  of(groupId: string): GroupOffsets | undefined {
    return this.#groups.get(groupId)
  }

  apply(record: CoordinatorRecord): void {
    if (record.kind !== 'offset') return
    const { groupId, topic, partition, committed } = record
    let offsets = this.#groups.get(groupId)
    if (committed === undefined) {
      offsets?.delete(topic, partition)
      if (offsets?.isEmpty) this.#groups.delete(groupId)
      return
    }
    if (offsets === undefined) this.#groups.set(groupId, (offsets = new GroupOffsets()))
    offsets.commit(topic, partition, committed)
  }
}

/**
 * The offsets that a group has committed, by topic and partition, with the rules by which they expire (KIP-211).
 *
 * They are kept by topic name, as in Kafka, and outlive the group's members and its coordinator's moves.
 */

export interface CommittedOffset {
  readonly offset: number
  readonly leaderEpoch: number
  readonly metadata: string
  /** Wall clock. */
  readonly committedAt: number
  /** Wall clock; only where an old client named its own retention (OffsetCommit 2 to 4). */
  readonly expiresAt: number | undefined
}

/** What retention counts from: nothing expires, each commit's own time, or one moment for all. */
export type RetentionBase = 'never' | 'commit' | number

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

  deleteTopic(topic: string): void {
    this.#topics.delete(topic)
  }

  /** Drops what is older than the retention. `isKept` names topics that the group still reads. */
  expire(
    wallNow: number,
    retention: { readonly ms: number; readonly from: RetentionBase; isKept(topic: string): boolean },
  ): void {
    if (retention.from === 'never') return
    for (const topic of this.topics) {
      if (retention.isKept(topic)) continue
      for (const [partition, committed] of this.of(topic)) {
        const base = retention.from === 'commit' ? committed.committedAt : (retention.from as number)
        if (wallNow >= (committed.expiresAt ?? base + retention.ms)) this.delete(topic, partition)
      }
    }
  }
}

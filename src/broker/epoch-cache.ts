/**
 * Where each leader epoch begins in one replica's log: what OffsetForLeaderEpoch and truncation after a fail-over
 * are answered from (KIP-101, KIP-279). Epochs and start offsets both grow.
 */

export interface EpochEnd {
  /** The largest known epoch that is not above the one asked for; -1 when there is none. */
  readonly epoch: number
  /** Where the next epoch begins, or the end of the log; -1 when there is none. */
  readonly endOffset: number
}

const UNKNOWN: EpochEnd = { epoch: -1, endOffset: -1 }

export class EpochCache {
  #entries: { epoch: number; startOffset: number }[] = []

  get latest(): number {
    return this.#entries.at(-1)?.epoch ?? -1
  }

  /** Notes that `epoch` begins at `startOffset`, unless it, or a later one, is known already. */
  assign(epoch: number, startOffset: number): void {
    if (epoch <= this.latest) return
    // An epoch under which nothing was written leaves no trace once the next begins at the same place.
    while (this.#entries.length > 0 && (this.#entries.at(-1)?.startOffset as number) >= startOffset)
      this.#entries.pop()
    this.#entries.push({ epoch, startOffset })
  }

  /**
   * Takes over from another log what it knows of epochs up to `epoch`, and this one does not. Where a log was compacted
   * the first batches of an epoch may be gone, or all of them: what is left does not tell where it began.
   */
  adopt(other: EpochCache, epoch: number): void {
    if (epoch <= this.latest) return
    for (const known of other.#entries) if (known.epoch <= epoch) this.assign(known.epoch, known.startOffset)
  }

  /** Where `epoch` ends, by Kafka's rule for epochs that this log does not know itself. */
  endOf(epoch: number, logEnd: number): EpochEnd {
    if (epoch === -1 || this.#entries.length === 0) return UNKNOWN
    if (epoch === this.latest) return { epoch, endOffset: logEnd }
    if (epoch > this.latest) return UNKNOWN
    const above = this.#entries.findIndex((entry) => entry.epoch > epoch)
    const { startOffset } = this.#entries[above] as { startOffset: number }
    // Older than everything known: the log begins after it.
    if (above === 0) return { epoch, endOffset: startOffset }
    return { epoch: (this.#entries[above - 1] as { epoch: number }).epoch, endOffset: startOffset }
  }

  /** The epoch under which the record at `offset` was written; -1 when not known. */
  epochAt(offset: number): number {
    let found = -1
    for (const { epoch, startOffset } of this.#entries) if (startOffset <= offset) found = epoch
    return found
  }

  truncateTo(offset: number): void {
    while (this.#entries.length > 0 && (this.#entries.at(-1)?.startOffset as number) >= offset)
      this.#entries.pop()
  }

  /** Forgets epochs that ended at or before the log's new start. */
  advanceStart(offset: number): void {
    while (this.#entries.length > 1 && (this.#entries[1] as { startOffset: number }).startOffset <= offset)
      this.#entries.shift()
    const first = this.#entries[0]
    if (first !== undefined && first.startOffset < offset) first.startOffset = offset
  }

  clear(): void {
    this.#entries = []
  }
}

/**
 * The port between the accumulator, which appends sealed batches, and the sender, which takes and settles them.
 *
 *     positions   count the records of the whole queue     ranks   count the records of one stream
 *
 *     stream a    [0 1 2] [3 4]       [5]                  a stream is a topic-partition; its cursor stands
 *     stream b                  [0 1]       [2 3]          before the first batch that was never taken
 *     positions    0 1 2   3 4   5 6   7     8 9
 *
 * Invariants: neither a position nor a rank is given twice; a stream's batches are taken in their order; ranges are
 * settled in any order, and everything below `lowWater` is settled. What was taken and is not settled stays the
 * queue's: a queue on disk would give it again after a restart.
 */

/** What a queue needs to know of a batch, and what it writes into it. */
export interface QueuedBatch {
  /** Records. */
  readonly count: number
  /** Of the first record in the queue; -1 before it is appended. */
  position: number
  /** Of the first record in its stream; -1 before it is appended. */
  rank: number
  /** Whether it is no longer in its stream's cursor: taken, or dropped. */
  taken: boolean
}

/** One topic-partition's batches in order, and the place up to which they were taken. */
export interface QueueStream<B extends QueuedBatch> {
  readonly topic: string
  readonly partition: number
  /** The rank that the next appended record gets. */
  readonly nextRank: number
  /** Batches that were never taken. */
  readonly length: number
  /** The next batch, which stays where it is. */
  peek(): B | undefined
  take(): B | undefined
}

export interface Queue<B extends QueuedBatch> {
  /** The position that the next appended record gets. */
  readonly nextPosition: number
  /** All positions below this one are settled. */
  readonly lowWater: number
  /** The stream of a topic-partition, made when first asked for. */
  stream(topic: string, partition: number): QueueStream<B>
  /** Gives the batch its position and rank, and calls `held` once the queue keeps it as safe as it promises. */
  append(stream: QueueStream<B>, batch: B, held?: () => void): void
  /** The records from this position on need no longer be kept. Each record is settled once. */
  settle(position: number, count: number): void
  /** Takes the batch with the lowest position that was never taken, out of its stream. */
  takeOldest(): B | undefined
}

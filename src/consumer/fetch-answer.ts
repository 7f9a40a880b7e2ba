/**
 * Reads one partition's part of a fetch response: what of it is to be delivered, where the next fetch begins, and
 * what an error code asks for. Pure.
 */
import type { OttlaError } from '../errors.ts'
import { errorCode, isRetriableCode } from '../protocol/error-codes.ts'
import type { fetch } from '../protocol/messages/index.ts'
import { abortedTransactionFilter, type BatchView, readBatches } from '../protocol/record-batch.ts'
import type { ResponseOf } from '../protocol/schema.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import { FetchedChunk } from './fetched-chunk.ts'
import { asOttlaError } from './retry.ts'
import type { TopicPartition } from './topic-partition.ts'

export type PartitionAnswer = ResponseOf<typeof fetch>['responses'][number]['partitions'][number]

/** What an error of a partition asks for. */
export type Trouble =
  | 'none'
  /** Another broker leads, or the topic is another one: refresh the metadata first. */
  | 'metadata'
  /** The same again after a while. */
  | 'retry'
  /** The position is not in the log. */
  | 'range'
  /** For good. */
  | 'fatal'

const troubles: ReadonlyMap<number, Trouble> = new Map([
  [errorCode.NONE, 'none'],
  [errorCode.OFFSET_OUT_OF_RANGE, 'range'],
  // The broker has not heard yet of the epoch that we know: it will.
  [errorCode.UNKNOWN_LEADER_EPOCH, 'retry'],
  // It has stumbled, or found damage that another replica may not have.
  [errorCode.UNKNOWN_SERVER_ERROR, 'retry'],
  [errorCode.CORRUPT_MESSAGE, 'retry'],
])

/** Everything else that may pass by itself says in some way that the metadata are old. */
export const troubleOf = (code: number): Trouble =>
  troubles.get(code) ?? (isRetriableCode(code) ? 'metadata' : 'fatal')

export interface Delivery {
  /** Undefined when the answer moves the position nowhere. */
  readonly chunk: FetchedChunk | undefined
  /** Where an epoch begins among the batches. */
  readonly epochs: readonly { readonly from: number; readonly leaderEpoch: number }[]
  /** Set when the answer holds only the beginning of a batch: how much to ask for to get it whole. */
  readonly neededBytes: number | undefined
  /** What is wrong with the batch behind the chunk. */
  readonly damage: OttlaError | undefined
}

const LENGTH_AT = 8
const OVERHEAD = 12

/** `offset`: what was asked for. `checkCrc`: of every batch, before any of its fields is believed. */
export function readAnswer(
  owner: TopicPartition,
  answer: PartitionAnswer,
  how: { readonly offset: number; readonly checkCrc: boolean; readonly options: ResolvedConsumerOptions },
): Delivery {
  const { offset, checkCrc, options } = how
  const records = answer.records ?? Buffer.alloc(0)
  const isCommitted = options.isolation === 'read_committed'
  const isLeftOut = abortedTransactionFilter(isCommitted ? answer.abortedTransactions : null)
  const batches: BatchView[] = []
  const epochs: { from: number; leaderEpoch: number }[] = []
  let endOffset = offset
  let damage: OttlaError | undefined
  try {
    for (const batch of readBatches(records, { checkCrc })) {
      if (!isLeftOut(batch) && batch.lastOffset >= offset) batches.push(batch)
      const { partitionLeaderEpoch: leaderEpoch } = batch
      if (leaderEpoch !== epochs.at(-1)?.leaderEpoch) epochs.push({ from: batch.baseOffset, leaderEpoch })
      endOffset = Math.max(endOffset, batch.lastOffset + 1)
    }
  } catch (error) {
    damage = asOttlaError(error)
  }
  if (endOffset === offset) {
    const isCut = damage === undefined && records.length >= OVERHEAD
    const neededBytes = isCut ? OVERHEAD + records.readInt32BE(LENGTH_AT) : undefined
    return { chunk: undefined, epochs, neededBytes, damage }
  }
  const chunk = new FetchedChunk({
    owner,
    batches,
    firstOffset: offset,
    endOffset,
    highWatermark: answer.highWatermark,
    sizeBytes: batches.length === 0 ? 0 : records.length,
    maxDecompressedBytes: options.maxDecompressedBytes,
  })
  return { chunk, epochs, neededBytes: undefined, damage }
}

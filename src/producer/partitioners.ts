/**
 * Which partition a record goes to: the one it names, else what a custom function says, else by its key as Kafka's
 * Java client does (murmur2), else a uniform choice that stays until a batch closes (KIP-480, KIP-794).
 */
import { OttlaError } from '../errors.ts'
import { murmur2 } from '../protocol/murmur2.ts'
import type { Random } from '../util/random.ts'
import type { ProducerRecord } from './record.ts'

export interface PartitionerContext {
  /** Partitions of the topic; they are numbered from 0. */
  readonly partitionCount: number
  /** Partitions that have a leader now. */
  readonly available: readonly number[]
}

/** Called once per record without a partition of its own, before it is accepted. */
export type Partitioner = (record: ProducerRecord, context: PartitionerContext) => number

/** Keys up to here are hashed from one buffer that is used again and again. */
const SCRATCH_BYTES = 1024
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)

/** The partition of a key, the same as the Java client gives it. A string is hashed as its UTF-8. */
export function partitionOf(key: string | Uint8Array, partitionCount: number): number {
  const hash = typeof key === 'string' ? hashOfText(key) : murmur2(key)
  return (hash & 0x7fff_ffff) % partitionCount
}

function hashOfText(text: string): number {
  const units = text.length
  if (units * 3 > SCRATCH_BYTES) return murmur2(Buffer.from(text))
  for (let index = 0; index < units; index++) {
    const unit = text.charCodeAt(index)
    if (unit >= 0x80) return murmur2(scratch, scratch.write(text))
    scratch[index] = unit
  }
  return murmur2(scratch, units)
}

/** Asks a custom partitioner, and holds it to its contract. */
export function askPartitioner(
  partitioner: Partitioner,
  record: ProducerRecord,
  context: PartitionerContext,
): number {
  let partition: number
  try {
    partition = partitioner(record, context)
  } catch (cause) {
    throw new OttlaError('INVALID_ARGUMENT', `the partitioner threw for a record of ${record.topic}`, {
      cause,
      topic: record.topic,
    })
  }
  if (Number.isInteger(partition) && partition >= 0 && partition < context.partitionCount) return partition
  throw new OttlaError(
    'INVALID_ARGUMENT',
    `the partitioner gave ${String(partition)} for ${record.topic}, which has ${context.partitionCount} partitions`,
    { topic: record.topic },
  )
}

/**
 * The choice for records without a key. It stays until the batch it fills closes, so that one batch fills instead
 * of many; a partition without a leader is not chosen while there is another.
 */
export class StickyChoice {
  readonly #random: Random
  #partition = -1

  constructor(random: Random) {
    this.#random = random
  }

  partition(context: PartitionerContext): number {
    if (this.#partition < 0 || this.#partition >= context.partitionCount) this.#choose(context)
    return this.#partition
  }

  /** To be called when a batch of the partition closes, or when it has no leader any more. */
  leave(partition: number): void {
    if (partition === this.#partition) this.#partition = -1
  }

  /** To be called with new metadata. */
  refresh(context: PartitionerContext): void {
    if (context.available.length > 0 && !context.available.includes(this.#partition)) this.#partition = -1
  }

  #choose({ partitionCount, available }: PartitionerContext): void {
    this.#partition =
      available.length > 0
        ? (available[this.#random.below(available.length)] as number)
        : this.#random.below(partitionCount)
  }
}

/** Batches for the tests of what handles them without a broker. */

import { Batch } from '../../../src/producer/batch.ts'
import { BufferPool } from '../../../src/producer/buffer-pool.ts'
import { QuietRun } from '../../../src/producer/calls.ts'
import { BatchBuilder } from '../../../src/protocol/record-batch.ts'

/** A recent wall time: records from then are not old. */
export const NOW = 1_700_000_000_000

export interface BatchShape {
  readonly count?: number
  readonly rank?: number
  readonly timestamp?: number
}

/** A sealed batch of so many records, queued from this rank on. */
export function batchOf({ count = 1, rank = -1, timestamp = NOW }: BatchShape = {}): Batch {
  const batch = new Batch({ topic: 'orders', partition: 0 }, new BufferPool(), { openedAt: 0, generation: 0 })
  const builder = new BatchBuilder()
  const run = new QuietRun(timestamp)
  for (let index = 0; index < count; index++) builder.append(null, `${index}`, [], timestamp)
  run.count = count
  batch.builder = builder
  batch.count = count
  batch.runs = [run]
  batch.seal('none', undefined)
  batch.rank = rank
  return batch
}

/** Batches of these sizes, one behind the other. */
export function batchesOf(...counts: number[]): Batch[] {
  let rank = 0
  return counts.map((count) => {
    const batch = batchOf({ count, rank })
    rank += count
    return batch
  })
}

/** Batches made of another one's records: the halves of one that is too large, and what is left when some are refused. */
import {
  BatchBuilder,
  BatchView,
  type Compression,
  RecordCursor,
  splitBatch,
} from '../protocol/record-batch.ts'
import { Batch } from './batch.ts'
import type { BufferPool } from './buffer-pool.ts'
import { cutRuns, type Run } from './calls.ts'

const BASE_OFFSET_BYTES = 8
/** A batch is the producer's own, so only the format's limit bounds what it unpacks to. */
const MAX_BYTES = 0x3fff_ffff

/** Cut in the middle, at a record; together they answer for the ranks and positions of the whole. */
export function halvesOf(batch: Batch, pool: BufferPool, compression: Compression): [Batch, Batch] {
  const firstCount = batch.count >>> 1
  const [firstBytes, restBytes] = splitBatch(batch.bytes, firstCount, compression)
  // Each is a new batch of its own: its offsets begin at 0, whatever the whole would have counted.
  restBytes.fill(0, 0, BASE_OFFSET_BYTES)
  const [firstRuns, restRuns] = cutRuns(batch.runs, firstCount)
  const first = new Batch(batch, pool, batch)
  const rest = new Batch(batch, pool, batch)
  first.adopt(firstBytes, batch, firstRuns)
  rest.adopt(restBytes, batch, restRuns)
  rest.rank = batch.endRank - rest.count
  first.rank = batch.rank
  // Refused records, if there were any before, stand in front.
  first.span = batch.span - rest.span
  first.position = batch.position
  rest.position = batch.position + first.span
  return [first, rest]
}

export interface Refusal {
  /** What goes on; undefined when every record is refused. */
  readonly rest: Batch | undefined
  /** The runs of the refused records, one each, in their order. */
  readonly refused: Run[]
}

/** The records without the refused ones, whose places are ascending. The rest takes the last ranks of the batch. */
export function without(
  batch: Batch,
  places: readonly number[],
  how: { pool: BufferPool; compression: Compression },
): Refusal {
  const isAll = places.length === batch.count
  // Before the runs are cut: while it can still fail, nothing is changed.
  const bytes = isAll ? undefined : encodeWithout(batch, new Set(places), how.compression)
  const refused: Run[] = []
  const kept: Run[] = []
  let runs: Run[] = batch.runs
  let from = 0
  for (const place of places) {
    const [before, rest] = cutRuns(runs, place - from)
    const [one, others] = cutRuns(rest, 1)
    kept.push(...before)
    refused.push(...one)
    runs = others
    from = place + 1
  }
  kept.push(...runs)
  if (bytes === undefined) return { rest: undefined, refused }
  const rest = new Batch(batch, how.pool, batch)
  rest.adopt(bytes, batch, kept)
  rest.rank = batch.endRank - rest.count
  rest.position = batch.position
  rest.span = batch.span
  return { rest, refused }
}

function encodeWithout(batch: Batch, places: ReadonlySet<number>, compression: Compression): Buffer {
  const view = new BatchView(batch.bytes, 0, batch.bytes.length)
  const cursor = new RecordCursor(view, { maxDecompressedBytes: MAX_BYTES })
  const builder = new BatchBuilder({ capacity: batch.plainBytes })
  for (let place = 0; cursor.next(); place++) {
    if (!places.has(place)) builder.append(cursor.key(), cursor.value(), cursor.headers(), cursor.timestamp)
  }
  return builder.seal({ compression })
}

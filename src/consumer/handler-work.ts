/**
 * The two ways of handling what waits in a partition: record by record, or in batches. What they share is how work is
 * counted as finished, and what happens when it is not ours any more.
 *
 * The loop over records is the hot path: nothing in it makes a promise or a timer beside the handler's own, and a
 * handler that returns none is not waited for.
 */
import type { OttlaError } from '../errors.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import type { ConsumerBatch } from './consumer-batch.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { Work } from './dispatcher.ts'
import { type FailurePolicy, failedPart } from './failure-policy.ts'
import type { FetchedChunk } from './fetched-chunk.ts'
import { asOttlaError } from './retry.ts'
import type { Turns } from './turns.ts'
import type { BatchHandler, RecordHandler } from './work.ts'

export interface WorkPorts {
  readonly turns: Turns
  readonly policy: FailurePolicy
  /** So many records are finished. */
  readonly onFinished: (records: number) => void
  /** A chunk has been read to its end: there is room for the next. */
  readonly onRoom: (partition: AssignedPartition) => void
  /** A result came too late. */
  readonly onLate: (partition: AssignedPartition, range: { first: number; end: number }) => void
}

/** Notes a range as finished; false when the partition is not ours any more. */
export function settle(
  ports: WorkPorts,
  partition: AssignedPartition,
  { first, end, records }: { first: number; end: number; records: number },
): boolean {
  if (!partition.finish(first, end)) {
    ports.onLate(partition, { first, end })
    return false
  }
  ports.onFinished(records)
  return true
}

/** The chunk is done: what is behind its last record counts as finished with it. */
export function endChunk(ports: WorkPorts, partition: AssignedPartition, chunk: FetchedChunk): void {
  const range = { first: chunk.position, end: chunk.endOffset, records: 0 }
  partition.shift()
  if (range.first < range.end) settle(ports, partition, range)
  ports.onRoom(partition)
}

/** A batch that cannot be read goes the way of the failure policy. */
export async function passUnreadable(
  ports: WorkPorts,
  partition: AssignedPartition,
  { chunk, error }: { chunk: FetchedChunk; error: OttlaError },
): Promise<void> {
  const first = chunk.position
  const range = chunk.skipBatch()
  await ports.policy.unreadable(partition, range, error)
  settle(ports, partition, { first, end: range.last + 1, records: 0 })
}

export class RecordWork implements Work {
  readonly #ports: WorkPorts
  readonly #handler: RecordHandler

  constructor(ports: WorkPorts, handler: RecordHandler) {
    this.#ports = ports
    this.#handler = handler
  }

  async run(partition: AssignedPartition, mustYield: () => boolean): Promise<void> {
    const { turns } = this.#ports
    const { context } = partition
    const handler = this.#handler
    for (let chunk = partition.peek(); chunk !== undefined && partition.mayRun; chunk = partition.peek()) {
      const first = chunk.position
      let record: ConsumerRecord | undefined
      try {
        record = chunk.next()
      } catch (error) {
        await passUnreadable(this.#ports, partition, { chunk, error: asOttlaError(error) })
        continue
      }
      if (record === undefined) {
        endChunk(this.#ports, partition, chunk)
        continue
      }
      try {
        const pending = handler(record, context)
        if (pending !== undefined) await pending
      } catch (error) {
        if (!(await this.#afterFailure(partition, record, error))) return
      }
      if (!settle(this.#ports, partition, { first, end: record.offset + 1, records: 1 })) return
      if (turns.isOver()) await turns.next()
      if (mustYield()) return
    }
  }

  /** Whether the record counts as finished in the end. */
  async #afterFailure(
    partition: AssignedPartition,
    record: ConsumerRecord,
    thrown: unknown,
  ): Promise<boolean> {
    const { policy } = this.#ports
    const { offset } = record
    let error = thrown
    for (let attempt = 1; ; attempt++) {
      const verdict = await policy.wait(partition, { error, attempt })
      if (verdict === 'left') return false
      if (verdict === 'over') {
        await policy.giveUp(partition, {
          error,
          attempt,
          offset,
          lastOffset: offset,
          records: () => [record],
        })
        return true
      }
      try {
        await this.#handler(record, { ...partition.context, attempt: attempt + 1 })
        return true
      } catch (again) {
        error = again
      }
    }
  }
}

export class BatchWork implements Work {
  readonly #ports: WorkPorts
  readonly #handler: BatchHandler
  readonly #maxRecords: number

  constructor(ports: WorkPorts, handler: BatchHandler, maxRecords: number) {
    this.#ports = ports
    this.#handler = handler
    this.#maxRecords = maxRecords
  }

  async run(partition: AssignedPartition, mustYield: () => boolean): Promise<void> {
    const { turns } = this.#ports
    for (let chunk = partition.peek(); chunk !== undefined && partition.mayRun; chunk = partition.peek()) {
      const first = chunk.position
      let batch: ConsumerBatch | undefined
      try {
        batch = chunk.nextBatch(this.#maxRecords)
      } catch (error) {
        await passUnreadable(this.#ports, partition, { chunk, error: asOttlaError(error) })
        continue
      }
      if (batch === undefined) {
        endChunk(this.#ports, partition, chunk)
        continue
      }
      if (!(await this.#handle(partition, batch, first))) return
      if (turns.isOverNow()) await turns.next()
      if (mustYield()) return
    }
  }

  /** Whether all of the batch is finished in the end. */
  async #handle(partition: AssignedPartition, batch: ConsumerBatch, start: number): Promise<boolean> {
    let first = start
    let attempt = 1
    let rest = batch
    for (;;) {
      try {
        const context = attempt === 1 ? partition.context : { ...partition.context, attempt }
        const pending = this.#handler(rest, context)
        if (pending !== undefined) await pending
        return settle(this.#ports, partition, { first, end: batch.endOffset, records: rest.length })
      } catch (error) {
        const failed = failedPart(error, rest)
        if (failed !== undefined && failed.length < rest.length) {
          const range = { first, end: failed.firstOffset, records: rest.length - failed.length }
          if (!settle(this.#ports, partition, range)) return false
          first = range.end
          rest = failed
          attempt = 1
        }
        const verdict = await this.#ports.policy.wait(partition, { error, attempt })
        if (verdict === 'left') return false
        if (verdict === 'over') {
          const left = await this.#giveUp(partition, rest, { error, attempt, isNamed: failed !== undefined })
          const end = left === undefined ? batch.endOffset : left.firstOffset
          const records = rest.length - (left?.length ?? 0)
          if (!settle(this.#ports, partition, { first, end, records }) || left === undefined)
            return !partition.isClosed
          first = end
          rest = left
        }
        attempt = verdict === 'over' ? 1 : attempt + 1
      }
    }
  }

  /** Gives up the first record, where it was named, or everything; returns what is left. */
  async #giveUp(
    partition: AssignedPartition,
    rest: ConsumerBatch,
    { error, attempt, isNamed }: { error: unknown; attempt: number; isNamed: boolean },
  ): Promise<ConsumerBatch | undefined> {
    const offset = rest.firstOffset
    const lastOffset = isNamed ? offset : rest.lastOffset
    const records = () => [...rest].filter((record) => record.offset <= lastOffset)
    await this.#ports.policy.giveUp(partition, { error, attempt, offset, lastOffset, records })
    return isNamed ? rest.from(offset + 1) : undefined
  }
}

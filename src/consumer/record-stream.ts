/**
 * Records pulled one by one: `for await (const record of consumer)`. A record is finished when the next one is asked
 * for; until then its partition counts as at work, so giving it up waits for that.
 */
import { OttlaError } from '../errors.ts'
import { type Deferred, deferred } from '../util/deferred.ts'
import { Fifo } from '../util/fifo.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { Runner } from './dispatcher.ts'
import { endChunk, passUnreadable, settle, type WorkPorts } from './handler-work.ts'
import { asOttlaError } from './retry.ts'

interface Current {
  readonly partition: AssignedPartition
  readonly first: number
  readonly end: number
}

export class RecordStream implements Runner {
  readonly #ports: WorkPorts
  readonly #onFailed: (error: unknown) => void
  readonly #ready = new Fifo<AssignedPartition>()
  #current: Current | undefined
  #wake: Deferred<void> | undefined
  #isPulling = false
  #isEnded = false

  /** `onFailed`: work cannot go on. A loop that `next` threw at would be left without a `return`, so it is told here. */
  constructor(ports: WorkPorts, onFailed: (error: unknown) => void) {
    this.#ports = ports
    this.#onFailed = onFailed
  }

  ready(partition: AssignedPartition): void {
    if (partition.isQueued || partition.isRunning || !partition.mayRun) return
    partition.isQueued = true
    this.#ready.push(partition)
    this.#wake?.resolve()
  }

  /** The next record; undefined when the stream has ended. The one before counts as finished. */
  async next(): Promise<ConsumerRecord | undefined> {
    if (this.#isPulling) {
      throw new OttlaError('INVALID_STATE', 'the next record was asked for before the last one had come')
    }
    this.#isPulling = true
    try {
      this.#finishCurrent()
      if (this.#ports.turns.isOver()) await this.#ports.turns.next()
      while (!this.#isEnded) {
        const record = await this.#pull()
        if (record !== undefined) return record
        this.#wake = deferred()
        // It may have ended while it pulled: nobody would wake it any more.
        if (this.#ready.length === 0 && !this.#isEnded) await this.#wake.promise
        this.#wake = undefined
      }
      return undefined
    } finally {
      this.#isPulling = false
    }
  }

  /** The loop was left: the record in its hands is not finished, and comes again. */
  leave(): void {
    this.#current?.partition.rest()
    this.#current = undefined
    this.end()
  }

  /** Nothing more comes. */
  end(): void {
    this.#isEnded = true
    this.#wake?.resolve()
  }

  #finishCurrent(): void {
    if (this.#current === undefined) return
    const { partition, first, end } = this.#current
    this.#current = undefined
    settle(this.#ports, partition, { first, end, records: 1 })
    partition.rest()
    if (!partition.mayRun || partition.isQueued) return
    // The same partition goes on while its chunk lasts: its records lie side by side in memory.
    partition.isQueued = true
    if (partition.peek()?.isRead === false) this.#ready.unshift(partition)
    else this.#ready.push(partition)
  }

  /** From the first partition that has a record. */
  async #pull(): Promise<ConsumerRecord | undefined> {
    for (let partition = this.#ready.shift(); partition !== undefined; partition = this.#ready.shift()) {
      partition.isQueued = false
      partition.isRunning = true
      try {
        const record = await this.#take(partition)
        if (record !== undefined) return record
      } catch (error) {
        this.#onFailed(error)
        this.end()
      }
      partition.rest()
      if (this.#isEnded) return undefined
    }
    return undefined
  }

  async #take(partition: AssignedPartition): Promise<ConsumerRecord | undefined> {
    for (let chunk = partition.peek(); chunk !== undefined && partition.mayRun; chunk = partition.peek()) {
      const first = chunk.position
      try {
        const record = chunk.next()
        if (record !== undefined) {
          this.#current = { partition, first, end: record.offset + 1 }
          return record
        }
      } catch (error) {
        await passUnreadable(this.#ports, partition, { chunk, error: asOttlaError(error) })
        continue
      }
      endChunk(this.#ports, partition, chunk)
    }
    return undefined
  }
}

/**
 * The queue in memory: batches stand in their streams' order until they are taken. It holds nothing after a batch
 * was taken but the ranges that are settled above the low-water mark.
 */
import { assert } from '../../util/assert.ts'
import { Fifo } from '../../util/fifo.ts'
import type { Queue, QueuedBatch, QueueStream } from './queue.ts'

class MemoryStream<B extends QueuedBatch> implements QueueStream<B> {
  readonly topic: string
  readonly partition: number
  readonly batches = new Fifo<B>()
  nextRank = 0

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get length(): number {
    return this.batches.length
  }

  peek(): B | undefined {
    return this.batches.peek()
  }

  take(): B | undefined {
    const batch = this.batches.shift()
    if (batch !== undefined) batch.taken = true
    return batch
  }
}

export class MemoryQueue<B extends QueuedBatch> implements Queue<B> {
  readonly #streams = new Map<string, MemoryStream<B>>()
  /** Every batch in the order of positions, until the head is seen to be taken: what takeOldest looks at. */
  readonly #order = new Fifo<{ readonly batch: B; readonly stream: MemoryStream<B> }>()
  /** Settled ranges above the low-water mark: first position to the one after the last. */
  readonly #settled = new Map<number, number>()
  #nextPosition = 0
  #lowWater = 0

  get nextPosition(): number {
    return this.#nextPosition
  }

  get lowWater(): number {
    return this.#lowWater
  }

  stream(topic: string, partition: number): QueueStream<B> {
    const name = `${partition}:${topic}`
    let stream = this.#streams.get(name)
    if (stream === undefined) this.#streams.set(name, (stream = new MemoryStream(topic, partition)))
    return stream
  }

  append(stream: QueueStream<B>, batch: B, held?: () => void): void {
    assert(stream instanceof MemoryStream, 'a batch was appended to another queue’s stream')
    assert(batch.position < 0, 'a batch was appended twice')
    batch.position = this.#nextPosition
    batch.rank = stream.nextRank
    this.#nextPosition += batch.count
    stream.nextRank += batch.count
    stream.batches.push(batch)
    this.#forgetTaken()
    this.#order.push({ batch, stream })
    held?.()
  }

  settle(position: number, count: number): void {
    const end = position + count
    assert(
      position >= this.#lowWater && end <= this.#nextPosition,
      'a record was settled twice, or never queued',
    )
    if (position !== this.#lowWater) {
      assert(!this.#settled.has(position), 'a record was settled twice')
      this.#settled.set(position, end)
      return
    }
    this.#lowWater = end
    for (let next = this.#settled.get(end); next !== undefined; next = this.#settled.get(this.#lowWater)) {
      this.#settled.delete(this.#lowWater)
      this.#lowWater = next
    }
  }

  takeOldest(): B | undefined {
    this.#forgetTaken()
    const oldest = this.#order.shift()
    if (oldest === undefined) return undefined
    const taken = oldest.stream.take()
    assert(taken === oldest.batch, 'the oldest batch is not the first of its stream')
    return taken
  }

  #forgetTaken(): void {
    while (this.#order.peek()?.batch.taken === true) this.#order.shift()
  }
}

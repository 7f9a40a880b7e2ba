/**
 * Everything that a producer holds, partition by partition: what is open, queued, on the wire, spooled. Gives it up,
 * when its deadline comes or when its topic or the producer ends, and drops the oldest when there is no room.
 *
 * One timer serves all deadlines: it stands at the earliest one that was known when it was set.
 */
import { OttlaError } from '../errors.ts'
import type { Clock, Timer } from '../util/clock.ts'
import type { Accumulator } from './accumulator.ts'
import type { Batch } from './batch.ts'
import type { Delivery } from './delivery.ts'
import type { Outcomes } from './outcomes.ts'
import type { ProducerSettings } from './producer-options.ts'
import type { Queue } from './queue/queue.ts'
import type { ProducerPartition, ProducerTopic } from './topic.ts'

export interface HoldingsParts {
  readonly settings: ProducerSettings
  readonly clock: Clock
  readonly accumulator: Accumulator
  readonly delivery: Delivery
  readonly outcomes: Outcomes
  readonly queue: Queue<Batch>
  readonly topics: () => Iterable<ProducerTopic>
  readonly onWake: (partition: ProducerPartition) => void
  /** What keeps the whole producer from sending, if anything is known. */
  readonly cause: () => OttlaError | undefined
}

export class Holdings {
  readonly #parts: HoldingsParts
  #timer: Timer | undefined

  constructor(parts: HoldingsParts) {
    this.#parts = parts
  }

  /** Something was accepted: its deadline will be looked after. */
  watch(): void {
    if (this.#timer !== undefined) return
    const { clock, settings } = this.#parts
    this.#timer = clock.setTimeout(this.#expire, settings.deliveryTimeoutMs)
  }

  stop(): void {
    if (this.#timer !== undefined) this.#parts.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Whether any record is not settled. */
  get isEmpty(): boolean {
    for (const topic of this.#parts.topics()) {
      if (topic.spool.length > 0) return false
      for (const { open, stream, window } of topic.partitions) {
        if (open !== undefined || stream.length > 0) return false
        if (window.flights.some((flight) => !flight.isSettled)) return false
      }
    }
    return true
  }

  giveUpAll(error: OttlaError): void {
    for (const topic of this.#parts.topics()) this.giveUpTopic(topic, error)
  }

  giveUpTopic(topic: ProducerTopic, error: OttlaError): void {
    for (let next = topic.spool.shift(); next !== undefined; next = topic.spool.shift()) {
      this.#parts.delivery.spooledFailed(next, error)
    }
    for (const partition of topic.partitions) this.giveUpPartition(partition, error)
  }

  giveUpPartition(partition: ProducerPartition, error: OttlaError): void {
    const { accumulator, outcomes, onWake } = this.#parts
    accumulator.close(partition)
    // From the oldest on, so that the records of a partition settle in their order.
    for (const flight of [...partition.window.flights]) outcomes.giveUp(partition, flight, error)
    for (let next = partition.stream.take(); next !== undefined; next = partition.stream.take()) {
      outcomes.dropped(next, error)
    }
    onWake(partition)
  }

  /** Makes room: the oldest batch that was never on the wire, or the oldest record of a spool. */
  dropOldest(): boolean {
    const { queue, outcomes, delivery, accumulator } = this.#parts
    const error = new OttlaError('DROPPED', 'a record was dropped to make room for newer ones', {
      retriable: true,
    })
    let batch = queue.takeOldest()
    if (batch === undefined) {
      const oldest = this.#oldestWaiting()
      if (oldest === undefined) return false
      if (!('window' in oldest)) {
        const spooled = oldest.spool.shift()
        if (spooled !== undefined) delivery.spooledFailed(spooled, error)
        return spooled !== undefined
      }
      accumulator.close(oldest)
      batch = oldest.stream.take()
    }
    // Without one, closing it has made room: it was empty, or could not be sealed.
    if (batch !== undefined) outcomes.dropped(batch, error)
    return true
  }

  #oldestWaiting(): ProducerPartition | ProducerTopic | undefined {
    let oldest: ProducerPartition | ProducerTopic | undefined
    let since = Number.POSITIVE_INFINITY
    for (const topic of this.#parts.topics()) {
      const spooled = topic.spool.peek()
      if (spooled !== undefined && spooled.acceptedAt < since) [oldest, since] = [topic, spooled.acceptedAt]
      for (const partition of topic.partitions) {
        const { open } = partition
        if (open !== undefined && open.openedAt < since) [oldest, since] = [partition, open.openedAt]
      }
    }
    return oldest
  }

  // ---------------------------------------------------------------------------------------------- deadlines

  readonly #expire = (): void => {
    this.#timer = undefined
    const { clock, settings, topics } = this.#parts
    const since = clock.monotonic() - settings.deliveryTimeoutMs
    let earliest = Number.POSITIVE_INFINITY
    for (const topic of topics()) {
      earliest = Math.min(earliest, this.#expireSpool(topic, since))
      for (const partition of topic.partitions) {
        earliest = Math.min(earliest, this.#expirePartition(partition, since))
      }
    }
    if (earliest === Number.POSITIVE_INFINITY) return
    const delayMs = Math.max(1, earliest - since)
    this.#timer = clock.setTimeout(this.#expire, delayMs)
  }

  /** Returns when the oldest that remains was accepted. */
  #expireSpool(topic: ProducerTopic, since: number): number {
    for (let next = topic.spool.peek(); next !== undefined; next = topic.spool.peek()) {
      if (next.acceptedAt > since) return next.acceptedAt
      topic.spool.shift()
      this.#parts.delivery.spooledFailed(
        next,
        this.#timeout(topic.name, -1, this.#parts.cause() ?? topic.lastError),
      )
    }
    return Number.POSITIVE_INFINITY
  }

  #expirePartition(partition: ProducerPartition, since: number): number {
    const { accumulator, outcomes, onWake } = this.#parts
    const { window, stream } = partition
    let earliest = Number.POSITIVE_INFINITY
    let expired = false
    const error = () => this.#timeout(partition.topic.name, partition.index, partition.lastError)
    for (const flight of [...window.flights]) {
      if (flight.isSettled) continue
      if (flight.openedAt > since) earliest = Math.min(earliest, flight.openedAt)
      else {
        outcomes.giveUp(partition, flight, error())
        expired = true
      }
    }
    if (partition.open !== undefined && partition.open.openedAt <= since) accumulator.close(partition)
    for (let next = stream.peek(); next !== undefined && next.openedAt <= since; next = stream.peek()) {
      stream.take()
      outcomes.dropped(next, error())
      expired = true
    }
    if (expired) onWake(partition)
    return Math.min(
      earliest,
      stream.peek()?.openedAt ?? Number.POSITIVE_INFINITY,
      partition.open?.openedAt ?? Number.POSITIVE_INFINITY,
    )
  }

  #timeout(topic: string, partition: number, reason: OttlaError | undefined): OttlaError {
    const cause = reason ?? this.#parts.cause()
    const place = partition < 0 ? topic : `${topic}/${partition}`
    return new OttlaError(
      'DELIVERY_TIMEOUT',
      `records for ${place} were not delivered within ${this.#parts.settings.deliveryTimeoutMs} ms` +
        (cause === undefined ? '' : `: ${cause.message}`),
      { retriable: true, topic, ...(partition < 0 ? {} : { partition }), cause },
    )
  }
}

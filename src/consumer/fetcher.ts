/**
 * Keeps every assigned partition read from the right broker: its leader, or the follower that the leader names
 * (KIP-392). Follows leaders as they move, checks positions against new leaders (KIP-320), and hands over what comes.
 */
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { hasNativeCrc32c } from '../protocol/crc32c.ts'
import { BrokerError } from '../protocol/error-codes.ts'
import { haveRightCrcs } from '../protocol/record-batch.ts'
import { zeroUuid } from '../protocol/schema.ts'
import { backoffMs } from '../util/backoff.ts'
import type { Timer } from '../util/clock.ts'
import { keepFreedMemory } from '../util/freed-memory.ts'
import { refreshQuietly } from './ask-leaders.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import type { PartitionResult } from './broker-fetch.ts'
import { BrokerLanes } from './broker-lanes.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import type { ResetReport } from './consumer-reports.ts'
import { type Delivery, readAnswer, troubleOf } from './fetch-answer.ts'
import { HeldResponse } from './held-response.ts'
import { PrefetchBudget } from './prefetch-budget.ts'
import { asOttlaError, mayPass } from './retry.ts'

export interface FetcherPorts {
  readonly cluster: Cluster
  readonly options: ResolvedConsumerOptions
  readonly purpose: string
  readonly signal: AbortSignal
  /** Whether partitions are on their way that are not read yet. */
  readonly isSettling: () => boolean
  /** There is something for a handler. */
  readonly onReady: (partition: AssignedPartition) => void
  /** The position has to be checked against the leader's log before anything more is read. */
  readonly onNewLeader: (partition: AssignedPartition) => void
  /** The position is of no use. */
  readonly onOffLog: (partition: AssignedPartition, reason: ResetReport['reason']) => void
  readonly onFatal: (error: OttlaError) => void
}

/** What an answer brought, before its checksums are looked at. */
interface Taken {
  readonly result: PartitionResult
  readonly delivery: Delivery
}

/** Its checksums and handlers take longer than writing a request. */
const LARGE_RESPONSE_BYTES = 64 * 1024

/** Large answers in a row that found the handlers idle: the first one always does. */
const WIDEN_AFTER = 2
/** Small answers in a row. */
const NARROW_AFTER = 16

/** A batch that is damaged each time it is fetched is damaged in the log. */
const DAMAGED_AFTER = 3

export class Fetcher {
  readonly #ports: FetcherPorts
  readonly #budget: PrefetchBudget
  readonly #partitions = new Set<AssignedPartition>()
  readonly #brokers = new Map<number, BrokerLanes>()
  readonly #timers = new Set<Timer>()
  readonly #unlisten: () => void
  #isRefreshing = false
  #isSeeking = false
  #isWaking = false
  #starvedAnswers = 0
  #smallAnswers = 0
  #searches = 0

  constructor(ports: FetcherPorts) {
    this.#ports = ports
    // A response is a large buffer, and lives until its records are handled.
    keepFreedMemory()
    const { options, cluster } = ports
    // Loading it takes milliseconds, of which there are plenty before the first answer.
    if (options.checkCrc) hasNativeCrc32c()
    // A response has more in it than records, and a first batch may pass the limit somewhat.
    const fetchMaxBytes = Math.min(options.fetchMaxBytes, cluster.options.maxResponseBytes >> 1)
    this.#budget = new PrefetchBudget({ ...options, fetchMaxBytes })
    this.#unlisten = ports.cluster.onChange(() => this.#replaceAll())
  }

  /** Bytes of responses held before the handlers. */
  get heldBytes(): number {
    return this.#budget.heldBytes
  }

  /** Dials the leaders of partitions whose positions are looked up meanwhile. */
  expect(partitions: readonly AssignedPartition[]): void {
    const { cluster } = this.#ports
    for (const { topic, partition, isDraining } of partitions) {
      const leaderId = cluster.topic(topic)?.partitions[partition]?.leaderId ?? -1
      if (leaderId < 0 || isDraining || this.#brokers.has(leaderId)) continue
      const broker = this.#open(leaderId)
      this.#brokers.set(leaderId, broker)
      broker.connect()
    }
  }

  /** Begins, or goes on, to read a partition whose position is known. */
  add(partition: AssignedPartition): void {
    partition.phase = 'fetching'
    this.#partitions.add(partition)
    this.#place(partition)
    this.#closeUnused()
    this.#divide()
    this.#seek()
    this.#wakeSoon()
  }

  /**
   * Partitions that are added together are asked for together: one that comes later would wait for a long poll. And
   * nothing is asked for while an answer is taken apart: what has its turn then would be asked for again.
   */
  #wakeSoon(): void {
    if (this.#isWaking) return
    this.#isWaking = true
    queueMicrotask(() => {
      this.#isWaking = false
      this.pump()
    })
  }

  remove(partition: AssignedPartition): void {
    const wasRead = this.#partitions.delete(partition)
    if (wasRead) this.#move(partition, -1)
    this.#closeUnused()
    if (!wasRead) return
    this.#divide()
    // What it held is room for others.
    this.pump()
  }

  /** Those who were expected have gone elsewhere. */
  #closeUnused(): void {
    if (this.#ports.isSettling()) return
    for (const broker of this.#brokers.values()) if (broker.size === 0) this.#close(broker)
  }

  #close(broker: BrokerLanes): void {
    this.#brokers.delete(broker.nodeId)
    broker.close()
  }

  /** It has room again, or is not paused any more. */
  wake(partition: AssignedPartition): void {
    if (this.#budget.isShort) this.pump()
    else this.#brokers.get(partition.nodeId)?.pump()
  }

  /** There is room again. */
  pump(atOnce = false): void {
    this.#budget.retry()
    for (const broker of this.#brokers.values()) broker.pump(atOnce)
  }

  close(): void {
    this.#unlisten()
    for (const timer of this.#timers) this.#ports.cluster.options.clock.clearTimeout(timer)
    for (const broker of this.#brokers.values()) broker.close()
    this.#timers.clear()
    this.#brokers.clear()
    this.#partitions.clear()
  }

  // --------------------------------------------------------------------------------------------- placing

  #replaceAll(): void {
    for (const partition of [...this.#partitions]) this.#place(partition)
    this.#divide()
    this.#seek()
    this.pump()
  }

  /** Keeps looking for leaders while a partition has none. */
  #seek(): void {
    if (this.#isSeeking) return
    const isHomeless = [...this.#partitions].some(({ nodeId }) => nodeId < 0)
    if (!isHomeless) {
      this.#searches = 0
      return
    }
    const { random, minBackoffMs: minMs, maxBackoffMs: maxMs } = this.#ports.cluster.options
    this.#isSeeking = true
    this.#later(backoffMs(this.#searches++, { minMs, maxMs }, random), async () => {
      await this.#refresh()
      this.#isSeeking = false
      this.#replaceAll()
    })
  }

  #later(delayMs: number, action: () => void | Promise<void>): void {
    const timer = this.#ports.cluster.options.clock.setTimeout(() => {
      this.#timers.delete(timer)
      void action()
    }, delayMs)
    this.#timers.add(timer)
  }

  /** Finds the broker to read from; sees whether it leads with another epoch, or the topic is another one. */
  #place(partition: AssignedPartition): void {
    const topic = this.#ports.cluster.topic(partition.topic)
    const known = topic?.partitions[partition.partition]
    if (topic === undefined || known === undefined || known.leaderId < 0) return this.#move(partition, -1)
    const { topicId } = partition
    if (topicId === zeroUuid) partition.topicId = topic.topicId
    else if (topicId !== topic.topicId) {
      // Seen again when the position has been found or checked.
      if (partition.phase !== 'fetching') return
      partition.topicId = topic.topicId
      partition.leaderEpoch = known.leaderEpoch
      this.#move(partition, known.leaderId)
      return this.#ports.onOffLog(partition, 'recreated')
    }
    if (known.leaderEpoch > partition.leaderEpoch || known.leaderEpoch < 0) {
      const isNew = known.leaderEpoch > partition.leaderEpoch
      partition.leaderEpoch = known.leaderEpoch
      partition.retryAt = 0
      partition.preferredReplica = -1
      this.#move(partition, known.leaderId)
      if (isNew && partition.phase === 'fetching' && partition.positionEpoch >= 0) {
        this.#ports.onNewLeader(partition)
      }
      return
    }
    this.#move(partition, this.#source(partition, known.leaderId))
  }

  #source(partition: AssignedPartition, leaderId: number): number {
    const { preferredReplica, preferredUntil } = partition
    if (preferredReplica < 0) return leaderId
    const { cluster } = this.#ports
    const isGood =
      preferredUntil > cluster.options.clock.monotonic() &&
      cluster.brokers().some(({ nodeId }) => nodeId === preferredReplica)
    if (isGood) return preferredReplica
    partition.preferredReplica = -1
    return leaderId
  }

  #move(partition: AssignedPartition, nodeId: number): void {
    if (partition.nodeId === nodeId) return
    const old = this.#brokers.get(partition.nodeId)
    if (old !== undefined) {
      old.remove(partition)
      if (old.size === 0) this.#close(old)
    }
    partition.nodeId = nodeId
    if (nodeId < 0) return
    let broker = this.#brokers.get(nodeId)
    if (broker === undefined) this.#brokers.set(nodeId, (broker = this.#open(nodeId)))
    broker.add(partition)
  }

  #open(nodeId: number): BrokerLanes {
    const { cluster, options, purpose, onFatal } = this.#ports
    return new BrokerLanes(nodeId, {
      cluster,
      options,
      purpose,
      budget: this.#budget,
      isSettling: this.#ports.isSettling,
      compact: () => this.#compact(),
      onResults: (results, endpoints) => this.#onResults(nodeId, results, endpoints),
      onRoom: () => {
        if (this.#budget.isShort) this.pump()
      },
      onNarrowed: () => this.#divide(),
      onTrouble: () => {
        this.#leaveFollower(nodeId)
        void this.#refresh()
      },
      onFatal: (error) => onFatal(asOttlaError(error)),
    })
  }

  #divide(): void {
    const requesters = [...this.#brokers.values()].reduce((sum, { size }) => sum + size, 0)
    this.#budget.divide(this.#partitions.size, requesters)
  }

  /** Gives back what is paused, which may stay so for good, and copies what is left of responses held for little. */
  #compact(): boolean {
    let freed = false
    for (const partition of this.#partitions) {
      if (partition.isPaused) freed = partition.unfetch() || freed
      for (const response of partition.responses()) freed = response.compact() || freed
    }
    return freed
  }

  // --------------------------------------------------------------------------------------------- results

  #onResults(
    nodeId: number,
    results: readonly PartitionResult[],
    endpoints: Parameters<Cluster['noteLeader']>[2]['endpoints'],
  ): void {
    const isIdle = this.#budget.heldBytes === 0
    const response = new HeldResponse(this.#budget)
    const taken: Taken[] = []
    for (const result of results) {
      const delivery = this.#take(nodeId, result, response)
      if (delivery !== undefined) taken.push({ result, delivery })
    }
    const isLarge =
      taken.reduce((sum, { delivery }) => sum + (delivery.chunk?.sizeBytes ?? 0), 0) >= LARGE_RESPONSE_BYTES
    this.#adapt(nodeId, { isLarge, isIdle })
    if (isLarge) this.#askNext(nodeId, true)
    const ready = taken.filter((one) => this.#believe(nodeId, one, response))
    // Whoever hears of a new leader asks at once: what came has to be taken by then.
    for (const { partition, answer } of results) {
      const { leaderId, leaderEpoch } = answer.currentLeader
      if (leaderId < 0 || leaderEpoch < 0) continue
      const hint = { leaderId, leaderEpoch, endpoints }
      this.#ports.cluster.noteLeader(partition.topic, partition.partition, hint)
    }
    for (const { result } of ready) this.#ports.onReady(result.partition)
    if (!isLarge) this.#askNext(nodeId, false)
  }

  /**
   * Makes the next long poll. After a large response it leaves before the checksums are computed and the handlers
   * begin, so that the broker works meanwhile; after a small one the handlers come first, because the making and the
   * writing take longer than they wait for anything else.
   */
  #askNext(nodeId: number, atOnce: boolean): void {
    const broker = this.#brokers.get(nodeId)
    if (!this.#budget.isShort) return broker?.pump(atOnce)
    // The others first: little room would go to the same one again and again.
    broker?.rotate()
    if (broker !== undefined && this.#brokers.delete(nodeId)) this.#brokers.set(nodeId, broker)
    this.pump(atOnce)
  }

  /**
   * One connection or two. Two where all is read from one broker and the handlers wait for what a connection brings, though
   * the broker has more. Not where an answer waits until enough has come: half of the partitions might never have that.
   */
  #adapt(nodeId: number, { isLarge, isIdle }: { readonly isLarge: boolean; readonly isIdle: boolean }): void {
    const broker = this.#brokers.get(nodeId)
    if (!isLarge) {
      if (++this.#smallAnswers >= NARROW_AFTER) broker?.narrow()
      return
    }
    this.#smallAnswers = 0
    const { partitions = [] } = broker ?? {}
    const behind = partitions.filter(({ offset, highWatermark }) => offset < highWatermark).length
    this.#starvedAnswers = isIdle && behind > 1 ? this.#starvedAnswers + 1 : 0
    const isOnly = partitions.length === this.#partitions.size
    if (this.#starvedAnswers < WIDEN_AFTER || !isOnly || this.#ports.options.fetchMinBytes > 1) return
    if (broker?.widen() === true) this.#divide()
  }

  /** Appends what the answer brought, if it did; its checksums are still to be looked at. */
  #take(nodeId: number, result: PartitionResult, response: HeldResponse): Delivery | undefined {
    const { partition, offset, answer } = result
    if (troubleOf(answer.errorCode) !== 'none') {
      this.#onTrouble(nodeId, partition, answer.errorCode)
      return undefined
    }
    if (answer.preferredReadReplica >= 0) this.#prefer(partition, answer.preferredReadReplica)
    if (answer.highWatermark >= 0) partition.highWatermark = answer.highWatermark
    const { options } = this.#ports
    let delivery = readAnswer(partition, answer, { offset, checkCrc: false, options })
    // An answer that leads nowhere may do so by its damage: it is looked at whole, or it would be asked for for ever.
    if (options.checkCrc && delivery.chunk === undefined) {
      delivery = readAnswer(partition, answer, { offset, checkCrc: true, options })
    }
    return this.#append(partition, delivery, response) ? delivery : undefined
  }

  /** Whether there is something new for a handler. */
  #append(
    partition: AssignedPartition,
    { chunk, neededBytes, damage }: Delivery,
    response: HeldResponse,
  ): boolean {
    partition.neededBytes = neededBytes ?? 0
    if (chunk !== undefined) {
      response.add(chunk)
      partition.append(chunk, response)
    } else if (damage !== undefined) this.#onDamage(partition, damage)
    return chunk !== undefined
  }

  /**
   * Computes the checksums of what was appended. What is damaged is read again as far as it is sound; the answer to
   * the request that has left meanwhile begins at another offset, so nobody takes it or waits for it. Whether there is
   * something new for a handler.
   */
  #believe(nodeId: number, { result, delivery }: Taken, response: HeldResponse): boolean {
    const { partition, offset, answer } = result
    const { options } = this.#ports
    // Making room for the next request it was given back, or what another one brought has ended the consumer.
    if (partition.latest !== delivery.chunk) return false
    let sound = delivery
    const isWhole = delivery.damage === undefined
    if (options.checkCrc && answer.records !== null && !(isWhole && haveRightCrcs(answer.records))) {
      partition.takeBack()
      this.#brokers.get(nodeId)?.hangUp(partition)
      sound = readAnswer(partition, answer, { offset, checkCrc: true, options })
      if (!this.#append(partition, sound, response)) return false
    }
    partition.failures = 0
    partition.damages = 0
    for (const { from, leaderEpoch } of sound.epochs) partition.noteEpoch(from, leaderEpoch)
    return true
  }

  #prefer(partition: AssignedPartition, replica: number): void {
    const { clock, metadataMaxAgeMs } = this.#ports.cluster.options
    partition.preferredReplica = replica
    partition.preferredUntil = clock.monotonic() + metadataMaxAgeMs
    this.#place(partition)
    if (partition.nodeId === replica) return this.#wakeSoon()
    // The metadata do not know it yet, and the leader would name it again at once.
    this.#putOff(partition)
    void this.#refresh()
  }

  /** A follower that does not answer is not read from: the leader names another one, or none. */
  #leaveFollower(nodeId: number): void {
    for (const partition of this.#brokers.get(nodeId)?.partitions ?? []) {
      if (partition.preferredReplica !== nodeId) continue
      partition.preferredReplica = -1
      this.#place(partition)
      this.wake(partition)
    }
  }

  #onTrouble(nodeId: number, partition: AssignedPartition, code: number): void {
    const { topic, partition: number, offset } = partition
    const { onFatal, onOffLog } = this.#ports
    const isFollower = partition.preferredReplica === nodeId
    if (isFollower) {
      // Whatever a follower says, the leader knows better.
      partition.preferredReplica = -1
      this.#place(partition)
      // The leader may name the same one again at once.
      return this.#putOff(partition)
    }
    switch (troubleOf(code)) {
      case 'range':
        return onOffLog(partition, 'out-of-range')
      case 'fatal':
        return onFatal(
          new BrokerError(code, `fetching ${topic}/${number}`, { topic, partition: number, offset }),
        )
      case 'metadata':
        this.#putOff(partition)
        return void this.#refresh()
      default:
        this.#putOff(partition)
    }
  }

  #onDamage(partition: AssignedPartition, damage: OttlaError): void {
    const { topic, partition: number, offset } = partition
    const passes = damage.code === 'CORRUPT_BATCH' && ++partition.damages < DAMAGED_AFTER
    if (passes) return this.#putOff(partition)
    const message = `${topic}/${number} at offset ${offset}: ${damage.message}`
    this.#ports.onFatal(
      new OttlaError(damage.code, message, { cause: damage, topic, partition: number, offset }),
    )
  }

  /** Not before a back-off. */
  #putOff(partition: AssignedPartition): void {
    const { clock, random, minBackoffMs: minMs, maxBackoffMs: maxMs } = this.#ports.cluster.options
    const delayMs = backoffMs(partition.failures++, { minMs, maxMs }, random)
    partition.retryAt = clock.monotonic() + delayMs
    this.#later(delayMs, () => {
      partition.retryAt = 0
      this.wake(partition)
    })
  }

  async #refresh(): Promise<void> {
    if (this.#isRefreshing) return
    this.#isRefreshing = true
    const { cluster, signal, onFatal } = this.#ports
    try {
      await refreshQuietly(cluster, [...this.#partitions], signal)
    } catch (error) {
      if (!signal.aborted && !mayPass(error)) onFatal(asOttlaError(error))
    } finally {
      this.#isRefreshing = false
    }
  }
}

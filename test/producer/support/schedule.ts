/**
 * A random schedule of sends, faults, stops and aborts against an embedded cluster on the memory transport and a
 * virtual clock. One seed is one run: the trace that comes back is the same each time.
 */

import type { EmbeddedCluster } from '../../../src/broker/embedded-cluster.ts'
import type { FaultAction } from '../../../src/broker/faults.ts'
import { startCluster } from '../../../src/broker/index.ts'
import { OttlaError } from '../../../src/errors.ts'
import { Kafka } from '../../../src/kafka.ts'
import type { Producer } from '../../../src/producer/producer.ts'
import type { ProducerOptions } from '../../../src/producer/producer-options.ts'
import { type DeliveryReport, PartialDeliveryError } from '../../../src/producer/receipts.ts'
import type { ProducerRecord } from '../../../src/producer/record.ts'
import { type Random, seededRandom } from '../../../src/util/random.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'

export interface Outcome {
  /** `delivered`, or the error's code. */
  readonly status: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

export interface RunResult {
  /** What each call said of a record, by the record's number; missing for enqueued ones. */
  readonly answers: Map<number, string[]>
  readonly reports: Map<number, Outcome[]>
  /** The numbers in the log of each partition, in its order. */
  readonly logs: Map<string, number[]>
  readonly trace: string[]
  /** Records that were not delivered although their deadline lay long after the last fault. */
  readonly stuck: readonly number[]
  readonly stats: Producer['stats']
}

const TOPICS = { one: 1, three: 3 } as const
/** A record's timestamp is its number: that is how a report tells which record it is about. */
const FIRST_TIMESTAMP = 1_700_000_000_000
const PATIENT_MS = 30_000
const NODES = [1, 2, 3] as const

const produceFaults: readonly FaultAction[] = [
  'apply-then-drop',
  'apply-then-drop',
  'apply-then-drop',
  'apply-then-swallow',
  'swallow',
  'close',
  'reset',
  { delayMs: 30 },
  { delayResponseMs: 40 },
  { truncateAt: 9 },
  { error: 'NOT_LEADER_OR_FOLLOWER' },
  { error: 'NOT_ENOUGH_REPLICAS' },
  { error: 'REQUEST_TIMED_OUT' },
  { error: 'UNKNOWN_TOPIC_OR_PARTITION' },
  { error: 'KAFKA_STORAGE_ERROR' },
  { error: 'CORRUPT_MESSAGE' },
  { error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' },
  { error: 'UNKNOWN_PRODUCER_ID' },
  { error: 'MESSAGE_TOO_LARGE' },
  { error: 'INVALID_RECORD' },
  { error: 'POLICY_VIOLATION' },
  { error: 'UNKNOWN_SERVER_ERROR' },
  { error: 'INVALID_PRODUCER_EPOCH' },
]
const otherApis = [
  'Metadata',
  'InitProducerId',
  'DescribeProducers',
  'ListOffsets',
  'OffsetForLeaderEpoch',
] as const
const otherFaults: readonly FaultAction[] = ['close', 'reset', 'swallow', { delayMs: 25 }]

export async function runSchedule(seed: number, steps: number): Promise<RunResult> {
  const random = seededRandom(seed)
  // Enough turns for an exchange with a broker, or requests would wait for timers that have nothing to do with them.
  const clock = new VirtualClock(undefined, 40)
  const cluster = await startCluster({
    brokers: NODES.length,
    topics: Object.fromEntries(
      Object.entries(TOPICS).map(([name, partitions]) => [
        name,
        { partitions, replicas: 3, configs: { 'min.insync.replicas': 2 } },
      ]),
    ),
    transport: 'memory',
    clock,
    random,
  })
  const kafka = new Kafka({
    clientId: 'property',
    brokers: cluster.brokers,
    dial: cluster.dial,
    clock,
    random,
  })
  const run = new Schedule({ cluster, kafka, clock, random })
  try {
    for (let step = 0; step < steps; step++) await run.step()
    return await run.finish()
  } finally {
    await clock.during(kafka.stop(), 60_000)
    await cluster.stop()
  }
}

interface World {
  readonly cluster: EmbeddedCluster
  readonly kafka: Kafka
  readonly clock: VirtualClock
  readonly random: Random
}

class Schedule {
  readonly #world: World
  readonly #options: ProducerOptions
  readonly #producer: Producer
  readonly #answers = new Map<number, string[]>()
  readonly #reports = new Map<number, Outcome[]>()
  readonly #trace: string[] = []
  readonly #calls: Promise<unknown>[] = []
  readonly #held: (() => void)[] = []
  readonly #down = new Set<number>()
  #nextNumber = 0

  constructor(world: World) {
    this.#world = world
    this.#options = this.#chooseOptions()
    this.#producer = world.kafka.producer(this.#options)
    this.#producer.onDelivery((report) => this.#note(report))
  }

  #chooseOptions(): ProducerOptions {
    const { random } = this.#world
    const pick = <T>(...choices: readonly T[]): T => choices[random.below(choices.length)] as T
    return {
      lingerMs: pick(0, 0, 3, 20),
      maxBatchBytes: pick(160, 300, 1_000, 1_000_000),
      maxInFlight: pick(1, 2, 5, 5),
      compression: pick('none', 'none', 'gzip'),
      bufferBytes: pick(24 * 1024, 64 * 1024, 64 * 1024 * 1024),
      onFull: pick('wait', 'wait', 'reject', 'drop-oldest'),
      maxWaitingCalls: pick(3, 10_000),
      requestTimeoutMs: pick(200, 1_000),
      deliveryTimeoutMs: pick(500, 3_000, PATIENT_MS, PATIENT_MS),
      unknownTopicTimeoutMs: pick(500, 30_000),
      retryBackoffMs: 10,
      retryBackoffMaxMs: 100,
    }
  }

  async step(): Promise<void> {
    const { random, clock } = this.#world
    const dice = random.below(100)
    if (dice < 55) this.#send()
    else if (dice < 80) await clock.advance(random.below(30))
    else if (dice < 90) this.#fault()
    else if (dice < 94) await this.#node()
    else if (dice < 96) this.#moveLeader()
    else if (dice < 98) this.#holdReplica()
    else this.#answer(this.#producer.flush({ timeoutMs: 100 }), [])
  }

  async finish(): Promise<RunResult> {
    const { random, clock, cluster } = this.#world
    const way = random.below(4)
    const firstProbe = this.#nextNumber
    if (way > 1) {
      await this.#healed()
      await clock.during(this.#producer.flush())
      this.#probe()
    }
    const ended =
      way === 0
        ? this.#producer.abort('the schedule says so')
        : this.#producer.stop({ timeoutMs: way === 1 ? random.below(300) : 120_000 })
    await clock.during(ended)
    await clock.during(Promise.allSettled(this.#calls))
    this.#trace.push(`ended ${way} at ${clock.monotonic()}`)
    await this.#healed()
    // What is still under way inside the cluster (a delayed request, replicas) comes to its end.
    await clock.advance(5_000)
    const logs = new Map<string, number[]>()
    for (const [topic, partitions] of Object.entries(TOPICS)) {
      for (let partition = 0; partition < partitions; partition++) {
        const records = cluster.records(topic, partition)
        logs.set(
          `${topic}/${partition}`,
          records.map(({ timestamp }) => timestamp - FIRST_TIMESTAMP),
        )
      }
    }
    return {
      answers: this.#answers,
      reports: this.#reports,
      logs,
      trace: this.#trace,
      stuck: this.#stuckFrom(firstProbe),
      stats: this.#producer.stats,
    }
  }

  /** One record to each partition, when nothing disturbs any more. */
  #probe(): void {
    for (const [topic, partitions] of Object.entries(TOPICS)) {
      for (let partition = 0; partition < partitions; partition++) {
        const number = this.#nextNumber++
        const record = { topic, partition, value: 'probe', timestamp: FIRST_TIMESTAMP + number }
        this.#answer(this.#producer.send(record), [number])
      }
    }
  }

  /** A short delivery timeout may be over before the last connection that hangs is given up; a long one may not. */
  #stuckFrom(firstProbe: number): number[] {
    if (this.#options.deliveryTimeoutMs !== PATIENT_MS) return []
    const isStuck = (number: number, status: string | undefined) =>
      status === 'DELIVERY_TIMEOUT' || (number >= firstProbe && status !== 'delivered')
    return [...this.#reports].flatMap(([number, [report]]) =>
      isStuck(number, report?.status) ? [number] : [],
    )
  }

  async #healed(): Promise<void> {
    const { cluster } = this.#world
    cluster.faults.clear()
    for (const release of this.#held.splice(0)) release()
    for (const node of [...this.#down]) {
      await cluster.startNode(node)
      this.#down.delete(node)
    }
  }

  // ---------------------------------------------------------------------------------------------- actions

  #send(): void {
    const { random } = this.#world
    const count = random.below(3) === 0 ? 1 + random.below(12) : 1
    const first = this.#nextNumber
    this.#nextNumber += count
    const topic = random.below(3) === 0 ? 'one' : 'three'
    const records = Array.from({ length: count }, (_, index) => this.#record(topic, first + index))
    const numbers = records.map((_, index) => first + index)
    const kind = random.below(10)
    if (kind === 0) this.#answer(this.#producer.enqueue(records), [])
    else if (kind === 1) {
      const controller = new AbortController()
      this.#calls.push(this.#producer.send(records, { signal: controller.signal }).catch(() => undefined))
      this.#world.clock.setTimeout(() => controller.abort(), random.below(50))
    } else if (count > 1) this.#answer(this.#producer.send(records), numbers)
    else this.#answer(this.#producer.send(records[0] as ProducerRecord), numbers)
  }

  #record(topic: string, number: number): ProducerRecord {
    const { random } = this.#world
    const way = random.below(3)
    const value = `${number} ${'x'.repeat(random.below(60))}`
    const common = { topic, value, timestamp: FIRST_TIMESTAMP + number }
    if (way === 0) return { ...common, key: `k${random.below(5)}`, headers: { n: String(number) } }
    return way === 1 && topic === 'three' ? { ...common, partition: random.below(3) } : common
  }

  #fault(): void {
    const { cluster, random } = this.#world
    if (random.below(5) === 0) {
      const api = otherApis[random.below(otherApis.length)] as string
      const action = otherFaults[random.below(otherFaults.length)] as FaultAction
      cluster.faults.on({ api, times: 1 + random.below(2) }, action)
      return
    }
    const action = produceFaults[random.below(produceFaults.length)] as FaultAction
    cluster.faults.on({ api: 'Produce', times: 1 + random.below(4) }, action)
  }

  async #node(): Promise<void> {
    const { cluster, random } = this.#world
    const node = NODES[random.below(NODES.length)] as number
    if (this.#down.has(node)) {
      await cluster.startNode(node)
      this.#down.delete(node)
    } else if (this.#down.size < 2) {
      this.#down.add(node)
      await cluster.stopNode(node, { kill: random.below(2) === 0 })
    }
  }

  #moveLeader(): void {
    const { cluster, random } = this.#world
    const node = NODES[random.below(NODES.length)] as number
    try {
      cluster.moveLeader('three', random.below(3), node)
    } catch (error) {
      if (!(error instanceof OttlaError) || error.code !== 'INVALID_ARGUMENT') throw error
    }
  }

  #holdReplica(): void {
    const { cluster, random, clock } = this.#world
    const node = NODES[random.below(NODES.length)] as number
    const release = cluster.holdReplica(node, 'three', random.below(3))
    this.#held.push(release)
    clock.setTimeout(release, random.below(500))
  }

  // ---------------------------------------------------------------------------------------------- notes

  #answer(call: Promise<unknown>, numbers: readonly number[]): void {
    const note = (number: number, answer: string) => {
      const answers = this.#answers.get(number)
      if (answers === undefined) this.#answers.set(number, [answer])
      else answers.push(answer)
    }
    this.#calls.push(
      call.then(
        () => {
          for (const number of numbers) note(number, 'delivered')
        },
        (error: unknown) => {
          if (!(error instanceof OttlaError)) throw error
          for (const [index, number] of numbers.entries()) {
            const result = error instanceof PartialDeliveryError ? error.results[index] : undefined
            note(number, result?.status === 'delivered' ? 'delivered' : (result?.error ?? error).code)
          }
        },
      ),
    )
  }

  #note(report: DeliveryReport): void {
    const { topic, partition } = report
    const isDelivered = report.status === 'delivered'
    const place = `${topic}/${partition}`
    const number = report.timestamp - FIRST_TIMESTAMP
    const status = isDelivered ? 'delivered' : report.error.code
    const outcome = { status, topic, partition, offset: isDelivered ? report.offset : -1 }
    const known = this.#reports.get(number)
    if (known === undefined) this.#reports.set(number, [outcome])
    else known.push(outcome)
    this.#trace.push(`${this.#world.clock.monotonic()} ${number} ${status} ${place}@${outcome.offset}`)
  }
}

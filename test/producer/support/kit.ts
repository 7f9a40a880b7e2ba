/** What the producer's scenarios share: a cluster in memory, a clock that stands still, a producer and its reports. */
import type { EmbeddedCluster } from '../../../src/broker/embedded-cluster.ts'
import { type StartClusterOptions, startCluster } from '../../../src/broker/index.ts'
import { OttlaError } from '../../../src/errors.ts'
import { Kafka } from '../../../src/kafka.ts'
import type { Producer } from '../../../src/producer/producer.ts'
import type { ProducerOptions } from '../../../src/producer/producer-options.ts'
import type { DeliveryReport } from '../../../src/producer/receipts.ts'
import { seededRandom } from '../../../src/util/random.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'

export interface Kit {
  readonly cluster: EmbeddedCluster
  readonly kafka: Kafka
  readonly clock: VirtualClock
  readonly producer: Producer
  readonly reports: DeliveryReport[]
  readonly logged: string[]
  /** While set, requests arrive and what the broker answers gets lost. */
  loseAnswers(lost: boolean): void
  /** Another producer of the same client. */
  producerWith(options: ProducerOptions): Producer
  /** Lets time pass until the promise settles. */
  during<T>(promise: Promise<T>, limitMs?: number): Promise<T>
  /** The values in the log of a partition. */
  values(topic: string, partition?: number): (string | null)[]
}

export interface KitOptions {
  readonly cluster?: StartClusterOptions
  readonly producer?: ProducerOptions
}

export async function withProducer(options: KitOptions, run: (kit: Kit) => Promise<void>): Promise<void> {
  // Enough turns for a whole exchange with a broker: no time passes while one is under way.
  const clock = new VirtualClock(undefined, 60)
  const random = seededRandom(1)
  const cluster = await startCluster({
    topics: { orders: 1, many: 4 },
    ...options.cluster,
    transport: 'memory',
    clock,
    random,
  })
  const logged: string[] = []
  const log = (fields: object, message: string) => {
    logged.push(`${message} ${JSON.stringify(fields)}`)
  }
  const logger = { debug: () => undefined, info: log, warn: log, error: log }
  let isDeaf = false
  const dial = async (...where: Parameters<typeof cluster.dial>) => {
    const stream = await cluster.dial(...where)
    const push = stream.push.bind(stream)
    stream.push = (chunk: unknown) => (isDeaf && chunk !== null) || push(chunk)
    return stream
  }
  const kafka = new Kafka({
    clientId: 'test',
    brokers: cluster.brokers,
    dial,
    clock,
    random,
    logger,
  })
  const reports: DeliveryReport[] = []
  const quick: ProducerOptions = { retryBackoffMs: 10, retryBackoffMaxMs: 100, requestTimeoutMs: 1_000 }
  const producer = kafka.producer({
    ...quick,
    onDelivery: (report) => void reports.push(report),
    ...options.producer,
  })
  try {
    await run({
      cluster,
      kafka,
      clock,
      producer,
      reports,
      logged,
      loseAnswers: (lost) => {
        isDeaf = lost
      },
      producerWith: (more) => kafka.producer({ ...quick, ...more }),
      during: (promise, limitMs) => clock.during(promise, limitMs),
      values: (topic, partition = 0) =>
        cluster.records(topic, partition).map(({ value }) => value?.toString() ?? null),
    })
  } finally {
    await clock.during(producer.abort('the test is over'))
    await clock.during(kafka.stop())
    await cluster.stop()
  }
}

/** The code that a promise rejects with, or `fulfilled`. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'fulfilled'
  } catch (error) {
    if (error instanceof OttlaError) return error.code
    throw error
  }
}

export const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

/** With this option a batch holds one record made by `alone`. */
export const oneByOne: ProducerOptions = { maxBatchBytes: 200 }
export const alone = (text: string): string => text.padEnd(80, '.')

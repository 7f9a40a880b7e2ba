/** What the consumer's tests share: a cluster with a client to it, records put into partitions, members to watch. */
import assert from 'node:assert/strict'
import { type EmbeddedCluster, type StartClusterOptions, startCluster } from '../../src/broker/index.ts'
import { Admin } from '../../src/client/admin.ts'
import { Cluster } from '../../src/client/cluster.ts'
import { type ClientOptions, resolveClientOptions } from '../../src/client/options.ts'
import { Consumer, type ConsumerOptions } from '../../src/consumer/consumer.ts'
import { offsetFetch, produce } from '../../src/protocol/messages/index.ts'
import { type EncodeRecordBatchOptions, encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import { type Clock, systemClock } from '../../src/util/clock.ts'
import { type Random, seededRandom } from '../../src/util/random.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'

/** Short enough for tests, long enough for a busy machine. */
export const quick = {
  drainTimeoutMs: 5000,
  rebalanceTimeoutMs: 8000,
  sessionTimeoutMs: 6000,
  heartbeatIntervalMs: 50,
  commitIntervalMs: 20,
  failure: { retries: 2, minBackoffMs: 1, maxBackoffMs: 4 },
} as const

export interface Produced {
  readonly value: string | Buffer | null
  readonly key?: string | null
  readonly headers?: readonly (readonly [string, string | null])[]
}

export class Bench {
  readonly broker: EmbeddedCluster
  readonly cluster: Cluster
  readonly #clusters: Cluster[] = []
  readonly #consumers: Consumer[] = []

  readonly #clock: Clock

  private constructor(broker: EmbeddedCluster, cluster: Cluster, clock: Clock) {
    this.broker = broker
    this.cluster = cluster
    this.#clock = clock
  }

  static async open(options: StartClusterOptions = {}): Promise<Bench> {
    const broker = await startCluster({
      transport: 'memory',
      configs: { 'group.initial.rebalance.delay.ms': 0, 'group.min.session.timeout.ms': 10 },
      ...options,
    })
    return new Bench(broker, new Cluster(clientOptions(broker)), options.clock ?? systemClock)
  }

  /** A consumer with a client of its own, as in another process. */
  consumer(
    options: Partial<ConsumerOptions> & { topics: readonly string[] },
    client: Partial<ClientOptions> = {},
  ) {
    const cluster = new Cluster(clientOptions(this.broker, client))
    const consumer = new Consumer(cluster, { groupId: 'group', ...quick, ...options })
    this.#clusters.push(cluster)
    this.#consumers.push(consumer)
    return consumer
  }

  /** Appends to a partition; returns the offset of the first. */
  async append(
    topic: string,
    partition: number,
    records: readonly Produced[] | Buffer,
    options: EncodeRecordBatchOptions = {},
  ): Promise<number> {
    const { topicId } = await this.cluster.ensureTopic(topic)
    const timestamp = this.#clock.now()
    const batch = Buffer.isBuffer(records) ? records : encodeRecordBatch(records, { timestamp, ...options })
    for (;;) {
      const leader = this.cluster.topic(topic)?.partitions[partition]?.leaderId ?? -1
      const connection = await this.cluster.connection(leader)
      const response = await connection.request(
        produce,
        {
          acks: -1,
          timeoutMs: 5000,
          transactionalId: null,
          topicData: [{ name: topic, topicId, partitionData: [{ index: partition, records: batch }] }],
        },
        { version: 13 },
      )
      const answer = response.responses[0]?.partitionResponses[0]
      assert.ok(answer)
      if (answer.errorCode === 0) return answer.baseOffset
      assert.equal(answer.errorCode, 6, `producing answered ${answer.errorCode}`)
      await this.cluster.refresh({ topics: [topic], force: true })
    }
  }

  /** `count` records `v0`, `v1`, … in each of the partitions, `perBatch` in a batch. */
  async fill(topic: string, partitions: number, count: number, perBatch = count): Promise<void> {
    for (let partition = 0; partition < partitions; partition++) {
      for (let from = 0; from < count; from += perBatch) {
        const size = Math.min(perBatch, count - from)
        await this.append(topic, partition, values(size, from))
      }
    }
  }

  /** What the group has committed, by partition; -1 for nothing. */
  async committed(topic: string, partitions: number, groupId = 'group'): Promise<number[]> {
    const partitionIndexes = Array.from({ length: partitions }, (_, index) => index)
    const topics = [{ name: topic, partitionIndexes }]
    for (;;) {
      const node = await this.cluster.coordinator('group', groupId, { refresh: true })
      const connection = await this.cluster.connection(node)
      const response = await connection.request(
        offsetFetch,
        { groups: [{ groupId, topics }], requireStable: false },
        { version: 8 },
      )
      const group = response.groups[0]
      assert.ok(group)
      const found = group.topics[0]?.partitions ?? []
      if (group.errorCode !== 0 || found.some(({ errorCode }) => errorCode !== 0)) continue
      return partitionIndexes.map(
        (id) => found.find(({ partitionIndex }) => partitionIndex === id)?.committedOffset ?? -1,
      )
    }
  }

  get admin(): Admin {
    return new Admin(this.cluster)
  }

  /** Ends everything; consumers are not drained. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const consumer of this.#consumers) consumer.abort()
    for (const cluster of this.#clusters) await cluster.stop()
    await this.cluster.stop()
    await this.broker.stop()
  }
}

export const clientOptions = (broker: EmbeddedCluster, more: Partial<ClientOptions> = {}) =>
  resolveClientOptions({
    brokers: broker.brokers,
    dial: broker.dial,
    minBackoffMs: 5,
    maxBackoffMs: 50,
    metadataMinIntervalMs: 5,
    ...more,
  })

/** A bench whose clock stands still unless the test moves it, and members that live by it. */
export async function still(random: Random = seededRandom(1), options: StartClusterOptions = {}) {
  const clock = new VirtualClock()
  const bench = await Bench.open({ clock, random, ...options })
  const member = (options: Partial<ConsumerOptions> & { topics: readonly string[] }, client = {}) =>
    bench.consumer(options, {
      clock,
      random: seededRandom(random.below(2 ** 31)),
      requestTimeoutMs: 2000,
      ...client,
    })
  return { clock, bench, member }
}

export const values = (count: number, from = 0): Produced[] =>
  Array.from({ length: count }, (_, index) => ({ value: `v${from + index}` }))

/** Resolves when the condition holds. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, limitMs = 15_000) {
  const deadline = systemClock.monotonic() + limitMs
  while (!(await condition())) {
    if (systemClock.monotonic() > deadline) throw new Error(`waited in vain: ${what}`)
    await turn(2)
  }
}

export const turn = (ms = 0): Promise<void> =>
  new Promise((resolve) => void systemClock.setTimeout(resolve, ms))

/** The policy that gives up after so many retries. */
export const thenSkip = (retries: number) =>
  ({ retries, minBackoffMs: 1, maxBackoffMs: 1, onExhausted: 'skip' }) as const

/** Topics for the runs, made and looked at with kafkajs: a client that is not the one under test. */
import { createRequire } from 'node:module'

interface KafkajsAdmin {
  connect(): Promise<void>
  disconnect(): Promise<void>
  createTopics(options: {
    waitForLeaders: boolean
    topics: { topic: string; numPartitions: number; replicationFactor: number; configEntries?: unknown[] }[]
  }): Promise<boolean>
  deleteTopics(options: { topics: string[] }): Promise<void>
  fetchTopicOffsets(topic: string): Promise<{ partition: number; high: string; low: string }[]>
}

interface Kafkajs {
  readonly Kafka: new (options: {
    clientId: string
    brokers: readonly string[]
    logLevel: number
  }) => { admin(): KafkajsAdmin }
  readonly logLevel: { readonly NOTHING: number }
}

export class Topics {
  readonly #admin: KafkajsAdmin
  #made = 0
  readonly #prefix = `ottla-bench-${process.pid}`

  private constructor(admin: KafkajsAdmin) {
    this.#admin = admin
  }

  static async connect(brokers: readonly string[]): Promise<Topics> {
    const { Kafka, logLevel } = createRequire(import.meta.url)('kafkajs') as Kafkajs
    const admin = new Kafka({ clientId: 'bench', brokers, logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    return new Topics(admin)
  }

  /** A fresh topic of four partitions; `maxMessageBytes` for records beyond Kafka's usual megabyte. */
  async create(partitions = 4, maxMessageBytes?: number): Promise<string> {
    const topic = `${this.#prefix}-${++this.#made}`
    const configEntries = maxMessageBytes
      ? [{ name: 'max.message.bytes', value: String(maxMessageBytes) }]
      : []
    const spec = { topic, numPartitions: partitions, replicationFactor: 1, configEntries }
    await this.#admin.createTopics({ waitForLeaders: true, topics: [spec] })
    return topic
  }

  /** How many records the log of the topic holds. */
  async count(topic: string): Promise<number> {
    const offsets = await this.#admin.fetchTopicOffsets(topic)
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0)
  }

  async delete(topic: string): Promise<void> {
    await this.#admin.deleteTopics({ topics: [topic] })
  }

  async stop(): Promise<void> {
    await this.#admin.disconnect()
  }
}

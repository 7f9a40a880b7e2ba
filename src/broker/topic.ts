/** A topic: its name, id, configs and partitions. */
import { Partition, type PartitionHost } from './partition.ts'
import { type Configs, type TopicSettings, topicSettings } from './topic-settings.ts'

/** Kafka's own topics: clients see them marked as internal. */
const internalTopics = new Set(['__consumer_offsets', '__transaction_state'])

export class Topic {
  readonly name: string
  /** Kafka's text form of 16 bytes. */
  readonly id: string
  readonly partitions: Partition[] = []
  #configs: Configs
  #settings: TopicSettings

  constructor(
    { name, id }: { readonly name: string; readonly id: string },
    configs: Configs,
    brokers: Configs,
  ) {
    this.name = name
    this.id = id
    this.#configs = configs
    this.#settings = topicSettings(configs, brokers)
  }

  get isInternal(): boolean {
    return internalTopics.has(this.name)
  }

  /** Its own configs: what was given, not what is inherited. */
  get configs(): Configs {
    return this.#configs
  }

  get settings(): TopicSettings {
    return this.#settings
  }

  configure(configs: Configs, brokerConfigs: Configs): void {
    this.#configs = configs
    this.#settings = topicSettings(configs, brokerConfigs)
    // min.insync.replicas may let the high watermark move now.
    for (const partition of this.partitions) partition.leader?.syncReplicas()
  }

  addPartition(replicas: readonly number[], host: PartitionHost): void {
    this.partitions.push(new Partition(this, { index: this.partitions.length, replicas }, host))
  }
}

/**
 * The state that the nodes of a cluster share: nodes, topics, configs, ids. It plays the controller: every change of
 * it is made here, at once and for all nodes.
 *
 * Stale metadata does not arise by itself, as it does in Kafka; a test makes it with a fault on the Metadata API.
 */
import { errorCode } from '../protocol/error-codes.ts'
import type { Clock, Timer } from '../util/clock.ts'
import type { Logger } from '../util/logger.ts'
import type { Random } from '../util/random.ts'
import type { BrokerNode } from './broker-node.ts'
import { coordinatorPartition } from './groups/coordinator-partition.ts'
import type { CoordinatorHost } from './groups/group-coordinator.ts'
import { type GroupLimits, groupLimits } from './groups/group-limits.ts'
import { LogBudget } from './log-budget.ts'
import type { Partition, PartitionHost } from './partition.ts'
import { Topic } from './topic.ts'
import {
  checkAssignments,
  checkClusterPartitions,
  checkCollision,
  checkPartitionCount,
  checkReplicationFactor,
  checkTopicConfigs,
  checkTopicName,
  type Problem,
  type TopicSpec,
} from './topic-rules.ts'
import { brokerConfigRow, type Configs } from './topic-settings.ts'

const OFFSETS_TOPIC = '__consumer_offsets'

export interface ClusterStateOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly configs: Configs
  readonly logBytes: number
  /** Whose rules count: `3.6`, `4.1`, `4.5`. */
  readonly kafkaVersion: string
}

export class ClusterState implements PartitionHost, CoordinatorHost {
  readonly clusterId: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly budget: LogBudget
  readonly internalBudget = new LogBudget(Number.MAX_SAFE_INTEGER)
  readonly strictStart: boolean
  readonly holdsUnderMinIsr: boolean
  readonly waitsForReplicas: boolean
  readonly groupLimits: GroupLimits
  readonly #nodes = new Map<number, BrokerNode>()
  readonly #topics = new Map<string, Topic>()
  readonly #topicsById = new Map<string, Topic>()
  #configs: Configs
  /** So that replicas of topics spread over the nodes. */
  #placements = 0
  #partitionCount = 0
  #nextProducerId = 0
  #offsetsPartitions: number | undefined
  readonly #sleeping = new Set<Timer>()
  #isStopped = false

  constructor(options: ClusterStateOptions) {
    this.clock = options.clock
    this.random = options.random
    this.logger = options.logger
    this.#configs = options.configs
    this.budget = new LogBudget(options.logBytes)
    this.groupLimits = groupLimits((name, fallback) => this.config(name, fallback))
    const since = (version: string) =>
      options.kafkaVersion.localeCompare(version, 'en', { numeric: true }) >= 0
    this.strictStart = since('4.5')
    this.holdsUnderMinIsr = since('3.7')
    this.waitsForReplicas = since('4.0')
    this.clusterId = this.#uuid()
  }

  // ------------------------------------------------------------------------------------------------ configs

  get configs(): Configs {
    return this.#configs
  }

  /** A broker config as it stands, by Kafka's name. */
  configText(name: string): string {
    return this.#configs[name] ?? brokerConfigRow(name)?.default ?? ''
  }

  /** As a number; `fallback` for one that is not known here. */
  config(name: string, fallback = 0): number {
    const text = this.configText(name)
    return text === '' ? fallback : Number(text)
  }

  configFlag(name: string): boolean {
    return this.configText(name) === 'true'
  }

  configure(configs: Configs): void {
    this.#configs = configs
    for (const topic of this.topics()) topic.configure(topic.configs, configs)
  }

  get lagTimeMaxMs(): number {
    return this.config('replica.lag.time.max.ms')
  }

  get followerFetchBytes(): number {
    return this.config('replica.fetch.max.bytes')
  }

  get producerExpirationMs(): number {
    return this.config('producer.id.expiration.ms')
  }

  // -------------------------------------------------------------------------------------------------- nodes

  addNode(node: BrokerNode): void {
    this.#nodes.set(node.id, node)
  }

  /** A node that the cluster counts as alive. */
  node(id: number): BrokerNode | undefined {
    const node = this.#nodes.get(id)
    return node?.isRegistered ? node : undefined
  }

  nodes(): BrokerNode[] {
    return [...this.#nodes.values()].filter((node) => node.isRegistered)
  }

  isAlive(nodeId: number): boolean {
    const node = this.#nodes.get(nodeId)
    return node?.isRegistered === true && node.isRunning
  }

  /** Those that are down too. */
  allNodes(): BrokerNode[] {
    return [...this.#nodes.values()]
  }

  /** The living node with the lowest id: clients are told that it is the controller. */
  get controllerId(): number {
    return this.nodes()[0]?.id ?? -1
  }

  nodeUp(node: BrokerNode): void {
    node.isRunning = true
    node.isRegistered = true
    for (const partition of this.partitions()) partition.nodeUp(node.id)
  }

  /** The process of the node ended and nobody was told. */
  nodeKilled(node: BrokerNode): void {
    node.isRunning = false
    for (const partition of this.partitions()) partition.halt(node.id)
  }

  /** The cluster no longer counts on the node: others lead in its place. */
  nodeDown(node: BrokerNode): void {
    node.isRunning = false
    node.isRegistered = false
    for (const partition of this.partitions()) partition.nodeDown(node.id)
  }

  leaderChanged(partition: Partition): void {
    const { topic, index, leader, leaderId } = partition
    if (topic.name !== OFFSETS_TOPIC || leader === undefined || this.#isStopped) return
    this.#nodes.get(leaderId)?.groups.elected(index, leader)
  }

  // ------------------------------------------------------------------------------------------------- topics

  topics(): IterableIterator<Topic> {
    return this.#topics.values()
  }

  topic(name: string): Topic | undefined {
    return this.#topics.get(name)
  }

  topicById(id: string): Topic | undefined {
    return this.#topicsById.get(id)
  }

  *partitions(): Generator<Partition, void> {
    for (const topic of this.#topics.values()) yield* topic.partitions
  }

  partition(topic: string, index: number): Partition | undefined {
    return this.#topics.get(topic)?.partitions[index]
  }

  /** What is wrong with a topic before it is made. */
  checkTopic(spec: TopicSpec): Problem | undefined {
    if (this.#topics.has(spec.name)) {
      const message = `Topic '${spec.name}' already exists.`
      return { errorCode: errorCode.TOPIC_ALREADY_EXISTS, message }
    }
    return (
      checkTopicName(spec.name) ??
      checkCollision(spec.name, this.#topics.keys()) ??
      this.#checkLayout(spec) ??
      this.checkRoom(this.layoutOf(spec).partitions) ??
      checkTopicConfigs(spec.configs ?? {})
    )
  }

  /** Whether so many partitions more may be made. */
  checkRoom(added: number): Problem | undefined {
    return checkClusterPartitions(this.#partitionCount + added)
  }

  /** Makes a topic that `checkTopic` has passed. */
  createTopic(spec: TopicSpec): Topic {
    const topic = new Topic({ name: spec.name, id: this.#uuid() }, spec.configs ?? {}, this.#configs)
    this.#topics.set(topic.name, topic)
    this.#topicsById.set(topic.id, topic)
    const { partitions, replicationFactor } = this.layoutOf(spec)
    const layout = spec.assignments ?? this.#place(partitions, replicationFactor)
    if (spec.name === OFFSETS_TOPIC) this.#offsetsPartitions = layout.length
    for (const replicas of layout) topic.addPartition(replicas, this)
    this.#partitionCount += layout.length
    return topic
  }

  /** Partitions and replicas with the cluster's defaults filled in. */
  layoutOf(spec: TopicSpec): { readonly partitions: number; readonly replicationFactor: number } {
    if (spec.assignments !== undefined) {
      const replicationFactor = spec.assignments[0]?.length ?? 0
      return { partitions: spec.assignments.length, replicationFactor }
    }
    return {
      partitions: spec.partitions === -1 ? this.config('num.partitions') : spec.partitions,
      replicationFactor:
        spec.replicationFactor === -1 ? this.config('default.replication.factor') : spec.replicationFactor,
    }
  }

  deleteTopic(topic: Topic): void {
    this.#topics.delete(topic.name)
    this.#topicsById.delete(topic.id)
    for (const partition of topic.partitions) partition.delete()
    this.#partitionCount -= topic.partitions.length
    for (const node of this.nodes()) node.groups.topicDeleted(topic.name)
  }

  /** Adds partitions up to `count`. The caller has checked it. */
  growTopic(topic: Topic, count: number, assignments?: readonly (readonly number[])[]): void {
    const added = count - topic.partitions.length
    this.#partitionCount += added
    const factor = topic.partitions[0]?.replicas.length ?? 1
    for (const replicas of assignments ?? this.#place(added, factor)) topic.addPartition(replicas, this)
  }

  /** A topic that a client asked for by name, made on the way if the cluster allows that. */
  topicOrCreate(name: string, mayCreate: boolean): Topic | Problem {
    const known = this.#topics.get(name)
    if (known !== undefined) return known
    const badName = checkTopicName(name)
    if (badName !== undefined) return badName
    if (!mayCreate || !this.configFlag('auto.create.topics.enable')) {
      const message = `topic ${name} does not exist`
      return { errorCode: errorCode.UNKNOWN_TOPIC_OR_PARTITION, message }
    }
    const replicationFactor = Math.min(this.config('default.replication.factor'), this.nodes().length)
    const spec = { name, partitions: -1, replicationFactor }
    return this.checkTopic(spec) ?? this.createTopic(spec)
  }

  /** How many partitions the topic of offsets has: it keeps those that it was made with. */
  get offsetsPartitions(): number {
    return this.#offsetsPartitions ?? this.config('offsets.topic.num.partitions')
  }

  /** The partition that keeps a group; its leader coordinates the group. The topic is made when first asked for. */
  coordinatorPartition(groupId: string): Partition {
    const { partitions } = this.#offsetsTopic()
    return partitions[coordinatorPartition(groupId, this.offsetsPartitions)] as Partition
  }

  #offsetsTopic(): Topic {
    const known = this.#topics.get(OFFSETS_TOPIC)
    if (known !== undefined) return known
    const factor = this.config('offsets.topic.replication.factor')
    const replicationFactor = Math.max(1, Math.min(factor, this.nodes().length))
    const partitions = this.config('offsets.topic.num.partitions')
    const configs = {
      'cleanup.policy': 'compact',
      'compression.type': 'producer',
      'segment.bytes': this.configText('offsets.topic.segment.bytes'),
    }
    return this.createTopic({ name: OFFSETS_TOPIC, partitions, replicationFactor, configs })
  }

  isNode(id: number): boolean {
    return this.#nodes.has(id)
  }

  nextProducerId(): number {
    return this.#nextProducerId++
  }

  /** Resolves after the delay; never, when the cluster stops before. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.clock.setTimeout(() => {
        this.#sleeping.delete(timer)
        resolve()
      }, delayMs)
      this.#sleeping.add(timer)
    })
  }

  /** Ends every role, so that nothing is left waiting. */
  stop(): void {
    this.#isStopped = true
    for (const timer of this.#sleeping) this.clock.clearTimeout(timer)
    this.#sleeping.clear()
    for (const node of this.allNodes()) node.groups.stop()
    for (const partition of this.partitions()) partition.stop()
  }

  #checkLayout(spec: TopicSpec): Problem | undefined {
    if (spec.assignments !== undefined) return checkAssignments(spec, (id) => this.isNode(id))
    const { partitions, replicationFactor } = this.layoutOf(spec)
    return checkPartitionCount(partitions) ?? checkReplicationFactor(replicationFactor, this.nodes().length)
  }

  /** Round robin over the living nodes, going on where the last topic ended. */
  #place(partitions: number, factor: number): number[][] {
    const alive = this.nodes()
    // Without a living node only the broker's own topic is made: it waits for its nodes.
    const ids = (alive.length > 0 ? alive : this.allNodes()).map((node) => node.id)
    return Array.from({ length: partitions }, () => {
      const first = this.#placements++
      return Array.from({ length: factor }, (_, index) => ids[(first + index) % ids.length] as number)
    })
  }

  #uuid(): string {
    return this.random.bytes(16).toString('base64url')
  }
}

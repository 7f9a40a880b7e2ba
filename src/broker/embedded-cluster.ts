/**
 * A Kafka cluster inside this process, for development and tests: its nodes, and what a test does to them.
 *
 * Everything that a test can do to a real cluster by force is a method here: faults on requests, nodes that stop and
 * come back, leaders and coordinators that move, replicas that fall behind.
 */
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { OttlaError } from '../errors.ts'
import type { Timer } from '../util/clock.ts'
import { memoryAddress } from '../util/memory-address.ts'
import type { AnswerObserver } from './answered-errors.ts'
import { BrokerNode, type NodeAddress } from './broker-node.ts'
import { ClusterState } from './cluster-state.ts'
import { type Fault, type FaultAction, type FaultMatch, Faults } from './faults.ts'
import { FetchSessions } from './fetch-sessions.ts'
import { GroupCoordinator } from './groups/group-coordinator.ts'
import { type ApiTable, apiTable } from './handlers/index.ts'
import { Listener, MemoryNetwork, type Transport, tcpTransport } from './listener.ts'
import { type LoggedRecord, type ReplicaReport, recordsOf, reportOf } from './log-report.ts'
import { Maintenance } from './maintenance.ts'
import { clusterConfigs, type ResolvedStartOptions, type ResolvedTopic } from './options.ts'
import type { Partition } from './partition.ts'
import { SaslServer } from './sasl/sasl-server.ts'
import { secureWith } from './secure.ts'
import type { Topic } from './topic.ts'

interface Running {
  readonly node: BrokerNode
  readonly listener: Listener
  /** Where it listens, the same after a restart. */
  listensAt: NodeAddress
  /** After a kill: until the cluster notices. */
  noticing: Timer | undefined
}

/** A cluster made by `startCluster`. */
export class EmbeddedCluster {
  readonly #options: ResolvedStartOptions
  readonly #state: ClusterState
  readonly #faults = new Faults()
  readonly #running = new Map<number, Running>()
  readonly #network: MemoryNetwork
  readonly #maintenance: Maintenance
  readonly #apis: ApiTable
  readonly #observer: AnswerObserver | undefined
  #isStopped = false

  /** @internal Use `startCluster`; only a test that looks at every answer hands in an observer. */
  constructor(options: ResolvedStartOptions, observer?: AnswerObserver) {
    const { clock, random, logger, logBytes, kafkaVersion } = options
    this.#options = options
    this.#observer = observer
    this.#apis = apiTable(options.maxVersions)
    const configs = clusterConfigs(options)
    const state = new ClusterState({ clock, random, logger, configs, logBytes, kafkaVersion })
    this.#state = state
    this.#network = new MemoryNetwork(clock)
    this.#maintenance = new Maintenance(state)
  }

  /** @internal */
  async start(): Promise<this> {
    const { brokers, topics } = this.#options
    try {
      for (let id = 1; id <= brokers; id++) await this.#addNode(id)
      for (const { node } of this.#running.values()) this.#state.nodeUp(node)
      for (const [name, topic] of Object.entries(topics)) this.#createTopic(name, topic)
      this.#maintenance.start()
      return this
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** `host:port` of each node: what a client's `brokers` option takes. */
  get brokers(): string[] {
    return [...this.#running.values()].map(({ node }) => `${node.host}:${node.port}`)
  }

  get clusterId(): string {
    return this.#state.clusterId
  }

  /** Faults on requests. */
  get faults(): { on(match: FaultMatch, action: FaultAction): Fault; clear(): void } {
    return this.#faults
  }

  /** A new connection to a node by the address that clients are told: what a client's `dial` option takes. */
  readonly dial = async (address: NodeAddress, options?: { signal?: AbortSignal }): Promise<Duplex> => {
    options?.signal?.throwIfAborted()
    if (this.#options.transport === 'memory') return this.#network.dial(address)
    return await new Promise((resolve, reject) => {
      const socket = connect({ host: address.host, port: address.port, noDelay: true })
      const onAbort = () => socket.destroy(options?.signal?.reason)
      options?.signal?.addEventListener('abort', onAbort, { once: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        options?.signal?.removeEventListener('abort', onAbort)
        socket.off('error', reject)
        resolve(socket)
      })
    })
  }

  // ------------------------------------------------------------------------------------------------- topics

  /** Makes a topic. INVALID_ARGUMENT, with Kafka's reason, when it cannot be. */
  createTopic(name: string, partitions?: number, configs?: Readonly<Record<string, string | number>>): void {
    this.#createTopic(name, { partitions, replicas: undefined, configs: configs ?? {} })
  }

  deleteTopic(name: string): void {
    this.#state.deleteTopic(this.#topic(name))
  }

  /** The node that leads a partition; -1: none. */
  leaderOf(topic: string, partition: number): number {
    return this.#partition(topic, partition).leaderId
  }

  /** How the replica of a node stands, whether the node runs or not. */
  replicaOf(nodeId: number, topic: string, partition: number): ReplicaReport {
    const owner = this.#partition(topic, partition)
    const replica = owner.replicaOn(nodeId)
    if (replica === undefined) throw invalid(`node ${nodeId} has no replica of ${topic}-${partition}`)
    return reportOf(owner, replica)
  }

  /** The committed records of a partition, as its leader has them; for tests. */
  records(topic: string, partition: number): LoggedRecord[] {
    return recordsOf(this.#partition(topic, partition))
  }

  // -------------------------------------------------------------------------------------------------- nodes

  /**
   * Stops a node: its connections are closed, others lead in its place, its logs stay as on a disk. With `kill` the
   * connections are reset and nothing is handed over; the others notice after `broker.session.timeout.ms` (0).
   */
  async stopNode(nodeId: number, options: { readonly kill?: boolean } = {}): Promise<void> {
    const running = this.#node(nodeId)
    if (!running.node.isRunning) return
    if (options.kill) {
      this.#state.nodeKilled(running.node)
      const timeoutMs = this.#state.config('broker.session.timeout.ms')
      if (timeoutMs === 0) this.#state.nodeDown(running.node)
      else {
        running.noticing = this.#options.clock.setTimeout(() => this.#state.nodeDown(running.node), timeoutMs)
      }
    } else {
      this.#state.nodeDown(running.node)
    }
    running.node.fetchSessions = this.#newSessions()
    await running.listener.stop(options.kill ? 'reset' : 'close')
  }

  /** Starts a node again at the address that it had. */
  async startNode(nodeId: number): Promise<void> {
    const running = this.#node(nodeId)
    if (running.node.isRunning || this.#isStopped) return
    if (running.noticing !== undefined) {
      this.#options.clock.clearTimeout(running.noticing)
      running.noticing = undefined
    }
    if (running.node.isRegistered) this.#state.nodeDown(running.node)
    await running.listener.start(running.listensAt)
    this.#state.nodeUp(running.node)
  }

  /** Makes a node the leader of a partition. It must run and be in sync, unless the topic allows unclean elections. */
  moveLeader(topic: string, partition: number, nodeId: number): void {
    const moved = this.#partition(topic, partition)
    if (moved.leaderId === nodeId) return
    if (!this.#state.isAlive(nodeId) || !moved.replicas.includes(nodeId)) {
      throw invalid(`node ${nodeId} does not run, or has no replica of ${topic}-${partition}`)
    }
    if (!moved.isr.includes(nodeId) && !moved.settings.uncleanElection) {
      throw invalid(`node ${nodeId} is not in sync with ${topic}-${partition}: [${moved.isr}] are`)
    }
    moved.lead(nodeId)
  }

  /** Keeps the replica of a node from copying, until the returned function is called. */
  holdReplica(nodeId: number, topic: string, partition: number): () => void {
    return this.#partition(topic, partition).hold(nodeId)
  }

  /** Makes a node the coordinator of a group, and of the groups that share its partition of `__consumer_offsets`. */
  moveCoordinator(groupId: string, nodeId: number): void {
    const { topic, index } = this.#state.coordinatorPartition(groupId)
    this.moveLeader(topic.name, index, nodeId)
  }

  /**
   * Keeps whoever becomes the coordinator of a group from loading it, until the returned function is called: it
   * answers COORDINATOR_LOAD_IN_PROGRESS. A coordinator that has the group already is not concerned.
   */
  holdCoordinator(groupId: string): () => void {
    const { index } = this.#state.coordinatorPartition(groupId)
    const releases = this.#state.allNodes().map((node) => node.groups.holdLoading(index))
    return () => {
      for (const release of releases) release()
    }
  }

  /** The node that coordinates a group; -1: none. */
  coordinatorOf(groupId: string): number {
    return this.#state.coordinatorPartition(groupId).leaderId
  }

  /**
   * Ends a member's session, as if its heartbeats had stopped long ago; a coordinator that is new loads at once for it.
   * INVALID_ARGUMENT when the group has no such member, no coordinator, or one that `holdCoordinator` keeps from loading.
   */
  expireMember(groupId: string, memberId: string): void {
    const nodeId = this.coordinatorOf(groupId)
    const coordinator = this.#state.node(nodeId)?.groups
    if (coordinator === undefined) {
      const { index } = this.#state.coordinatorPartition(groupId)
      throw invalid(`group ${groupId} has no coordinator: start a node that has __consumer_offsets-${index}`)
    }
    coordinator.loadNow(groupId)
    const found = coordinator.find(groupId)
    if ('errorCode' in found) {
      throw invalid(`group ${groupId} is not loaded by node ${nodeId}: end the hold of holdCoordinator first`)
    }
    found.groups.expireMember(groupId, memberId)
  }

  /** Ends everything; connections are closed. */
  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#maintenance.stop()
    this.#state.stop()
    const { clock } = this.#options
    await Promise.all(
      Array.from(this.#running.values(), ({ listener, noticing }) => {
        if (noticing !== undefined) clock.clearTimeout(noticing)
        return listener.stop('close')
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  // ------------------------------------------------------------------------------------------------ private

  async #addNode(id: number): Promise<void> {
    const { listen, transport, racks, sasl, tls, random } = this.#options
    const isMemory = transport === 'memory'
    const { host, port } = isMemory
      ? memoryAddress(id)
      : { host: listen.host ?? '127.0.0.1', port: listen.port === 0 ? 0 : listen.port + id - 1 }
    const wildcard = host === '0.0.0.0' || host === '::'
    const advertisedHost = listen.advertisedHost ?? (wildcard ? 'localhost' : host)
    const node = new BrokerNode(
      id,
      { host: advertisedHost, port },
      {
        rack: racks?.[id - 1] ?? null,
        fetchSessions: this.#newSessions(),
        groups: new GroupCoordinator(this.#state),
      },
    )
    const observer = this.#observer
    const connectionHost = { node, cluster: this.#state, faults: this.#faults, observer, ...this.#apis }
    const channel: Transport = isMemory ? this.#network : tcpTransport
    const listener = new Listener(connectionHost, channel, {
      sasl: sasl === undefined ? undefined : new SaslServer({ ...sasl, random }),
      secure: tls === undefined ? undefined : secureWith(tls),
    })
    const listensAt = await listener.start({ host, port })
    node.moveTo({ host: advertisedHost, port: listensAt.port })
    this.#running.set(id, { node, listener, listensAt, noticing: undefined })
    this.#state.addNode(node)
  }

  #newSessions(): FetchSessions {
    const slots = this.#state.config('max.incremental.fetch.session.cache.slots')
    return new FetchSessions(this.#options.random, slots)
  }

  #createTopic(name: string, { partitions = -1, replicas = -1, configs }: ResolvedTopic): void {
    const texts = Object.entries(configs).map(([key, value]) => [key, String(value)] as const)
    const spec = { name, partitions, replicationFactor: replicas, configs: Object.fromEntries(texts) }
    const problem = this.#state.checkTopic(spec)
    if (problem !== undefined) throw invalid(`topic ${name}: ${problem.message}`)
    this.#state.createTopic(spec)
  }

  #node(nodeId: number): Running {
    const running = this.#running.get(nodeId)
    if (running === undefined) {
      const ids = [...this.#running.keys()].join(', ')
      throw invalid(`there is no node ${JSON.stringify(nodeId)}; there are ${ids}`)
    }
    return running
  }

  #topic(name: string): Topic {
    const topic = this.#state.topic(name)
    if (topic === undefined) throw invalid(`there is no topic ${name}`)
    return topic
  }

  #partition(topic: string, index: number): Partition {
    const partition = this.#topic(topic).partitions[index]
    if (partition === undefined) throw invalid(`there is no partition ${topic}-${index}`)
    return partition
  }
}

const invalid = (message: string) => new OttlaError('INVALID_ARGUMENT', message)

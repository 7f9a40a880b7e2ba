/**
 * The broker that a conformance case is run against, embedded or real, with what cases need of it: connections,
 * topics of their own, names that nobody else has.
 */
import assert from 'node:assert/strict'
import type { EmbeddedCluster } from '../../src/broker/index.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import {
  apiVersions,
  createTopics,
  describeGroups,
  findCoordinator,
  listOffsets,
  metadata,
} from '../../src/protocol/messages/index.ts'
import type { Api } from '../../src/protocol/schema.ts'
import { zeroUuid } from '../../src/protocol/schema.ts'
import { type RawAddress, RawConnection } from '../support/raw-connection.ts'

/** Where the broker is, and what only one kind of it can do. */
export interface Place {
  readonly addresses: readonly RawAddress[]
  /** Undefined on a real Kafka: cases that need it are skipped there. */
  readonly cluster: EmbeddedCluster | undefined
  /** Undefined where nodes are not stopped. */
  readonly nodes?: Nodes
  /** Told of every response that a case gets. */
  readonly onResponse?: RawConnection['onResponse']
  stop(): Promise<void>
}

export interface Nodes {
  /** An orderly stop. */
  stop(nodeId: number): Promise<void>
  /** At the address that it had. */
  start(nodeId: number): Promise<void>
}

export interface TopicInfo {
  readonly name: string
  readonly id: string
  /** By partition: the node that leads it. */
  readonly leaders: readonly number[]
}

type Range = readonly [lowest: number, highest: number]

let names = 0

export class Target {
  readonly #place: Place
  readonly #connections: RawConnection[] = []
  #advertised = new Map<number, Range>()
  #addresses = new Map<number, RawAddress>()
  readonly #run = Math.floor(performance.timeOrigin + performance.now()).toString(36)

  private constructor(place: Place) {
    this.#place = place
  }

  static async of(place: Place): Promise<Target> {
    const target = new Target(place)
    const connection = await target.connect()
    const { apiKeys } = await connection.send(apiVersions, 0, {})
    target.#advertised = new Map(apiKeys.map((key) => [key.apiKey, [key.minVersion, key.maxVersion]]))
    await target.#learnNodes(connection)
    return target
  }

  get cluster(): EmbeddedCluster | undefined {
    return this.#place.cluster
  }

  get nodes(): Nodes | undefined {
    return this.#place.nodes
  }

  get isEmbedded(): boolean {
    return this.cluster !== undefined
  }

  get nodeIds(): readonly number[] {
    return [...this.#addresses.keys()]
  }

  /** What ApiVersions tells, by API key. */
  get advertised(): ReadonlyMap<number, Range> {
    return this.#advertised
  }

  supports(api: Api, version: number): boolean {
    const range = this.#advertised.get(api.key)
    return range !== undefined && version >= range[0] && version <= range[1]
  }

  /** The versions of an API that both sides know, in [from, to]. */
  versions(api: Api, from = 0, to = Number.POSITIVE_INFINITY): number[] {
    const [lowest, highest] = this.#advertised.get(api.key) ?? [0, -1]
    const first = Math.max(lowest, api.versions[0], from)
    const last = Math.min(highest, api.versions[1], to)
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index)
  }

  /** A name of this run's own, so that a broker that others use too can be tested. */
  name(prefix: string): string {
    return `${prefix}-${this.#run}-${++names}`
  }

  /** A new connection, to any node or to one. Closed with the target. */
  async connect(nodeId?: number): Promise<RawConnection> {
    const address = nodeId === undefined ? this.#place.addresses[0] : this.#addresses.get(nodeId)
    assert.ok(address, `node ${nodeId} is known`)
    const connection = await RawConnection.open(address)
    connection.onResponse = this.#place.onResponse
    this.#connections.push(connection)
    return connection
  }

  /** A new topic, usable at once. */
  async topic(options: { partitions?: number; configs?: Record<string, string> } = {}): Promise<TopicInfo> {
    const connection = await this.connect()
    const name = this.name('topic')
    const configs = Object.entries(options.configs ?? {}).map(([key, value]) => ({ name: key, value }))
    const topic = {
      name,
      numPartitions: options.partitions ?? 1,
      replicationFactor: -1,
      assignments: [],
      configs,
    }
    const { topics } = await connection.send(createTopics, 5, {
      topics: [topic],
      timeoutMs: 10_000,
      validateOnly: false,
    })
    assert.equal(errorName(topics[0]?.errorCode ?? -1), 'NONE', `creating ${name}`)
    const info = await eventually(`leaders of ${name}`, async () => {
      const answer = await connection.send(metadata, 10, {
        topics: [{ topicId: zeroUuid, name }],
        allowAutoTopicCreation: false,
        includeClusterAuthorizedOperations: false,
        includeTopicAuthorizedOperations: false,
      })
      const found = answer.topics[0]
      const partitions = found?.partitions.toSorted((a, b) => a.partitionIndex - b.partitionIndex)
      if (partitions?.length !== (options.partitions ?? 1) || found?.errorCode !== 0) return undefined
      if (partitions.some(({ leaderId, errorCode }) => leaderId < 0 || errorCode !== 0)) return undefined
      return { name, id: found.topicId, leaders: partitions.map(({ leaderId }) => leaderId) }
    })
    connection.close()
    await this.#ready(info)
    return info
  }

  /** A leader in the metadata may not know of it yet: waits until each answers for its partition. */
  async #ready({ name, leaders }: TopicInfo): Promise<void> {
    for (const [partitionIndex, leaderId] of leaders.entries()) {
      const connection = await this.connect(leaderId)
      const topics = [{ name, partitions: [{ partitionIndex, timestamp: -1 }] }]
      await eventually(`${name}/${partitionIndex}`, async () => {
        const answer = await connection.send(listOffsets, 2, { replicaId: -1, topics })
        return answer.topics[0]?.partitions[0]?.errorCode === 0 || undefined
      })
      connection.close()
    }
  }

  /** The node that coordinates a group, once there is one. */
  async coordinator(groupId: string): Promise<number> {
    const connection = await this.connect()
    const nodeId = await eventually(`the coordinator of ${groupId}`, async () => {
      const answer = await connection.send(findCoordinator, 3, { key: groupId, keyType: 0 })
      return answer.errorCode === 0 ? answer.nodeId : undefined
    })
    connection.close()
    return nodeId
  }

  /** A new connection to the node that coordinates a group, once it does: it may be named before it has loaded. */
  async connectToCoordinator(groupId: string): Promise<RawConnection> {
    return eventually(`a coordinator of ${groupId} that answers`, async () => {
      const connection = await this.connect(await this.coordinator(groupId))
      const { groups } = await connection.send(describeGroups, 0, { groups: [groupId] })
      if (groups[0]?.errorCode === 0) return connection
      connection.close()
      return undefined
    })
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.close()
    await this.#place.stop()
  }

  /** All that the place has: a node that has just started may not know of the others yet. */
  async #learnNodes(connection: RawConnection): Promise<void> {
    const brokers = await eventually('the nodes', async () => {
      const answer = await connection.send(metadata, 1, { topics: [] })
      return answer.brokers.length >= this.#place.addresses.length ? answer.brokers : undefined
    })
    for (const { nodeId, host, port } of brokers) this.#addresses.set(nodeId, { host, port })
  }
}

let waiting = 0

/** Whether a case only waits for something: what it reads then is no claim about it. */
export const isWaiting = (): boolean => waiting > 0

/** Asks until there is an answer; fails after a quarter of a minute. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 15_000
  for (;;) {
    waiting++
    const answer = await ask().finally(() => waiting--)
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new Error(`${what}: not within 15 s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** The error by its name: what a failed assertion shall show. */
export const named = (code: number | undefined): string =>
  code === undefined ? 'no answer' : errorName(code)

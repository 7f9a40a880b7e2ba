/**
 * What is read from one broker: over one connection, or over two where one does not bring enough.
 *
 * A broker streams an answer as fast as the sockets take it, and the next one after it has been asked for. Over one connection
 * it stands still meanwhile, and the handlers after that (docs/decisions/two-connections.md). A lane is a connection
 * with a fetch session of its own; a second one is opened beside the first and used once it is open, and each has half of
 * the partitions. When a lane fails, the other has all of them.
 *
 * Invariant: each partition is in one lane.
 */
import type { Cluster } from '../client/cluster.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import { BrokerFetch, type BrokerFetchPorts } from './broker-fetch.ts'

/** `purpose` names the first connection in the cluster's pool. */
export type BrokerLanesPorts = Omit<BrokerFetchPorts, 'partitions'>

interface Lane {
  readonly purpose: string
  readonly fetch: BrokerFetch
  partitions: AssignedPartition[]
}

export class BrokerLanes {
  readonly nodeId: number
  readonly #ports: BrokerLanesPorts
  readonly #cluster: Cluster
  readonly #closing = new AbortController()
  readonly #purposes: readonly [string, string]
  readonly #lanes: Lane[] = []
  /** A second connection is being opened, or could not be. */
  #isTried = false

  constructor(nodeId: number, ports: BrokerLanesPorts) {
    this.nodeId = nodeId
    this.#ports = ports
    this.#cluster = ports.cluster
    this.#purposes = [ports.purpose, `${ports.purpose}:2`]
    this.#addLane(ports.purpose)
  }

  /** How many requests may be under way at a time. */
  get size(): number {
    return this.#lanes.filter(({ partitions }) => partitions.length > 0).length
  }

  get partitions(): readonly AssignedPartition[] {
    return this.#lanes.flatMap(({ partitions }) => partitions)
  }

  add(partition: AssignedPartition): void {
    const [first, second] = this.#lanes as [Lane, Lane?]
    const lane = second !== undefined && second.partitions.length < first.partitions.length ? second : first
    lane.partitions.push(partition)
  }

  remove(partition: AssignedPartition): void {
    const lane = this.#laneOf(partition)
    if (lane === undefined) return
    lane.partitions = lane.partitions.filter((other) => other !== partition)
    if (lane.partitions.length === 0 && this.#lanes.length > 1) this.#drop(lane)
  }

  /** Dials: there will be something to ask for in a moment. */
  connect(): void {
    this.#lanes[0]?.fetch.connect()
  }

  /** Sends what may be asked for, as `BrokerFetch.pump`. */
  pump(atOnce = false): void {
    for (const { fetch } of this.#lanes) fetch.pump(atOnce)
  }

  /** Where room is short, the first lane to ask gets it. */
  rotate(): void {
    this.#lanes.reverse()
  }

  /** What the lane of this partition waits for is not wanted any more. */
  hangUp(partition: AssignedPartition): void {
    this.#laneOf(partition)?.fetch.hangUp()
  }

  /**
   * The handlers have waited for what one connection brought. To be called while no request is under way. The first
   * time opens another, and as soon as that is open the partitions are divided: returns whether they have been now.
   */
  widen(): boolean {
    const [lane] = this.#lanes as [Lane]
    if (this.#lanes.length > 1 || lane.partitions.length < 2) return false
    const [first, second] = this.#purposes
    const purpose = lane.purpose === first ? second : first
    if (this.#cluster.openConnection(this.nodeId, purpose) === undefined) {
      void this.#open(purpose)
      return false
    }
    const added = this.#addLane(purpose)
    added.partitions = lane.partitions.filter((_, index) => index % 2 === 1)
    lane.partitions = lane.partitions.filter((_, index) => index % 2 === 0)
    return true
  }

  close(): void {
    this.#closing.abort()
    for (const { fetch } of this.#lanes) fetch.close()
    // One that was opened and not used yet is in no lane.
    for (const purpose of this.#purposes) this.#cluster.openConnection(this.nodeId, purpose)?.close()
  }

  #laneOf(partition: AssignedPartition): Lane | undefined {
    return this.#lanes.find(({ partitions }) => partitions.includes(partition))
  }

  #addLane(purpose: string): Lane {
    const fetch = new BrokerFetch(this.nodeId, {
      ...this.#ports,
      purpose,
      partitions: () => lane.partitions,
      onTrouble: () => {
        if (this.#lanes.length > 1) this.#drop(lane)
        this.#ports.onTrouble()
      },
    })
    const lane: Lane = { purpose, fetch, partitions: [] }
    this.#lanes.push(lane)
    return lane
  }

  /** The other lane takes its partitions. */
  #drop(lane: Lane): void {
    const rest = this.#lanes.find((other) => other !== lane) as Lane
    this.#lanes.splice(this.#lanes.indexOf(lane), 1)
    rest.partitions.push(...lane.partitions)
    lane.partitions = []
    lane.fetch.close()
    this.#isTried = false
  }

  /** One that the broker refuses is done without. */
  async #open(purpose: string): Promise<void> {
    if (this.#isTried) return
    this.#isTried = true
    const { signal } = this.#closing
    try {
      await this.#cluster.connection(this.nodeId, { purpose, signal })
      this.#isTried = false
    } catch (error) {
      if (signal.aborted) return
      this.#cluster.options.logger.info(
        { err: error, nodeId: this.nodeId },
        'no second connection to fetch over',
      )
    }
  }
}

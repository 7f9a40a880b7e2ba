/**
 * What is read from one broker: over one connection, or over two where one does not bring enough.
 *
 * A broker streams an answer as far as the sockets take it, and stands still while handlers run
 * (docs/decisions/two-connections.md). A lane is a connection with a fetch session of its own. A second one is opened
 * beside the first and used once it is open; each has half of the partitions then. A lane that fails beside another
 * leaves its partitions to that.
 *
 * Invariant: each partition is in one lane.
 */
import type { AssignedPartition } from './assigned-partition.ts'
import { BrokerFetch, type BrokerFetchPorts } from './broker-fetch.ts'

export interface BrokerLanesPorts extends Omit<BrokerFetchPorts, 'partitions'> {
  /** Names the first connection in the cluster's pool. */
  readonly purpose: string
  /** There are fewer requests at a time. */
  readonly onNarrowed: () => void
}

interface Lane {
  readonly purpose: string
  readonly fetch: BrokerFetch
  partitions: AssignedPartition[]
}

export class BrokerLanes {
  readonly nodeId: number
  readonly #ports: BrokerLanesPorts
  readonly #purposes: readonly [string, string]
  readonly #closing = new AbortController()
  readonly #lanes: Lane[] = []
  /** The lane whose answer came last. */
  #answered: Lane
  #isOpening = false
  /** No second connection before this monotonic time: the last one was refused, or failed. */
  #notBefore = Number.NEGATIVE_INFINITY

  constructor(nodeId: number, ports: BrokerLanesPorts) {
    this.nodeId = nodeId
    this.#ports = ports
    this.#purposes = [ports.purpose, `${ports.purpose}:2`]
    this.#answered = this.#addLane(ports.purpose)
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
    if (lane !== undefined) lane.partitions = lane.partitions.filter((other) => other !== partition)
  }

  /** Dials: there will be something to ask for in a moment. */
  connect(): void {
    for (const { fetch } of this.#lanes) fetch.connect()
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
   * The handlers wait for what one connection brings. To be called when its answer has come and before the next request.
   * The first time opens another, and once that is open the partitions are divided: whether they have been now.
   */
  widen(): boolean {
    const [lane] = this.#lanes as [Lane]
    if (this.#lanes.length > 1 || lane.partitions.length < 2) return false
    const [first, second] = this.#purposes
    const purpose = lane.purpose === first ? second : first
    if (this.#ports.cluster.openConnection(this.nodeId, purpose) === undefined) {
      void this.#open(purpose)
      return false
    }
    const added = this.#addLane(purpose)
    added.partitions = lane.partitions.filter((_, index) => index % 2 === 1)
    lane.partitions = lane.partitions.filter((_, index) => index % 2 === 0)
    return true
  }

  /** One connection is enough. To be called when an answer has come and before the next request: that lane stays. */
  narrow(): void {
    const other = this.#besides(this.#answered)
    if (other !== undefined) this.#join(this.#answered, other)
  }

  close(): void {
    this.#closing.abort()
    for (const { fetch } of this.#lanes) fetch.close()
    // One that was opened and not used yet is in no lane.
    for (const purpose of this.#purposes) this.#ports.cluster.openConnection(this.nodeId, purpose)?.close()
  }

  #laneOf(partition: AssignedPartition): Lane | undefined {
    return this.#lanes.find(({ partitions }) => partitions.includes(partition))
  }

  #besides(lane: Lane): Lane | undefined {
    return this.#lanes.find((other) => other !== lane)
  }

  #addLane(purpose: string): Lane {
    const fetch = new BrokerFetch(this.nodeId, {
      ...this.#ports,
      purpose,
      partitions: () => lane.partitions,
      onResults: (results, endpoints) => {
        this.#answered = lane
        this.#ports.onResults(results, endpoints)
      },
      onTrouble: () => this.#onTrouble(lane),
    })
    const lane: Lane = { purpose, fetch, partitions: [] }
    this.#lanes.push(lane)
    return lane
  }

  /** Of a lane beside another nobody else is told: that one will find out what it was. */
  #onTrouble(lane: Lane): void {
    const other = this.#besides(lane)
    if (other === undefined) return this.#ports.onTrouble()
    this.#putOff()
    this.#join(other, lane)
    other.fetch.pump()
  }

  /** `stays` takes the partitions of the other lane. */
  #join(stays: Lane, goes: Lane): void {
    this.#lanes.splice(this.#lanes.indexOf(goes), 1)
    stays.partitions.push(...goes.partitions)
    goes.fetch.close()
    this.#ports.onNarrowed()
  }

  /** One that the broker refuses is done without. */
  async #open(purpose: string): Promise<void> {
    const { cluster } = this.#ports
    const { clock, logger } = cluster.options
    if (this.#isOpening || clock.monotonic() < this.#notBefore) return
    this.#isOpening = true
    const { signal } = this.#closing
    try {
      await cluster.connection(this.nodeId, { purpose, signal })
    } catch (error) {
      if (signal.aborted) return
      logger.info({ err: error, nodeId: this.nodeId }, 'no second connection to fetch over')
      this.#putOff()
    } finally {
      this.#isOpening = false
    }
  }

  #putOff(): void {
    const { clock, metadataMaxAgeMs } = this.#ports.cluster.options
    this.#notBefore = clock.monotonic() + metadataMaxAgeMs
  }
}

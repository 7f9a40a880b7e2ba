/** One node of the cluster: where it listens, whether it runs, and what it keeps: fetch sessions, groups. */
import type { FetchSessions } from './fetch-sessions.ts'
import type { GroupCoordinator } from './groups/group-coordinator.ts'

export interface NodeAddress {
  readonly host: string
  readonly port: number
}

export class BrokerNode {
  readonly id: number
  readonly rack: string | null
  /** The groups that it coordinates. */
  readonly groups: GroupCoordinator
  /** Lost when the node stops, as Kafka's are. */
  fetchSessions: FetchSessions
  /** Whether its process runs: it answers, copies and leads. */
  isRunning = false
  /** Whether the cluster counts it as alive. After a kill this outlives `isRunning` by broker.session.timeout.ms. */
  isRegistered = false
  #address: NodeAddress

  constructor(
    id: number,
    address: NodeAddress,
    options: { rack: string | null; fetchSessions: FetchSessions; groups: GroupCoordinator },
  ) {
    this.id = id
    this.#address = address
    this.rack = options.rack
    this.groups = options.groups
    this.fetchSessions = options.fetchSessions
  }

  /** What metadata tells clients. */
  get host(): string {
    return this.#address.host
  }

  get port(): number {
    return this.#address.port
  }

  moveTo(address: NodeAddress): void {
    this.#address = address
  }
}

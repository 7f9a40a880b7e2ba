/** KIP-951: with NOT_LEADER_OR_FOLLOWER the answer says who leads and where that node is. */
import type { ClusterState } from './cluster-state.ts'
import type { Partition } from './partition.ts'

export interface NodeEndpoint {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export class LeaderHints {
  readonly #cluster: ClusterState
  readonly #endpoints = new Map<number, NodeEndpoint>()

  constructor(cluster: ClusterState) {
    this.#cluster = cluster
  }

  /** The leader of a partition, whose address then goes into the answer too. */
  of({ leaderId, leaderEpoch }: Partition): { leaderId: number; leaderEpoch: number } {
    const node = this.#cluster.node(leaderId)
    if (node !== undefined) {
      const { id, host, port, rack } = node
      this.#endpoints.set(id, { nodeId: id, host, port, rack })
    }
    return { leaderId, leaderEpoch }
  }

  get endpoints(): NodeEndpoint[] {
    return [...this.#endpoints.values()]
  }
}

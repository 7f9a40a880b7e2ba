/**
 * The way to the coordinator of a group: who it is, and a connection of one's own to it.
 *
 * A broker answers the requests of a connection one after the other, and holds a JoinGroup until all members have
 * joined; commits behind it would wait as long. So a consumer has two links: one for the membership, one for offsets.
 */
import type { Cluster } from '../client/cluster.ts'
import type { Connection } from '../client/connection.ts'
import { OttlaError } from '../errors.ts'
import type { Api, RequestOf, ResponseOf } from '../protocol/schema.ts'

export interface LinkOptions {
  readonly cluster: Cluster
  readonly groupId: string
  /** Names the connection in the cluster's pool. */
  readonly purpose: string
  readonly signal: AbortSignal
}

export interface LinkRequestOptions {
  /** Not above it, whatever the broker knows. */
  readonly highestVersion?: number
  /** Default: `requestTimeoutMs` of the client. */
  readonly timeoutMs?: number
}

export class CoordinatorLink {
  readonly #options: LinkOptions
  #nodeId: number | undefined
  /** What the cluster remembers is not to be trusted. */
  #isStale = false

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /**
   * Asks the coordinator. A failed connection forgets it: the next request looks it up again.
   *
   * @throws what the lookup, the dial or the connection throws
   */
  async request<A extends Api>(
    api: A,
    body: (version: number) => RequestOf<A>,
    { highestVersion = api.versions[1], timeoutMs }: LinkRequestOptions = {},
  ): Promise<ResponseOf<A>> {
    try {
      const connection = await this.#open()
      const version = Math.min(connection.versionOf(api), highestVersion)
      return await connection.request(api, body(version), {
        version,
        timeoutMs: timeoutMs ?? this.#options.cluster.options.requestTimeoutMs,
      })
    } catch (error) {
      // UNSUPPORTED_VERSION and the like say nothing about where the coordinator is.
      if (!(error instanceof OttlaError) || error.retriable) this.forget()
      throw error
    }
  }

  /** Finds the coordinator and connects to it. */
  async connect(): Promise<void> {
    await this.#open()
  }

  async #open(): Promise<Connection> {
    const { cluster, groupId, purpose, signal } = this.#options
    if (this.#nodeId === undefined) {
      const refresh = this.#isStale
      this.#isStale = false
      this.#nodeId = await cluster.coordinator('group', groupId, { refresh, signal })
    }
    const nodeId = this.#nodeId
    return cluster.openConnection(nodeId, purpose) ?? cluster.connection(nodeId, { purpose, signal })
  }

  /** The coordinator is elsewhere, or cannot be reached. */
  forget(): void {
    this.#nodeId = undefined
    this.#isStale = true
  }

  /** Ends the connection; what waits on it rejects. */
  close(): void {
    const { cluster, purpose } = this.#options
    if (this.#nodeId === undefined) return
    cluster.openConnection(this.#nodeId, purpose)?.close()
  }
}

/**
 * The way to the coordinator of a group: who it is, and a connection of one's own to it.
 *
 * A broker answers the requests of a connection one after the other, and holds a JoinGroup until all members have
 * joined; what is behind it would wait as long. So a consumer has two links: one for joining, and one for what is
 * answered at once: heartbeats and offsets.
 *
 * Nobody else uses what a link has opened, so nobody else would close it: the connection to a former coordinator goes
 * when the link is connected to the next one and no answer is due any more.
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
  readonly #opened = new Set<Connection>()
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

  /** Dials: something will be asked in a moment. What fails is for that to tell. */
  connect(): void {
    this.#open().catch(() => undefined)
  }

  /** Goes where the other one is. */
  follow(other: CoordinatorLink): void {
    this.#nodeId = other.#nodeId
  }

  async #open(): Promise<Connection> {
    const { cluster, groupId, purpose, signal } = this.#options
    if (this.#nodeId === undefined) {
      const refresh = this.#isStale
      this.#isStale = false
      this.#nodeId = await cluster.coordinator('group', groupId, { refresh, signal })
    }
    const nodeId = this.#nodeId
    const present = cluster.openConnection(nodeId, purpose)
    if (present !== undefined) return this.#keepOnly(present)
    const connection = await cluster.connection(nodeId, { purpose, signal })
    this.#keep(connection)
    // Forgotten while it was dialled: the connection goes, unless the next lookup says the same.
    return this.#nodeId === nodeId ? this.#keepOnly(connection) : this.#open()
  }

  #keepOnly(connection: Connection): Connection {
    for (const former of this.#opened) {
      if (former !== connection) former.retire('the group has another coordinator')
    }
    return connection
  }

  #keep(connection: Connection): void {
    if (this.#opened.has(connection)) return
    this.#opened.add(connection)
    connection.onClose(() => this.#opened.delete(connection))
  }

  /** The coordinator is elsewhere, or cannot be reached. */
  forget(): void {
    this.#nodeId = undefined
    this.#isStale = true
  }

  /** Ends its connections; what waits on them rejects. */
  close(): void {
    const { cluster, purpose } = this.#options
    for (const connection of this.#opened) connection.close()
    // One whose dial has just ended is not among them yet.
    if (this.#nodeId !== undefined) cluster.openConnection(this.#nodeId, purpose)?.close()
  }
}

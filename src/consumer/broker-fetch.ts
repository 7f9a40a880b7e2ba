/**
 * Reads from one broker: one connection, one incremental session, one request under way at a time.
 *
 * A request is nearly always under way: it is a long poll, sent again as soon as what it brought is taken. Nothing is sent while no partition wants anything, or while the budget has no room;
 * whoever changes that calls `pump`.
 */
import type { Cluster } from '../client/cluster.ts'
import type { Connection } from '../client/connection.ts'
import { errorCode, errorName } from '../protocol/error-codes.ts'
import { fetch } from '../protocol/messages/index.ts'
import { type ResponseOf, zeroUuid } from '../protocol/schema.ts'
import type { AssignedPartition } from './assigned-partition.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import type { PartitionAnswer } from './fetch-answer.ts'
import { FetchSession } from './fetch-session.ts'
import type { PrefetchBudget } from './prefetch-budget.ts'
import { asOttlaError, mayPass, pauseBefore } from './retry.ts'

type Response = ResponseOf<typeof fetch>

export interface PartitionResult {
  readonly partition: AssignedPartition
  /** What was asked for. */
  readonly offset: number
  readonly answer: PartitionAnswer
}

export interface BrokerFetchPorts {
  readonly cluster: Cluster
  readonly options: ResolvedConsumerOptions
  readonly budget: PrefetchBudget
  /** Names the connection in the cluster's pool. */
  readonly purpose: string
  /** What is to be read from this broker. */
  readonly partitions: () => readonly AssignedPartition[]
  /** Whether more partitions may have to be read from here in a moment. */
  readonly isSettling: () => boolean
  /** Frees memory that is held for little; true when it did. */
  readonly compact: () => boolean
  /** Room that was promised to a request has come back, and nothing came for it. */
  readonly onRoom: () => void
  /** What came, which may be nothing; the room for it has come back. The next request is only made when it is taken. */
  readonly onResults: (results: readonly PartitionResult[], endpoints: Response['nodeEndpoints']) => void
  /** The broker does not answer. */
  readonly onTrouble: () => void
  readonly onFatal: (error: unknown) => void
}

/** Topics are named by their ids from this version of Fetch on (KIP-516). */
const FIRST_BY_ID = 13
/**
 * While a partition that is full, paused or put off is left out of the long poll, or one is about to come, the poll is short:
 * the partition may be wanted before a long one is over. It grows as long as nothing changes.
 */
const SHORTEST_WAIT_MS = 5
const LONGEST_SHORT_WAIT_MS = 100

export class BrokerFetch {
  readonly nodeId: number
  readonly #ports: BrokerFetchPorts
  readonly #session = new FetchSession<AssignedPartition>()
  readonly #closing = new AbortController()
  #isBusy = false
  #isConnecting = false
  /** The request under way will fail by our own doing. */
  #isHungUp = false
  #failures = 0
  #shortWaitMs = SHORTEST_WAIT_MS
  #turn = 0
  /** Partitions that are paused, hold their share already, or are put off after trouble. */
  #leftOut = 0

  constructor(nodeId: number, ports: BrokerFetchPorts) {
    this.nodeId = nodeId
    this.#ports = ports
  }

  /**
   * Sends the next request if none is under way and there is something to ask for. `atOnce`: it leaves before anything
   * else is done in this turn.
   */
  pump(atOnce = false): void {
    if (this.#isBusy || this.#isConnecting || this.#closing.signal.aborted) return
    const { cluster, purpose, budget } = this.#ports
    const wanted = this.#wanted()
    if (wanted.length === 0) return
    const connection = cluster.openConnection(this.nodeId, purpose)
    if (connection === undefined) return void this.#connect()
    const promised = budget.promise() || (this.#ports.compact() ? budget.promise() : 0)
    if (promised > 0) void this.#fetch(connection, wanted, { promised, atOnce })
  }

  /** Dials before there is anything to ask for. */
  connect(): void {
    void this.#connect()
  }

  /** What is asked for is not wanted any more, and its answer may be a long poll away: asks anew, over a new connection. */
  hangUp(): void {
    const { cluster, purpose } = this.#ports
    if (!this.#isBusy) return
    this.#isHungUp = true
    cluster.openConnection(this.nodeId, purpose)?.close()
  }

  close(): void {
    const { cluster, purpose } = this.#ports
    this.#closing.abort()
    cluster.openConnection(this.nodeId, purpose)?.close()
  }

  #wanted(): AssignedPartition[] {
    const { cluster, budget } = this.#ports
    const now = cluster.options.clock.monotonic()
    const share = budget.partitionShare
    const wanted: AssignedPartition[] = []
    this.#leftOut = 0
    for (const partition of this.#ports.partitions()) {
      const { phase, isPaused, isDraining, waitingBytes, retryAt } = partition
      if (phase !== 'fetching' || isDraining) continue
      if (isPaused || waitingBytes >= share || retryAt > now) {
        this.#leftOut++
        continue
      }
      wanted.push(partition)
    }
    const partBytes = budget.partitionRequestBytes(wanted.length)
    for (const partition of wanted) partition.maxBytes = Math.max(partBytes, partition.neededBytes)
    return wanted
  }

  async #connect(): Promise<void> {
    const { cluster, purpose } = this.#ports
    const { signal } = this.#closing
    this.#isConnecting = true
    try {
      await cluster.connection(this.nodeId, { purpose, signal })
      this.#failures = 0
    } catch (error) {
      if (signal.aborted) return
      await this.#afterFailure(error)
    } finally {
      this.#isConnecting = false
    }
    this.#session.reset()
    this.pump()
  }

  async #fetch(
    connection: Connection,
    wanted: readonly AssignedPartition[],
    { promised, atOnce }: { readonly promised: number; readonly atOnce: boolean },
  ): Promise<void> {
    const { cluster, options, budget } = this.#ports
    this.#isBusy = true
    const isPartial = this.#leftOut > 0 || this.#ports.isSettling()
    let response: Response | undefined
    try {
      response = await this.#request(connection, wanted, { maxBytes: promised, isPartial, atOnce })
    } catch (error) {
      this.#session.reset()
      budget.settle(promised)
      // Others need not wait until the back-off is over.
      this.#ports.onRoom()
      const isTrouble = !this.#isHungUp && !this.#closing.signal.aborted
      this.#isHungUp = false
      if (isTrouble) await this.#afterFailure(error)
      this.#isBusy = false
      return this.pump()
    }
    this.#isBusy = false
    this.#isHungUp = false
    budget.settle(promised)
    if (this.#closing.signal.aborted || !this.#accept(response)) {
      this.pump()
      return this.#ports.onRoom()
    }
    const results = this.#results(response)
    if (results.length > 0 || !isPartial) this.#shortWaitMs = SHORTEST_WAIT_MS
    else this.#shortWaitMs = Math.min(this.#shortWaitMs * 2, LONGEST_SHORT_WAIT_MS, options.fetchMaxWaitMs)
    this.#failures = 0
    cluster.options.logger.debug({ nodeId: this.nodeId, partitions: results.length }, 'fetched')
    this.#ports.onResults(results, response.nodeEndpoints)
  }

  #request(
    connection: Connection,
    wanted: readonly AssignedPartition[],
    how: { readonly maxBytes: number; readonly isPartial: boolean; readonly atOnce: boolean },
  ): Promise<Response> {
    const { options, cluster } = this.#ports
    const { maxBytes, isPartial, atOnce } = how
    const highest = connection.versionOf(fetch)
    const hasIds = wanted.every(({ topicId }) => topicId !== zeroUuid)
    const version = hasIds ? highest : Math.min(highest, FIRST_BY_ID - 1)
    const maxWaitMs = isPartial ? Math.min(this.#shortWaitMs, options.fetchMaxWaitMs) : options.fetchMaxWaitMs
    return connection.request(
      fetch,
      {
        maxWaitMs,
        minBytes: options.fetchMinBytes,
        maxBytes,
        isolationLevel: options.isolation === 'read_committed' ? 1 : 0,
        ...this.#session.build(this.#rotated(wanted), version >= FIRST_BY_ID),
        rackId: cluster.options.rack ?? '',
      },
      { version, timeoutMs: cluster.options.requestTimeoutMs + maxWaitMs, atOnce },
    )
  }

  /** The first partitions of a request get the bytes: each request begins with another. */
  #rotated(wanted: readonly AssignedPartition[]): readonly AssignedPartition[] {
    const start = this.#turn++ % wanted.length
    return start === 0 ? wanted : [...wanted.slice(start), ...wanted.slice(0, start)]
  }

  #accept(response: Response): boolean {
    const { errorCode: code, sessionId } = response
    if (code === errorCode.NONE) {
      this.#session.accept(sessionId)
      return true
    }
    // Session errors pass with a new session; nothing else is answered for the request as a whole.
    const { logger } = this.#ports.cluster.options
    logger.info({ nodeId: this.nodeId, code: errorName(code) }, 'the fetch session begins anew')
    this.#session.reset()
    return false
  }

  #results(response: Response): PartitionResult[] {
    const results: PartitionResult[] = []
    for (const { topicId, topic, partitions } of response.responses) {
      for (const answer of partitions) {
        const found = this.#session.find(topicId, topic, answer.partitionIndex)
        if (found === undefined) continue
        const { target: partition, offset } = found
        // Given up, paused by a reset, or read elsewhere meanwhile: the answer is to a question nobody asks any more.
        if (partition.isDraining || partition.phase !== 'fetching') continue
        if (partition.offset !== offset || partition.nodeId !== this.nodeId) continue
        results.push({ partition, offset, answer })
      }
    }
    return results
  }

  async #afterFailure(error: unknown): Promise<void> {
    const { cluster, onFatal, onTrouble } = this.#ports
    if (!mayPass(error)) return onFatal(asOttlaError(error))
    cluster.options.logger.warn({ err: error, nodeId: this.nodeId }, 'fetching failed and is tried again')
    onTrouble()
    try {
      await pauseBefore(this.#failures++, cluster.options, this.#closing.signal)
    } catch {
      // Closed meanwhile: the caller looks.
    }
  }
}

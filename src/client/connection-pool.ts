/**
 * The connections to the brokers of a cluster: one per (node, purpose), dialled when first asked for.
 *
 * One dial at a time per key, whoever asks. After a failed dial the next one to that node waits (with growing
 * delay), and every caller gets the cause of the last failure. A connection to a broker that is gone, or that moved
 * to another address, takes no more requests and closes when it is quiet.
 */
import { OttlaError } from '../errors.ts'
import { backoffMs } from '../util/backoff.ts'
import { sleep } from '../util/clock.ts'
import { aborted, untilAborted } from './cancellation.ts'
import { Connection } from './connection.ts'
import { type Address, sameAddress } from './dial.ts'
import type { ClusterOptions } from './options.ts'

/** The purpose of connections that metadata, admin and whoever does not mind share. */
export const SHARED = 'shared'

interface Slot {
  connection?: Connection
  opening?: Promise<Connection>
}

interface Failures {
  count: number
  /** Monotonic time before which the node is not dialled again. */
  notBefore: number
}

export class ConnectionPool {
  readonly #options: ClusterOptions
  readonly #addressOf: (nodeId: number) => Address | undefined
  readonly #slots = new Map<string, Slot>()
  readonly #failures = new Map<number, Failures>()
  readonly #stopping = new AbortController()

  constructor(options: ClusterOptions, addressOf: (nodeId: number) => Address | undefined) {
    this.#options = options
    this.#addressOf = addressOf
  }

  open(nodeId: number, purpose: string = SHARED): Connection | undefined {
    const connection = this.#slots.get(keyOf(nodeId, purpose))?.connection
    return connection?.isOpen ? connection : undefined
  }

  /** Whether a dial to the node would have to wait. */
  isBackingOff(nodeId: number): boolean {
    const failures = this.#failures.get(nodeId)
    return failures !== undefined && failures.notBefore > this.#options.clock.monotonic()
  }

  /** The shared connection with the fewest requests in flight, if any is open, other than these. */
  leastLoaded(except: ReadonlySet<Connection>): Connection | undefined {
    let best: Connection | undefined
    for (const [key, { connection }] of this.#slots) {
      if (!connection?.isOpen || except.has(connection) || !key.endsWith(`/${SHARED}`)) continue
      if (best === undefined || connection.inFlight < best.inFlight) best = connection
    }
    return best
  }

  get(nodeId: number, purpose: string = SHARED, signal?: AbortSignal): Promise<Connection> {
    const open = this.open(nodeId, purpose)
    if (open !== undefined) return Promise.resolve(open)
    const key = keyOf(nodeId, purpose)
    let slot = this.#slots.get(key)
    if (slot === undefined) this.#slots.set(key, (slot = {}))
    slot.opening ??= this.#open(nodeId, slot).finally(() => delete slot.opening)
    return untilAborted(slot.opening, signal, (given) => aborted(`the connection to node ${nodeId}`, given))
  }

  /** Puts a connection that was made otherwise (to a configured address) under its node, if that has none yet. */
  adopt(nodeId: number, connection: Connection): boolean {
    const key = keyOf(nodeId, SHARED)
    const slot = this.#slots.get(key)
    if (slot?.opening !== undefined || slot?.connection?.isOpen) return false
    this.#slots.set(key, { connection })
    return true
  }

  /** Lets go of connections to brokers that are gone or have moved. */
  reconcile(): void {
    for (const [key, slot] of this.#slots) {
      const { connection } = slot
      const address = this.#addressOf(nodeOf(key))
      if (connection === undefined) continue
      if (address !== undefined && sameAddress(address, connection.address)) continue
      connection.retire(
        address === undefined ? 'the broker left the cluster' : 'the broker has another address',
      )
      delete slot.connection
      if (slot.opening === undefined) this.#slots.delete(key)
    }
    for (const nodeId of this.#failures.keys()) {
      if (this.#addressOf(nodeId) === undefined) this.#failures.delete(nodeId)
    }
  }

  stop(reason: OttlaError): void {
    this.#stopping.abort(reason)
    for (const { connection } of this.#slots.values()) connection?.close(reason)
    this.#slots.clear()
  }

  async #open(nodeId: number, slot: Slot): Promise<Connection> {
    const { clock } = this.#options
    const { signal } = this.#stopping
    const waitMs = (this.#failures.get(nodeId)?.notBefore ?? 0) - clock.monotonic()
    if (waitMs > 0) await sleep(clock, waitMs, signal)
    if (signal.aborted) throw signal.reason
    const address = this.#addressOf(nodeId)
    if (address === undefined) {
      throw new OttlaError('CONNECTION_FAILED', `node ${nodeId} is not in the metadata`, { retriable: true })
    }
    try {
      const connection = await Connection.open(address, this.#options, { signal })
      return this.#opened(nodeId, slot, connection)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      this.#noteFailure(nodeId)
      throw error
    }
  }

  #opened(nodeId: number, slot: Slot, connection: Connection): Connection {
    if (this.#stopping.signal.aborted) {
      connection.close(this.#stopping.signal.reason)
      throw this.#stopping.signal.reason
    }
    this.#failures.delete(nodeId)
    slot.connection = connection
    connection.onClose(() => {
      if (slot.connection === connection) delete slot.connection
    })
    return connection
  }

  #noteFailure(nodeId: number): void {
    const { clock, random, minBackoffMs: minMs, maxBackoffMs: maxMs } = this.#options
    const count = this.#failures.get(nodeId)?.count ?? 0
    const delayMs = backoffMs(count, { minMs, maxMs }, random)
    this.#failures.set(nodeId, { count: count + 1, notBefore: clock.monotonic() + delayMs })
  }
}

const keyOf = (nodeId: number, purpose: string) => `${nodeId}/${purpose}`
const nodeOf = (key: string) => Number(key.slice(0, key.indexOf('/')))

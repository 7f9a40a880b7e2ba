/**
 * The connections to the brokers of a cluster: one per (node, purpose), dialled when first asked for.
 *
 * One dial at a time per key, whoever asks. After a failed dial the next one to that node waits (with growing
 * delay), and every caller gets the cause of the last failure. A connection that opens and ends before it has answered
 * a request is a failure too: a broker that greets everybody and serves nobody is not dialled without end. A connection
 * to a broker that is gone, or that moved to another address, takes no more requests and closes when it is quiet.
 *
 * A dial for a purpose of somebody's own is given up with the last who waits for it: nobody else would ever close what
 * it comes up with. Nothing is kept for a key that has neither a connection nor a dial; back-off belongs to the node.
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

/** Made under way by the first who asks; those who ask meanwhile wait for it too. */
interface Opening {
  readonly outcome: Promise<Connection>
  readonly giveUp: AbortController
  waiters: number
  /** Set when it is made, a moment before the waiters know. */
  connection?: Connection
}

interface Slot {
  readonly nodeId: number
  readonly purpose: string
  connection?: Connection
  opening?: Opening
}

interface Opened {
  readonly nodeId: number
  /** Monotonic. */
  readonly at: number
}

interface Failures {
  count: number
  /** Monotonic time of the last one. */
  lastAt: number
  /** Monotonic time before which the node is not dialled again. */
  notBefore: number
}

export class ConnectionPool {
  readonly #options: ClusterOptions
  readonly #addressOf: (nodeId: number) => Address | undefined
  /** By purpose, then by node. */
  readonly #slots = new Map<string, Map<number, Slot>>()
  /** Of the nodes in the metadata that nothing has worked with since the last failure. */
  readonly #failures = new Map<number, Failures>()
  /** Also those that are retired, and in no slot any more. */
  readonly #connections = new Map<Connection, Opened>()
  #stopped: OttlaError | undefined

  constructor(options: ClusterOptions, addressOf: (nodeId: number) => Address | undefined) {
    this.#options = options
    this.#addressOf = addressOf
  }

  /** How many (node, purpose) have a connection or a dial. */
  get size(): number {
    let size = 0
    for (const slots of this.#slots.values()) size += slots.size
    return size
  }

  open(nodeId: number, purpose: string = SHARED): Connection | undefined {
    const connection = this.#slots.get(purpose)?.get(nodeId)?.connection
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
    for (const { connection } of this.#slots.get(SHARED)?.values() ?? []) {
      if (!connection?.isOpen || except.has(connection)) continue
      if (best === undefined || connection.inFlight < best.inFlight) best = connection
    }
    return best
  }

  get(nodeId: number, purpose: string = SHARED, signal?: AbortSignal): Promise<Connection> {
    const open = this.open(nodeId, purpose)
    if (open !== undefined) return Promise.resolve(open)
    const given = (by: AbortSignal) => aborted(`the connection to node ${nodeId}`, by)
    if (signal?.aborted) return Promise.reject(given(signal))
    const slot = this.#slot(nodeId, purpose)
    slot.opening ??= this.#begin(slot)
    const { opening } = slot
    opening.waiters++
    return untilAborted(opening.outcome, signal, (by) => {
      const reason = given(by)
      opening.waiters--
      if (slot.opening === opening && opening.waiters === 0 && purpose !== SHARED) {
        this.#giveUp(slot, reason)
      }
      return reason
    })
  }

  /** Puts a connection that was made otherwise (to a configured address) under its node, if that has none yet. */
  adopt(nodeId: number, connection: Connection): boolean {
    const { opening, connection: present } = this.#slots.get(SHARED)?.get(nodeId) ?? {}
    if (opening !== undefined || present?.isOpen) return false
    this.#keep(this.#slot(nodeId, SHARED), connection)
    return true
  }

  /** Lets go of connections to brokers that are gone or have moved. */
  reconcile(): void {
    for (const slot of this.#all()) {
      const { connection } = slot
      const address = this.#addressOf(slot.nodeId)
      if (connection === undefined) continue
      if (address !== undefined && sameAddress(address, connection.address)) continue
      connection.retire(
        address === undefined ? 'the broker left the cluster' : 'the broker has another address',
      )
      delete slot.connection
      this.#drop(slot)
    }
    for (const nodeId of this.#failures.keys()) {
      if (this.#addressOf(nodeId) === undefined) this.#failures.delete(nodeId)
    }
  }

  stop(reason: OttlaError): void {
    this.#stopped = reason
    for (const { opening } of this.#all()) opening?.giveUp.abort(reason)
    for (const connection of this.#connections.keys()) connection.close(reason)
    this.#slots.clear()
  }

  #all(): Slot[] {
    return [...this.#slots.values()].flatMap((slots) => [...slots.values()])
  }

  #slot(nodeId: number, purpose: string): Slot {
    let slots = this.#slots.get(purpose)
    if (slots === undefined) this.#slots.set(purpose, (slots = new Map()))
    let slot = slots.get(nodeId)
    if (slot === undefined) slots.set(nodeId, (slot = { nodeId, purpose }))
    return slot
  }

  #drop(slot: Slot): void {
    if (slot.connection !== undefined || slot.opening !== undefined) return
    const slots = this.#slots.get(slot.purpose)
    if (slots?.get(slot.nodeId) !== slot) return
    slots.delete(slot.nodeId)
    if (slots.size === 0) this.#slots.delete(slot.purpose)
  }

  #keep(slot: Slot, connection: Connection): void {
    const opened = { nodeId: slot.nodeId, at: this.#options.clock.monotonic() }
    slot.connection = connection
    this.#connections.set(connection, opened)
    connection.onClose(() => {
      if (this.#isOver(opened.nodeId)) this.#failures.delete(opened.nodeId)
      this.#connections.delete(connection)
      if (slot.connection === connection) delete slot.connection
      this.#drop(slot)
      // Long after it was opened its end says nothing: one with acks 0 never has an answer.
      const isYoung = this.#options.clock.monotonic() - opened.at < this.#options.maxBackoffMs
      if (isYoung && !connection.hasWorked && !connection.isGivenUp) this.#noteFailure(opened.nodeId)
    })
  }

  // ---------------------------------------------------------------------------------------------- dialling

  #begin(slot: Slot): Opening {
    const giveUp = new AbortController()
    if (this.#stopped !== undefined) giveUp.abort(this.#stopped)
    const { signal } = giveUp
    const outcome = this.#dial(slot.nodeId, signal).then((connection) => {
      if (signal.aborted) {
        connection.close(signal.reason)
        throw signal.reason
      }
      opening.connection = connection
      this.#keep(slot, connection)
      return connection
    })
    const opening: Opening = { outcome, giveUp, waiters: 0 }
    const settled = () => {
      if (slot.opening === opening) delete slot.opening
      this.#drop(slot)
    }
    // Before the waiters are told: one who goes after that has had the connection.
    outcome.then(settled, settled)
    return opening
  }

  #giveUp(slot: Slot, reason: OttlaError): void {
    const { opening } = slot
    delete slot.opening
    opening?.giveUp.abort(reason)
    opening?.connection?.close(reason)
    this.#drop(slot)
  }

  /** Rejects with the signal's reason when that fires; a connection may still come of it at the last moment. */
  async #dial(nodeId: number, signal: AbortSignal): Promise<Connection> {
    const { clock } = this.#options
    const waitMs = (this.#failures.get(nodeId)?.notBefore ?? 0) - clock.monotonic()
    if (waitMs > 0) await sleep(clock, waitMs, signal)
    if (signal.aborted) throw signal.reason
    const address = this.#addressOf(nodeId)
    if (address === undefined) {
      throw new OttlaError('CONNECTION_FAILED', `node ${nodeId} is not in the metadata`, { retriable: true })
    }
    try {
      return await Connection.open(address, this.#options, { signal })
    } catch (error) {
      if (signal.aborted) throw signal.reason
      this.#noteFailure(nodeId)
      throw error
    }
  }

  #noteFailure(nodeId: number): void {
    const { clock, random, minBackoffMs: minMs, maxBackoffMs: maxMs } = this.#options
    // It may have left while it was dialled. What fails of one cause, on several connections, is one failure.
    if (this.#addressOf(nodeId) === undefined || this.isBackingOff(nodeId)) return
    const count = this.#isOver(nodeId) ? 0 : (this.#failures.get(nodeId)?.count ?? 0)
    const delayMs = backoffMs(count, { minMs, maxMs }, random)
    const lastAt = clock.monotonic()
    this.#failures.set(nodeId, { count: count + 1, lastAt, notBefore: lastAt + delayMs })
  }

  /**
   * Failures of a node are over when a connection that was opened after the last one has worked. One that is older proves
   * nothing: a broker may serve metadata to it and close whatever asks for more.
   */
  #isOver(nodeId: number): boolean {
    const lastAt = this.#failures.get(nodeId)?.lastAt ?? Number.NEGATIVE_INFINITY
    for (const [connection, opened] of this.#connections) {
      if (opened.nodeId === nodeId && opened.at > lastAt && connection.hasWorked) return true
    }
    return false
  }
}

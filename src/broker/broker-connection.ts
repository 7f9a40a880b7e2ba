/**
 * One connection to a node: frames in, one queue, answers out strictly in the order of the requests.
 *
 * A request is handled when the one before it has been answered, as in Kafka. The queue is bounded: beyond it the
 * stream is not read. Malformed frames, unknown APIs and versions close the connection; nothing a client sends gets
 * further than this file as an exception.
 */
import type { Duplex } from 'node:stream'
import { OttlaError } from '../errors.ts'
import { errorCode } from '../protocol/error-codes.ts'
import { decodeRequest, decodeRequestHeader, encodeResponse, type RequestHeader } from '../protocol/frame.ts'
import { Reader } from '../protocol/reader.ts'
import type { Timer } from '../util/clock.ts'
import { Fifo } from '../util/fifo.ts'
import type { BrokerNode } from './broker-node.ts'
import type { ClusterState } from './cluster-state.ts'
import { type Faults, type Interception, noFaults, type RequestInfo } from './faults.ts'
import { FrameAssembler } from './frame-assembler.ts'
import type { AdvertisedApi, Handler, RequestContext, Session } from './handler.ts'
import { targetsOf } from './request-targets.ts'
import type { SaslSession } from './sasl/sasl-server.ts'

const API_VERSIONS = 18
const MAX_QUEUED_FRAMES = 64
const MAX_QUEUED_BYTES = 8 << 20
const CLOSE_LINGER_MS = 1000

/** What a connection needs of the node that took it. */
export interface ConnectionHost {
  readonly node: BrokerNode
  readonly cluster: ClusterState
  readonly faults: Faults
  readonly handlers: ReadonlyMap<number, Handler>
  readonly advertised: readonly AdvertisedApi[]
}

export interface ConnectionOptions {
  readonly id: number
  readonly sasl: SaslSession | undefined
  /** Ends the connection as a crash does: the other side sees a reset. */
  readonly reset: () => void
}

type Outcome = { readonly pieces: readonly Uint8Array[] } | 'none' | 'close' | 'reset' | 'stall'
type Body = Record<string, unknown>

interface Incoming {
  readonly header: RequestHeader
  readonly handler: Handler
  readonly request: Body
  readonly interception: Interception
}

export class BrokerConnection implements Session {
  readonly id: number
  readonly sasl: SaslSession | undefined
  readonly #host: ConnectionHost
  readonly #stream: Duplex
  readonly #reset: () => void
  readonly #frames: FrameAssembler
  readonly #queue = new Fifo<Buffer>()
  readonly #closeListeners = new Set<() => void>()
  #queuedBytes = 0
  #lingerTimer: Timer | undefined
  #isBusy = false
  #hasEnded = false
  #isClosing = false
  #isOpen = true

  constructor(stream: Duplex, host: ConnectionHost, options: ConnectionOptions) {
    this.id = options.id
    this.sasl = options.sasl
    this.#host = host
    this.#stream = stream
    this.#reset = options.reset
    this.#frames = new FrameAssembler(host.cluster.config('socket.request.max.bytes'))
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on('end', () => {
      this.#hasEnded = true
      this.#pump()
    })
    stream.on('error', (error) => this.#debug({ error }, 'a connection failed'))
    stream.on('close', () => this.#closed())
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  get principal(): string {
    return `User:${this.sasl?.principal ?? 'ANONYMOUS'}`
  }

  get remoteAddress(): string {
    const { remoteAddress } = this.#stream as { readonly remoteAddress?: string }
    return remoteAddress ?? 'memory'
  }

  onClose(listener: () => void): () => void {
    this.#closeListeners.add(listener)
    return () => void this.#closeListeners.delete(listener)
  }

  close(): void {
    this.#isClosing = true
    if (!this.#isBusy) this.#end()
  }

  /** Ends it at once: as a process that stops does, or, with `reset`, as one that is killed. */
  destroy(how: 'close' | 'reset'): void {
    if (how === 'reset') this.#reset()
    else this.#stream.destroy()
  }

  #end(): void {
    this.#stream.end()
    // Whoever does not close in turn would keep the socket: everything is written, so nothing is lost.
    const { clock } = this.#host.cluster
    this.#lingerTimer ??= clock.setTimeout(() => this.#stream.destroy(), CLOSE_LINGER_MS)
  }

  #closed(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#queue.clear()
    if (this.#lingerTimer !== undefined) this.#host.cluster.clock.clearTimeout(this.#lingerTimer)
    const listeners = [...this.#closeListeners]
    this.#closeListeners.clear()
    for (const listener of listeners) listener()
  }

  #read(chunk: Buffer): void {
    try {
      this.#frames.push(chunk, (frame) => {
        this.#queue.push(frame)
        this.#queuedBytes += frame.length
      })
    } catch (error) {
      this.#debug({ error }, 'a connection is closed: its bytes are no frames')
      this.#queue.clear()
      this.#stream.destroy()
      return
    }
    if (this.#queue.length > MAX_QUEUED_FRAMES || this.#queuedBytes > MAX_QUEUED_BYTES) this.#stream.pause()
    this.#pump()
  }

  #pump(): void {
    while (!this.#isBusy && !this.#isClosing) {
      const frame = this.#queue.shift()
      if (frame === undefined) break
      this.#queuedBytes -= frame.length
      this.#isBusy = true
      const outcome = this.#answer(frame)
      if (outcome instanceof Promise) void outcome.then((settled) => this.#finish(settled, true))
      else this.#finish(outcome, false)
    }
    if (this.#queue.length === 0 && this.#isOpen && this.#stream.isPaused()) this.#stream.resume()
    if (this.#hasEnded && !this.#isBusy && this.#queue.length === 0) this.#stream.end()
  }

  /** Writes an answer and goes on with the next request, after the peer has taken what is written. */
  #finish(outcome: Outcome, pumps: boolean): void {
    if (outcome === 'stall') return
    if (outcome === 'close') this.#stream.destroy()
    if (outcome === 'reset') this.#reset()
    const goOn = () => {
      this.#isBusy = false
      if (this.#isClosing || this.sasl?.hasFailed) this.#end()
      else if (pumps) this.#pump()
    }
    if (typeof outcome === 'string' || !this.#stream.writable) return goOn()
    if (this.#write(outcome.pieces)) return goOn()
    const resume = () => {
      this.#stream.off('drain', resume)
      this.#stream.off('close', resume)
      this.#isBusy = false
      if (this.#isClosing || this.sasl?.hasFailed) this.#end()
      else this.#pump()
    }
    this.#stream.on('drain', resume)
    this.#stream.on('close', resume)
  }

  #write(pieces: readonly Uint8Array[]): boolean {
    const stream = this.#stream
    if (pieces.length === 1) return stream.write(pieces[0])
    stream.cork()
    let hasRoom = true
    for (const piece of pieces) hasRoom = stream.write(piece)
    stream.uncork()
    return hasRoom
  }

  #answer(frame: Buffer): Outcome | Promise<Outcome> {
    try {
      if (this.sasl?.isRaw) return rawAnswer(this.sasl.raw(frame))
      const reader = new Reader(frame)
      const header = decodeRequestHeader(reader)
      const handler = this.#host.handlers.get(header.apiKey)
      if (handler === undefined || this.sasl?.admit(header.apiKey) === 'close') return 'close'
      if (header.apiKey === API_VERSIONS && header.apiVersion > handler.versions[1]) {
        return this.#refuseApiVersions(handler, header)
      }
      const request = decodeRequest(handler.api, header.apiVersion, reader) as Body
      const interception = this.#intercept(header, handler, request)
      return this.#dispatch({ header, handler, request, interception })
    } catch (error) {
      this.#debug({ error }, 'a connection is closed: its request cannot be read')
      return 'close'
    }
  }

  #intercept(header: RequestHeader, handler: Handler, request: Body): Interception {
    const { node, cluster, faults } = this.#host
    const { api } = handler
    const { apiVersion: version, clientId } = header
    if (faults.isEmpty) return noFaults
    const info: RequestInfo = { api: api.name, version, node: node.id, clientId }
    const targets = () => targetsOf(api, request, { cluster, node })
    const isPerPartition = (error: number) =>
      handler.perPartition === true && handler.wholeErrors?.includes(error) !== true
    return faults.intercept({ api, info, request, targets }, isPerPartition)
  }

  #dispatch(incoming: Incoming): Outcome | Promise<Outcome> {
    const { action } = incoming.interception
    if (action === undefined) return this.#respond(incoming)
    if (action === 'swallow') return 'stall'
    if (action === 'close' || action === 'reset') return action
    if (typeof action === 'object' && 'delayMs' in action) {
      return this.#after(action.delayMs).then(() => this.#respond(incoming))
    }
    const outcome = this.#respond(incoming)
    if (outcome instanceof Promise) return outcome.then((settled) => this.#distort(settled, action))
    return this.#distort(outcome, action)
  }

  /** What happens to an answer after the request was applied. */
  #distort(outcome: Outcome, action: Exclude<Interception['action'], undefined>): Outcome | Promise<Outcome> {
    if (action === 'apply-then-drop') return 'close'
    if (action === 'apply-then-swallow') return 'stall'
    if (typeof action !== 'object' || typeof outcome !== 'object') return outcome
    if ('delayResponseMs' in action) return this.#after(action.delayResponseMs).then(() => outcome)
    const bytes = Buffer.concat(outcome.pieces)
    if ('flipByteAt' in action) {
      const index = action.flipByteAt < 0 ? bytes.length + action.flipByteAt : action.flipByteAt
      bytes[index] = (bytes[index] ?? 0) ^ 0xff
      return { pieces: [bytes] }
    }
    if (!('truncateAt' in action)) return outcome
    this.#isClosing = true
    return { pieces: [bytes.subarray(0, action.truncateAt)] }
  }

  #after(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#host.cluster.clock.setTimeout(resolve, delayMs))
  }

  #respond(incoming: Incoming): Outcome | Promise<Outcome> {
    const { header, handler, request, interception } = incoming
    const context = this.#context(header, interception)
    if (interception.error !== 0) {
      const refused = handler.refuse?.(request, interception.error, context)
      return this.#encode(incoming, refused ?? { errorCode: interception.error })
    }
    try {
      const answer = handler.handle(request, context)
      if (!(answer instanceof Promise)) return this.#encode(incoming, answer as Body | undefined)
      return answer.then(
        (body) => this.#encode(incoming, body as Body | undefined),
        (error) => this.#failed(incoming, error),
      )
    } catch (error) {
      return this.#failed(incoming, error)
    }
  }

  #context(header: RequestHeader, interception: Interception): RequestContext {
    const { node, cluster, advertised } = this.#host
    return {
      version: header.apiVersion,
      clientId: header.clientId,
      node,
      cluster,
      session: this,
      clock: cluster.clock,
      advertised,
      injectedError: interception.injectedError,
    }
  }

  #encode({ header, handler }: Incoming, body: Body | undefined): Outcome {
    if (body === undefined) return 'none'
    const { apiVersion, correlationId } = header
    try {
      return { pieces: encodeResponse(handler.api, apiVersion, { correlationId, body }) }
    } catch (error) {
      this.#host.cluster.logger.error({ error, api: handler.api.name }, 'an answer could not be encoded')
      return 'close'
    }
  }

  /** A bug in a handler: the client hears of it where the answer has room for that, and the node goes on. */
  #failed(incoming: Incoming, error: unknown): Outcome {
    const { handler } = incoming
    const api = handler.api.name
    if (error instanceof OttlaError && error.code === 'MALFORMED_FRAME') return 'close'
    this.#host.cluster.logger.error({ error, api }, 'a request could not be handled')
    return 'errorCode' in handler.api.response
      ? this.#encode(incoming, { errorCode: errorCode.UNKNOWN_SERVER_ERROR })
      : 'close'
  }

  /** KIP-511: a version that is not known is answered in version 0, with what is known. */
  #refuseApiVersions(handler: Handler, header: RequestHeader): Outcome {
    const { correlationId } = header
    const body = { errorCode: errorCode.UNSUPPORTED_VERSION, apiKeys: this.#host.advertised }
    return { pieces: encodeResponse(handler.api, 0, { correlationId, body }) }
  }

  #debug(fields: object, message: string): void {
    this.#host.cluster.logger.debug({ node: this.#host.node.id, connection: this.id, ...fields }, message)
  }
}

/** SaslHandshake version 0: bare tokens in frames, no header. */
function rawAnswer(token: Buffer | undefined): Outcome {
  if (token === undefined) return 'close'
  const size = Buffer.alloc(4)
  size.writeInt32BE(token.length, 0)
  return { pieces: [size, token] }
}

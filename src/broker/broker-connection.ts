/**
 * One connection to a node: frames in, one queue, answers out strictly in the order of the requests.
 *
 * A request is handled when the one before it has been answered, as in Kafka. The queue is bounded: beyond it the
 * stream is not read, and nothing is handled while the peer does not take what was written.
 */
import type { Duplex } from 'node:stream'
import type { Timer } from '../util/clock.ts'
import { Fifo } from '../util/fifo.ts'
import { FrameAssembler } from './frame-assembler.ts'
import type { Session } from './handler.ts'
import { type Outcome, RequestRunner, type RunnerHost } from './request-runner.ts'
import type { SaslSession } from './sasl/sasl-session.ts'

const MAX_QUEUED_FRAMES = 64
const MAX_QUEUED_BYTES = 8 << 20
const CLOSE_LINGER_MS = 1000

export interface ConnectionOptions {
  readonly id: number
  readonly sasl: SaslSession | undefined
  /** Ends the connection as a crash does: the other side sees a reset. */
  readonly reset: () => void
}

export class BrokerConnection implements Session {
  readonly id: number
  readonly sasl: SaslSession | undefined
  readonly #host: RunnerHost
  readonly #runner: RequestRunner
  readonly #stream: Duplex
  readonly #reset: () => void
  readonly #frames: FrameAssembler
  readonly #queue = new Fifo<Buffer>()
  readonly #closeListeners = new Set<() => void>()
  #queuedBytes = 0
  #lingerTimer: Timer | undefined
  /** A request is being handled, or its answer waits for the peer. */
  #isBusy = false
  #hasEnded = false
  #isClosing = false
  #isOpen = true

  constructor(stream: Duplex, host: RunnerHost, options: ConnectionOptions) {
    this.id = options.id
    this.sasl = options.sasl
    this.#host = host
    this.#stream = stream
    this.#reset = options.reset
    this.#runner = new RequestRunner(host, this)
    this.#frames = new FrameAssembler(host.cluster.config('socket.request.max.bytes'))
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on('end', () => {
      this.#hasEnded = true
      this.#pump()
    })
    stream.on('error', (error) => this.#debug(error, 'a connection failed'))
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
      this.#debug(error, 'a connection is closed: its bytes are no frames')
      this.#queue.clear()
      this.#stream.destroy()
      return
    }
    if (this.#queue.length > MAX_QUEUED_FRAMES || this.#queuedBytes > MAX_QUEUED_BYTES) this.#stream.pause()
    this.#pump()
  }

  #pump(): void {
    // Answers to pipelined requests go out together.
    if (this.#queue.length > 1) this.#stream.cork()
    this.#handleQueued()
    this.#flush()
    if (this.#queue.length === 0 && this.#isOpen && this.#stream.isPaused()) this.#stream.resume()
    // The peer has said all and heard all.
    if (this.#hasEnded && !this.#isBusy && this.#queue.length === 0) this.#stream.end()
  }

  #flush(): void {
    while (this.#stream.writableCorked > 0) this.#stream.uncork()
  }

  #handleQueued(): void {
    while (!this.#isBusy && !this.#isClosing) {
      const frame = this.#queue.shift()
      if (frame === undefined) break
      this.#queuedBytes -= frame.length
      this.#isBusy = true
      const outcome = this.#runner.run(frame)
      if (outcome instanceof Promise) void outcome.then((settled) => this.#finish(settled) && this.#pump())
      else this.#finish(outcome)
    }
  }

  /** Does what a request came to. False: the next one has to wait. */
  #finish(outcome: Outcome): boolean {
    if (outcome === 'stall') return false
    if (outcome === 'close' || outcome === 'reset') this.#flush()
    if (outcome === 'close') this.#stream.destroy()
    if (outcome === 'reset') this.#reset()
    if (typeof outcome === 'object' && this.#stream.writable) {
      if (outcome.isLast) this.#isClosing = true
      if (!this.#write(outcome.pieces)) {
        this.#onceDrained(() => this.#ready() && this.#pump())
        return false
      }
    }
    return this.#ready()
  }

  #ready(): boolean {
    this.#isBusy = false
    if (!this.#isClosing && !this.sasl?.hasFailed) return true
    this.#end()
    return false
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

  #onceDrained(listener: () => void): void {
    const done = () => {
      this.#stream.off('drain', done)
      this.#stream.off('close', done)
      listener()
    }
    this.#stream.on('drain', done)
    this.#stream.on('close', done)
  }

  #debug(error: unknown, message: string): void {
    this.#host.cluster.logger.debug({ node: this.#host.node.id, connection: this.id, err: error }, message)
  }
}

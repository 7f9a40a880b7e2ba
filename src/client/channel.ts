/**
 * Requests and responses over one byte stream.
 *
 * Owns the stream, what is in flight on it, and the only way in which it ends. Invariants:
 * - Requests leave in the order of the calls; those of one turn of the loop leave together.
 * - Responses come in the order of the requests; one that does not ends the channel.
 * - `#end` is the one failure path. It runs once, and settles everything, in the order of the calls, before the
 *   first close listener runs. After it nothing is written, and what still arrives is ignored.
 */
import type { Duplex } from 'node:stream'
import { OttlaError } from '../errors.ts'
import { errorCode } from '../protocol/error-codes.ts'
import { decodeResponse, encodeRequest } from '../protocol/frame.ts'
import { Reader } from '../protocol/reader.ts'
import type { Api, RequestOf } from '../protocol/schema.ts'
import type { Clock, Timer } from '../util/clock.ts'
import type { Logger } from '../util/logger.ts'
import { readInto } from './dial.ts'
import { FrameReader } from './frame-reader.ts'
import { type Entry, InFlight } from './in-flight.ts'
import { Outbox } from './outbox.ts'

export interface ChannelSettings {
  readonly stream: Duplex
  readonly clock: Clock
  readonly logger: Logger
  readonly clientId: string | null
  /** `host:port`, for errors. */
  readonly broker: string
  readonly maxResponseBytes: number
  /** Told of a response that asks to send nothing for a while (KIP-219). */
  readonly onThrottle: (api: Api, version: number, throttleTimeMs: number) => void
  /** Why a broker that has sent so many responses may have closed the connection, as a question: see `Connection`. */
  readonly doubt?: (answers: number) => string | undefined
}

export interface Call {
  readonly api: Api
  readonly version: number
  readonly body: RequestOf<Api>
  readonly timeoutMs: number
  readonly expectResponse: boolean
  /** Goes out even while the channel is held. */
  readonly urgent: boolean
  /** Leaves now, not at the end of the turn. */
  readonly atOnce: boolean
}

const API_VERSIONS = 18
/** What an entry holds of its request once the outbox has it. */
const NO_PIECES: Uint8Array[] = []

export class Channel {
  readonly #settings: ChannelSettings
  readonly #stream: Duplex
  readonly #clock: Clock
  readonly #frames: FrameReader
  readonly #outbox: Outbox
  readonly #inFlight = new InFlight()
  readonly #closeListeners: ((reason: OttlaError) => void)[] = []
  #drainWaiters: (() => void)[] = []
  #idleWaiters: (() => void)[] = []
  #nextCorrelationId = 0
  #holds = 0
  #timer: Timer | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #ended: OttlaError | undefined
  #isRetired = false
  #answers = 0

  constructor(settings: ChannelSettings) {
    this.#settings = settings
    this.#stream = settings.stream
    this.#clock = settings.clock
    this.#outbox = new Outbox(settings.stream)
    this.#frames = new FrameReader(settings.maxResponseBytes, (frame) => this.#onFrame(frame))
    this.#listen()
  }

  /** Requests that wait: for a response, to be written, or for the channel to be released. */
  get inFlight(): number {
    return this.#inFlight.onWire.length + this.#inFlight.unanswered.size + this.#inFlight.held.length
  }

  get isOpen(): boolean {
    return this.#ended === undefined && !this.#isRetired
  }

  /** How many responses have come. */
  get answers(): number {
    return this.#answers
  }

  /** Why the channel ended. */
  get ended(): OttlaError | undefined {
    return this.#ended
  }

  /** Whether the stream holds more unsent bytes than its mark. */
  get needsDrain(): boolean {
    return this.#outbox.isFull
  }

  /** Resolves when `needsDrain` is false or the channel has ended. */
  drained(): Promise<void> {
    if (this.#ended !== undefined || !this.needsDrain) return Promise.resolve()
    return new Promise((resolve) => this.#drainWaiters.push(resolve))
  }

  /** Resolves when nothing is on the wire any more, or the channel has ended. */
  quiet(): Promise<void> {
    if (this.#ended !== undefined || this.#isQuiet()) return Promise.resolve()
    return new Promise((resolve) => this.#idleWaiters.push(resolve))
  }

  onClose(listener: (reason: OttlaError) => void): void {
    if (this.#ended === undefined) this.#closeListeners.push(listener)
    else {
      const reason = this.#ended
      this.#clock.defer(() => this.#tell(listener, reason))
    }
  }

  send(call: Call): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { api, version } = call
      if (this.#ended !== undefined || (this.#isRetired && !call.urgent)) return reject(this.#refusal(api))
      const correlationId = this.#nextCorrelationId
      const { clientId } = this.#settings
      // What throws in here (a body that does not fit its version) rejects the promise; nothing was written.
      const pieces = encodeRequest(api, { apiVersion: version, correlationId, clientId }, call.body)
      this.#nextCorrelationId = (correlationId + 1) & 0x7fff_ffff
      const { timeoutMs, expectResponse } = call
      const entry: Entry = {
        api,
        version,
        correlationId,
        timeoutMs,
        expectResponse,
        pieces,
        deadline: 0,
        resolve,
        reject,
      }
      if (this.#holds > 0 && !call.urgent) this.#inFlight.held.push(entry)
      else this.#write(entry, call.atOnce)
    })
  }

  /** Keeps new requests back until released; counted. */
  hold(): void {
    this.#holds++
  }

  release(): void {
    if (--this.#holds > 0 || this.#ended !== undefined) return
    for (let entry = this.#inFlight.held.shift(); entry; entry = this.#inFlight.held.shift()) {
      this.#write(entry, false)
    }
  }

  /** Takes no new requests; ends when the last one is answered. */
  retire(reason: OttlaError): void {
    if (!this.isOpen) return
    this.#isRetired = true
    if (this.inFlight === 0) this.#end(reason)
    else void this.#endWhenIdle(reason)
  }

  close(reason: OttlaError): void {
    this.#end(reason)
  }

  async #endWhenIdle(reason: OttlaError): Promise<void> {
    while (this.#ended === undefined && this.inFlight > 0) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
    }
    this.#end(reason)
  }

  // -------------------------------------------------------------------------------------------- writing

  #write(entry: Entry, atOnce: boolean): void {
    const { pieces } = entry
    entry.pieces = NO_PIECES
    if (entry.expectResponse) {
      this.#outbox.add(pieces)
      entry.deadline = this.#clock.monotonic() + entry.timeoutMs
      this.#inFlight.onWire.push(entry)
      if (entry.deadline < this.#timerAt) this.#arm(entry.deadline)
    } else {
      this.#inFlight.unanswered.add(entry)
      this.#outbox.add(pieces, () => this.#settleWritten(entry))
    }
    if (atOnce) this.#outbox.flush()
    else this.#outbox.flushLater()
  }

  /** A request without a response is done when its bytes have left this process. */
  #settleWritten(entry: Entry): void {
    if (!this.#inFlight.unanswered.delete(entry)) return
    entry.resolve(undefined)
    this.#noteProgress()
  }

  // -------------------------------------------------------------------------------------------- reading

  #listen(): void {
    const frames = this.#frames
    const target = {
      push: (chunk: Buffer) => this.#receive(() => frames.push(chunk)),
      target: () => frames.target(),
      took: (count: number) => this.#receive(() => frames.took(count)),
    }
    if (!readInto(this.#stream, target)) this.#stream.on('data', target.push)
    this.#stream.on('drain', () => this.#wake('drain'))
    this.#stream.on('end', () => this.#end(this.#closedByBroker()))
    this.#stream.on('close', () => this.#end(this.#closedByBroker()))
    // Stays for good: a stream may fail again after it was destroyed.
    this.#stream.on('error', (cause: Error) => {
      this.#end(this.#reason(`the connection to ${this.#settings.broker} failed: ${cause.message}`, cause))
    })
  }

  #receive(take: () => void): void {
    if (this.#ended !== undefined) return
    try {
      take()
    } catch (error) {
      const reason = this.#describe(error)
      this.#end(reason, reason.code === 'RESPONSE_TOO_LARGE')
    }
  }

  #onFrame(frame: Buffer): boolean {
    const reader = new Reader(frame)
    const entry = this.#inFlight.answer(reader.int32())
    this.#answers++
    let body: unknown
    try {
      body = decodeResponse(entry.api, versionOfAnswer(entry, frame), reader)
    } catch (error) {
      // A number beyond 2^53 leaves the framing sound; bytes that do not decode say that it is lost.
      const failure = this.#describe(error)
      entry.reject(failure)
      if (failure.code !== 'NUMBER_OUT_OF_RANGE') this.#end(failure)
      return this.#ended === undefined
    }
    const throttleTimeMs = (body as { throttleTimeMs?: number }).throttleTimeMs
    if (throttleTimeMs !== undefined && throttleTimeMs > 0) {
      this.#settings.onThrottle(entry.api, entry.version, throttleTimeMs)
    }
    entry.resolve(body)
    if (this.#idleWaiters.length > 0) this.#noteProgress()
    return this.#ended === undefined
  }

  // -------------------------------------------------------------------------------------------- waiting

  #isQuiet(): boolean {
    return this.#inFlight.onWire.length === 0 && this.#inFlight.unanswered.size === 0
  }

  #noteProgress(): void {
    if (this.#isQuiet()) this.#wake('idle')
  }

  #wake(what: 'drain' | 'idle'): void {
    const waiters = what === 'drain' ? this.#drainWaiters : this.#idleWaiters
    if (what === 'drain') this.#drainWaiters = []
    else this.#idleWaiters = []
    for (const waiter of waiters) waiter()
  }

  // -------------------------------------------------------------------------------------------- timing out

  /** One timer watches the earliest deadline. An answered request leaves it running; it finds nothing overdue. */
  #arm(at: number): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = this.#clock.setTimeout(this.#onTimer, at - this.#clock.monotonic())
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined
    // After a pause of the whole process the timer comes before the bytes that have arrived meanwhile: look only
    // when the loop has read them.
    this.#clock.defer(() => this.#checkDeadlines())
  }

  #checkDeadlines(): void {
    if (this.#ended !== undefined || this.#timer !== undefined) return
    this.#timerAt = Number.POSITIVE_INFINITY
    const earliest = this.#inFlight.earliestDeadline()
    if (earliest === Number.POSITIVE_INFINITY) return
    const now = this.#clock.monotonic()
    if (earliest > now) return this.#arm(earliest)
    const overdue = [...this.#inFlight.onWire].find((entry) => entry.deadline <= now) as Entry
    this.#end(this.#timeout(overdue))
  }

  // -------------------------------------------------------------------------------------------- ending

  /** `isAboutHead`: the reason itself goes to the request whose response it is about. */
  #end(reason: OttlaError, isAboutHead = false): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#outbox.clear()
    this.#stream.destroy()
    const now = this.#clock.monotonic()
    const head = isAboutHead ? this.#inFlight.onWire.peek() : undefined
    for (const entry of this.#inFlight.takeAll()) {
      if (entry === head) entry.reject(reason)
      else if (reason.code === 'REQUEST_TIMEOUT' && entry.deadline > 0 && entry.deadline <= now)
        entry.reject(this.#timeout(entry))
      else entry.reject(this.#refusal(entry.api))
    }
    this.#wake('drain')
    this.#wake('idle')
    // Promises tell their holders in microtasks; a turn later all of them have.
    this.#clock.defer(() => {
      for (const listener of this.#closeListeners) this.#tell(listener, reason)
    })
  }

  #tell(listener: (reason: OttlaError) => void, reason: OttlaError): void {
    try {
      listener(reason)
    } catch (error) {
      this.#settings.logger.error({ err: error, broker: this.#settings.broker }, 'a close listener threw')
    }
  }

  #refusal(api: Api): OttlaError {
    const cause = this.#ended
    const { broker } = this.#settings
    const why = cause === undefined ? 'it takes no new requests' : cause.message
    return new OttlaError('CONNECTION_CLOSED', `${api.name} to ${broker} was not answered: ${why}`, {
      retriable: true,
      broker,
      api: api.name,
      ...(cause === undefined ? {} : { cause }),
    })
  }

  #timeout(entry: Entry): OttlaError {
    const { broker } = this.#settings
    return new OttlaError(
      'REQUEST_TIMEOUT',
      `${broker} did not answer ${entry.api.name} within ${entry.timeoutMs} ms`,
      { retriable: true, broker, api: entry.api.name },
    )
  }

  #closedByBroker(): OttlaError {
    const doubt = this.#settings.doubt?.(this.#answers)
    let where = ''
    if (this.#frames.isMidFrame) where = ' in the middle of a response'
    else if (doubt !== undefined) where = ` without an answer (${doubt})`
    else if (this.#answers <= 1) where = ' without an answer'
    return this.#reason(`${this.#settings.broker} closed the connection${where}`)
  }

  #reason(message: string, cause?: Error): OttlaError {
    return new OttlaError('CONNECTION_CLOSED', message, {
      retriable: true,
      broker: this.#settings.broker,
      ...(cause === undefined ? {} : { cause }),
    })
  }

  /** An error of the decoder, with the broker's name. */
  #describe(error: unknown): OttlaError {
    const { broker } = this.#settings
    const code = error instanceof OttlaError ? error.code : 'MALFORMED_FRAME'
    return new OttlaError(code, `${broker}: ${(error as Error).message}`, { broker, cause: error })
  }
}

/** ApiVersions in a version that the broker does not know is answered with error 35 in version 0 (KIP-511). */
function versionOfAnswer(entry: Entry, frame: Buffer): number {
  if (entry.api.key !== API_VERSIONS || frame.length < 6) return entry.version
  return frame.readInt16BE(4) === errorCode.UNSUPPORTED_VERSION ? 0 : entry.version
}

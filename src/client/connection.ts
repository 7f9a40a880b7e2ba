/**
 * One connection to one broker, ready for requests.
 *
 *     dial → TLS → ApiVersions → SASL → open ⇄ held (throttled, or the session is renewed) → closed
 *
 * The channel below owns the stream and the one failure path; this class owns what comes before the first request
 * and what keeps requests back. `connectTimeoutMs` bounds everything until the connection is open.
 */
import type { Duplex } from 'node:stream'
import { OttlaError } from '../errors.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'
import { apiVersions } from '../protocol/messages/index.ts'
import type { Api, RequestOf, ResponseOf } from '../protocol/schema.ts'
import type { Clock, Timer } from '../util/clock.ts'
import type { Logger } from '../util/logger.ts'
import type { Random } from '../util/random.ts'
import { ApiRanges } from './api-ranges.ts'
import { authenticate } from './authenticate.ts'
import { aborted, untilAborted } from './cancellation.ts'
import { Channel } from './channel.ts'
import { clientSoftware } from './client-software.ts'
import { type Address, type Dial, formatAddress } from './dial.ts'
import { fairDeadline } from './fair-deadline.ts'
import type { SaslSettings } from './sasl/mechanism.ts'
import { clientMustThrottle } from './throttle.ts'
import type { TlsSettings } from './tls.ts'
import { openTransport } from './transport.ts'

export type { Address, Dial } from './dial.ts'

export interface ConnectionSettings {
  readonly clientId: string | null
  readonly tls: TlsSettings | undefined
  readonly sasl: SaslSettings | undefined
  readonly dial: Dial
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** How long a response may take, from the writing of its request. */
  readonly requestTimeoutMs: number
  /** How long dial, TLS, negotiation and authentication may take together. */
  readonly connectTimeoutMs: number
  readonly maxResponseBytes: number
}

export interface RequestOptions {
  /** Default: the highest that both sides know. */
  readonly version?: number
  /** Default: `requestTimeoutMs`. */
  readonly timeoutMs?: number
  /** False for Produce with acks 0: resolves (to undefined) when the bytes have left the process. Default true. */
  readonly expectResponse?: boolean
  /** Leaves now: the caller has gathered what belongs together. Default false: with all other requests of the turn. */
  readonly atOnce?: boolean
}

/** A session is renewed when this share of its life is over, plus up to a tenth at random (as Java's client does). */
const RENEW_AT = 0.85
const RENEW_JITTER = 0.1

export class Connection {
  readonly address: Address
  readonly #settings: ConnectionSettings
  readonly #channel: Channel
  readonly #broker: string
  #ranges: ApiRanges
  #throttledUntil = 0
  #throttleTimer: Timer | undefined
  #renewTimer: Timer | undefined
  /** Responses that came while it was opened. */
  #openingAnswers = 0
  #isGivenUp = false

  private constructor(address: Address, settings: ConnectionSettings, stream: Duplex) {
    this.address = address
    this.#settings = settings
    this.#broker = formatAddress(address)
    this.#ranges = new ApiRanges([], this.#broker)
    this.#channel = new Channel({
      stream,
      clock: settings.clock,
      logger: settings.logger,
      clientId: settings.clientId,
      broker: this.#broker,
      maxResponseBytes: settings.maxResponseBytes,
      onThrottle: (api, version, throttleTimeMs) => this.#throttle(api, version, throttleTimeMs),
      doubt: (answers) => this.#doubt(answers),
    })
    this.#channel.onClose(() => this.#clearTimers())
  }

  /**
   * Dials a broker and makes the connection ready.
   *
   * @throws CONNECTION_FAILED, TLS_FAILED, SASL_FAILED, UNSUPPORTED_VERSION; ABORTED when the signal fires.
   */
  static async open(
    address: Address,
    settings: ConnectionSettings,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Connection> {
    const { signal } = options
    const broker = formatAddress(address)
    if (signal?.aborted) throw aborted(`the connection to ${broker}`, signal)
    const giveUp = new AbortController()
    const onAbort = () => giveUp.abort(aborted(`the connection to ${broker}`, signal as AbortSignal))
    signal?.addEventListener('abort', onAbort, { once: true })
    const { clock, connectTimeoutMs } = settings
    let connection: Connection | undefined
    const clearDeadline = fairDeadline(clock, connectTimeoutMs, () => {
      const doubt = connection === undefined ? undefined : connection.#doubt(connection.#channel.answers)
      const message = `${broker} was not ready within ${connectTimeoutMs} ms${doubt === undefined ? '' : ` (${doubt})`}`
      giveUp.abort(new OttlaError('CONNECTION_FAILED', message, { retriable: true, broker }))
    })
    try {
      const stream = await openTransport(address, settings, giveUp.signal)
      connection = new Connection(address, settings, stream)
      await untilAborted(connection.#prepare(), giveUp.signal, (given) => given.reason)
      return connection
    } catch (error) {
      const ended = connection === undefined ? undefined : connection.#channel.ended
      const reason = openingError(error, broker, ended)
      connection?.close(reason)
      throw reason
    } finally {
      clearDeadline()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Requests that wait for their response, to be written, or to be let out. */
  get inFlight(): number {
    return this.#channel.inFlight
  }

  get isOpen(): boolean {
    return this.#channel.isOpen
  }

  /** Whether it has answered anything beside what opening it takes. */
  get hasWorked(): boolean {
    return this.#channel.answers > this.#openingAnswers
  }

  /** Whether it was this side that ended it, or lets it end. */
  get isGivenUp(): boolean {
    return this.#isGivenUp
  }

  /** Whether more is written than the stream takes: a caller that can wait should, until `drained`. */
  get needsDrain(): boolean {
    return this.#channel.needsDrain
  }

  /** Resolves when `needsDrain` is false, or the connection has closed. */
  drained(): Promise<void> {
    return this.#channel.drained()
  }

  /**
   * Sends a request at once, in the order of the calls, without waiting for what is in flight.
   *
   * Error codes inside the response are the caller's to read. Byte fields must not change until it settles.
   * @throws CONNECTION_CLOSED (nobody knows whether it was done), REQUEST_TIMEOUT (closes the connection),
   *   UNSUPPORTED_VERSION, MALFORMED_FRAME, RESPONSE_TOO_LARGE, NUMBER_OUT_OF_RANGE.
   */
  request<A extends Api>(api: A, body: RequestOf<A>, options?: RequestOptions): Promise<ResponseOf<A>> {
    let version = options?.version
    if (version === undefined) {
      try {
        version = this.#ranges.versionOf(api)
      } catch (error) {
        return Promise.reject(error)
      }
    }
    return this.#channel.send({
      api,
      version,
      body,
      timeoutMs: options?.timeoutMs ?? this.#settings.requestTimeoutMs,
      expectResponse: options?.expectResponse ?? true,
      urgent: false,
      atOnce: options?.atOnce ?? false,
    }) as Promise<ResponseOf<A>>
  }

  /** The highest version that both sides know. @throws UNSUPPORTED_VERSION */
  versionOf(api: Api): number {
    return this.#ranges.versionOf(api)
  }

  supports(api: Api, lowestVersion?: number): boolean {
    return this.#ranges.supports(api, lowestVersion)
  }

  /** Called once, after everything in flight has settled. */
  onClose(listener: (reason: OttlaError) => void): void {
    this.#channel.onClose(listener)
  }

  /** Ends the connection; everything in flight rejects with CONNECTION_CLOSED. */
  close(reason?: OttlaError): void {
    this.#isGivenUp = true
    this.#channel.close(reason ?? this.#reason('this client closed the connection'))
    this.#clearTimers()
  }

  /** Takes no new requests and closes when the last one is answered. */
  retire(reason: string): void {
    this.#isGivenUp = true
    this.#channel.retire(this.#reason(reason))
  }

  // -------------------------------------------------------------------------------------------- opening

  async #prepare(): Promise<void> {
    await this.#negotiate()
    const { sasl } = this.#settings
    if (sasl !== undefined) this.#renewAfter(await authenticate(sasl, this.#saslTransport()))
    this.#openingAnswers = this.#channel.answers
  }

  /** Asks in the highest version that we know, and lower ones as long as the broker does not know that (KIP-511). */
  async #negotiate(): Promise<void> {
    let version = apiVersions.versions[1]
    for (;;) {
      const answer = await this.#urgent(apiVersions, version, {
        clientSoftwareName: clientSoftware.name,
        clientSoftwareVersion: clientSoftware.version,
      })
      if (answer.errorCode === 0) {
        this.#ranges = new ApiRanges(answer.apiKeys, this.#broker)
        return
      }
      if (answer.errorCode !== errorCode.UNSUPPORTED_VERSION || version === 0) {
        throw new BrokerError(answer.errorCode, `ApiVersions at ${this.#broker}`, { broker: this.#broker })
      }
      const known = answer.apiKeys.find(({ apiKey }) => apiKey === apiVersions.key)
      version = Math.min(version - 1, known?.maxVersion ?? version - 1)
    }
  }

  #saslTransport() {
    return {
      address: this.address,
      request: <A extends Api>(api: A, body: RequestOf<A>): Promise<ResponseOf<A>> =>
        this.#urgent(api, this.#ranges.versionOf(api), body),
    }
  }

  #urgent<A extends Api>(api: A, version: number, body: RequestOf<A>): Promise<ResponseOf<A>> {
    const { requestTimeoutMs: timeoutMs } = this.#settings
    const call = { api, version, body, timeoutMs, expectResponse: true, urgent: true, atOnce: false }
    return this.#channel.send(call) as Promise<ResponseOf<A>>
  }

  // -------------------------------------------------------------------------------------------- holding

  #renewAfter(sessionLifetimeMs: number): void {
    if (sessionLifetimeMs <= 0) return
    const { clock, random } = this.#settings
    const share = RENEW_AT + RENEW_JITTER * random.next()
    const delayMs = Math.min(sessionLifetimeMs * share, 0x7fff_ffff)
    this.#renewTimer = clock.setTimeout(() => void this.#renew(), delayMs)
  }

  /**
   * Authenticates again on the same connection (KIP-368). A broker takes nothing else meanwhile, so new requests
   * are held, and it starts when those on the wire are answered.
   */
  async #renew(): Promise<void> {
    const { sasl } = this.#settings
    this.#renewTimer = undefined
    if (sasl === undefined || !this.isOpen) return
    this.#channel.hold()
    try {
      await this.#channel.quiet()
      if (this.#channel.ended !== undefined) return
      const lifetimeMs = await authenticate(sasl, this.#saslTransport())
      if (this.#channel.ended !== undefined) return
      this.#renewAfter(lifetimeMs)
      this.#channel.release()
    } catch (error) {
      this.#channel.close(openingError(error, this.#broker, this.#channel.ended))
    }
  }

  /** KIP-219: the broker has answered at once and reads nothing more until the time is over. */
  #throttle(api: Api, version: number, throttleTimeMs: number): void {
    if (!clientMustThrottle(api, version)) return
    const { clock, logger } = this.#settings
    const until = clock.monotonic() + throttleTimeMs
    if (until <= this.#throttledUntil) return
    this.#throttledUntil = until
    logger.debug({ broker: this.#broker, api: api.name, throttleTimeMs }, 'the broker throttles this client')
    if (this.#throttleTimer === undefined) this.#channel.hold()
    else clock.clearTimeout(this.#throttleTimer)
    this.#throttleTimer = clock.setTimeout(() => {
      this.#throttleTimer = undefined
      this.#channel.release()
    }, throttleTimeMs)
  }

  /**
   * A listener for TLS closes what does not begin with a handshake. One for SASL answers ApiVersions to anybody, and closes
   * at whatever comes next from those who have not logged in.
   */
  #doubt(answers: number): string | undefined {
    const { tls, sasl } = this.#settings
    if (answers === 0)
      return tls === undefined ? 'does the port want TLS? The option tls is not set' : undefined
    if (answers > Math.max(1, this.#openingAnswers) || sasl !== undefined) return undefined
    return 'does the port want SASL? The option sasl is not set'
  }

  #clearTimers(): void {
    const { clock } = this.#settings
    if (this.#throttleTimer !== undefined) clock.clearTimeout(this.#throttleTimer)
    if (this.#renewTimer !== undefined) clock.clearTimeout(this.#renewTimer)
    this.#throttleTimer = undefined
    this.#renewTimer = undefined
  }

  #reason(message: string): OttlaError {
    return new OttlaError('CONNECTION_CLOSED', message, { retriable: true, broker: this.#broker })
  }
}

/** Passing failures of a connection that was not open yet are CONNECTION_FAILED; what says more stays as it is. */
const PASSING = new Set(['CONNECTION_CLOSED', 'REQUEST_TIMEOUT'])

function openingError(error: unknown, broker: string, ended: OttlaError | undefined): OttlaError {
  const isLost = error instanceof OttlaError && error.code === 'CONNECTION_CLOSED'
  const reason = isLost && ended !== undefined ? ended : error
  if (reason instanceof OttlaError && !PASSING.has(reason.code)) return reason
  // What the stream failed of says more than that it ended.
  const cause = reason instanceof OttlaError && reason.cause instanceof Error ? reason.cause : reason
  const message = `the connection to ${broker} failed while it was opened: ${(cause as Error)?.message ?? cause}`
  return new OttlaError('CONNECTION_FAILED', message, { retriable: true, broker, cause })
}

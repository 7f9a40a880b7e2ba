/**
 * Who is at the other end of a connection, and what may be asked before that is known.
 *
 *     unknown ── SaslHandshake ──▶ exchange ── tokens ──▶ known ── SaslHandshake ──▶ exchange again (KIP-368)
 *                                      │                    │
 *                                      └──▶ failed: closed   └── session over: any other request closes
 *
 * Before authentication only ApiVersions, SaslHandshake and, in its turn, SaslAuthenticate are taken; anything
 * else closes the connection without an answer. After the end of a session only SaslHandshake is.
 */
import { errorCode } from '../../protocol/error-codes.ts'
import type { Clock } from '../../util/clock.ts'
import type { Exchange } from './exchange.ts'

const SASL_HANDSHAKE = 17
const API_VERSIONS = 18
const SASL_AUTHENTICATE = 36

/** What a session needs of its listener. */
export interface SaslOffer {
  readonly mechanisms: readonly string[]
  /** A run of this mechanism; undefined when it is not offered. */
  exchange(mechanism: string): Exchange | undefined
}

export interface Authenticated {
  readonly errorCode: number
  readonly errorMessage: string
  readonly authBytes: Buffer
  readonly sessionLifetimeMs: number
}

const NO_BYTES = Buffer.alloc(0)
/** What Kafka says to a SaslAuthenticate that comes too early or too late. */
const OUT_OF_TURN = 'SaslAuthenticate request received after successful authentication'

export class SaslSession {
  readonly #server: SaslOffer
  readonly #clock: Clock
  readonly #maxReauthMs: number
  #exchange: Exchange | undefined
  /** Of the first authentication that was begun. */
  #mechanism: string | undefined
  #principal: string | undefined
  #endsAt = Number.POSITIVE_INFINITY
  #isRaw = false
  #hasFailed = false

  constructor(server: SaslOffer, clock: Clock, maxReauthMs: number) {
    this.#server = server
    this.#clock = clock
    this.#maxReauthMs = maxReauthMs
  }

  /** The user, once known. */
  get principal(): string | undefined {
    return this.#principal
  }

  /** After SaslHandshake version 0: the next frames are bare tokens, `size | token`, and so are the answers. */
  get isRaw(): boolean {
    return this.#isRaw
  }

  /** The connection is to be closed once what has been answered is written. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /** Whether a request may be handled, or the connection is closed without an answer. */
  admit(apiKey: number): 'handle' | 'close' {
    if (this.#hasFailed) return 'close'
    if (apiKey === SASL_HANDSHAKE) return 'handle'
    if (this.#exchange !== undefined) return apiKey === SASL_AUTHENTICATE ? 'handle' : 'close'
    if (this.#principal === undefined) return apiKey === API_VERSIONS ? 'handle' : 'close'
    return this.#clock.monotonic() < this.#endsAt ? 'handle' : 'close'
  }

  handshake(mechanism: string, version: number): { errorCode: number; mechanisms: readonly string[] } {
    const { mechanisms } = this.#server
    if (this.#exchange !== undefined) {
      this.#hasFailed = true
      return { errorCode: errorCode.ILLEGAL_SASL_STATE, mechanisms: [] }
    }
    // A user who is known may authenticate again only where sessions have an end.
    if (this.#principal !== undefined && this.#maxReauthMs === 0) {
      return { errorCode: errorCode.ILLEGAL_SASL_STATE, mechanisms: [] }
    }
    const exchange = this.#server.exchange(mechanism)
    // Whoever authenticates again keeps to the mechanism.
    const isChanged = this.#mechanism !== undefined && this.#mechanism !== mechanism
    if (exchange === undefined || isChanged) {
      this.#hasFailed = true
      return { errorCode: errorCode.UNSUPPORTED_SASL_MECHANISM, mechanisms }
    }
    this.#exchange = exchange
    this.#mechanism = mechanism
    this.#isRaw = version === 0
    return { errorCode: errorCode.NONE, mechanisms }
  }

  authenticate(token: Buffer): Authenticated {
    if (this.#exchange === undefined) return refused(errorCode.ILLEGAL_SASL_STATE, OUT_OF_TURN)
    const former = this.#principal
    const step = this.#exchange.step(token)
    if (step.kind === 'failed') return this.#fail(step.message)
    if (step.kind === 'challenge') {
      return { errorCode: errorCode.NONE, errorMessage: '', authBytes: step.token, sessionLifetimeMs: 0 }
    }
    if (former !== undefined && former !== step.principal) {
      return this.#fail(
        `Cannot change principals during re-authentication from User.${former}: User.${step.principal}`,
      )
    }
    this.#exchange = undefined
    this.#isRaw = false
    this.#principal = step.principal
    if (this.#maxReauthMs > 0) this.#endsAt = this.#clock.monotonic() + this.#maxReauthMs
    return {
      errorCode: errorCode.NONE,
      errorMessage: '',
      authBytes: step.token,
      sessionLifetimeMs: this.#maxReauthMs,
    }
  }

  /** A bare token; its answer, or undefined when the connection is to be closed: there is no room for an error. */
  raw(token: Buffer): Buffer | undefined {
    const { errorCode: error, authBytes } = this.authenticate(token)
    return error === errorCode.NONE ? authBytes : undefined
  }

  #fail(message: string): Authenticated {
    this.#hasFailed = true
    this.#exchange = undefined
    return refused(errorCode.SASL_AUTHENTICATION_FAILED, message)
  }
}

const refused = (error: number, errorMessage: string): Authenticated => ({
  errorCode: error,
  errorMessage,
  authBytes: NO_BYTES,
  sessionLifetimeMs: 0,
})

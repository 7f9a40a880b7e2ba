/**
 * From the bytes of one request to what happens on its connection: decoded, put through the faults in force, handled,
 * encoded. Nothing that a client sends leaves here as an exception.
 */
import { OttlaError } from '../errors.ts'
import { errorCode } from '../protocol/error-codes.ts'
import { decodeRequest, decodeRequestHeader, encodeResponse, type RequestHeader } from '../protocol/frame.ts'
import { Reader } from '../protocol/reader.ts'
import { type AnswerObserver, errorsIn } from './answered-errors.ts'
import type { BrokerNode } from './broker-node.ts'
import type { ClusterState } from './cluster-state.ts'
import { type Faults, type Interception, noFaults, type RequestInfo } from './faults.ts'
import type { AdvertisedApi, Handler, RequestContext, Session } from './handler.ts'
import { targetsOf } from './request-targets.ts'

const API_VERSIONS = 18

/** What connections need of the node that took them. */
export interface RunnerHost {
  readonly node: BrokerNode
  readonly cluster: ClusterState
  readonly faults: Faults
  readonly handlers: ReadonlyMap<number, Handler>
  readonly advertised: readonly AdvertisedApi[]
  /** A test that looks at every answer. */
  readonly observer?: AnswerObserver | undefined
}

/**
 * What a request comes to: bytes to write, and whether that is the end; nothing to write; or the end of the
 * connection, or silence from here on.
 */
export type Outcome =
  | { readonly pieces: readonly Uint8Array[]; readonly isLast: boolean }
  | 'none'
  | 'close'
  | 'reset'
  | 'stall'

type Body = Record<string, unknown>
type Action = NonNullable<Interception['action']>

interface Incoming {
  readonly header: RequestHeader
  readonly handler: Handler
  readonly request: Body
  readonly interception: Interception
}

const write = (pieces: readonly Uint8Array[], isLast = false): Outcome => ({ pieces, isLast })

export class RequestRunner {
  readonly #host: RunnerHost
  readonly #session: Session

  constructor(host: RunnerHost, session: Session) {
    this.#host = host
    this.#session = session
  }

  run(frame: Buffer): Outcome | Promise<Outcome> {
    const { sasl } = this.#session
    try {
      if (sasl?.isRaw) return answerRaw(sasl.raw(frame))
      const reader = new Reader(frame)
      const header = decodeRequestHeader(reader)
      const handler = this.#host.handlers.get(header.apiKey)
      if (handler === undefined || sasl?.admit(header.apiKey) === 'close') return 'close'
      if (header.apiKey === API_VERSIONS && header.apiVersion > handler.versions[1]) {
        return this.#refuseVersion(handler, header)
      }
      if (header.apiVersion > handler.versions[1]) return 'close'
      const request = decodeRequest(handler.api, header.apiVersion, reader) as Body
      const interception = this.#intercept(header, handler, request)
      return this.#dispatch({ header, handler, request, interception })
    } catch (error) {
      this.#host.cluster.logger.debug({ err: error }, 'a request cannot be read')
      return 'close'
    }
  }

  #intercept(header: RequestHeader, handler: Handler, request: Body): Interception {
    const { node, cluster, faults } = this.#host
    if (faults.isEmpty) return noFaults
    const { api } = handler
    const { apiVersion: version, clientId } = header
    const info: RequestInfo = { api: api.name, version, node: node.id, clientId }
    const targets = () => targetsOf(api, request, { cluster, node })
    const { perPartition = false, wholeErrors } = handler
    const isPerPartition = (error: number) =>
      typeof perPartition === 'boolean'
        ? perPartition && wholeErrors?.includes(error) !== true
        : perPartition.includes(error)
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
  #distort(outcome: Outcome, action: Action): Outcome | Promise<Outcome> {
    if (action === 'apply-then-drop') return 'close'
    if (action === 'apply-then-swallow') return 'stall'
    if (typeof action !== 'object' || typeof outcome !== 'object') return outcome
    if ('delayResponseMs' in action) return this.#after(action.delayResponseMs).then(() => outcome)
    const bytes = Buffer.concat(outcome.pieces)
    if ('truncateAt' in action) return write([bytes.subarray(0, action.truncateAt)], true)
    if (!('flipByteAt' in action)) return outcome
    const index = action.flipByteAt < 0 ? bytes.length + action.flipByteAt : action.flipByteAt
    if (index >= 0 && index < bytes.length) bytes[index] = (bytes[index] as number) ^ 0xff
    return write([bytes])
  }

  #after(delayMs: number): Promise<void> {
    return this.#host.cluster.sleep(delayMs)
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
      session: this.#session,
      clock: cluster.clock,
      advertised,
      injectedError: interception.injectedError,
    }
  }

  #encode(incoming: Incoming, answer: Body | undefined): Outcome {
    if (answer === undefined) return 'none'
    const { header, handler, interception } = incoming
    const { action } = interception
    const isThrottled = typeof action === 'object' && 'throttleMs' in action
    const body = isThrottled ? { ...answer, throttleTimeMs: action.throttleMs } : answer
    const { apiVersion, correlationId } = header
    const { observer } = this.#host
    if (observer !== undefined) {
      observer({ api: handler.api, version: apiVersion, errors: ownErrors(incoming, body) })
    }
    try {
      return write(encodeResponse(handler.api, apiVersion, { correlationId, body }))
    } catch (error) {
      this.#host.cluster.logger.error({ err: error, api: handler.api.name }, 'an answer could not be encoded')
      return 'close'
    }
  }

  /** A bug in a handler: the client hears of it where the answer has room for that, and the node goes on. */
  #failed(incoming: Incoming, error: unknown): Outcome {
    const { api } = incoming.handler
    if (error instanceof OttlaError && error.code === 'MALFORMED_FRAME') return 'close'
    this.#host.cluster.logger.error({ err: error, api: api.name }, 'a request could not be handled')
    return 'errorCode' in api.response
      ? this.#encode(incoming, { errorCode: errorCode.UNKNOWN_SERVER_ERROR })
      : 'close'
  }

  /** KIP-511: a version that is not known is answered in version 0, with what is known. */
  #refuseVersion(handler: Handler, { correlationId }: RequestHeader): Outcome {
    const body = { errorCode: errorCode.UNSUPPORTED_VERSION, apiKeys: this.#host.advertised }
    this.#host.observer?.({ api: handler.api, version: 0, errors: errorsIn(handler.api, 0, body) })
    return write(encodeResponse(handler.api, 0, { correlationId, body }))
  }
}

/** The errors of an answer that no fault has put there. */
function ownErrors({ header, handler, interception }: Incoming, body: Body): ReadonlySet<number> {
  const errors = errorsIn(handler.api, header.apiVersion, body)
  for (const error of interception.errors) errors.delete(error)
  return errors
}

/** SaslHandshake version 0: bare tokens in frames, no header. */
function answerRaw(token: Buffer | undefined): Outcome {
  if (token === undefined) return 'close'
  const size = Buffer.alloc(4)
  size.writeInt32BE(token.length, 0)
  return write([size, token])
}

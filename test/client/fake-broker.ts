/**
 * A broker that does what a test tells it: speaks the protocol, on real sockets or in memory, and knows nothing
 * about Kafka. Requests of a link are answered one after the other, as Kafka does.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { memoryStreams } from '../../src/broker/memory-stream.ts'
import type { Address, Dial } from '../../src/client/dial.ts'
import { errorCode } from '../../src/protocol/error-codes.ts'
import { encodeResponse } from '../../src/protocol/frame.ts'
import { apis, apiVersions } from '../../src/protocol/messages/index.ts'
import type { Api, ReceivedRequestOf, SentResponseOf } from '../../src/protocol/schema.ts'
import { systemClock } from '../../src/util/clock.ts'
import { readRequest } from '../support/frames.ts'

export interface FakeRequest<A extends Api = Api> {
  readonly api: A
  readonly version: number
  readonly correlationId: number
  readonly clientId: string | null
  readonly body: ReceivedRequestOf<A>
  readonly link: FakeLink
}

type Reply<A extends Api> = SentResponseOf<A> | 'silence' | 'close'
export type Handler<A extends Api> = (request: FakeRequest<A>) => Reply<A> | Promise<Reply<A>>

/** One connection, seen from the broker. */
export class FakeLink {
  readonly stream: Duplex
  isClosed = false

  constructor(stream: Duplex) {
    this.stream = stream
    stream.on('error', () => undefined)
    for (const event of ['end', 'close']) {
      stream.on(event, () => {
        this.isClosed = true
        stream.destroy()
      })
    }
  }

  respond(request: FakeRequest, body: object): void {
    const { api, version, correlationId } = request
    this.stream.write(encoded(api, version, { correlationId, body }))
  }
}

/** A response as bytes, in a version of the caller's choice. */
export const encoded = (
  api: Api,
  version: number,
  answer: { readonly correlationId: number; readonly body: object },
): Buffer => Buffer.concat(encodeResponse(api, version, answer as { correlationId: number; body: never }))

export class FakeBroker {
  readonly requests: FakeRequest[] = []
  readonly links: FakeLink[] = []
  /** What ApiVersions advertises: all that the tables have, unless changed. */
  readonly ranges = new Map<number, readonly [lowest: number, highest: number]>(
    apis.map(({ key, versions }) => [key, versions]),
  )
  readonly #handlers = new Map<number, Handler<Api>>()
  #server: Server | undefined
  /** How responses are cut into writes. */
  cut: (bytes: Buffer) => readonly Uint8Array[] = (bytes) => [bytes]

  constructor() {
    this.on(apiVersions, ({ version }) => this.#answerVersions(version))
  }

  /** Listens on a port that the system chooses. */
  async listen(tls?: TlsOptions): Promise<this> {
    const accept = (stream: Duplex) => this.accept(stream)
    this.#server = tls === undefined ? createServer(accept) : createTlsServer(tls, accept)
    this.#server.on('tlsClientError', () => undefined)
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  get address(): Address {
    const at = this.#server?.address()
    if (typeof at !== 'object' || at === null) throw new Error('the fake broker does not listen')
    return { host: '127.0.0.1', port: at.port }
  }

  /** Connects in memory. */
  readonly dial: Dial = () => {
    const [near, far] = memoryStreams(systemClock)
    this.accept(far)
    return near
  }

  on<A extends Api>(api: A, handler: Handler<A>): this {
    this.#handlers.set(api.key, handler as unknown as Handler<Api>)
    return this
  }

  /** The requests of one API, in the order of their arrival. */
  of<A extends Api>(api: A): FakeRequest<A>[] {
    return this.requests.filter((request) => request.api.key === api.key) as unknown as FakeRequest<A>[]
  }

  accept(stream: Duplex): void {
    const link = new FakeLink(stream)
    this.links.push(link)
    let pending = Buffer.alloc(0)
    let turn = Promise.resolve()
    stream.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
        const size = pending.readInt32BE(0)
        const request = this.#decode(pending.subarray(4, 4 + size), link)
        pending = pending.subarray(4 + size)
        this.requests.push(request)
        turn = turn.then(() => this.#serve(request))
      }
    })
  }

  async stop(): Promise<void> {
    for (const { stream } of this.links) stream.destroy()
    if (this.#server === undefined) return
    this.#server.close()
    await once(this.#server, 'close')
  }

  #decode(frame: Buffer, link: FakeLink): FakeRequest {
    const { api, header, body } = readRequest(frame)
    const { apiVersion: version, correlationId, clientId } = header
    return { api, version, correlationId, clientId, body, link }
  }

  async #serve(request: FakeRequest): Promise<void> {
    const handler = this.#handlers.get(request.api.key)
    if (handler === undefined) throw new Error(`the test has no handler for ${request.api.name}`)
    const reply = await handler(request)
    const { stream } = request.link
    if (reply === 'silence' || stream.destroyed) return
    if (reply === 'close') {
      stream.destroy()
      return
    }
    const unsupported =
      request.api.key === apiVersions.key && (reply as { errorCode: number }).errorCode === 35
    const bytes = encoded(request.api, unsupported ? 0 : request.version, {
      correlationId: request.correlationId,
      body: reply,
    })
    for (const piece of this.cut(bytes)) stream.write(piece)
  }

  #answerVersions(version: number): SentResponseOf<typeof apiVersions> {
    const apiKeys = [...this.ranges].map(([apiKey, [minVersion, maxVersion]]) => ({
      apiKey,
      minVersion,
      maxVersion,
    }))
    const [, highest] = this.ranges.get(apiVersions.key) ?? [0, 0]
    return { errorCode: version > highest ? errorCode.UNSUPPORTED_VERSION : 0, apiKeys }
  }
}

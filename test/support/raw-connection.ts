/**
 * A connection that speaks single frames, for tests of a broker: no negotiation, no retry, no error of its own. It
 * shares the codec with the library and nothing else. Every response must decode to its last byte.
 */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { encodeRequest } from '../../src/protocol/frame.ts'
import type { Api, RequestOf, ResponseOf } from '../../src/protocol/schema.ts'
import { readResponse } from './frames.ts'

export interface RawAddress {
  readonly host: string
  readonly port: number
}

interface Waiting {
  resolve(frame: Buffer): void
  reject(error: Error): void
}

export const parseAddress = (text: string): RawAddress => {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) }
}

const tcp = (address: RawAddress): Duplex =>
  connect({ host: address.host, port: address.port, noDelay: true })

export class RawConnection {
  readonly #stream: Duplex
  readonly #waiting: Waiting[] = []
  /** Resolves when the other side, or this one, has closed. */
  readonly closed: Promise<void>
  #buffered: Buffer = Buffer.alloc(0)
  #isClosed = false
  #correlationId = 0
  clientId: string | null = 'conformance'
  /** Called with each response before the caller has it. */
  onResponse: ((api: Api, body: object) => void) | undefined

  private constructor(stream: Duplex) {
    this.#stream = stream
    this.closed = new Promise((resolve) => stream.once('close', resolve))
    stream.on('data', (chunk: Buffer) => this.#take(chunk))
    stream.on('error', () => stream.destroy())
    stream.on('end', () => stream.destroy())
    stream.on('close', () => {
      this.#isClosed = true
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the connection was closed'))
    })
  }

  static async open(address: RawAddress, dial: (address: RawAddress) => Duplex | Promise<Duplex> = tcp) {
    return new RawConnection(await dial(address))
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Sends one request and gives its response. Fails when the connection closes first. */
  async send<A extends Api>(api: A, version: number, body: RequestOf<A>): Promise<ResponseOf<A>> {
    const correlationId = ++this.#correlationId
    const header = { apiVersion: version, correlationId, clientId: this.clientId }
    const frame = await this.exchange(Buffer.concat(encodeRequest(api, header, body)))
    const response = readResponse(api, version, frame)
    assert.equal(response.correlationId, correlationId, `${api.name} ${version}: the correlation id`)
    this.onResponse?.(api, response.body)
    return response.body
  }

  /** Sends a request that gets no response. */
  tell<A extends Api>(api: A, version: number, body: RequestOf<A>): void {
    const header = { apiVersion: version, correlationId: ++this.#correlationId, clientId: this.clientId }
    this.write(Buffer.concat(encodeRequest(api, header, body)))
  }

  /** Sends bytes as they are, and gives the next frame that comes, without its size. */
  exchange(bytes: Uint8Array): Promise<Buffer> {
    if (this.#isClosed) return Promise.reject(new Error('the connection is closed'))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.write(bytes)
    })
  }

  write(bytes: Uint8Array): void {
    this.#stream.write(bytes)
  }

  close(): void {
    this.#stream.destroy()
  }

  #take(chunk: Buffer): void {
    this.#buffered = this.#buffered.length === 0 ? chunk : Buffer.concat([this.#buffered, chunk])
    while (this.#buffered.length >= 4) {
      const end = 4 + this.#buffered.readInt32BE(0)
      if (this.#buffered.length < end) return
      const frame = this.#buffered.subarray(4, end)
      this.#buffered = this.#buffered.subarray(end)
      const waiting = this.#waiting.shift()
      assert.ok(waiting, 'a frame came that nobody had asked for')
      waiting.resolve(frame)
    }
  }
}

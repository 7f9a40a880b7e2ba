/**
 * Where a node takes connections: a TCP server, or a name in the process' own network. The node's connections are
 * held here, so that a stop ends them all.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../util/clock.ts'
import { BrokerConnection } from './broker-connection.ts'
import type { NodeAddress } from './broker-node.ts'
import { connectionRefused, memoryStreams } from './memory-stream.ts'
import type { RunnerHost } from './request-runner.ts'
import type { SaslServer } from './sasl/sasl-server.ts'

/** Puts TLS over an accepted stream, and hands it on when the handshake is done. */
export type Secure = (stream: Duplex, onSecured: (secured: Duplex) => void) => void

export interface ListenerOptions {
  readonly sasl: SaslServer | undefined
  readonly secure: Secure | undefined
}

/** Takes an accepted stream; `reset` ends it as a crash does. */
type Accept = (stream: Duplex, reset: () => void) => void

/** A way to be reached. */
export interface Transport {
  /** Begins to take connections; resolves with the address that it has. A port of 0 is any free one. */
  listen(address: NodeAddress, accept: Accept): Promise<{ address: NodeAddress; close: () => Promise<void> }>
}

export const tcpTransport: Transport = {
  async listen({ host, port }, accept) {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket: Socket) =>
      accept(socket, () => socket.resetAndDestroy()),
    )
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        resolve()
      })
    })
    return { address: { host, port: portOf(server) }, close: () => closeServer(server) }
  },
}

const portOf = (server: Server): number => {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const closeServer = (server: Server) => new Promise<void>((resolve) => server.close(() => resolve()))

/** Names and ports inside the process. */
export class MemoryNetwork implements Transport {
  readonly #clock: Clock
  readonly #listeners = new Map<string, Accept>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async listen(address: NodeAddress, accept: Accept) {
    const key = `${address.host}:${address.port}`
    this.#listeners.set(key, accept)
    return { address, close: async () => void this.#listeners.delete(key) }
  }

  /** The client's end of a new connection; rejects with ECONNREFUSED where nothing listens. */
  dial({ host, port }: NodeAddress): Duplex {
    const accept = this.#listeners.get(`${host}:${port}`)
    if (accept === undefined) throw connectionRefused(`${host}:${port}`)
    const [near, far] = memoryStreams(this.#clock)
    accept(far, () => far.reset())
    return near
  }
}

export class Listener {
  readonly #host: RunnerHost
  readonly #transport: Transport
  readonly #options: ListenerOptions
  readonly #connections = new Set<BrokerConnection>()
  readonly #handshaking = new Set<Duplex>()
  #closeServer: (() => Promise<void>) | undefined
  #lastId = 0

  constructor(host: RunnerHost, transport: Transport, options: ListenerOptions) {
    this.#host = host
    this.#transport = transport
    this.#options = options
  }

  async start(address: NodeAddress): Promise<NodeAddress> {
    const listening = await this.#transport.listen(address, (stream, reset) => this.#accept(stream, reset))
    this.#closeServer = listening.close
    return listening.address
  }

  /** Ends every connection and takes no more; the address is free when this resolves. */
  async stop(how: 'close' | 'reset'): Promise<void> {
    const closed = this.#closeServer?.()
    this.#closeServer = undefined
    for (const connection of [...this.#connections]) connection.destroy(how)
    for (const stream of [...this.#handshaking]) stream.destroy()
    await closed
  }

  #accept(accepted: Duplex, reset: () => void): void {
    // Until it was secured and read, an error of the stream is nobody's: it must not end the process.
    accepted.on('error', () => undefined)
    if (this.#closeServer === undefined) return void accepted.destroy()
    const { secure } = this.#options
    if (secure === undefined) return this.#connect(accepted, reset)
    this.#handshaking.add(accepted)
    accepted.once('close', () => this.#handshaking.delete(accepted))
    secure(accepted, (secured) => {
      this.#handshaking.delete(accepted)
      this.#connect(secured, reset)
    })
  }

  #connect(stream: Duplex, reset: () => void): void {
    const { clock } = this.#host.cluster
    const maxReauthMs = this.#host.cluster.config('connections.max.reauth.ms')
    const sasl = this.#options.sasl?.open(clock, maxReauthMs)
    const connection = new BrokerConnection(stream, this.#host, { id: ++this.#lastId, sasl, reset })
    this.#connections.add(connection)
    connection.onClose(() => this.#connections.delete(connection))
  }
}

/**
 * A TCP proxy before a broker, which loses answers and delays requests. What a client sent before its connection
 * ended is still delivered afterwards, as bytes inside a network are.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Dial } from '../../../src/client/connection.ts'

export class FaultProxy {
  readonly #target: { readonly host: string; readonly port: number }
  readonly #server: Server
  readonly #pairs = new Set<readonly [client: Socket, broker: Socket]>()
  readonly #timers = new Set<NodeJS.Timeout>()
  /** What the broker answers is thrown away. */
  losesAnswers = false
  /** Requests reach the broker so much later. */
  requestDelayMs = 0

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client))
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<FaultProxy> {
    const proxy = new FaultProxy(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Ends the clients' connections; what they sent goes on to the broker. */
  cut(): void {
    for (const [client] of this.#pairs) client.destroy()
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    for (const [client, broker] of this.#pairs) {
      client.destroy()
      broker.destroy()
    }
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    const broker = connect({ ...this.#target, noDelay: true })
    const pair = [client, broker] as const
    this.#pairs.add(pair)
    let open = 2
    const ended = () => {
      if (--open === 0) this.#pairs.delete(pair)
    }
    client.on('data', (chunk) => this.#later(() => broker.write(chunk)))
    broker.on('data', (chunk) => {
      if (!this.losesAnswers && !client.destroyed) client.write(chunk)
    })
    client.on('close', () => {
      this.#later(() => broker.end())
      ended()
    })
    broker.on('close', () => {
      client.destroy()
      ended()
    })
    for (const socket of pair) socket.on('error', () => socket.destroy())
  }

  /** In order, since the delay of a proxy only grows or is set while nothing is under way. */
  #later(action: () => void): void {
    if (this.requestDelayMs === 0 && this.#timers.size === 0) return action()
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      action()
    }, this.requestDelayMs)
    this.#timers.add(timer)
  }
}

/** Proxies before all of these brokers, and the `dial` that leads through them. */
export async function proxied(
  brokers: readonly string[],
): Promise<{ readonly proxies: readonly FaultProxy[]; readonly dial: Dial; stop(): Promise<void> }> {
  const byAddress = new Map<string, FaultProxy>()
  for (const broker of brokers) {
    const [host, port] = broker.split(':') as [string, string]
    byAddress.set(broker, await FaultProxy.start({ host, port: Number(port) }))
  }
  const proxies = [...byAddress.values()]
  const dial: Dial = async ({ host, port }) => {
    const proxy = byAddress.get(`${host}:${port}`)
    if (proxy === undefined) throw new Error(`no proxy for ${host}:${port}`)
    const socket = connect({ host: '127.0.0.1', port: proxy.port, noDelay: true })
    await once(socket, 'connect')
    return socket
  }
  return {
    proxies,
    dial,
    stop: async () => {
      for (const proxy of proxies) await proxy.stop()
    },
  }
}

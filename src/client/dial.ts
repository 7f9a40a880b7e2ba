/**
 * Addresses of brokers, and how a byte stream to one is made.
 *
 * A `Dial` is a port: the default opens a TCP socket; a caller may give another one (a tunnel, an address map, an
 * in-memory pair). TLS is put over whatever it returns.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export interface Address {
  readonly host: string
  readonly port: number
}

/**
 * Opens a byte stream to a broker. The signal fires when the connection is given up or takes longer than
 * `connectTimeoutMs`; the stream must then be destroyed. What it throws becomes the cause of CONNECTION_FAILED.
 */
export type Dial = (address: Address, options: { readonly signal: AbortSignal }) => Duplex | Promise<Duplex>

/** `host:port`, with brackets around an IPv6 address. */
export const formatAddress = ({ host, port }: Address): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

export const sameAddress = (a: Address, b: Address): boolean => a.host === b.host && a.port === b.port

/** Reads `host:port` or `[::1]:9092`; undefined when it is neither. */
export function parseAddress(text: string): Address | undefined {
  const parts = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text.trim())
  if (parts === null) return undefined
  const port = Number(parts[3])
  if (port < 1 || port > 65535) return undefined
  return { host: (parts[1] ?? parts[2]) as string, port }
}

/** Streams tell of failures by events of which some come late: an unheard `error` event would end the process. */
export const ignoreLateErrors = (): void => undefined

/** Takes what a socket reads without a chunk in between. */
export interface ReadTarget {
  /** A chunk after all. */
  push(chunk: Buffer): void
  /** Where the next bytes are to be written. */
  target(): Uint8Array
  /** So many bytes were written to the last target. */
  took(count: number): void
}

const FIRST_READ_BYTES = 4096
const directSockets = new WeakMap<Duplex, (target: ReadTarget) => void>()

/** Has the stream read into `target` from now on; false when it cannot, and tells of chunks instead. */
export function readInto(stream: Duplex, target: ReadTarget): boolean {
  const attach = directSockets.get(stream)
  attach?.(target)
  return attach !== undefined
}

// Loaded when a socket is wanted: a program that does not use one starts sooner.
const net = () => process.getBuiltinModule('node:net')
const socketOptions = { noDelay: true, keepAlive: true } as const

/** The default dial: TCP without Nagle's delay, every address of the name tried, the name looked up each time. */
export const tcpDial: Dial = ({ host, port }, { signal }) =>
  connected(net().connect({ host, port, ...socketOptions }), signal)

/** The same, for streams that `readInto` is called on before the other side says anything. */
export const directTcpDial: Dial = ({ host, port }, { signal }) => {
  let sink: ReadTarget | undefined
  // The socket takes its first target when it connects, before anybody can have given one.
  const first = Buffer.allocUnsafeSlow(FIRST_READ_BYTES)
  const onread = {
    buffer: () => sink?.target() ?? first,
    callback: (count: number, buffer: Uint8Array) => {
      if (sink === undefined) socket.destroy(new Error('the other side spoke first, which no broker does'))
      else if (buffer === first) sink.push(Buffer.from(first.subarray(0, count)))
      else sink.took(count)
      return true
    },
  }
  const socket = net().connect({ host, port, ...socketOptions, onread })
  directSockets.set(socket, (target) => {
    sink = target
  })
  return connected(socket, signal)
}

/** Resolves when the socket is connected; destroys it when the signal fires before. */
function connected(socket: Socket, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      socket.off('connect', onConnect)
      socket.off('error', onError)
      signal.removeEventListener('abort', onAbort)
    }
    const onConnect = () => {
      settle()
      resolve(socket)
    }
    const onError = (error: Error) => {
      settle()
      reject(error)
    }
    const onAbort = () => {
      settle()
      socket.destroy()
      reject(signal.reason)
    }
    socket.on('error', ignoreLateErrors)
    socket.on('connect', onConnect)
    socket.on('error', onError)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
  })
}

/**
 * Addresses of brokers, and how a byte stream to one is made.
 *
 * A `Dial` is a port: the default opens a TCP socket; a caller may give another one (a tunnel, an address map, an
 * in-memory pair). TLS is put over whatever it returns.
 */
import { connect } from 'node:net'
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

/** The default dial: TCP without Nagle's delay, every address of the name tried, the name looked up each time. */
export const tcpDial: Dial = (address, { signal }) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: address.host, port: address.port, noDelay: true, keepAlive: true })
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

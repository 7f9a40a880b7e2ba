/** The byte stream under a connection: dialled, and with TLS over it when that is on. */
import type { Duplex } from 'node:stream'
import { OttlaError } from '../errors.ts'
import { isMemoryAddress } from '../util/memory-address.ts'
import { untilAborted } from './cancellation.ts'
import { type Address, type Dial, directTcpDial, formatAddress, ignoreLateErrors, tcpDial } from './dial.ts'
import { secure, type TlsSettings } from './tls.ts'

/** The signal's reason is what it rejects with when the signal fires. */
export async function openTransport(
  address: Address,
  settings: { readonly dial: Dial; readonly tls: TlsSettings | undefined },
  signal: AbortSignal,
): Promise<Duplex> {
  // TLS takes the socket's bytes as chunks.
  const isDirect = settings.tls === undefined && settings.dial === tcpDial
  const stream = await dialled(address, isDirect ? directTcpDial : settings.dial, signal)
  if (settings.tls === undefined) return stream
  try {
    return await secure(stream, address, { settings: settings.tls, signal })
  } catch (error) {
    stream.destroy()
    throw error
  }
}

async function dialled(address: Address, dial: Dial, signal: AbortSignal): Promise<Duplex> {
  try {
    const stream = startDial(address, dial, signal)
    return await untilAborted(stream, signal, (given) => given.reason)
  } catch (cause) {
    if (signal.aborted) throw signal.reason
    const broker = formatAddress(address)
    const message = `no connection to ${broker}: ${(cause as Error)?.message || String(cause)}`
    const isOwn = dial === tcpDial || dial === directTcpDial
    const advice =
      isOwn && isLostMemory(address, cause)
        ? ` (is it a cluster with transport 'memory'? The option dial: cluster.dial is not set)`
        : ''
    throw new OttlaError('CONNECTION_FAILED', `${message}${advice}`, { retriable: true, broker, cause })
  }
}

const isLostMemory = (address: Address, cause: unknown): boolean =>
  isMemoryAddress(address) && NO_SUCH_NAME.has((cause as { code?: string } | null)?.code ?? '')

/** What resolvers say of a name that nobody knows; of the second kind are those that cannot ask anybody. */
const NO_SUCH_NAME = new Set(['ENOTFOUND', 'EAI_AGAIN'])

async function startDial(address: Address, dial: Dial, signal: AbortSignal): Promise<Duplex> {
  const stream = await dial(address, { signal })
  stream.on('error', ignoreLateErrors)
  // A dial that ignores its signal may still come up with a stream: nobody waits for it any more.
  if (signal.aborted) {
    stream.destroy()
    throw signal.reason
  }
  if ((stream as { connecting?: boolean }).connecting === true) await connected(stream, signal)
  return stream
}

function connected(stream: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once('connect', resolve)
    stream.once('error', reject)
    stream.once('close', () => reject(new Error('the stream closed before it was connected')))
    signal.addEventListener('abort', () => stream.destroy(), { once: true })
  })
}

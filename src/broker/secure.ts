/**
 * TLS over accepted streams, real sockets or not. The handshakes are those of Node's TLS server, which never listens
 * itself: it refuses clients without a valid certificate where one is asked for, and those that take too long.
 *
 * Node does not tell which stream a secured one belongs to, so a server has one handshake at a time; it is used again
 * afterwards, because making one costs milliseconds.
 */
import type { Duplex } from 'node:stream'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { OttlaError } from '../errors.ts'
import { type Pem, pemBytes } from '../util/pem.ts'
import type { Secure } from './listener.ts'
import type { ResolvedTls } from './options.ts'

const HANDSHAKE_TIMEOUT_MS = 30_000

export function secureWith({ key, cert, ca, requestCert }: ResolvedTls): Secure {
  const make = () =>
    createServer({
      key: pemBytes(key),
      cert: pemBytes(cert),
      ...(ca === undefined ? {} : { ca: ([ca].flat() as Pem[]).map(pemBytes) }),
      requestCert,
      rejectUnauthorized: requestCert,
      allowHalfOpen: true,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    })
  const idle: Server[] = []
  try {
    idle.push(make())
  } catch (cause) {
    // Told at the start, not at the first connection.
    const message = 'startCluster: option tls must have a key and a certificate that belong together'
    throw new OttlaError('INVALID_OPTION', message, { cause, path: 'startCluster.tls' })
  }
  return (stream, onSecured) => handshake({ stream, onSecured, server: idle.pop() ?? make(), idle })
}

interface Handshake {
  readonly stream: Duplex
  readonly onSecured: (secured: Duplex) => void
  readonly server: Server
  readonly idle: Server[]
}

function handshake({ stream, onSecured, server, idle }: Handshake): void {
  const finish = () => {
    server.off('secureConnection', secured)
    server.off('tlsClientError', failed)
    stream.off('close', finish)
    idle.push(server)
  }
  const secured = (socket: TLSSocket) => {
    finish()
    onSecured(socket)
  }
  const failed = () => {
    finish()
    stream.destroy()
  }
  server.on('secureConnection', secured)
  server.on('tlsClientError', failed)
  stream.on('close', finish)
  server.emit('connection', stream)
}

/**
 * TLS over any byte stream.
 *
 * The key and the passphrase live in a closure: what is inspected, logged or thrown holds none of them.
 */
import type { Duplex } from 'node:stream'
import type { SecureContext, SecureVersion, TLSSocket } from 'node:tls'
import { OttlaError } from '../errors.ts'
import { is, resolveOptions, wrongOption } from '../util/options.ts'
import { certificate, certificates, type Pem, pemBytes, privateKey } from '../util/pem.ts'
import { type Address, formatAddress, ignoreLateErrors } from './dial.ts'

export interface TlsOptions {
  /** Authorities to trust instead of the ones that Node carries, PEM. */
  readonly ca?: Pem | readonly Pem[]
  /** The client's certificate chain, PEM. Goes with `key`. */
  readonly cert?: Pem
  /** The client's private key, PEM. */
  readonly key?: Pem
  /** Opens an encrypted `key`. */
  readonly passphrase?: string
  /** The name to ask for (SNI) and to expect in the certificate. Default: the broker's host. */
  readonly serverName?: string
  /** Lowest version accepted. Default TLSv1.2. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL's cipher list. Default: Node's. */
  readonly ciphers?: string
  /** Takes any certificate from anybody. For experiments only. Default false. */
  readonly insecureSkipVerify?: boolean
}

/** Resolved options. Holds no secret that can be seen. */
export interface TlsSettings {
  readonly serverName: string | undefined
  readonly minVersion: SecureVersion
  readonly insecureSkipVerify: boolean
  /** Made once, when first needed. */
  readonly secureContext: () => SecureContext
}

const table = {
  ca: { check: is.optional(certificates), default: undefined },
  cert: { check: is.optional(certificate), default: undefined },
  key: { check: is.optional(privateKey), default: undefined },
  passphrase: { check: is.optional(is.string), default: undefined },
  serverName: { check: is.optional(is.string), default: undefined },
  minVersion: { check: is.oneOf('TLSv1.2', 'TLSv1.3'), default: 'TLSv1.2' as const },
  ciphers: { check: is.optional(is.string), default: undefined },
  insecureSkipVerify: { check: is.boolean, default: false },
} as const

// Loaded when TLS is used: an import of a program that does not use it stays cheap.
const nodeTls = () => process.getBuiltinModule('node:tls')

/** Checks the options; nothing is read or opened. */
export function resolveTls(given: boolean | TlsOptions | undefined): TlsSettings | undefined {
  if (given === undefined || given === false) return undefined
  if (given !== true && typeof given !== 'object') {
    throw wrongOption({ owner: 'kafka', name: 'tls' }, 'true, false, or an object of its options', given)
  }
  const options = resolveOptions('kafka.tls', table, given === true ? {} : given)
  if ((options.cert === undefined) !== (options.key === undefined)) {
    const name = options.cert === undefined ? 'cert' : 'key'
    const message = `kafka.tls: option ${name} is missing: cert and key go together, give both or none`
    throw new OttlaError('INVALID_OPTION', message, { path: `kafka.tls.${name}` })
  }
  let context: SecureContext | undefined
  const secureContext = () => (context ??= makeContext(options))
  const { serverName, minVersion, insecureSkipVerify } = options
  return Object.freeze({ serverName, minVersion, insecureSkipVerify, secureContext })
}

function makeContext(options: {
  readonly ca: Pem | readonly Pem[] | undefined
  readonly cert: Pem | undefined
  readonly key: Pem | undefined
  readonly passphrase: string | undefined
  readonly ciphers: string | undefined
}): SecureContext {
  const { ca, cert, key, passphrase, ciphers } = options
  try {
    return nodeTls().createSecureContext({
      ...(ca === undefined ? {} : { ca: Array.isArray(ca) ? ca.map(pemBytes) : pemBytes(ca as Pem) }),
      ...(cert === undefined ? {} : { cert: pemBytes(cert) }),
      ...(key === undefined ? {} : { key: pemBytes(key) }),
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(ciphers === undefined ? {} : { ciphers }),
    })
  } catch (cause) {
    const message = `the certificates or the key cannot be read: ${(cause as Error).message}`
    throw new OttlaError('TLS_FAILED', message, { cause, path: 'kafka.tls' })
  }
}

/** Failures of a handshake that may pass: the stream broke, rather than a certificate or a version being refused. */
const TRANSIENT = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ECONNABORTED'])

/** Does the handshake over `stream`; the result is the stream to use from then on. When it throws, `stream` is the caller's to destroy. */
export function secure(
  stream: Duplex,
  address: Address,
  { settings, signal }: { readonly settings: TlsSettings; readonly signal: AbortSignal },
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const name = settings.serverName ?? address.host
    const socket: TLSSocket = nodeTls().connect({
      socket: stream,
      host: name,
      // SNI carries names only (RFC 6066); an address is still compared with the certificate.
      ...(process.getBuiltinModule('node:net').isIP(name) === 0 ? { servername: name } : {}),
      secureContext: settings.secureContext(),
      minVersion: settings.minVersion,
      rejectUnauthorized: !settings.insecureSkipVerify,
    })
    const settle = () => {
      socket.off('secureConnect', onSecure)
      socket.off('error', onError)
      socket.off('close', onClose)
      signal.removeEventListener('abort', onAbort)
    }
    const onSecure = () => {
      settle()
      resolve(socket)
    }
    const onError = (error: Error) => {
      settle()
      socket.destroy()
      reject(handshakeError(error, address))
    }
    const onClose = () =>
      onError(Object.assign(new Error('the broker closed the connection'), { code: 'ECONNRESET' }))
    const onAbort = () => {
      settle()
      socket.destroy()
      reject(signal.reason)
    }
    socket.on('error', ignoreLateErrors)
    socket.on('secureConnect', onSecure)
    socket.on('error', onError)
    socket.on('close', onClose)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
  })
}

function handshakeError(cause: Error & { code?: string }, address: Address): OttlaError {
  const broker = formatAddress(address)
  if (TRANSIENT.has(cause.code ?? '')) {
    const message = `the connection to ${broker} broke during the TLS handshake (does this port speak TLS?): ${cause.message}`
    return new OttlaError('CONNECTION_FAILED', message, { retriable: true, broker, cause })
  }
  return new OttlaError('TLS_FAILED', `TLS with ${broker} failed: ${cause.message}`, { broker, cause })
}

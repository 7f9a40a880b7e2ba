/** The client's side of SASL for the cases, apart from the library's own. */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { saslAuthenticate, saslHandshake } from '../../src/protocol/messages/index.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { named } from './target.ts'

export const handshake = async (connection: RawConnection, mechanism: string, version = 1) => {
  const answer = await connection.send(saslHandshake, version, { mechanism })
  return { error: named(answer.errorCode), mechanisms: answer.mechanisms }
}

export async function authenticate(connection: RawConnection, token: string, version = 2) {
  const answer = await connection.send(saslAuthenticate, version, { authBytes: Buffer.from(token) })
  const { errorMessage: message, authBytes, sessionLifetimeMs } = answer
  return { error: named(answer.errorCode), message, token: String(authBytes), sessionLifetimeMs }
}

export const plainToken = (user: string, password: string, authorization = '') =>
  `${authorization}\0${user}\0${password}`

const hashes = { 'SCRAM-SHA-256': ['sha256', 32], 'SCRAM-SHA-512': ['sha512', 64] } as const

export type ScramMechanism = keyof typeof hashes

export interface ScramOptions {
  readonly user: string
  readonly password: string
  /** What stands in the last message instead of the server's nonce. */
  readonly nonce?: string
}

/** A whole SCRAM exchange after the handshake; the last answer, with the server's signature checked. */
export async function scram(connection: RawConnection, mechanism: ScramMechanism, options: ScramOptions) {
  const [hash, length] = hashes[mechanism]
  const hmac = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest()
  const bare = `n=${options.user},r=clientnonce`
  const first = await authenticate(connection, `n,,${bare}`)
  if (first.error !== 'NONE') return { ...first, isSigned: false, iterations: 0 }
  const parts = Object.fromEntries(first.token.split(',').map((part) => [part[0], part.slice(2)]))
  const iterations = Number(parts['i'])
  const salted = pbkdf2Sync(
    options.password,
    Buffer.from(parts['s'] ?? '', 'base64'),
    iterations,
    length,
    hash,
  )
  const clientKey = hmac(salted, 'Client Key')
  const storedKey = createHash(hash).update(clientKey).digest()
  const unsigned = `c=biws,r=${options.nonce ?? parts['r']}`
  const signed = `${bare},${first.token},${unsigned}`
  const signature = hmac(storedKey, signed)
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0)))
  const last = await authenticate(connection, `${unsigned},p=${proof.toString('base64')}`)
  const expected = `v=${hmac(hmac(salted, 'Server Key'), signed).toString('base64')}`
  const isNonceLonger = (parts['r'] ?? '').startsWith('clientnonce') && (parts['r'] ?? '').length > 20
  return { ...last, isSigned: last.token === expected && isNonceLonger, iterations }
}

/** A bare token in a frame, as it follows SaslHandshake version 0; the bare answer. */
export function rawToken(connection: RawConnection, token: string): Promise<Buffer> {
  const bytes = Buffer.from(token)
  const size = Buffer.alloc(4)
  size.writeInt32BE(bytes.length, 0)
  return connection.exchange(Buffer.concat([size, bytes]))
}

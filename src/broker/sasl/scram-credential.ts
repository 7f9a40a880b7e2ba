/**
 * What a server keeps of a SCRAM user (RFC 5802): never the password, but two keys made from it.
 *
 *     SaltedPassword = PBKDF2(password, salt, iterations)
 *     StoredKey = H(HMAC(SaltedPassword, "Client Key"))     ServerKey = HMAC(SaltedPassword, "Server Key")
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'

export type ScramHash = 'sha256' | 'sha512'

export interface ScramCredential {
  readonly salt: Buffer
  readonly iterations: number
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

export const hmac = (hash: ScramHash, key: Uint8Array, text: string | Uint8Array): Buffer =>
  createHmac(hash, key).update(text).digest()

export const digest = (hash: ScramHash, bytes: Uint8Array): Buffer => createHash(hash).update(bytes).digest()

export function scramCredential(
  hash: ScramHash,
  password: string,
  { salt, iterations }: { salt: Buffer; iterations: number },
): ScramCredential {
  const length = hash === 'sha256' ? 32 : 64
  const salted = pbkdf2Sync(password, salt, iterations, length, hash)
  return {
    salt,
    iterations,
    storedKey: digest(hash, hmac(hash, salted, 'Client Key')),
    serverKey: hmac(hash, salted, 'Server Key'),
  }
}

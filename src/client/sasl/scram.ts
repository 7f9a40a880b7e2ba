/**
 * SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677): the password never goes over the wire, and the broker has
 * to prove that it knows it too.
 *
 * As Kafka does, names and passwords are used as they are, without SASLprep.
 */
import { OttlaError } from '../../errors.ts'
import type { SaslExchange } from './mechanism.ts'

// Loaded when SCRAM is used: it is the slowest of Node's modules to load.
const crypto = () => process.getBuiltinModule('node:crypto')

export type ScramHash = 'sha256' | 'sha512'

/** What an exchange needs. `nonce` is fresh for each run: base64 text of 24 random bytes. */
export interface ScramCredentials {
  readonly hash: ScramHash
  readonly username: string
  readonly password: string
  readonly nonce: string
  /** Keeps salted passwords between runs: computing one takes milliseconds. */
  readonly salted: Map<string, Buffer>
}

/** Fewer are no protection (RFC 7677), and a broker that asks for more wants to keep this process busy. */
const ITERATIONS = { least: 4096, most: 100_000 }
/** A broker has one salt per user; more than a few mean that it makes them up. */
const MAX_SALTED = 16
/** `n,,` in base64: no channel binding. */
const CHANNEL_BINDING = 'c=biws'

const fail = (message: string): OttlaError => new OttlaError('SASL_FAILED', `SCRAM: ${message}`)

const escapeName = (name: string) => name.replaceAll('=', '=3D').replaceAll(',', '=2C')

function attributes(message: Buffer): Map<string, string> {
  const pairs = message.toString('utf8').split(',')
  return new Map(pairs.map((pair) => [pair.slice(0, 1), pair.slice(2)]))
}

export function scramExchange(credentials: ScramCredentials): SaslExchange {
  const { hash, username, password, nonce } = credentials
  const hmac = (key: Uint8Array, data: string) => crypto().createHmac(hash, key).update(data).digest()
  const clientFirst = `n=${escapeName(username)},r=${nonce}`
  let expected: Buffer | undefined
  let isProved = false

  const answerFirst = (challenge: Buffer): Buffer => {
    const given = attributes(challenge)
    refuseErrors(given)
    const serverNonce = given.get('r') ?? ''
    const salt = Buffer.from(given.get('s') ?? '', 'base64')
    const iterations = Number(given.get('i'))
    if (!serverNonce.startsWith(nonce) || serverNonce.length === nonce.length) {
      throw fail('the nonce of the broker does not continue ours')
    }
    if (salt.length === 0) throw fail('the broker sent no salt')
    if (!Number.isInteger(iterations) || iterations < ITERATIONS.least || iterations > ITERATIONS.most) {
      throw fail(
        `the broker asks for ${given.get('i')} iterations, not ${ITERATIONS.least} to ${ITERATIONS.most}`,
      )
    }
    const salted = saltedPassword(credentials, { password, salt, iterations })
    const clientKey = hmac(salted, 'Client Key')
    const storedKey = crypto().createHash(hash).update(clientKey).digest()
    const withoutProof = `${CHANNEL_BINDING},r=${serverNonce}`
    const authMessage = `${clientFirst},${challenge.toString('utf8')},${withoutProof}`
    const proof = xor(clientKey, hmac(storedKey, authMessage))
    expected = hmac(hmac(salted, 'Server Key'), authMessage)
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)
  }

  const checkFinal = (challenge: Buffer, signature: Buffer): undefined => {
    const given = attributes(challenge)
    refuseErrors(given)
    const proof = Buffer.from(given.get('v') ?? '', 'base64')
    if (proof.length !== signature.length || !crypto().timingSafeEqual(proof, signature)) {
      throw fail('the broker could not prove that it knows the password')
    }
    isProved = true
    return undefined
  }

  return {
    first: () => Buffer.from(`n,,${clientFirst}`),
    next: (challenge) => (expected === undefined ? answerFirst(challenge) : checkFinal(challenge, expected)),
    finish: () => {
      if (!isProved) throw fail('the broker ended the exchange without proving that it knows the password')
    },
    secrets: [password],
  }
}

function refuseErrors(given: ReadonlyMap<string, string>): void {
  if (given.has('e')) throw fail(`the broker refused: ${given.get('e')}`)
  if (given.has('m')) throw fail('the broker demands an extension that is not known')
}

function saltedPassword(
  { hash, salted }: ScramCredentials,
  key: { readonly password: string; readonly salt: Buffer; readonly iterations: number },
): Buffer {
  // The password is part of the name only by its digest: a provider may hand out a new one.
  const digest = crypto().createHash('sha256').update(key.password).digest('base64')
  const name = `${key.iterations}:${key.salt.toString('base64')}:${digest}`
  let value = salted.get(name)
  if (value === undefined) {
    const bytes = hash === 'sha256' ? 32 : 64
    value = crypto().pbkdf2Sync(key.password, key.salt, key.iterations, bytes, hash)
    if (salted.size >= MAX_SALTED) salted.clear()
    salted.set(name, value)
  }
  return value
}

function xor(a: Buffer, b: Buffer): Buffer {
  const result = Buffer.alloc(a.length)
  for (let index = 0; index < a.length; index++) result[index] = (a[index] as number) ^ (b[index] as number)
  return result
}

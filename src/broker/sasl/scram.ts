/**
 * SASL SCRAM (RFC 5802, RFC 7677) on the server's side.
 *
 *     client  n,,n=user,r=<client nonce>
 *     server  r=<client nonce><server nonce>,s=<salt>,i=<iterations>
 *     client  c=biws,r=<both nonces>,p=<proof>
 *     server  v=<signature>
 */
import { timingSafeEqual } from 'node:crypto'
import { type Exchange, failed } from './exchange.ts'
import { digest, hmac, type ScramCredential, type ScramHash } from './scram-credential.ts'

const FIRST =
  /^(?<header>n,(?:a=(?<authorization>[^,]*))?,)(?<bare>n=(?<name>[^,]+),r=(?<nonce>[!-+--~]+)(?:,.*)?)$/s
const FINAL =
  /^(?<unsigned>c=(?<binding>[A-Za-z0-9+/=]+),r=(?<nonce>[!-+--~]+)(?:,[^p].*)?),p=(?<proof>[A-Za-z0-9+/=]+)$/s
const REFUSED = 'Authentication failed during authentication due to invalid credentials with SASL mechanism'

const ANOTHER_NAME =
  'Authentication failed: Client requested an authorization id that is different from username'

interface Started {
  readonly header: string
  readonly bare: string
  readonly name: string
  readonly nonce: string
  readonly serverFirst: string
  readonly credential: ScramCredential
}

export interface ScramServer {
  readonly mechanism: string
  readonly hash: ScramHash
  credential(user: string): ScramCredential | undefined
  /** A fresh nonce: printable, without a comma. */
  nonce(): string
}

export function scramExchange(server: ScramServer): Exchange {
  let started: Started | undefined
  const refused = () => failed(`${REFUSED} ${server.mechanism}`)
  return {
    step(token) {
      const text = token.toString('utf8')
      if (started !== undefined) return finish(server, started, text) ?? refused()
      const begun = start(server, text)
      if (begun === undefined) return refused()
      if (begun === 'another name') return failed(ANOTHER_NAME)
      started = begun
      return { kind: 'challenge', token: Buffer.from(begun.serverFirst) }
    },
  }
}

function start(server: ScramServer, text: string): Started | 'another name' | undefined {
  const groups = FIRST.exec(text)?.groups
  if (groups === undefined) return undefined
  const { header = '', bare = '', authorization } = groups
  const name = unescapeName(groups['name'] ?? '')
  if (authorization && unescapeName(authorization) !== name) return 'another name'
  const credential = server.credential(name)
  if (credential === undefined) return undefined
  const nonce = `${groups['nonce']}${server.nonce()}`
  const serverFirst = `r=${nonce},s=${credential.salt.toString('base64')},i=${credential.iterations}`
  return { header, bare, name, nonce, serverFirst, credential }
}

/** Checks the proof: the client key that it hides must hash to the stored key. */
function finish(
  { hash }: ScramServer,
  { header, bare, name, nonce, serverFirst, credential }: Started,
  text: string,
) {
  const groups = FINAL.exec(text)?.groups
  if (groups === undefined || groups['nonce'] !== nonce) return undefined
  if (Buffer.from(groups['binding'] ?? '', 'base64').toString('utf8') !== header) return undefined
  const signed = `${bare},${serverFirst},${groups['unsigned']}`
  const proof = Buffer.from(groups['proof'] ?? '', 'base64')
  const signature = hmac(hash, credential.storedKey, signed)
  if (proof.length !== signature.length) return undefined
  const clientKey = Buffer.from(proof.map((byte, index) => byte ^ (signature[index] as number)))
  if (!timingSafeEqual(digest(hash, clientKey), credential.storedKey)) return undefined
  const verifier = hmac(hash, credential.serverKey, signed).toString('base64')
  return { kind: 'done' as const, token: Buffer.from(`v=${verifier}`), principal: name }
}

/** In a SCRAM name `=2C` stands for a comma and `=3D` for an equals sign. */
const unescapeName = (name: string): string => name.replaceAll('=2C', ',').replaceAll('=3D', '=')

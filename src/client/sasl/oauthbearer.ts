/** OAUTHBEARER (RFC 7628, KIP-255, KIP-342): a token that a provider hands out anew for each authentication. */
import { OttlaError } from '../../errors.ts'
import type { SaslExchange } from './mechanism.ts'

export interface OauthToken {
  /** The token as the broker takes it: a JWT, or what the MSK signer makes. */
  readonly value: string
  /** Sent along with the token (KIP-342): `{ logicalCluster: 'lkc-1' }`. Default none. */
  readonly extensions?: Readonly<Record<string, string>>
}

const SEPARATOR = '\u0001'
const TOKEN = /^[\x21-\x7e]+$/
const EXTENSION_NAME = /^[A-Za-z]+$/
const EXTENSION_VALUE = /^[\x21-\x7e \t\r\n]*$/

const fail = (message: string): OttlaError => new OttlaError('SASL_FAILED', `OAUTHBEARER: ${message}`)

export function oauthExchange(token: OauthToken): SaslExchange {
  if (typeof token.value !== 'string' || !TOKEN.test(token.value)) {
    throw fail('the token provider gave no token of printable ASCII characters')
  }
  const extensions = Object.entries(token.extensions ?? {})
  for (const [name, value] of extensions) {
    if (!EXTENSION_NAME.test(name) || name === 'auth' || !EXTENSION_VALUE.test(value)) {
      throw fail(`the extension ${JSON.stringify(name)} of the token is not allowed`)
    }
  }
  let refusal: string | undefined
  return {
    first: () => {
      const pairs = [`auth=Bearer ${token.value}`, ...extensions.map(([name, value]) => `${name}=${value}`)]
      return Buffer.from(`n,,${SEPARATOR}${pairs.join(SEPARATOR)}${SEPARATOR}${SEPARATOR}`)
    },
    // A challenge is a refusal as JSON; the client acknowledges it, and then the broker ends the exchange.
    next: (challenge) => {
      if (challenge.length === 0) return undefined
      if (refusal !== undefined) throw fail(`the broker refused the token: ${refusal}`)
      refusal = challenge.toString('utf8').slice(0, 500)
      return Buffer.from(SEPARATOR)
    },
    finish: () => {
      if (refusal !== undefined) throw fail(`the broker refused the token: ${refusal}`)
    },
    refusal: () => refusal,
    secrets: [token.value],
  }
}

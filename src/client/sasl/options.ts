/** SASL as a caller gives it, and as the connection uses it. */
import { OttlaError } from '../../errors.ts'
import { type Fail, is, resolveOptions } from '../../util/options.ts'
import type { Random } from '../../util/random.ts'
import type { Address } from '../dial.ts'
import type { SaslExchange, SaslSettings } from './mechanism.ts'
import { type OauthToken, oauthExchange } from './oauthbearer.ts'
import { plainExchange } from './plain.ts'
import { scramExchange } from './scram.ts'

export type SaslOptions =
  | {
      readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
      readonly username: string
      /** The password, or a function that gives it; called for each authentication. */
      readonly password: string | (() => string | Promise<string>)
    }
  | {
      readonly mechanism: 'OAUTHBEARER'
      /** Gives a token that is valid now; called for each authentication, also again before a session ends (KIP-368). */
      readonly token: (broker: Address) => string | OauthToken | Promise<string | OauthToken>
    }

const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const

type PasswordSource = string | (() => string | Promise<string>)
const password = (value: unknown, fail: Fail): PasswordSource =>
  (typeof value === 'string' && value !== '') || typeof value === 'function'
    ? (value as PasswordSource)
    : fail('a string that is not empty, or a function that gives one')

const mechanism = { check: is.oneOf(...mechanisms) } as const
const withPassword = { mechanism, username: { check: is.string }, password: { check: password } } as const
const withToken = {
  mechanism,
  token: {
    check: is.function<(broker: Address) => string | OauthToken | Promise<string | OauthToken>>(),
    otherNames: ['oauthBearerProvider'],
  },
} as const

/** Checks the options and puts the credentials away into closures. */
export function resolveSasl(given: SaslOptions | undefined, random: Random): SaslSettings | undefined {
  if (given === undefined) return undefined
  const name = (given as { mechanism?: unknown } | null)?.mechanism
  // Before the others, which depend on it.
  if (name !== undefined) resolveOptions('kafka.sasl', { mechanism }, { mechanism: name })
  if (name === 'OAUTHBEARER') {
    const { token } = resolveOptions('kafka.sasl', withToken, given)
    return Object.freeze({ mechanism: name, begin: (broker: Address) => beginOauth(token, broker) })
  }
  const options = resolveOptions('kafka.sasl', withPassword, given)
  const salted = new Map<string, Buffer>()
  const begin = async () => {
    const secret = await provided('the password', options.password)
    return exchange(options.mechanism, options.username, {
      password: secret,
      nonce: random.bytes(24).toString('base64'),
      salted,
    })
  }
  return Object.freeze({ mechanism: options.mechanism, begin })
}

async function beginOauth(
  provider: (broker: Address) => string | OauthToken | Promise<string | OauthToken>,
  broker: Address,
): Promise<SaslExchange> {
  const token = await provided('the token', () => provider(broker))
  return oauthExchange(typeof token === 'string' ? { value: token } : token)
}

function exchange(
  name: (typeof mechanisms)[number],
  username: string,
  secret: { readonly password: string; readonly nonce: string; readonly salted: Map<string, Buffer> },
): SaslExchange {
  if (name === 'PLAIN') return plainExchange(username, secret.password)
  return scramExchange({ ...secret, username, hash: name === 'SCRAM-SHA-256' ? 'sha256' : 'sha512' })
}

/** What a provider gives; its own failure may pass by itself. */
async function provided<T>(what: string, source: T | (() => T | Promise<T>)): Promise<T> {
  if (typeof source !== 'function') return source
  try {
    return await (source as () => T | Promise<T>)()
  } catch (cause) {
    throw new OttlaError('SASL_FAILED', `${what} could not be had: ${(cause as Error)?.message}`, {
      retriable: true,
      cause,
    })
  }
}

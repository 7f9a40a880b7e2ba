/** The users and mechanisms of a listener. Keys of SCRAM users are made once, at the start. */
import type { Clock } from '../../util/clock.ts'
import type { Random } from '../../util/random.ts'
import type { Exchange } from './exchange.ts'
import { plainExchange } from './plain.ts'
import { SaslSession } from './sasl-session.ts'
import { scramExchange } from './scram.ts'
import { type ScramCredential, type ScramHash, scramCredential } from './scram-credential.ts'

export const saslMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const
export type SaslMechanism = (typeof saslMechanisms)[number]

const hashes: { readonly [mechanism: string]: ScramHash } = {
  'SCRAM-SHA-256': 'sha256',
  'SCRAM-SHA-512': 'sha512',
}

export interface SaslServerOptions {
  /** Names and passwords, good for every mechanism. */
  readonly users: Readonly<Record<string, string>>
  /** Default all three. */
  readonly mechanisms?: readonly SaslMechanism[]
  /** For salts and nonces. */
  readonly random: Random
  /** Rounds of PBKDF2. Default 4096, as Kafka's. */
  readonly iterations?: number
}

export type { SaslSession }

export class SaslServer {
  readonly mechanisms: readonly string[]
  readonly #users: ReadonlyMap<string, string>
  readonly #random: Random
  readonly #credentials = new Map<string, ReadonlyMap<string, ScramCredential>>()

  constructor({ users, mechanisms = saslMechanisms, random, iterations = 4096 }: SaslServerOptions) {
    this.mechanisms = [...mechanisms]
    this.#users = new Map(Object.entries(users))
    this.#random = random
    for (const mechanism of mechanisms) {
      const hash = hashes[mechanism]
      if (hash === undefined) continue
      const make = (password: string) =>
        scramCredential(hash, password, { salt: random.bytes(20), iterations })
      this.#credentials.set(
        mechanism,
        new Map([...this.#users].map(([name, password]) => [name, make(password)])),
      )
    }
  }

  /** What a new connection starts with. `maxReauthMs` is Kafka's `connections.max.reauth.ms`; 0: sessions last. */
  open(clock: Clock, maxReauthMs: number): SaslSession {
    return new SaslSession(this, clock, maxReauthMs)
  }

  /** A run of this mechanism; undefined when it is not offered. */
  exchange(mechanism: string): Exchange | undefined {
    if (!this.mechanisms.includes(mechanism)) return undefined
    const hash = hashes[mechanism]
    if (hash === undefined) return plainExchange(this.#users)
    const credentials = this.#credentials.get(mechanism)
    return scramExchange({
      mechanism,
      hash,
      credential: (user) => credentials?.get(user),
      nonce: () => this.#random.bytes(18).toString('base64url'),
    })
  }
}

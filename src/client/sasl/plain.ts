/** PLAIN (RFC 4616): name and password in one message. Anybody who reads the stream has them: use it with TLS. */
import type { SaslExchange } from './mechanism.ts'

export function plainExchange(username: string, password: string): SaslExchange {
  return {
    first: () => Buffer.from(`\0${username}\0${password}`),
    next: () => undefined,
    finish: () => undefined,
    secrets: [password],
  }
}

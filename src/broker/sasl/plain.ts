/** SASL PLAIN (RFC 4616): `authorization id NUL name NUL password`, in one token. */
import { timingSafeEqual } from 'node:crypto'
import { type Exchange, failed } from './exchange.ts'

export function plainExchange(users: ReadonlyMap<string, string>): Exchange {
  return {
    step(token) {
      const parts = token.toString('utf8').split('\0')
      const [authorization = '', name = '', password = ''] = parts
      if (parts.length !== 3)
        return failed(`Invalid SASL/PLAIN response: expected 3 tokens, got ${parts.length}`)
      if (name === '') return failed('Authentication failed: username not specified')
      if (password === '') return failed('Authentication failed: password not specified')
      const expected = users.get(name)
      if (expected === undefined || !isSame(expected, password)) {
        return failed('Authentication failed: Invalid username or password')
      }
      if (authorization !== '' && authorization !== name) {
        return failed(
          'Authentication failed: Client requested an authorization id that is different from username',
        )
      }
      return { kind: 'done', token: Buffer.alloc(0), principal: name }
    },
  }
}

function isSame(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)]
  return a.length === b.length && timingSafeEqual(a, b)
}

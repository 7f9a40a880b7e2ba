/** SaslHandshake (17), SaslAuthenticate (36), and what a connection may do before and after. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { apiVersions, metadata, saslAuthenticate, saslHandshake } from '../../src/protocol/messages/index.ts'
import type { RawAddress } from '../support/raw-connection.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { authenticate, handshake, plainToken, rawToken, type ScramMechanism, scram } from './sasl-client.ts'
import { named, type Place } from './target.ts'

/** What the broker under test has to be set to. */
export const saslSettings = {
  users: { ottla: 'secret', other: 'word' },
  mechanisms: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'],
  maxReauthMs: 2_500,
} as const

const FAILED = 'SASL_AUTHENTICATION_FAILED'
const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']
const GOOD = plainToken('ottla', 'secret')

type Check = (name: string, run: (open: () => Promise<RawConnection>) => Promise<void>) => void

/** Whether a request is handled: the answer names the nodes. */
const works = async (connection: RawConnection) =>
  (await connection.send(metadata, 9, { topics: [] })).brokers.length > 0

/** A request that is not allowed: refused or not answered, and the connection is closed. */
async function isShutOut(connection: RawConnection): Promise<void> {
  const answered = await works(connection).catch(() => false)
  assert.equal(answered, false, 'the request was handled')
  await connection.closed
}

function handshakeCases(check: Check): void {
  check('SaslHandshake: the mechanisms are told, an unknown one closes the connection', async (open) => {
    for (const version of [0, 1]) {
      const connection = await open()
      const refused = await handshake(connection, 'GSSAPI', version)
      assert.deepEqual(
        [refused.error, refused.mechanisms.toSorted()],
        ['UNSUPPORTED_SASL_MECHANISM', mechanisms],
      )
      await connection.closed
      const fine = await handshake(await open(), 'PLAIN', version)
      assert.deepEqual([fine.error, fine.mechanisms.toSorted()], ['NONE', mechanisms])
    }
  })

  check('before authentication only ApiVersions and SaslHandshake are taken', async (open) => {
    await isShutOut(await open())
    const early = await open()
    await assert.rejects(early.send(saslAuthenticate, 2, { authBytes: Buffer.from(GOOD) }))
    const usual = await open()
    assert.equal(named((await usual.send(apiVersions, 0, {})).errorCode), 'NONE')
    assert.equal((await handshake(usual, 'PLAIN')).error, 'NONE')
    assert.equal((await authenticate(usual, GOOD)).error, 'NONE')
    assert.ok(await works(usual))
  })

  check('between handshake and authentication nothing else is taken', async (open) => {
    const impatient = await open()
    await handshake(impatient, 'PLAIN')
    await isShutOut(impatient)
    const twice = await open()
    await handshake(twice, 'PLAIN')
    assert.equal((await handshake(twice, 'PLAIN')).error, 'ILLEGAL_SASL_STATE')
    await twice.closed
  })
}

function plainCases(check: Check): void {
  check('PLAIN: in every version of SaslAuthenticate, with the session lifetime from 1 on', async (open) => {
    for (const version of [0, 1, 2]) {
      const connection = await open()
      await handshake(connection, 'PLAIN')
      const answer = await authenticate(connection, GOOD, version)
      assert.deepEqual([answer.error, answer.message, answer.token], ['NONE', '', ''])
      assert.equal(answer.sessionLifetimeMs, version >= 1 ? saslSettings.maxReauthMs : 0)
      assert.ok(await works(connection))
    }
  })

  check('PLAIN: what is refused, with its reason, and closed', async (open) => {
    const wrong = 'Authentication failed: Invalid username or password'
    const cases: [token: string, message: string][] = [
      [plainToken('ottla', 'wrong'), wrong],
      [plainToken('nobody', 'secret'), wrong],
      [
        plainToken('ottla', 'secret', 'other'),
        'Authentication failed: Client requested an authorization id that is different from username',
      ],
      [plainToken('', 'secret'), 'Authentication failed: username not specified'],
      [plainToken('ottla', ''), 'Authentication failed: password not specified'],
      ['nonsense', 'Invalid SASL/PLAIN response: expected 3 tokens, got 1'],
    ]
    for (const [token, message] of cases) {
      for (const version of [0, 2]) {
        const connection = await open()
        await handshake(connection, 'PLAIN')
        const answer = await authenticate(connection, token, version)
        assert.deepEqual([answer.error, answer.message, answer.sessionLifetimeMs], [FAILED, message, 0])
        await connection.closed
      }
    }
    const same = await open()
    await handshake(same, 'PLAIN')
    assert.equal((await authenticate(same, plainToken('ottla', 'secret', 'ottla'))).error, 'NONE')
  })

  check('SaslHandshake version 0: bare tokens follow', async (open) => {
    const connection = await open()
    await handshake(connection, 'PLAIN', 0)
    assert.equal((await rawToken(connection, GOOD)).length, 0)
    assert.ok(await works(connection))
    const wrong = await open()
    await handshake(wrong, 'PLAIN', 0)
    await assert.rejects(
      rawToken(wrong, plainToken('ottla', 'wrong')),
      'there is no room for an error: closed',
    )
  })
}

function scramCases(check: Check): void {
  for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512'] satisfies ScramMechanism[]) {
    const message = `Authentication failed during authentication due to invalid credentials with SASL mechanism ${mechanism}`

    check(`${mechanism}: both sides prove themselves`, async (open) => {
      const connection = await open()
      await handshake(connection, mechanism)
      const answer = await scram(connection, mechanism, { user: 'ottla', password: 'secret' })
      assert.deepEqual([answer.error, answer.isSigned, answer.iterations], ['NONE', true, 4096])
      assert.equal(answer.sessionLifetimeMs, saslSettings.maxReauthMs)
      assert.ok(await works(connection))
    })

    check(`${mechanism}: wrong password, unknown user, changed nonce`, async (open) => {
      const wrong = [
        { user: 'ottla', password: 'wrong' },
        { user: 'nobody', password: 'secret' },
        { user: 'ottla', password: 'secret', nonce: 'clientnonceandmore' },
      ]
      for (const options of wrong) {
        const connection = await open()
        await handshake(connection, mechanism)
        const answer = await scram(connection, mechanism, options)
        assert.deepEqual([answer.error, answer.message, answer.token], [FAILED, message, ''])
        await connection.closed
      }
    })

    check(`${mechanism}: first messages`, async (open) => {
      const first = async (token: string) => {
        const connection = await open()
        await handshake(connection, mechanism)
        return authenticate(connection, token)
      }
      for (const token of ['nonsense', 'y,,n=ottla,r=abc', 'p=tls-unique,,n=ottla,r=abc']) {
        const { error, message: reason } = await first(token)
        assert.deepEqual([error, reason], [FAILED, message], token)
      }
      const other = await first('n,a=other,n=ottla,r=abc')
      assert.match(other.message ?? '', /authorization id that is different/)
      for (const token of ['n,,n=ottla,r=abc', 'n,a=ottla,n=ottla,r=abc', 'n,,n=ottla,r=abc,ext=1']) {
        const answer = await first(token)
        assert.equal(answer.error, 'NONE', token)
        assert.match(answer.token, /^r=abc[!-+--~]+,s=[A-Za-z0-9+/=]+,i=4096$/)
        assert.equal(answer.sessionLifetimeMs, 0, 'not there yet')
      }
    })
  }
}

function sessionCases(check: Check): void {
  const known = async (open: () => Promise<RawConnection>, version = 2) => {
    const connection = await open()
    await handshake(connection, 'PLAIN')
    assert.equal((await authenticate(connection, GOOD, version)).error, 'NONE')
    return connection
  }

  check('SaslAuthenticate without a handshake, by a user who is known', async (open) => {
    const connection = await known(open)
    const answer = await authenticate(connection, GOOD)
    assert.equal(answer.error, 'ILLEGAL_SASL_STATE')
    assert.equal(answer.message, 'SaslAuthenticate request received after successful authentication')
    assert.ok(await works(connection))
  })

  check('authenticating again on the same connection (KIP-368)', async (open) => {
    for (const mechanism of ['PLAIN', 'SCRAM-SHA-512'] as const) {
      const connection = await open()
      const prove = async () => {
        assert.equal((await handshake(connection, mechanism)).error, 'NONE')
        if (mechanism === 'PLAIN') return (await authenticate(connection, GOOD)).error
        return (await scram(connection, mechanism, { user: 'ottla', password: 'secret' })).error
      }
      for (const _time of ['first', 'again']) assert.equal(await prove(), 'NONE')
      assert.ok(await works(connection))
    }
    const impatient = await known(open)
    await handshake(impatient, 'PLAIN')
    await isShutOut(impatient)
    for (const mechanism of ['GSSAPI', 'SCRAM-SHA-256']) {
      const changing = await known(open)
      await handshake(changing, mechanism).catch(() => undefined)
      await authenticate(changing, 'n,,n=ottla,r=abc').catch(() => undefined)
      await changing.closed
    }
    const other = await known(open)
    await handshake(other, 'PLAIN')
    const changed = await authenticate(other, plainToken('other', 'word'))
    const reason = 'Cannot change principals during re-authentication from User.ottla: User.other'
    assert.deepEqual([changed.error, changed.message], [FAILED, reason])
    await other.closed
  })

  check('after the end of its session a connection may only authenticate again', async (open) => {
    const [expired, renewed, old, raw] = await Promise.all([known(open), known(open), known(open, 0), open()])
    await handshake(raw, 'PLAIN', 0)
    await rawToken(raw, GOOD)
    await new Promise((resolve) => setTimeout(resolve, saslSettings.maxReauthMs + 200))
    for (const connection of [expired, old, raw]) {
      await assert.rejects(works(connection))
      await connection.closed
    }
    assert.equal((await handshake(renewed, 'PLAIN')).error, 'NONE')
    assert.equal((await authenticate(renewed, GOOD)).error, 'NONE')
    assert.ok(await works(renewed))
  })
}

export function saslConformance(name: string, makePlace: () => Promise<Place>): void {
  describe(`SASL: ${name}`, () => {
    let place: Place | undefined
    const connections: RawConnection[] = []
    before(async () => {
      place = await makePlace()
    })
    after(async () => {
      for (const connection of connections) connection.close()
      await place?.stop()
    })
    const open = async () => {
      const connection = await RawConnection.open(place?.addresses[0] as RawAddress)
      connection.onResponse = place?.onResponse
      connections.push(connection)
      return connection
    }
    const check: Check = (caseName, run) => {
      test(caseName, () => run(open))
    }
    handshakeCases(check)
    plainCases(check)
    scramCases(check)
    sessionCases(check)
  })
}

/** SaslHandshake and SaslAuthenticate where the listener has no SASL. */
export async function saslWithoutSasl(connection: RawConnection): Promise<void> {
  const refused = await connection.send(saslHandshake, 1, { mechanism: 'PLAIN' })
  assert.deepEqual([named(refused.errorCode), refused.mechanisms], ['ILLEGAL_SASL_STATE', []])
  const answer = await connection.send(saslAuthenticate, 2, { authBytes: Buffer.from(GOOD) })
  assert.equal(named(answer.errorCode), 'ILLEGAL_SASL_STATE')
}

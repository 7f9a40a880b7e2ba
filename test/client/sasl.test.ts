import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Cluster } from '../../src/client/cluster.ts'
import { Connection } from '../../src/client/connection.ts'
import { resolveClientOptions } from '../../src/client/options.ts'
import type { SaslOptions } from '../../src/client/sasl/options.ts'
import { scramExchange } from '../../src/client/sasl/scram.ts'
import { heartbeat, metadata, saslAuthenticate, saslHandshake } from '../../src/protocol/messages/index.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { FakeBroker } from './fake-broker.ts'
import { inMemory, metadataOf, rejection, somewhere, until } from './support.ts'

const SECRET = 'hunter2,=swordfish'
const beat = { groupId: 'g', generationId: 1, memberId: 'm' }
const ok = (authBytes = Buffer.alloc(0), sessionLifetimeMs = 0) => ({
  errorCode: 0,
  errorMessage: null,
  authBytes,
  sessionLifetimeMs,
})
const refused = (errorMessage: string) => ({ errorCode: 58, errorMessage, authBytes: Buffer.alloc(0) })

function brokerFor(...mechanisms: string[]): FakeBroker {
  return new FakeBroker()
    .on(saslHandshake, ({ body }) => ({
      errorCode: mechanisms.includes(body.mechanism) ? 0 : 33,
      mechanisms,
    }))
    .on(metadata, () => metadataOf([]))
    .on(heartbeat, () => ({ errorCode: 0 }))
}

const open = (broker: FakeBroker, sasl: SaslOptions) => Connection.open(somewhere, inMemory(broker, { sasl }))
const plain: SaslOptions = { mechanism: 'PLAIN', username: 'ottla', password: SECRET }

test('PLAIN sends name and password, and only then anything else', async () => {
  const broker = brokerFor('PLAIN').on(saslAuthenticate, () => ok())
  const connection = await open(broker, plain)
  await connection.request(metadata, { topics: [] })
  assert.deepEqual(
    broker.requests.map(({ api }) => api.name),
    ['ApiVersions', 'SaslHandshake', 'SaslAuthenticate', 'Metadata'],
  )
  assert.equal(broker.of(saslAuthenticate)[0]?.body.authBytes.toString(), `\0ottla\0${SECRET}`)
  connection.close()
})

test('a password may come from a function, anew for each connection', async () => {
  const broker = brokerFor('PLAIN').on(saslAuthenticate, () => ok())
  let count = 0
  const sasl: SaslOptions = { mechanism: 'PLAIN', username: 'u', password: async () => `p${count++}` }
  const settings = inMemory(broker, { sasl })
  for (let index = 0; index < 2; index++) (await Connection.open(somewhere, settings)).close()
  assert.deepEqual(
    broker.of(saslAuthenticate).map(({ body }) => body.authBytes.toString()),
    ['\0u\0p0', '\0u\0p1'],
  )
})

test('a refused password says so and cannot be tried again', async () => {
  const broker = brokerFor('PLAIN').on(saslAuthenticate, () => refused(`no ${SECRET} here`))
  const error = await rejection(open(broker, plain), 'SASL_FAILED')
  assert.equal(error.retriable, false)
  assert.match(error.message, /SASL_AUTHENTICATION_FAILED: no \*\*\* here/)
})

test('an unknown mechanism names those that the broker offers', async () => {
  const error = await rejection(open(brokerFor('GSSAPI', 'SCRAM-SHA-512'), plain), 'SASL_FAILED')
  assert.match(error.message, /GSSAPI, SCRAM-SHA-512/)
})

test('a broker that never ends the exchange is left', async () => {
  const broker = brokerFor('OAUTHBEARER').on(saslAuthenticate, () => ok(Buffer.from('more')))
  await rejection(open(broker, { mechanism: 'OAUTHBEARER', token: () => 'abc' }), 'SASL_FAILED')
})

test('a provider that fails is an error that may pass', async () => {
  const failing = () => Promise.reject(new Error('no metadata service'))
  const error = await rejection(
    open(brokerFor('OAUTHBEARER'), { mechanism: 'OAUTHBEARER', token: failing }),
    'SASL_FAILED',
  )
  assert.equal(error.retriable, true)
  assert.match(error.message, /no metadata service/)
})

test('a provider that hangs is bounded by connectTimeoutMs', async () => {
  const clock = new VirtualClock()
  const sasl: SaslOptions = { mechanism: 'OAUTHBEARER', token: () => new Promise(() => undefined) }
  const opening = Connection.open(somewhere, inMemory(brokerFor('OAUTHBEARER'), { sasl, clock }))
  await clock.during(rejection(opening, 'CONNECTION_FAILED'), 10_000)
})

// -------------------------------------------------------------------------------------------- SCRAM

/** The server's side of RFC 5802, written apart from the client's. */
class ScramServer {
  readonly hash: 'sha256' | 'sha512'
  readonly password: string
  iterations = 4096
  salt = Buffer.from('some salt')
  nonce = (client: string) => `${client}server`
  signature = (right: Buffer) => right.toString('base64')
  #clientFirst = ''
  #serverFirst = ''

  constructor(hash: 'sha256' | 'sha512', password: string) {
    this.hash = hash
    this.password = password
  }

  first(message: string): string {
    assert.match(message, /^n,,n=[^,]*,r=[^,]+$/)
    this.#clientFirst = message.slice(3)
    const client = /r=(.*)$/.exec(message)?.[1] as string
    this.#serverFirst = `r=${this.nonce(client)},s=${this.salt.toString('base64')},i=${this.iterations}`
    return this.#serverFirst
  }

  final(message: string): string | undefined {
    const [, withoutProof, proof] = /^(c=biws,r=[^,]+),p=(.*)$/.exec(message) ?? []
    const mac = (key: Buffer, text: string) => createHmac(this.hash, key).update(text).digest()
    const size = this.hash === 'sha256' ? 32 : 64
    const salted = pbkdf2Sync(this.password, this.salt, this.iterations, size, this.hash)
    const stored = createHash(this.hash).update(mac(salted, 'Client Key')).digest()
    const authMessage = `${this.#clientFirst},${this.#serverFirst},${withoutProof}`
    const signed = mac(stored, authMessage)
    const clientKey = Buffer.from(proof as string, 'base64').map(
      (byte, index) => byte ^ (signed[index] as number),
    )
    if (!createHash(this.hash).update(clientKey).digest().equals(stored)) return undefined
    return `v=${this.signature(mac(mac(salted, 'Server Key'), authMessage))}`
  }
}

function scramBroker(server: ScramServer, name: string): FakeBroker {
  let isFirst = true
  return brokerFor(name).on(saslAuthenticate, ({ body }) => {
    const message = body.authBytes.toString()
    const answer = isFirst ? server.first(message) : server.final(message)
    isFirst = !isFirst
    return answer === undefined ? refused('bad proof') : ok(Buffer.from(answer))
  })
}

for (const [mechanism, hash] of [
  ['SCRAM-SHA-256', 'sha256'],
  ['SCRAM-SHA-512', 'sha512'],
] as const) {
  const sasl = { mechanism, username: 'a,b=c', password: SECRET } as const

  test(`${mechanism}: both sides prove that they know the password`, async () => {
    const broker = scramBroker(new ScramServer(hash, SECRET), mechanism)
    const connection = await open(broker, sasl)
    await connection.request(metadata, { topics: [] })
    assert.match(broker.of(saslAuthenticate)[0]?.body.authBytes.toString() ?? '', /n=a=2Cb=3Dc,/)
    connection.close()
  })

  test(`${mechanism}: a wrong password is refused`, async () => {
    await rejection(open(scramBroker(new ScramServer(hash, 'other'), mechanism), sasl), 'SASL_FAILED')
  })

  for (const [what, tamper] of Object.entries({
    'a wrong signature': (server: ScramServer) => {
      server.signature = (right) => Buffer.from(right.map((byte) => byte ^ 1)).toString('base64')
    },
    'no signature': (server: ScramServer) => {
      server.signature = () => ''
    },
    'another nonce': (server: ScramServer) => {
      server.nonce = () => 'made up'
    },
    'our nonce unchanged': (server: ScramServer) => {
      server.nonce = (client) => client
    },
    'too few iterations': (server: ScramServer) => {
      server.iterations = 1
    },
    'iterations without end': (server: ScramServer) => {
      server.iterations = 10_000_000
    },
    'no salt': (server: ScramServer) => {
      server.salt = Buffer.alloc(0)
    },
  })) {
    test(`${mechanism}: a broker with ${what} is not trusted`, async () => {
      const server = new ScramServer(hash, SECRET)
      tamper(server)
      const broker = scramBroker(server, mechanism)
      const error = await rejection(open(broker, sasl), 'SASL_FAILED')
      assert.match(error.message, /SCRAM: /)
      await until(() => broker.links[0]?.isClosed === true, 'the connection is closed')
    })
  }
}

test('a broker that says yes without a proof is not trusted', async () => {
  const broker = brokerFor('SCRAM-SHA-256').on(saslAuthenticate, () => ok())
  await rejection(
    open(broker, { mechanism: 'SCRAM-SHA-256', username: 'u', password: SECRET }),
    'SASL_FAILED',
  )
})

test('SCRAM-SHA-256 does the exchange of RFC 7677', () => {
  const exchange = scramExchange({
    hash: 'sha256',
    username: 'user',
    password: 'pencil',
    nonce: 'rOprNGfwEbeRWgbNEkqO',
    salted: new Map(),
  })
  assert.equal(exchange.first().toString(), 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO')
  const answer = exchange.next(
    Buffer.from('r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'),
  )
  assert.equal(
    answer?.toString(),
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  )
  assert.throws(() => exchange.finish(), { code: 'SASL_FAILED' })
  assert.equal(exchange.next(Buffer.from('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')), undefined)
  exchange.finish()
})

// -------------------------------------------------------------------------------------------- OAUTHBEARER

test('OAUTHBEARER sends token and extensions', async () => {
  const broker = brokerFor('OAUTHBEARER').on(saslAuthenticate, () => ok())
  const asked: string[] = []
  const connection = await open(broker, {
    mechanism: 'OAUTHBEARER',
    token: ({ host }) => {
      asked.push(host)
      return { value: 'abc.def', extensions: { logicalCluster: 'lkc-1' } }
    },
  })
  assert.equal(
    broker.of(saslAuthenticate)[0]?.body.authBytes.toString(),
    'n,,\u0001auth=Bearer abc.def\u0001logicalCluster=lkc-1\u0001\u0001',
  )
  assert.deepEqual(asked, ['broker.test'])
  connection.close()
})

/** A broker that refuses every token as RFC 7628 says: the reason as JSON, and the end only after the client's 0x01. */
const refusingTokens = (end: () => ReturnType<typeof ok> | ReturnType<typeof refused>) =>
  brokerFor('OAUTHBEARER').on(saslAuthenticate, ({ body }) =>
    body.authBytes.equals(Buffer.of(1))
      ? end()
      : ok(Buffer.from(`{"status":"invalid_token","was":"${SECRET}","scope":"kafka"}`)),
  )

for (const [what, end] of Object.entries({
  'an error that says the same': () =>
    refused(`{"status":"invalid_token","was":"${SECRET}","scope":"kafka"}`),
  'an error that says nothing': () => refused('Authentication failed'),
  'an answer without an error': () => ok(),
  'another challenge': () => ok(Buffer.from('{"status":"again"}')),
})) {
  test(`OAUTHBEARER: a refused token is acknowledged with 0x01, and the reason is told once: ${what}`, async () => {
    const broker = refusingTokens(end)
    const error = await rejection(
      open(broker, { mechanism: 'OAUTHBEARER', token: () => SECRET }),
      'SASL_FAILED',
    )
    assert.deepEqual(
      broker.of(saslAuthenticate).map(({ body }) => body.authBytes.toString('latin1')),
      [`n,,\x01auth=Bearer ${SECRET}\x01\x01`, '\x01'],
    )
    assert.equal(error.message.split('{"status":"invalid_token","was":"***","scope":"kafka"}').length, 2)
    assert.equal(error.retriable, false)
    assert.equal(error.broker, 'broker.test:9092')
    assert.ok(!seen(error).includes(SECRET))
    await until(() => broker.links[0]?.isClosed === true, 'the connection is closed')
  })
}

for (const [what, value] of Object.entries({
  'an empty token': '',
  'a token with a line break': 'a\nb',
  'an extension named auth': { value: 'a', extensions: { auth: 'x' } },
  'an extension with a separator': { value: 'a', extensions: { a: 'x\u0001y' } },
})) {
  test(`OAUTHBEARER: ${what} never leaves`, async () => {
    const broker = brokerFor('OAUTHBEARER').on(saslAuthenticate, () => ok())
    await rejection(open(broker, { mechanism: 'OAUTHBEARER', token: () => value }), 'SASL_FAILED')
    assert.equal(broker.of(saslAuthenticate).length, 0)
  })
}

// -------------------------------------------------------------------------------------------- sessions

test('a session is renewed before it ends: quiet first, nothing else meanwhile, then on (KIP-368)', async () => {
  const clock = new VirtualClock()
  const broker = brokerFor('PLAIN').on(saslAuthenticate, () => ok(Buffer.alloc(0), 60_000))
  let answer: (() => void) | undefined
  const connection = await clock.during(Connection.open(somewhere, inMemory(broker, { sasl: plain, clock })))
  broker.on(metadata, async () => {
    await new Promise<void>((resolve) => (answer = resolve))
    return metadataOf([])
  })
  await clock.advance(50_000)
  assert.equal(broker.of(saslAuthenticate).length, 1)
  const slow = connection.request(metadata, { topics: [] })
  // 85 % of 60 s at the earliest, 95 % at the latest.
  await clock.advance(7_001)
  const held = connection.request(heartbeat, beat)
  await clock.advance(1_000)
  assert.equal(broker.of(saslHandshake).length, 1, 'renews only when it is quiet')
  assert.equal(broker.of(heartbeat).length, 0, 'holds what is new')
  answer?.()
  await clock.during(Promise.all([slow, held]))
  assert.deepEqual(
    broker.requests.slice(3).map(({ api }) => api.name),
    ['Metadata', 'SaslHandshake', 'SaslAuthenticate', 'Heartbeat'],
  )
  await clock.advance(60_000)
  assert.equal(broker.of(saslAuthenticate).length, 3, 'and again')
  connection.close()
})

test('a session that cannot be renewed ends the connection with the reason', async () => {
  const clock = new VirtualClock()
  const broker = brokerFor('PLAIN').on(saslAuthenticate, () => ok(Buffer.alloc(0), 10_000))
  const connection = await clock.during(Connection.open(somewhere, inMemory(broker, { sasl: plain, clock })))
  const reasons: string[] = []
  connection.onClose(({ code }) => reasons.push(code))
  broker.on(saslAuthenticate, () => refused('revoked'))
  await clock.advance(8_499)
  assert.ok(connection.isOpen)
  await clock.advance(1_001)
  assert.deepEqual(reasons, ['SASL_FAILED'])
})

test('a closed connection leaves no timer behind', async () => {
  const clock = new VirtualClock()
  const broker = brokerFor('PLAIN').on(saslAuthenticate, () => ok(Buffer.alloc(0), 10_000))
  const connection = await clock.during(Connection.open(somewhere, inMemory(broker, { sasl: plain, clock })))
  connection.close()
  await assert.rejects(
    clock.until(() => false),
    /no timer is pending/,
  )
})

// -------------------------------------------------------------------------------------------- secrets

/** Everything that a person could come to see of a value. */
const seen = (value: unknown): string =>
  [
    inspect(value, { depth: 20, showHidden: true, getters: true }),
    String(value),
    JSON.stringify(value, (_key, inner) => (typeof inner === 'bigint' ? String(inner) : inner)),
  ].join('\n')

test('a secret is in no error, no log line and nothing that can be inspected', async () => {
  const lines: unknown[] = []
  const log = (fields: object, message: string) => lines.push(fields, message)
  const logger = { debug: log, info: log, warn: log, error: log }
  const tampering = new ScramServer('sha256', SECRET)
  tampering.signature = () => ''
  const base64 = Buffer.from(SECRET).toString('base64')
  const failures = [
    [brokerFor('PLAIN').on(saslAuthenticate, () => refused(`${SECRET} ${base64}`)), plain],
    [brokerFor('PLAIN').on(saslAuthenticate, () => 'close'), plain],
    [brokerFor('PLAIN').on(saslHandshake, () => 'close'), plain],
    [brokerFor('SCRAM-SHA-256'), plain],
    [scramBroker(tampering, 'SCRAM-SHA-256'), { ...plain, mechanism: 'SCRAM-SHA-256' }],
    [
      brokerFor('OAUTHBEARER').on(saslAuthenticate, () => ok(Buffer.from(SECRET))),
      { mechanism: 'OAUTHBEARER', token: () => SECRET },
    ],
  ] as const
  for (const [broker, sasl] of failures) {
    const settings = inMemory(broker, { sasl, logger })
    const error = await Connection.open(somewhere, settings).then(
      () => assert.fail('opened'),
      (reason: unknown) => reason,
    )
    for (const value of [error, settings, lines]) {
      assert.ok(!seen(value).includes(SECRET), `the secret is in ${inspect(value)}`)
      assert.ok(!seen(value).includes(base64))
    }
  }
  const broker = brokerFor('PLAIN').on(saslAuthenticate, () => ok())
  const connection = await open(broker, plain)
  assert.ok(!seen(connection).includes(SECRET))
  connection.close()
})

test('a wrong option names its path and no secret', () => {
  for (const sasl of [
    { mechanism: 'PLAIN', username: '', password: SECRET },
    { mechanism: 'PLAIN', username: 'u', password: SECRET, extra: SECRET },
    { mechanism: 'LOGIN', username: 'u', password: SECRET },
    { mechanism: 'PLAIN', username: 'u', password: [SECRET] },
    { mechanism: 'OAUTHBEARER', token: SECRET },
  ]) {
    const given = { brokers: 'a:1', sasl: sasl as unknown as SaslOptions }
    assert.throws(
      () => resolveClientOptions(given),
      (error: { code: string; path: string }) => {
        assert.equal(error.code, 'INVALID_OPTION')
        assert.match(error.path, /^kafka\.sasl\./)
        assert.ok(!seen(error).includes(SECRET))
        return true
      },
    )
  }
})

test('refused credentials are tried once, not at every broker', async () => {
  const broker = brokerFor('PLAIN').on(saslAuthenticate, () => refused('no'))
  const brokers = ['a.test:1', 'b.test:2', 'c.test:3']
  const cluster = new Cluster(inMemory(broker, { brokers, sasl: plain }))
  await rejection(cluster.ensureTopic('t'), 'SASL_FAILED')
  assert.equal(broker.of(saslAuthenticate).length, 1)
  await cluster.stop()
})

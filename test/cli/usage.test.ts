/** What is wrong with the command line is said in one paragraph, without a stack trace, and ends with 2. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ConnectionFlags } from '../../src/cli/connection.ts'
import { kafkaOptions } from '../../src/cli/connection.ts'
import { startFrom } from '../../src/cli/consume.ts'
import { failureOf, UsageError } from '../../src/cli/failure.ts'
import { program } from '../../src/cli/program.ts'
import { formatAddress } from '../../src/client/dial.ts'
import { OttlaError } from '../../src/errors.ts'
import { saslAuthenticate, saslHandshake } from '../../src/protocol/messages/index.ts'
import { FakeBroker } from '../client/fake-broker.ts'
import { runCli } from './run-cli.ts'

const failed = async (args: readonly string[]) => {
  try {
    await program().parseAsync([...args], { from: 'user' })
  } catch (error) {
    return failureOf(error)
  }
  throw new Error('it did not fail')
}

const wrong: [args: string, message: RegExp][] = [
  ['topcis list', /unknown command 'topcis'\s+\(Did you mean topics\?\)/],
  ['help nope', /^unknown command 'nope'\n\(Known are dev, topics, produce, consume, groups, help\.\)$/],
  ['help topcis', /^unknown command 'topcis'\n\(Did you mean topics\?\)$/],
  ['help topics craete', /^unknown command 'craete'\n\(Did you mean create\?\)$/],
  ['topics help craete', /^unknown command 'craete'\n\(Did you mean create\?\)$/],
  ['help produce orders', /^'produce' has no command 'orders'$/],
  ['topics list --broker a:1', /unknown option '--broker'\s+\(Did you mean --brokers\?\)/],
  ['produce', /missing required argument 'topic'/],
  ['produce t --acks 2', /'2' is invalid. Allowed choices are all, 1, 0/],
  ['produce t', /No brokers are named: give --brokers host:port, or set KAFKA_BROKERS/],
  ['produce t -b a:1 --password x', /unknown option '--password'[\s\S]*KAFKA_PASSWORD/],
  ['consume t --max 0', /It must be a whole number from 1/],
  ['consume t --from noon', /It must be earliest, latest, an offset, or a time/],
  ['consume t --from -5', /It must be earliest, latest, an offset, or a time/],
  ['consume t --from 2026-31-01', /It must be earliest, latest, an offset, or a time/],
  ['consume t -b nowhere', /kafka: option brokers\[0\] must be host:port/],
  ['dev --listen 9092', /It must look like host:port/],
  ['dev --topic a:b', /It must look like name or name:partitions/],
  ['dev --listen 127.0.0.1:65535 --brokers 3', /there are not 3 ports from there/],
  ['topics create t -b a:1 --config x', /It must look like name=value/],
  [
    'groups list -b a:1 --sasl-mechanism GSSAPI',
    /It must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER/,
  ],
  ['groups list -b a:1 --sasl-mechanism plain', /PLAIN needs a user name/],
  ['groups list -b a:1 --username ada', /There is no password for ada/],
  ['groups list -b a:1 --sasl-mechanism oauthbearer', /OAUTHBEARER needs a token: name a file/],
  [
    'groups list -b a:1 --sasl-mechanism oauthbearer --sasl-token-file /no/token',
    /--sasl-token-file: \/no\/token cannot be read \(ENOENT\)/,
  ],
  [
    'produce t -b a:1 --sasl-token x',
    /unknown option '--sasl-token'[\s\S]*set KAFKA_SASL_TOKEN, or name a file/,
  ],
  ['groups list -b a:1 --tls-cert x', /--tls-cert and --tls-key belong together/],
  ['groups list -b a:1 --tls-ca /nowhere/ca.pem', /--tls-ca: \/nowhere\/ca\.pem cannot be read \(ENOENT\)/],
]

for (const [args, message] of wrong) {
  test(`refused: ottla ${args}`, async () => {
    const failure = await failed(args.split(' '))
    assert.match(failure.message, message)
    assert.equal(failure.exit, 2)
  })
}

test('as a process: the message alone on stderr, exit code 2', async () => {
  const { code, stdout, stderr } = await runCli(['consume'])
  assert.deepEqual([code, stdout, stderr], [2, '', "ottla: missing required argument 'topic'\n"])
})

test('as a process: the token of a file is what the broker gets', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'ottla-cli-'))
  const broker = await new FakeBroker()
    .on(saslHandshake, () => ({ errorCode: 0, mechanisms: ['OAUTHBEARER'] }))
    .on(saslAuthenticate, () => ({ errorCode: 58, errorMessage: 'expired', authBytes: Buffer.alloc(0) }))
    .listen()
  t.after(async () => {
    await broker.stop()
    rmSync(dir, { recursive: true })
  })
  writeFileSync(join(dir, 'token'), 'abc.def\n')
  const { code, stderr } = await runCli(['topics', 'list'], {
    env: {
      KAFKA_BROKERS: formatAddress(broker.address),
      KAFKA_SASL_MECHANISM: 'OAUTHBEARER',
      KAFKA_SASL_TOKEN_FILE: join(dir, 'token'),
    },
  })
  assert.equal(code, 1)
  assert.match(stderr, /^ottla: OAUTHBEARER at .*: expired\n$/)
  assert.equal(
    `${broker.of(saslAuthenticate)[0]?.body.authBytes}`,
    'n,,\u0001auth=Bearer abc.def\u0001\u0001',
  )
})

test('for a machine: an error is a JSON object', async () => {
  const { code, stderr } = await runCli(['topics', 'list', '--json'])
  assert.equal(code, 2)
  assert.deepEqual(Object.keys(JSON.parse(stderr).error), ['code', 'message'])
})

test('an error tells its causes once, in one paragraph', () => {
  const cause = new Error('connect ECONNREFUSED 127.0.0.1:1')
  const error = new OttlaError('CONNECTION_FAILED', 'no broker\n  answers', {
    cause: new Error('gave up', { cause }),
  })
  assert.deepEqual(failureOf(error), {
    code: 'CONNECTION_FAILED',
    message: 'no broker answers: gave up: connect ECONNREFUSED 127.0.0.1:1',
    exit: 1,
  })
})

test('many brokers that fail are one paragraph without its own summary', () => {
  const errors = ['a', 'b'].map((name) => new OttlaError('CONNECTION_FAILED', `no connection to ${name}`))
  const cause = new AggregateError(errors, 'every broker failed')
  const message = 'no broker can be reached: no connection to a; no connection to b'
  assert.equal(failureOf(new OttlaError('CONNECTION_FAILED', message, { cause })).message, message)
})

const flags = (given: Partial<ConnectionFlags>): ConnectionFlags => ({
  ...{ brokers: ['a:1'], clientId: 'c', timeoutMs: 1000 },
  ...given,
})

test('flags and environment become the options of the client', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'ottla-cli-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  }
  const base = { clientId: 'c', brokers: ['a:1'], requestTimeoutMs: 1000 }
  assert.deepEqual(kafkaOptions(flags({}), {}), base)
  assert.deepEqual(kafkaOptions(flags({ tls: true }), {}), { ...base, tls: true })
  assert.deepEqual(kafkaOptions(flags({}), { KAFKA_TLS: 'true' }), { ...base, tls: true })
  assert.deepEqual(kafkaOptions(flags({}), { KAFKA_TLS: 'false' }), base)
  const pem = '-----BEGIN CERTIFICATE-----'
  const key = '-----BEGIN EC PRIVATE KEY-----'
  const tlsFlags = {
    tlsCa: pem,
    tlsCert: file('cert', pem),
    tlsKey: file('key', key),
    tlsServerName: 'kafka',
  }
  assert.deepEqual(kafkaOptions(flags(tlsFlags), {}).tls, {
    ...{ ca: pem, cert: Buffer.from(pem), key: Buffer.from(key), serverName: 'kafka' },
  })
  assert.deepEqual(kafkaOptions(flags({ tlsInsecureSkipVerify: true }), {}).tls, { insecureSkipVerify: true })
  const wrong: [given: Partial<ConnectionFlags>, message: RegExp][] = [
    [{ tlsCa: tlsFlags.tlsKey }, /--tls-ca: there is no certificate in .*key; PEM is wanted/],
    [{ tlsCa: key }, /--tls-ca: there is no certificate in the text that it is given/],
    [{ ...tlsFlags, tlsKey: tlsFlags.tlsCert }, /--tls-key: there is no private key in .*cert/],
  ]
  for (const [given, message] of wrong) assert.throws(() => kafkaOptions(flags(given), {}), message)
  const sasl = { mechanism: 'PLAIN', username: 'ada', password: 'secret' }
  assert.deepEqual(kafkaOptions(flags({ username: 'ada' }), { KAFKA_PASSWORD: 'secret' }).sasl, sasl)
  const fromFile = flags({ username: 'ada', passwordFile: file('password', 'secret\n') })
  assert.deepEqual(kafkaOptions(fromFile, { KAFKA_PASSWORD: 'other' }).sasl, sasl)
  assert.throws(() => kafkaOptions(flags({ brokers: [] }), {}), UsageError)
  assert.throws(
    () => kafkaOptions(flags({}), { KAFKA_PASSWORD: 'secret' }),
    /There is a password and no user name: give --username, or set KAFKA_USERNAME/,
  )
})

test('where to begin', () => {
  assert.equal(startFrom('latest'), 'latest')
  assert.deepEqual(startFrom('42'), { offset: 42 })
  assert.deepEqual(startFrom('@1700000000000'), { timestamp: 1_700_000_000_000 })
  assert.deepEqual(startFrom('2026-01-31T12:00:00Z'), { timestamp: Date.UTC(2026, 0, 31, 12) })
  assert.deepEqual(startFrom('2026-01-31'), { timestamp: Date.UTC(2026, 0, 31) })
})

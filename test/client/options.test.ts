import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { clientSoftware } from '../../src/client/client-software.ts'
import { formatAddress, parseAddress } from '../../src/client/dial.ts'
import { type ClientOptions, resolveClientOptions } from '../../src/client/options.ts'

test('brokers may be a list or a text', () => {
  for (const brokers of ['a:1,b:2', ['a:1', 'b:2'], ' a:1 , b:2 ']) {
    assert.deepEqual(resolveClientOptions({ brokers }).brokers, [
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ])
  }
})

test('addresses are read and written, IPv6 with brackets', () => {
  for (const text of ['a.example:9092', '127.0.0.1:1', '[::1]:9092', '[fe80::1%eth0]:65535']) {
    const address = parseAddress(text)
    assert.ok(address)
    assert.equal(formatAddress(address), text)
  }
  for (const text of ['a', 'a:', ':1', 'a:0', 'a:65536', 'a:b', '::1:9092', 'kafka://a:1', 'a:1/x', '']) {
    assert.equal(parseAddress(text), undefined, text)
  }
})

const certificate = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const key = '-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n'

test('what is wrong is named', () => {
  const wrong: [object, string][] = [
    [{}, 'kafka.brokers'],
    [{ brokers: [] }, 'kafka.brokers'],
    [{ brokers: ['a:1', 'a'] }, 'kafka.brokers[1]'],
    [{ brokers: 'a:1,a' }, 'kafka.brokers'],
    [{ brokers: 'a:1', tls: { ca: [certificate, ''] } }, 'kafka.tls.ca[1]'],
    [{ brokers: 'a:1', tls: { ca: [' \n'] } }, 'kafka.tls.ca[0]'],
    [{ brokers: 'a:1', tls: { ca: [] } }, 'kafka.tls.ca'],
    [{ brokers: 'a:1', tls: { ca: Buffer.from('garbage') } }, 'kafka.tls.ca'],
    [{ brokers: 'a:1', tls: { cert: key, key } }, 'kafka.tls.cert'],
    [{ brokers: 'a:1', tls: { cert: certificate, key: certificate } }, 'kafka.tls.key'],
    [{ brokers: 'a:1', broker: 'b' }, 'kafka.broker'],
    [{ brokers: 'a:1', requestTimeoutMs: 0 }, 'kafka.requestTimeoutMs'],
    [{ brokers: 'a:1', minBackoffMs: 5, maxBackoffMs: 4 }, 'kafka.maxBackoffMs'],
    [{ brokers: 'a:1', clientId: 'x'.repeat(40_000) }, 'kafka.clientId'],
    [{ brokers: 'a:1', maxResponseBytes: 5 }, 'kafka.maxResponseBytes'],
    [{ brokers: 'a:1', dial: 'tcp' }, 'kafka.dial'],
    [{ brokers: 'a:1', tls: 'yes' }, 'kafka.tls'],
    [{ brokers: 'a:1', tls: { cert: certificate } }, 'kafka.tls.key'],
    [{ brokers: 'a:1', tls: { key } }, 'kafka.tls.cert'],
    [{ brokers: 'a:1', clock: 5 }, 'kafka.clock'],
    [{ brokers: 'a:1', clock: { now: () => 0 } }, 'kafka.clock.monotonic'],
    [{ brokers: 'a:1', random: { next: () => 0 } }, 'kafka.random.below'],
    [{ brokers: 'a:1', logger: { info: () => undefined } }, 'kafka.logger'],
  ]
  for (const [given, path] of wrong) {
    assert.throws(() => resolveClientOptions(given as ClientOptions), { code: 'INVALID_OPTION', path })
  }
})

test('each message tells what was wrong, where, and what would be right', () => {
  const told: [object | string, string][] = [
    ['a:1', 'kafka: the options must be an object, not "a:1"'],
    [{}, 'kafka: option brokers is required: give host:port, or a list of them'],
    [{ brokers: [] }, 'kafka: option brokers must be host:port, or a list of them, not an empty list'],
    [{ brokers: ['a:1', 'b'] }, 'kafka: option brokers[1] must be host:port, not "b"'],
    [
      { brokers: 'a:1', tls: 'true' },
      'kafka: option tls must be true, false, or an object of its options, not a string',
    ],
    [
      { brokers: 'a:1', tls: { cert: certificate } },
      'kafka.tls: option key is missing: cert and key go together, give both or none',
    ],
    [
      { brokers: 'a:1', minBackoffMs: 5, maxBackoffMs: 4 },
      'kafka: option maxBackoffMs must be minBackoffMs (5) at least, not 4',
    ],
    [
      { brokers: 'a:1', tls: { ca: '/etc/ca.pem' } },
      'kafka.tls: option ca must be PEM text or its bytes, and there is no certificate in it; this looks like a path: give what the file holds, not a string',
    ],
    [
      { brokers: 'a:1', clock: { now: () => 0 } },
      'kafka: option clock.monotonic must be a function, not undefined',
    ],
    [
      { brokers: 'a:1', sasl: { mechanism: 'scram-sha-256', username: 'ada', password: 'x' } },
      'kafka.sasl: option mechanism must be "PLAIN" or "SCRAM-SHA-256" or "SCRAM-SHA-512" or "OAUTHBEARER" (did you mean "SCRAM-SHA-256"?), not "scram-sha-256"',
    ],
    [
      { brokers: 'a:1', sasl: { mechanism: 'oauthbearer', token: () => 'x' } },
      'kafka.sasl: option mechanism must be "PLAIN" or "SCRAM-SHA-256" or "SCRAM-SHA-512" or "OAUTHBEARER" (did you mean "OAUTHBEARER"?), not "oauthbearer"',
    ],
    [{ brokers: 'a:1', ssl: true }, 'kafka: unknown option ssl; did you mean tls?'],
  ]
  for (const [given, message] of told) {
    assert.throws(() => resolveClientOptions(given as ClientOptions), { code: 'INVALID_OPTION', message })
  }
})

test('defaults are those of the docs, and the result is frozen', () => {
  const options = resolveClientOptions({ brokers: 'a:1' })
  const { brokers: _, dial: _dial, clock: _clock, random: _random, logger: _logger, ...rest } = options
  assert.deepEqual(rest, {
    clientId: 'ottla',
    tls: undefined,
    sasl: undefined,
    requestTimeoutMs: 30_000,
    connectTimeoutMs: 10_000,
    minBackoffMs: 100,
    maxBackoffMs: 1_000,
    metadataMinIntervalMs: 100,
    metadataMaxAgeMs: 300_000,
    allowAutoTopicCreation: true,
    rack: undefined,
    maxResponseBytes: 134_217_728,
  })
  assert.ok(Object.isFrozen(options))
})

test('what Ottla calls itself is what the package says, in words that brokers take (KIP-511)', () => {
  const { name, version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  assert.deepEqual(clientSoftware, { name, version })
  for (const text of Object.values(clientSoftware))
    assert.match(text, /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/)
})

test('an injected clock may have fractions: what stamps records is whole', () => {
  class Counting {
    #now = 1000.75
    now = () => this.#now
    monotonic() {
      return this.#now
    }
    setTimeout() {
      return 1
    }
    clearTimeout = () => undefined
    defer = () => undefined
  }
  const { clock } = resolveClientOptions({ brokers: 'a:1', clock: new Counting() })
  assert.equal(clock.now(), 1000)
  assert.equal(clock.monotonic(), 1000.75)
})

test('a key that stands in the place of a certificate is in no message', () => {
  const key = 'MHcCAQEEIBKr3v0XK0Zs8l1Qm9l4V8y7h2gq6n3b5c1d9e0fAAoGCCqGSM49'
  for (const tls of [{ cert: key }, { ca: key }, { ca: [key] }, { key }]) {
    assert.throws(
      () => resolveClientOptions({ brokers: 'b:9092', tls }),
      (error: Error) => !error.message.includes(key.slice(0, 12)) && /and there is no/.test(error.message),
    )
  }
})

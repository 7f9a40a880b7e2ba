/** A forgotten `tls`, `sasl` or `dial` looks like a broker that is away; what the client says about it names the likely reason. */
import assert from 'node:assert/strict'
import dns from 'node:dns'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { type StartClusterOptions, startCluster } from '../../src/broker/index.ts'
import { Kafka, type KafkaOptions, OttlaError } from '../../src/index.ts'
import { silentLogger } from '../../src/util/logger.ts'
import { testCertificates } from '../../tools/kafka/certificates.ts'
import { rejection } from './support.ts'

const { authority, server } = testCertificates()
const TLS: StartClusterOptions = {
  tls: { cert: server.certificate, key: server.key, ca: authority.certificate },
}
const SASL: StartClusterOptions = { sasl: { users: { ada: 'secret' } } }
const trust = { ca: authority.certificate }
const ada = { mechanism: 'PLAIN', username: 'ada', password: 'secret' } as const

const cases: [what: string, listener: StartClusterOptions, options: Partial<KafkaOptions>, hint: RegExp][] = [
  ['no tls at a TLS port', TLS, {}, /does the port want TLS\? The option tls is not set/],
  ['neither at a port for both', { ...TLS, ...SASL }, {}, /does the port want TLS\?/],
  ['sasl alone at a port for both', { ...TLS, ...SASL }, { sasl: ada }, /does the port want TLS\?/],
  ['no sasl at a SASL port', SASL, {}, /does the port want SASL\? The option sasl is not set/],
  ['tls alone at a port for both', { ...TLS, ...SASL }, { tls: trust }, /does the port want SASL\?/],
  ['tls at a plain port', {}, { tls: trust }, /does this port speak TLS\?/],
]

for (const [what, listener, options, hint] of cases) {
  test(`${what}: start, the deadline of a record and, soon, the log tell`, async (t) => {
    const cluster = await startCluster(listener)
    const warnings: string[] = []
    const warn = ({ err }: { err?: Error }, message: string) => {
      if (/no broker can be used so far/.test(message)) warnings.push(`${err?.message}`)
    }
    const logger = { ...silentLogger, warn }
    const backoff = { minBackoffMs: 1, maxBackoffMs: 5, metadataMinIntervalMs: 1 }
    const kafka = new Kafka({ brokers: cluster.brokers, logger, ...backoff, ...options })
    t.after(async () => {
      await kafka.stop({ timeoutMs: 0 }).catch(() => undefined)
      await cluster.stop()
    })
    const producer = kafka.producer({ requestTimeoutMs: 500, deliveryTimeoutMs: 600, retryBackoffMs: 1 })
    const early = await producer.start({ timeoutMs: 500 }).then(
      () => assert.fail('started'),
      (error: Error) => error,
    )
    assert.match(early.message, hint)
    const { cause } = await rejection(producer.send({ topic: 't', value: 'x' }), 'DELIVERY_TIMEOUT')
    assert.ok(cause instanceof OttlaError)
    assert.match(cause.message, hint)
    assert.equal(warnings.length, 1, 'told once, not with each attempt')
    assert.match(warnings[0] as string, hint)
  })
}

test('a port that never says anything: the time-out asks as well', async (t) => {
  const silent = createServer((socket) => socket.on('error', () => undefined).resume())
  silent.listen(0, '127.0.0.1')
  await new Promise((resolve) => silent.once('listening', resolve))
  const { port } = silent.address() as { port: number }
  const kafka = new Kafka({ brokers: `127.0.0.1:${port}`, connectTimeoutMs: 50 })
  t.after(async () => {
    await kafka.stop()
    await new Promise((resolve) => silent.close(resolve))
  })
  const error = await rejection(kafka.admin().listTopics({ timeoutMs: 100 }), 'CONNECTION_FAILED')
  assert.match(error.message, /not ready within 50 ms \(does the port want TLS\? The option tls is not set\)/)
})

test('a broker that serves and goes away raises no doubt, and what will not pass is no warning', async (t) => {
  const cluster = await startCluster(SASL)
  const warnings: string[] = []
  const logger = { ...silentLogger, warn: (_: object, message: string) => void warnings.push(message) }
  const brokers = cluster.brokers
  const kafka = new Kafka({ brokers, logger, sasl: ada, minBackoffMs: 1, requestTimeoutMs: 200 })
  const stranger = new Kafka({ brokers, logger, sasl: { ...ada, password: 'wrong' } })
  t.after(() => Promise.all([kafka.stop(), stranger.stop()]))
  for (let attempt = 0; attempt < 4; attempt++) {
    await rejection(stranger.admin().listTopics(), 'SASL_FAILED')
  }
  assert.deepEqual(warnings, [])
  await kafka.admin().listTopics()
  await cluster.stop()
  const error = await kafka
    .admin()
    .listTopics()
    .then(
      () => assert.fail('listed'),
      (reason: Error) => reason,
    )
  assert.doesNotMatch(error.message, /want/)
})

test('the names of a cluster in memory, without its dial', async (t) => {
  const nobody = (host: string, _: object, callback: (error: Error) => void) =>
    callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }))
  t.mock.method(dns, 'lookup', nobody as never)
  const cluster = await startCluster({ transport: 'memory' })
  t.after(() => cluster.stop())
  const told = async (options: KafkaOptions) => {
    const kafka = new Kafka(options)
    t.after(() => kafka.stop())
    return (await rejection(kafka.admin().listTopics({ timeoutMs: 50 }), 'CONNECTION_FAILED')).message
  }
  const hint =
    /broker-1 \(is it a cluster with transport 'memory'\? The option dial: cluster\.dial is not set\)/
  assert.match(await told({ brokers: cluster.brokers }), hint)
  assert.doesNotMatch(await told({ brokers: 'kafka.test:9092' }), /dial/)
  const dial = () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }))
  assert.doesNotMatch(await told({ brokers: cluster.brokers, dial }), /cluster\.dial/)
})

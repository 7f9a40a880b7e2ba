import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startCluster } from '../src/broker/index.ts'
import { Kafka, OttlaError } from '../src/index.ts'

const refused = (make: () => unknown, pattern: RegExp) =>
  assert.throws(
    make,
    (error) => error instanceof OttlaError && error.code === 'INVALID_OPTION' && pattern.test(error.message),
  )

test('the environment says which Kafka, and what is wrong in it', async (t) => {
  refused(() => Kafka.fromEnv({}, {}), /KAFKA_BROKERS must be set/)
  refused(() => Kafka.fromEnv({}, { KAFKA_BROKERS: 'nowhere' }), /brokers must be host:port/)
  refused(
    () => Kafka.fromEnv({}, { KAFKA_BROKERS: 'a:1', KAFKA_TLS: 'maybe' }),
    /KAFKA_TLS must be true or false/,
  )
  refused(
    () => Kafka.fromEnv({}, { KAFKA_BROKERS: 'a:1', KAFKA_USERNAME: 'u' }),
    /KAFKA_PASSWORD must be set/,
  )
  refused(
    () => Kafka.fromEnv({}, { KAFKA_BROKERS: 'a:1', KAFKA_SASL_MECHANISM: 'PLAIN' }),
    /KAFKA_USERNAME must be set/,
  )
  refused(
    () => Kafka.fromEnv({}, { KAFKA_BROKERS: 'a:1', KAFKA_TLS_CA: '/no/such/file' }),
    /KAFKA_TLS_CA.*cannot be read/,
  )
  const folder = mkdtempSync(join(tmpdir(), 'ottla-env-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'password'), 'open sesame\n')
  await using cluster = await startCluster({ sasl: { users: { shop: 'open sesame' } } })
  const environment = {
    KAFKA_BROKERS: cluster.brokers.join(','),
    KAFKA_SASL_MECHANISM: 'scram-sha-256',
    KAFKA_USERNAME: 'shop',
    KAFKA_PASSWORD_FILE: join(folder, 'password'),
  }
  await using kafka = Kafka.fromEnv({}, environment)
  assert.equal((await kafka.admin().describeCluster()).brokers.length, 1)
})

test('overrides go before the environment', async () => {
  await using cluster = await startCluster()
  await using kafka = Kafka.fromEnv({ brokers: cluster.brokers }, { KAFKA_BROKERS: '127.0.0.1:1' })
  assert.equal((await kafka.admin().describeCluster()).brokers.length, 1)
})

test('the name that another client has for an option is understood, not taken', () => {
  refused(() => new Kafka({ brokers: 'a:1', ssl: true } as never), /unknown option ssl; did you mean tls\?/)
})

test('stop ends everything that was made, once, and nothing can be made afterwards', async () => {
  await using cluster = await startCluster({ topics: { orders: 1 } })
  const kafka = new Kafka({ brokers: cluster.brokers })
  const producer = kafka.producer()
  await producer.send({ topic: 'orders', value: 'x' })
  const consumer = kafka.consumer({ groupId: 'g', topics: ['orders'] })
  const { promise: handled, resolve } = Promise.withResolvers<void>()
  const running = consumer.run(async () => resolve())
  await handled
  const first = kafka.stop()
  assert.equal(kafka.stop(), first)
  await first
  await running
  await assert.rejects(producer.send({ topic: 'orders', value: 'y' }), {
    code: /PRODUCER_STOPPED|INVALID_STATE/,
  })
  assert.throws(() => kafka.producer(), { code: 'INVALID_STATE' })
  await using reader = new Kafka({ brokers: cluster.brokers })
  const offsets = await reader.admin().groupOffsets('g')
  assert.deepEqual(
    offsets.map(({ offset }) => offset),
    [1],
  )
})

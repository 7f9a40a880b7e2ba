import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { startCluster } from '../src/broker/index.ts'
import { Kafka, OttlaError } from '../src/index.ts'
import { metadata, saslAuthenticate, saslHandshake } from '../src/protocol/messages/index.ts'
import { VirtualClock } from '../src/util/virtual-clock.ts'
import { FakeBroker } from './client/fake-broker.ts'
import { metadataOf, until } from './client/support.ts'

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
  for (const variable of ['KAFKA_PASSWORD', 'KAFKA_PASSWORD_FILE']) {
    refused(
      () => Kafka.fromEnv({}, { KAFKA_BROKERS: 'a:1', [variable]: 'x' }),
      /KAFKA_USERNAME must be set when there is a password/,
    )
  }
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

test('the environment may hold a token, or name a file of which each authentication reads what is there', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ottla-env-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'token')
  const broker = tokenBroker()
  const sent = () =>
    broker.of(saslAuthenticate).map(({ body }) => /Bearer ([\w-]+)/.exec(`${body.authBytes}`)?.[1])
  const environment = { KAFKA_BROKERS: 'broker.test:1', KAFKA_SASL_MECHANISM: 'oauthbearer' }
  const overrides = { dial: broker.dial, minBackoffMs: 1, maxBackoffMs: 5 }
  refused(
    () => Kafka.fromEnv(overrides, environment),
    /KAFKA_SASL_TOKEN_FILE must be set when .*\(or KAFKA_SASL_TOKEN\)/,
  )
  {
    await using kafka = Kafka.fromEnv(overrides, { ...environment, KAFKA_SASL_TOKEN: 'from-the-variable' })
    await kafka.admin().listTopics()
  }
  const fromFile = { ...environment, KAFKA_SASL_TOKEN: 'not-this', KAFKA_SASL_TOKEN_FILE: path }
  {
    await using kafka = Kafka.fromEnv(overrides, fromFile)
    const anotherAttempt = () => {
      const { length } = broker.links
      return until(() => broker.links.length > length, 'it tries again')
    }
    // A file that is not there yet, or is being written, is waited for.
    const listed = kafka.admin().listTopics()
    await anotherAttempt()
    await anotherAttempt()
    writeFileSync(path, '')
    await anotherAttempt()
    await anotherAttempt()
    writeFileSync(path, 'first\n')
    await listed
  }
  writeFileSync(path, 'second\n')
  {
    await using kafka = Kafka.fromEnv(overrides, fromFile)
    await kafka.admin().listTopics()
    broker.links.at(-1)?.stream.destroy()
    writeFileSync(path, 'renewed\n')
    await kafka.admin().listTopics()
  }
  assert.deepEqual(sent(), ['from-the-variable', 'first', 'second', 'renewed'])
})

test('a variable that is empty counts as none', async () => {
  await using cluster = await startCluster({ sasl: { users: { shop: 'open sesame' } } })
  const environment = {
    KAFKA_BROKERS: cluster.brokers.join(','),
    KAFKA_SASL_MECHANISM: '',
    KAFKA_USERNAME: 'shop',
    KAFKA_PASSWORD: 'open sesame',
    KAFKA_PASSWORD_FILE: '',
  }
  await using kafka = Kafka.fromEnv({}, environment)
  assert.equal((await kafka.admin().describeCluster()).brokers.length, 1)
})

/** Takes every token. */
function tokenBroker(): FakeBroker {
  return new FakeBroker()
    .on(saslHandshake, () => ({ errorCode: 0, mechanisms: ['OAUTHBEARER'] }))
    .on(saslAuthenticate, () => ({ errorCode: 0, errorMessage: null, authBytes: Buffer.alloc(0) }))
    .on(metadata, () => metadataOf([{ nodeId: 1, host: 'broker.test', port: 1 }]))
}

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

test('a stop takes no longer than the pages say, where no broker answers and a handler hangs', async () => {
  for (const [given, mostMs] of [
    [{ timeoutMs: 10_000 }, 25_000],
    [undefined, 55_000],
  ] as const) {
    const clock = new VirtualClock(undefined, 60)
    const cluster = await startCluster({ transport: 'memory', clock, topics: { orders: 1 } })
    const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial, clock })
    const producer = kafka.producer()
    await clock.during(producer.send({ topic: 'orders', value: 'v' }))
    let handled = 0
    const consumer = kafka.consumer({ groupId: 'g', topics: ['orders'] })
    const running = consumer.run(() => {
      handled++
      return new Promise(() => undefined)
    })
    await clock.until(() => handled === 1)
    cluster.faults.on({ api: 'Produce' }, 'swallow')
    cluster.faults.on({ api: 'OffsetCommit' }, 'swallow')
    cluster.faults.on({ api: 'LeaveGroup' }, 'swallow')
    const lost = producer.send({ topic: 'orders', value: 'w' })
    const refused = assert.rejects(lost, { code: 'DELIVERY_UNKNOWN' })
    const from = clock.monotonic()
    assert.equal(await clock.during(kafka.stop(given), 100_000), undefined)
    const tookMs = clock.monotonic() - from
    assert.ok(tookMs <= mostMs && tookMs > mostMs - 10_000, `${tookMs}`)
    await refused
    await running
    assert.equal(producer.stats.unknown, 1)
    await clock.during(cluster.stop())
  }
})

test('a consumer or a producer that is over is not kept', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const kafka = new Kafka({ brokers: 'a:1' })
  const makeAndStop = async () => {
    const made = [kafka.consumer({ groupId: 'g', topics: ['orders'] }), kafka.producer()]
    for (const each of made) await each.stop()
    return made.map((each) => new WeakRef<object>(each))
  }
  const over = await makeAndStop()
  kafka.consumer({ groupId: 'g', topics: ['orders'] })
  await until(() => {
    collect()
    return over.every((each) => each.deref() === undefined)
  }, 'their memory is free')
  await kafka.stop()
})

test('stop lets a handler send until it is done, also where the producer was made after the consumer', async () => {
  await using cluster = await startCluster({ topics: { orders: 1, copies: 1 } })
  const kafka = new Kafka({ brokers: cluster.brokers })
  const consumer = kafka.consumer({ groupId: 'g', topics: ['orders'] })
  const producer = kafka.producer()
  await producer.send({ topic: 'orders', value: 'x' })
  const handling = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const running = consumer.run(async ({ value }) => {
    handling.resolve()
    await goOn.promise
    await producer.send({ topic: 'copies', value })
  })
  await handling.promise
  const stopping = kafka.stop()
  goOn.resolve()
  await stopping
  await running
  assert.equal(cluster.records('copies', 0).length, 1)
})

import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { rootCertificates } from 'node:tls'
import { inspect } from 'node:util'
import { Connection } from '../../src/client/connection.ts'
import { type ClientOptions, resolveClientOptions } from '../../src/client/options.ts'
import { metadata } from '../../src/protocol/messages/index.ts'
import { testCertificates } from '../../tools/kafka/certificates.ts'
import { FakeBroker } from './fake-broker.ts'
import { metadataOf, overSocket, rejection } from './support.ts'

const certificates = testCertificates()
const strangers = testCertificates()
const { authority, server, client } = certificates
const serverTls = { cert: server.certificate, key: server.key, ca: authority.certificate }

async function withBroker(
  tls: object | undefined,
  run: (
    broker: FakeBroker,
    settings: (options: Partial<ClientOptions>) => ReturnType<typeof overSocket>,
  ) => Promise<void>,
): Promise<void> {
  const broker = await new FakeBroker().on(metadata, () => metadataOf([])).listen(tls)
  try {
    await run(broker, (options) => overSocket(broker, options))
  } finally {
    await broker.stop()
  }
}

test('a broker whose certificate the authority signed is trusted', () =>
  withBroker(serverTls, async (broker, settings) => {
    const connection = await Connection.open(broker.address, settings({ tls: { ca: authority.certificate } }))
    await connection.request(metadata, { topics: [] })
    connection.close()
  }))

test('certificates may be given as bytes and as a list', () =>
  withBroker(serverTls, async (broker, settings) => {
    const ca = [Buffer.from(rootCertificates[0] as string), Buffer.from(authority.certificate)]
    const connection = await Connection.open(broker.address, settings({ tls: { ca } }))
    connection.close()
  }))

test('an unknown authority is refused, and not tried again', () =>
  withBroker(serverTls, async (broker, settings) => {
    for (const tls of [true, { ca: strangers.authority.certificate }]) {
      const error = await rejection(Connection.open(broker.address, settings({ tls })), 'TLS_FAILED')
      assert.equal(error.retriable, false)
    }
  }))

test('a certificate for another host is refused', () =>
  withBroker(serverTls, async (broker, settings) => {
    const tls = { ca: authority.certificate, serverName: 'elsewhere.test' }
    const error = await rejection(Connection.open(broker.address, settings({ tls })), 'TLS_FAILED')
    assert.match(error.message, /elsewhere\.test/)
  }))

test('serverName is what is asked for (SNI) and what is expected', () =>
  withBroker(
    {
      SNICallback: (name: string, done: (error: Error | null, context?: undefined) => void) => {
        asked.push(name)
        done(null)
      },
      ...serverTls,
    },
    async (broker, settings) => {
      const tls = { ca: authority.certificate, serverName: 'localhost' }
      const connection = await Connection.open(broker.address, settings({ tls }))
      assert.deepEqual(asked, ['localhost'])
      connection.close()
    },
  ))
const asked: string[] = []

test('only insecureSkipVerify takes any certificate', () =>
  withBroker(serverTls, async (broker, settings) => {
    const tls = { insecureSkipVerify: true }
    const connection = await Connection.open(broker.address, settings({ tls }))
    connection.close()
  }))

const wantsClient = { ...serverTls, requestCert: true, rejectUnauthorized: true }

test('a client certificate is shown where one is wanted', () =>
  withBroker(wantsClient, async (broker, settings) => {
    const tls = { ca: authority.certificate, cert: client.certificate, key: client.key }
    const connection = await Connection.open(broker.address, settings({ tls }))
    await connection.request(metadata, { topics: [] })
    connection.close()
  }))

test('without one, or with a stranger’s, the broker ends the connection', () =>
  withBroker(wantsClient, async (broker, settings) => {
    const { certificate: cert, key } = strangers.client
    for (const tls of [{ ca: authority.certificate }, { ca: authority.certificate, cert, key }]) {
      // TLS 1.3: the client is done before the broker has looked at its certificate, and learns it with the first read.
      await assert.rejects(
        Connection.open(broker.address, settings({ tls })),
        (error: { code: string }) => error.code === 'TLS_FAILED' || error.code === 'CONNECTION_FAILED',
      )
    }
  }))

test('TLS on a plain port fails with a word about it', async () => {
  const plain = createServer((socket) => {
    socket.on('error', () => undefined)
    // As Kafka does with a size that is absurd.
    socket.once('data', () => socket.destroy())
  })
  plain.listen(0, '127.0.0.1')
  await new Promise((resolve) => plain.once('listening', resolve))
  const { port } = plain.address() as { port: number }
  const settings = resolveClientOptions({ brokers: `127.0.0.1:${port}`, tls: true })
  const error = await rejection(Connection.open({ host: '127.0.0.1', port }, settings), 'CONNECTION_FAILED')
  assert.match(error.message, /does this port speak TLS/)
  assert.ok(error.retriable)
  plain.close()
})

test('plain text on a TLS port fails, with a word about it where the port says something', async () => {
  const alert = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, 0x0a])))
  })
  alert.listen(0, '127.0.0.1')
  await new Promise((resolve) => alert.once('listening', resolve))
  const { port } = alert.address() as { port: number }
  const settings = resolveClientOptions({ brokers: `127.0.0.1:${port}` })
  const error = await rejection(Connection.open({ host: '127.0.0.1', port }, settings), 'MALFORMED_FRAME')
  assert.match(error.message, /speaks TLS: set the option tls/)
  alert.close()
})

test('a handshake that is never answered is bounded by connectTimeoutMs', async () => {
  const silent = createServer((socket) => socket.on('error', () => undefined).resume())
  silent.listen(0, '127.0.0.1')
  await new Promise((resolve) => silent.once('listening', resolve))
  const { port } = silent.address() as { port: number }
  const settings = resolveClientOptions({ brokers: `127.0.0.1:${port}`, tls: true, connectTimeoutMs: 50 })
  const error = await rejection(Connection.open({ host: '127.0.0.1', port }, settings), 'CONNECTION_FAILED')
  assert.match(error.message, /not ready within 50 ms/)
  await new Promise((resolve) => silent.close(resolve))
})

test('options that cannot be read are refused, and hold no key that can be seen', () => {
  const brokers = 'a:1'
  for (const tls of [
    { cert: client.certificate },
    { key: client.key },
    { ca: 5 },
    { ca: '' },
    { minVersion: 'TLSv1' },
    { rejectUnauthorized: false },
  ]) {
    assert.throws(() => resolveClientOptions({ brokers, tls } as ClientOptions), { code: 'INVALID_OPTION' })
  }
  const tls = {
    ca: authority.certificate,
    cert: client.certificate,
    key: client.key,
    passphrase: 'swordfish',
  }
  const seen = inspect(resolveClientOptions({ brokers, tls }), { depth: 10, showHidden: true })
  assert.ok(!seen.includes('PRIVATE KEY') && !seen.includes('swordfish'))
})

test('a key that cannot be read is a TLS error without the key', () =>
  withBroker(serverTls, async (broker, settings) => {
    const key = `-----BEGIN PRIVATE KEY-----\nc3dvcmRmaXNo\n-----END PRIVATE KEY-----\n`
    const tls = { cert: client.certificate, key }
    const error = await rejection(Connection.open(broker.address, settings({ tls })), 'TLS_FAILED')
    assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes('c3dvcmRmaXNo'))
  }))

import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { memoryStreams } from '../../src/broker/memory-stream.ts'
import { Connection } from '../../src/client/connection.ts'
import { type Dial, directTcpDial, readInto } from '../../src/client/dial.ts'
import { resolveClientOptions } from '../../src/client/options.ts'
import { metadata } from '../../src/protocol/messages/index.ts'
import { systemClock } from '../../src/util/clock.ts'
import { FakeBroker } from './fake-broker.ts'
import { metadataOf, rejection, somewhere, until } from './support.ts'

const withDial = (dial: Dial, options: { connectTimeoutMs?: number } = {}) =>
  resolveClientOptions({ brokers: 'a:1', dial, ...options })
const open = (dial: Dial, options: { connectTimeoutMs?: number } = {}, signal?: AbortSignal) =>
  Connection.open(somewhere, withDial(dial, options), signal === undefined ? {} : { signal })

test('a dial may return a socket that is still connecting', async () => {
  const broker = await new FakeBroker().on(metadata, () => metadataOf([])).listen()
  const connection = await open(() => connect(broker.address.port, '127.0.0.1'))
  await connection.request(metadata, { topics: [] })
  connection.close()
  await broker.stop()
})

test('a dial is told the address and may go elsewhere', async () => {
  const broker = await new FakeBroker().listen()
  const asked: string[] = []
  const connection = await open(({ host, port }) => {
    asked.push(`${host}:${port}`)
    return connect(broker.address.port, '127.0.0.1')
  })
  assert.deepEqual(asked, ['broker.test:9092'])
  connection.close()
  await broker.stop()
})

test('whatever a dial throws is the cause', async () => {
  const reason = new Error('no tunnel')
  for (const dial of [
    () => {
      throw reason
    },
    () => Promise.reject(reason),
    () => {
      const stream = connect(1, '127.0.0.1')
      stream.destroy(reason)
      return stream
    },
  ] as Dial[]) {
    const error = await rejection(open(dial), 'CONNECTION_FAILED')
    assert.equal(error.cause, reason)
    assert.ok(error.retriable)
    assert.equal(error.broker, 'broker.test:9092')
  }
})

test('a refused connection tells why', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  const settings = resolveClientOptions({ brokers: `127.0.0.1:${port}` })
  const error = await rejection(Connection.open({ host: '127.0.0.1', port }, settings), 'CONNECTION_FAILED')
  assert.match(error.message, /ECONNREFUSED/)
})

test('a dial that takes too long is told to stop, and a stream that comes too late is destroyed', async () => {
  const [late] = memoryStreams(systemClock)
  let deliver: ((stream: Duplex) => void) | undefined
  let told = false
  const dial: Dial = (_, { signal }) => {
    signal.addEventListener('abort', () => {
      told = true
    })
    return new Promise((resolve) => (deliver = resolve))
  }
  const error = await rejection(open(dial, { connectTimeoutMs: 20 }), 'CONNECTION_FAILED')
  assert.match(error.message, /not ready within 20 ms/)
  assert.ok(told)
  deliver?.(late)
  await until(() => late.destroyed, 'the late stream is destroyed')
})

test('a broker that takes the connection and says nothing is given up in time', async () => {
  const [near] = memoryStreams(systemClock)
  const error = await rejection(
    open(() => near, { connectTimeoutMs: 20 }),
    'CONNECTION_FAILED',
  )
  assert.match(error.message, /not ready within 20 ms/)
  await until(() => near.destroyed, 'the stream is destroyed')
})

test('opening ends with the caller’s signal', async () => {
  const giveUp = new AbortController()
  const [near] = memoryStreams(systemClock)
  const opening = rejection(
    open(() => near, {}, giveUp.signal),
    'ABORTED',
  )
  giveUp.abort(new Error('enough'))
  assert.equal(((await opening).cause as Error).message, 'enough')
  await until(() => near.destroyed, 'the stream is destroyed')
  await rejection(
    open(() => near, {}, giveUp.signal),
    'ABORTED',
  )
})

test('errors of a stream after its end do not end the process', async () => {
  const broker = new FakeBroker()
  let stream: Duplex | undefined
  const connection = await open((address, options) => {
    stream = broker.dial(address, options) as Duplex
    return stream
  })
  connection.close()
  for (let count = 0; count < 3; count++) stream?.emit('error', new Error('late'))
  const plain = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(new Error('broken')),
  })
  await rejection(
    open(() => plain),
    'CONNECTION_FAILED',
  )
  plain.emit('error', new Error('late'))
})

test('a socket that reads in place gives the first bytes as a chunk, and the others where they belong', async () => {
  const server = createServer((socket) => socket.on('data', (data) => socket.write(data))).listen(
    0,
    '127.0.0.1',
  )
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const { signal } = new AbortController()
  const stream = await directTcpDial({ host: '127.0.0.1', port }, { signal })
  const place = Buffer.alloc(10)
  const chunks: string[] = []
  let taken = 0
  const isDirect = readInto(stream, {
    push: (chunk) => chunks.push(chunk.toString()),
    target: () => place.subarray(taken),
    took: (count) => {
      taken += count
    },
  })
  assert.ok(isDirect)
  stream.write('first')
  await until(() => chunks.length === 1, 'the first bytes')
  stream.write('second')
  await until(() => taken === 6, 'the second ones')
  assert.deepEqual([chunks, place.toString('utf8', 0, 6)], [['first'], 'second'])
  stream.destroy()
  server.close()
  assert.equal(readInto(memoryStreams(systemClock)[0], {} as never), false)
})

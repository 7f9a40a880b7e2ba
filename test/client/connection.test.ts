import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { Connection } from '../../src/client/connection.ts'
import type { Dial } from '../../src/client/dial.ts'
import { apiVersions, fetch, heartbeat, metadata, produce } from '../../src/protocol/messages/index.ts'
import type { Clock, Timer } from '../../src/util/clock.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { encoded, FakeBroker, type FakeRequest } from './fake-broker.ts'
import { inMemory, metadataOf, overSocket, rejection, somewhere, until } from './support.ts'

const beat = { groupId: 'g', generationId: 1, memberId: 'm' }
const answerOf = (throttleTimeMs = 0) => ({ throttleTimeMs, errorCode: 0 })
const noTopics = { topics: [] }

/** Time passes at a stroke, as for a process that is stopped: what falls due meanwhile comes late. */
class StandingClock implements Clock {
  readonly #timers = new Map<object, { readonly at: number; readonly callback: () => void }>()
  #elapsed = 0

  get pending(): number {
    return this.#timers.size
  }

  now = () => this.#elapsed
  monotonic = () => this.#elapsed
  defer = (callback: () => void) => void setImmediate(callback)
  clearTimeout = (timer: Timer) => void this.#timers.delete(timer as object)

  setTimeout = (callback: () => void, delayMs: number): Timer => {
    const timer = {}
    this.#timers.set(timer, { at: this.#elapsed + delayMs, callback })
    return timer
  }

  async pass(ms: number): Promise<void> {
    this.#elapsed += ms
    for (const [timer, { at, callback }] of [...this.#timers]) {
      if (at > this.#elapsed) continue
      this.#timers.delete(timer)
      callback()
    }
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}

test('speaks the highest version that both sides know', async () => {
  const broker = new FakeBroker().on(metadata, () => metadataOf([]))
  broker.ranges.set(metadata.key, [2, 7])
  broker.ranges.delete(produce.key)
  broker.ranges.set(fetch.key, [90, 99])
  const connection = await Connection.open(somewhere, inMemory(broker))
  assert.equal(connection.versionOf(metadata), 7)
  assert.ok(connection.supports(metadata, 7))
  assert.ok(!connection.supports(metadata, 8))
  assert.ok(!connection.supports(produce))
  assert.throws(() => connection.versionOf(produce), { code: 'UNSUPPORTED_VERSION' })
  await rejection(connection.request(fetch, { maxWaitMs: 0, minBytes: 0, topics: [] }), 'UNSUPPORTED_VERSION')
  await connection.request(metadata, noTopics)
  assert.equal(broker.of(metadata)[0]?.version, 7)
  connection.close()
})

test('falls back to the version of ApiVersions that the broker names', async () => {
  const broker = new FakeBroker()
  broker.ranges.set(apiVersions.key, [0, 2])
  const connection = await Connection.open(somewhere, inMemory(broker))
  assert.deepEqual(
    broker.of(apiVersions).map(({ version }) => version),
    [4, 2],
  )
  connection.close()
})

test('falls back one by one when the broker refuses without naming a version', async () => {
  const broker = new FakeBroker().on(apiVersions, ({ version }) => ({
    errorCode: version > 0 ? 35 : 0,
    apiKeys: version > 0 ? [] : [{ apiKey: 3, minVersion: 0, maxVersion: 1 }],
  }))
  const connection = await Connection.open(somewhere, inMemory(broker))
  assert.deepEqual(
    broker.of(apiVersions).map(({ version }) => version),
    [4, 3, 2, 1, 0],
  )
  assert.equal(connection.versionOf(metadata), 1)
  connection.close()
})

test('requests of one turn leave in one write, and answers come in the order of the calls', async () => {
  const broker = await new FakeBroker()
    .on(metadata, () => metadataOf([]))
    .on(heartbeat, () => answerOf())
    .listen()
  const connection = await Connection.open(broker.address, overSocket(broker))
  const order: number[] = []
  let chunks = 0
  broker.links[0]?.stream.on('data', () => chunks++)
  const calls = Array.from({ length: 50 }, (_, index) =>
    index % 2 === 0
      ? connection.request(metadata, noTopics).then(() => order.push(index))
      : connection.request(heartbeat, beat).then(() => order.push(index)),
  )
  assert.equal(connection.inFlight, 50)
  await Promise.all(calls)
  assert.deepEqual(
    order,
    Array.from({ length: 50 }, (_, index) => index),
  )
  assert.equal(chunks, 1)
  assert.equal(connection.inFlight, 0)
  connection.close()
  await broker.stop()
})

test('a response may come in any pieces', async () => {
  const broker = new FakeBroker().on(metadata, () => metadataOf([{ nodeId: 1, host: 'a', port: 1 }]))
  for (const size of [1, 2, 3, 5, 7]) {
    broker.cut = (bytes) =>
      Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      )
    const connection = await Connection.open(somewhere, inMemory(broker))
    const [first, second] = await Promise.all([
      connection.request(metadata, noTopics),
      connection.request(metadata, noTopics),
    ])
    assert.equal(first.brokers[0]?.host, 'a')
    assert.deepEqual(first, second)
    connection.close()
  }
})

test('records of a large response are one view, whole and without a copy of their own', async () => {
  const records = Buffer.alloc(3_000_000, 7)
  const response = {
    throttleTimeMs: 0,
    responses: [
      {
        topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
        partitions: [
          {
            partitionIndex: 0,
            errorCode: 0,
            highWatermark: 1,
            abortedTransactions: null,
            preferredReadReplica: -1,
            records,
          },
        ],
      },
    ],
  }
  const broker = await new FakeBroker().on(fetch, () => response).listen()
  const connection = await Connection.open(broker.address, overSocket(broker))
  const answer = await connection.request(fetch, { maxWaitMs: 0, minBytes: 0, topics: [] })
  const given = answer.responses[0]?.partitions[0]?.records as Buffer
  assert.ok(given.equals(records))
  assert.ok(given.buffer.byteLength < 3_001_000)
  connection.close()
  await broker.stop()
})

test('an overdue answer closes the connection; what waited behind it rejects after it, in order', async () => {
  const clock = new VirtualClock()
  const broker = new FakeBroker().on(metadata, () => 'silence')
  const connection = await clock.during(Connection.open(somewhere, inMemory(broker, { clock })))
  const events: string[] = []
  const note = (name: string) => (error: { code: string }) => events.push(`${name} ${error.code}`)
  connection.onClose((reason) => events.push(`closed ${reason.code}`))
  const first = connection.request(metadata, noTopics, { timeoutMs: 500 }).catch(note('first'))
  const second = connection.request(metadata, noTopics).catch(note('second'))
  await clock.advance(499)
  assert.deepEqual(events, [])
  assert.ok(connection.isOpen)
  await clock.advance(1)
  await Promise.all([first, second])
  await clock.advance(0)
  assert.deepEqual(events, ['first REQUEST_TIMEOUT', 'second CONNECTION_CLOSED', 'closed REQUEST_TIMEOUT'])
  assert.ok(!connection.isOpen)
})

test('a short timeout counts behind a long one, and nothing is timed while nothing waits', async () => {
  const clock = new VirtualClock()
  const broker = new FakeBroker().on(metadata, ({ body }) =>
    body.topics?.length === 0 ? metadataOf([]) : 'silence',
  )
  const connection = await clock.during(Connection.open(somewhere, inMemory(broker, { clock })))
  await connection.request(metadata, noTopics)
  await clock.advance(100_000)
  assert.ok(connection.isOpen)
  const topics = [{ name: 'x' }]
  const long = rejection(connection.request(metadata, { topics }), 'CONNECTION_CLOSED')
  const short = rejection(connection.request(metadata, { topics }, { timeoutMs: 1_000 }), 'REQUEST_TIMEOUT')
  await clock.advance(1_000)
  await Promise.all([long, short])
})

test('an answer that has arrived while the process stood still is no timeout', async () => {
  const broker = await new FakeBroker()
    .on(metadata, (request) => {
      request.link.respond(request, metadataOf([]))
      const until = performance.now() + 60
      while (performance.now() < until);
      return 'silence'
    })
    .listen()
  const connection = await Connection.open(broker.address, overSocket(broker, { requestTimeoutMs: 30 }))
  await connection.request(metadata, noTopics)
  connection.close()
  await broker.stop()
})

test('what has arrived while the process stood still makes a connection', async () => {
  const broker = await new FakeBroker().listen()
  broker.on(apiVersions, ({ link, api, version, correlationId }) => {
    const ranges = [...broker.ranges].map(([apiKey, [minVersion, maxVersion]]) => ({
      apiKey,
      minVersion,
      maxVersion,
    }))
    link.stream.write(encoded(api, version, { correlationId, body: { errorCode: 0, apiKeys: ranges } }))
    const until = performance.now() + 120
    while (performance.now() < until);
    return 'silence'
  })
  const connection = await Connection.open(broker.address, overSocket(broker, { connectTimeoutMs: 60 }))
  assert.ok(connection.isOpen)
  connection.close()
  await broker.stop()
})

test('time for which the process stood still is given back to a dial, once', async () => {
  const clock = new StandingClock()
  const broker = new FakeBroker()
  let answer: (() => void) | undefined
  const slow: Dial = async (address, options) => {
    await new Promise<void>((resolve) => (answer = resolve))
    return broker.dial(address, options)
  }
  const settings = inMemory(broker, { clock, dial: slow, connectTimeoutMs: 100 })
  const saved = Connection.open(somewhere, settings)
  await until(() => answer !== undefined, 'the dial')
  await clock.pass(350)
  await clock.pass(249)
  answer?.()
  const connection = await saved
  connection.close()
  const lost = rejection(Connection.open(somewhere, settings), 'CONNECTION_FAILED')
  await clock.pass(350)
  await clock.pass(250)
  assert.match((await lost).message, /was not ready within 100 ms/)
  assert.equal(clock.pending, 0)
})

for (const [name, spoil] of Object.entries({
  'the wrong correlation id': (request: FakeRequest) =>
    encoded(request.api, request.version, { correlationId: request.correlationId + 1, body: metadataOf([]) }),
  'a size below zero': () => Buffer.from([0xff, 0xff, 0xff, 0xff]),
  'a size of two': () => Buffer.from([0, 0, 0, 2, 0, 0]),
  'bytes that do not decode': (request: FakeRequest) => {
    const bytes = encoded(request.api, request.version, {
      correlationId: request.correlationId,
      body: metadataOf([{ nodeId: 1, host: 'host', port: 1 }]),
    })
    return bytes.fill(0xff, 12)
  },
})) {
  test(`${name} ends the connection`, async () => {
    const broker = new FakeBroker().on(metadata, (request) => {
      request.link.stream.write(spoil(request))
      return 'silence'
    })
    const connection = await Connection.open(somewhere, inMemory(broker))
    const first = connection.request(metadata, noTopics)
    const second = connection.request(metadata, noTopics)
    const reason = new Promise<{ code: string }>((resolve) => connection.onClose(resolve))
    const codes = await Promise.all([first, second].map((call) => call.catch((error) => error.code)))
    assert.equal((await reason).code, 'MALFORMED_FRAME')
    assert.ok(codes[0] === 'MALFORMED_FRAME' || codes[0] === 'CONNECTION_CLOSED', codes[0])
    assert.equal(codes[1], 'CONNECTION_CLOSED')
    await until(() => broker.links[0]?.isClosed === true, 'the broker sees the end')
  })
}

test('an answer without a question ends the connection', async () => {
  const broker = new FakeBroker()
  const connection = await Connection.open(somewhere, inMemory(broker))
  const reason = new Promise<{ code: string }>((resolve) => connection.onClose(resolve))
  broker.links[0]?.stream.write(encoded(heartbeat, 0, { correlationId: 99, body: answerOf() }))
  assert.equal((await reason).code, 'MALFORMED_FRAME')
})

test('a response beyond maxResponseBytes is refused before it comes', async () => {
  const size = Buffer.alloc(4)
  size.writeInt32BE(5_000)
  const broker = new FakeBroker().on(metadata, ({ link }) => {
    link.stream.write(size)
    return 'silence'
  })
  const connection = await Connection.open(somewhere, inMemory(broker, { maxResponseBytes: 4_000 }))
  const first = rejection(connection.request(metadata, noTopics), 'RESPONSE_TOO_LARGE')
  const second = rejection(connection.request(metadata, noTopics), 'CONNECTION_CLOSED')
  await Promise.all([first, second])
  assert.ok(!connection.isOpen)
})

test('a number beyond 2^53 fails its own request only', async () => {
  const broker = new FakeBroker()
  const connection = await Connection.open(somewhere, inMemory(broker))
  let spoilt = false
  broker.on(produce, (request) => {
    if (spoilt) return { responses: [] }
    spoilt = true
    const bytes = encoded(produce, request.version, {
      correlationId: request.correlationId,
      body: {
        responses: [
          {
            topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
            partitionResponses: [{ index: 0, errorCode: 0, baseOffset: 0x1234_5678 }],
          },
        ],
      },
    })
    const at = bytes.indexOf(Buffer.from([0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78]))
    bytes.fill(0x7f, at, at + 4)
    request.link.stream.write(bytes)
    return 'silence'
  })
  const body = { acks: -1, timeoutMs: 1, topicData: [] }
  await rejection(connection.request(produce, body), 'NUMBER_OUT_OF_RANGE')
  await connection.request(produce, body)
  connection.close()
})

test('a response cut off by the end of the stream rejects, and says so', async () => {
  const broker = await new FakeBroker()
    .on(metadata, ({ link }) => {
      link.stream.end(Buffer.from([0, 0, 1, 0, 0, 0]))
      return 'silence'
    })
    .listen()
  const connection = await Connection.open(broker.address, overSocket(broker))
  const error = await rejection(connection.request(metadata, noTopics), 'CONNECTION_CLOSED')
  assert.match(error.message, /in the middle of a response/)
  assert.ok(error.retriable)
  await rejection(connection.request(metadata, noTopics), 'CONNECTION_CLOSED')
  await broker.stop()
})

test('a reset of the broker is an error of the requests, never of the process', async () => {
  const broker = await new FakeBroker()
    .on(metadata, ({ link }) => {
      ;(link.stream as unknown as { resetAndDestroy(): void }).resetAndDestroy()
      return 'silence'
    })
    .listen()
  const connection = await Connection.open(broker.address, overSocket(broker))
  const calls = Array.from({ length: 5 }, () => connection.request(metadata, noTopics))
  for (const call of calls) await rejection(call, 'CONNECTION_CLOSED')
  await broker.stop()
})

test('a broker that throttles is not written to until the time is over (KIP-219)', async () => {
  const clock = new VirtualClock()
  const broker = new FakeBroker().on(heartbeat, () => answerOf(700))
  const connection = await clock.during(Connection.open(somewhere, inMemory(broker, { clock })))
  await connection.request(heartbeat, beat)
  broker.on(heartbeat, () => answerOf())
  const held = connection.request(heartbeat, beat)
  await clock.advance(699)
  assert.equal(broker.of(heartbeat).length, 1)
  assert.equal(connection.inFlight, 1)
  await clock.advance(1)
  await clock.during(held)
  assert.equal(broker.of(heartbeat).length, 2)
  connection.close()
})

test('a throttle time of a version in which the broker has waited itself is only told', async () => {
  const broker = new FakeBroker().on(heartbeat, () => answerOf(1_000_000))
  broker.ranges.set(heartbeat.key, [0, 1])
  const connection = await Connection.open(somewhere, inMemory(broker))
  await connection.request(heartbeat, beat)
  await connection.request(heartbeat, beat)
  connection.close()
})

test('held requests reject in their place when the connection ends', async () => {
  const clock = new VirtualClock()
  const broker = new FakeBroker().on(heartbeat, () => answerOf(700)).on(metadata, () => 'silence')
  const connection = await clock.during(Connection.open(somewhere, inMemory(broker, { clock })))
  const order: string[] = []
  const beats = connection.request(heartbeat, beat)
  const waiting = connection.request(metadata, noTopics).catch(() => order.push('on the wire'))
  await beats
  const held = connection.request(metadata, noTopics).catch(() => order.push('held'))
  connection.onClose(() => order.push('closed'))
  connection.close()
  await Promise.all([waiting, held])
  await clock.advance(0)
  assert.deepEqual(order, ['on the wire', 'held', 'closed'])
})

test('a request without a response resolves when it is written', async () => {
  const broker = new FakeBroker().on(produce, () => 'silence').on(metadata, () => metadataOf([]))
  const connection = await Connection.open(somewhere, inMemory(broker))
  const body = { acks: 0, timeoutMs: 1, topicData: [] }
  const settled: string[] = []
  await Promise.all([
    connection.request(produce, body, { expectResponse: false }).then(() => settled.push('first')),
    connection.request(produce, body, { expectResponse: false }).then(() => settled.push('second')),
  ])
  assert.deepEqual(settled, ['first', 'second'])
  await connection.request(metadata, noTopics)
  assert.equal(broker.of(produce).length, 2)
  connection.close()
})

test('a request without a response rejects when it could not be written', async () => {
  const broker = new FakeBroker()
  let isBroken = false
  const dial: Dial = (address, options) => {
    const stream = broker.dial(address, options) as Duplex
    const write = stream._write.bind(stream)
    stream._write = (chunk, encoding, done) => {
      if (isBroken) setImmediate(() => done(new Error('broken pipe')))
      else write(chunk, encoding, done)
    }
    Object.assign(stream, { _writev: null })
    return stream
  }
  const connection = await Connection.open(somewhere, inMemory(broker, { dial }))
  isBroken = true
  const body = { acks: 0, timeoutMs: 1, topicData: [] }
  const calls = [1, 2, 3].map(() => connection.request(produce, body, { expectResponse: false }))
  for (const call of calls) await rejection(call, 'CONNECTION_CLOSED')
})

test('a body that does not fit rejects alone and writes nothing', async () => {
  const broker = new FakeBroker().on(metadata, () => metadataOf([]))
  const connection = await Connection.open(somewhere, inMemory(broker))
  const wrong = { topics: [{ name: 'x'.repeat(40_000) }] }
  await rejection(connection.request(metadata, wrong, { version: 5 }), 'INVALID_ARGUMENT')
  await connection.request(metadata, noTopics)
  assert.equal(broker.of(metadata).length, 1)
  connection.close()
})

test('the stream tells when it is full, and when it has drained', async () => {
  const server = createServer((socket) => {
    socket.pause()
    resume = () => socket.resume()
  })
  let resume = () => undefined as unknown
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const broker = new FakeBroker().on(produce, () => 'silence')
  const real = inMemory(broker, {})
  const { connect } = await import('node:net')
  const dial: Dial = () => connect(port, '127.0.0.1')
  // The socket never answers, so what lies above it is opened against the fake and its channel used alone.
  const { Channel } = await import('../../src/client/channel.ts')
  const stream = await dial({ host: '', port }, { signal: new AbortController().signal })
  const channel = new Channel({
    stream,
    clock: real.clock,
    logger: real.logger,
    clientId: null,
    broker: 'b',
    maxResponseBytes: 1_000_000,
    onThrottle: () => undefined,
  })
  const records = Buffer.alloc(8_000_000)
  const body = {
    acks: 1,
    timeoutMs: 1,
    topicData: [{ name: 't', partitionData: [{ index: 0, records }] }],
  }
  assert.equal(channel.needsDrain, false)
  await channel.drained()
  const call = {
    api: produce,
    version: 9,
    body,
    timeoutMs: 10_000,
    expectResponse: true,
    urgent: false,
    atOnce: false,
  }
  const sent = channel.send(call as never).catch((error: { code: string }) => error.code)
  assert.equal(channel.needsDrain, true)
  const drained = channel.drained()
  await until(() => resume !== undefined && server.connections !== 0, 'the server has the socket')
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(channel.needsDrain, true)
  server.on('connection', () => undefined)
  resume()
  await drained
  assert.equal(channel.needsDrain, false)
  const { OttlaError } = await import('../../src/errors.ts')
  channel.close(new OttlaError('CONNECTION_CLOSED', 'done'))
  assert.equal(await sent, 'CONNECTION_CLOSED')
  server.close()
})

test('a connection that retires answers what it has taken, takes no more, then closes', async () => {
  let answer: (() => void) | undefined
  const broker = new FakeBroker().on(metadata, async () => {
    await new Promise<void>((resolve) => (answer = resolve))
    return metadataOf([])
  })
  const connection = await Connection.open(somewhere, inMemory(broker))
  const closed = new Promise<{ message: string }>((resolve) => connection.onClose(resolve))
  const taken = connection.request(metadata, noTopics)
  await until(() => answer !== undefined, 'the broker has the request')
  connection.retire('it is not needed')
  assert.ok(!connection.isOpen)
  await rejection(connection.request(metadata, noTopics), 'CONNECTION_CLOSED')
  answer?.()
  await taken
  assert.equal((await closed).message, 'it is not needed')
})

test('a close listener that throws does not stop the others, and a late one is told too', async () => {
  const errors: string[] = []
  const nothing = () => undefined
  const logger = {
    debug: nothing,
    info: nothing,
    warn: nothing,
    error: (_: object, text: string) => errors.push(text),
  }
  const connection = await Connection.open(somewhere, inMemory(new FakeBroker(), { logger }))
  const told: string[] = []
  connection.onClose(() => {
    throw new Error('mine')
  })
  connection.onClose(() => told.push('second'))
  connection.close()
  connection.close()
  await until(() => told.length === 1, 'the second listener')
  await new Promise<void>((resolve) => connection.onClose(() => resolve()))
  assert.deepEqual(told, ['second'])
  assert.deepEqual(errors, ['a close listener threw'])
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { apiTable } from '../../src/broker/handlers/index.ts'
import { startCluster } from '../../src/broker/index.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { encodeRequest } from '../../src/protocol/frame.ts'
import { apiVersions } from '../../src/protocol/messages/api-versions.ts'
import { fetch } from '../../src/protocol/messages/fetch.ts'
import { metadata } from '../../src/protocol/messages/metadata.ts'
import { produce } from '../../src/protocol/messages/produce.ts'
import { type Clock, systemClock } from '../../src/util/clock.ts'
import { seededRandom } from '../../src/util/random.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { readResponse } from '../support/frames.ts'
import { parseAddress, RawConnection } from '../support/raw-connection.ts'
import { batchOf, fetchRequest, produceRequest, read, send, topicsOf, until, withCluster } from './kit.ts'

const versionsFrame = (correlationId: number) =>
  Buffer.concat(encodeRequest(apiVersions, { apiVersion: 0, correlationId, clientId: null }, {}))

test('an unknown version of ApiVersions is answered in version 0, with what is known', async () => {
  await withCluster({}, async ({ to }) => {
    const node = await to(1)
    const frame = Buffer.from([0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0])
    const { correlationId, body: answer } = readResponse(apiVersions, 0, await node.exchange(frame))
    assert.equal(correlationId, 7)
    assert.equal(errorName(answer.errorCode), 'UNSUPPORTED_VERSION')
    assert.deepEqual(
      answer.apiKeys.find(({ apiKey }) => apiKey === 0),
      { apiKey: 0, minVersion: 0, maxVersion: 13 },
    )
    assert.equal(
      (await node.send(apiVersions, 4, { clientSoftwareName: 'a', clientSoftwareVersion: '1' })).errorCode,
      0,
    )
  })
})

test('frames that come in pieces, or many at once, are answered in order', async () => {
  await withCluster({ transport: 'tcp' }, async ({ to }) => {
    const node = await to(1)
    const bytes = Buffer.concat([1, 2, 3, 4].map(versionsFrame))
    const answers = [1, 2, 3].map(() => node.exchange(Buffer.alloc(0)))
    const last = node.exchange(bytes.subarray(0, 3))
    for (let at = 3; at < bytes.length; at++) node.write(bytes.subarray(at, at + 1))
    for (const [index, answer] of [...answers, last].entries())
      assert.equal(readResponse(apiVersions, 0, await answer).correlationId, index + 1)
  })
})

test('a request that waits holds back what is behind it on its connection, and nothing else', async () => {
  const clock = new VirtualClock()
  await withCluster({ topics: { t: 1 }, clock }, async ({ to }) => {
    const [node, other] = [await to(1), await to(1)]
    const order: string[] = []
    const polled = node
      .send(fetch, 12, fetchRequest('t', 0, { maxWaitMs: 1000 }))
      .then(() => order.push('poll'))
    const behind = node.send(apiVersions, 0, {}).then(() => order.push('behind'))
    await clock.advance(500)
    await other.send(apiVersions, 0, {}).then(() => order.push('other'))
    await clock.advance(500)
    await Promise.all([polled, behind])
    assert.deepEqual(order, ['other', 'poll', 'behind'])
  })
})

test('what is no request closes the connection, and the node goes on', async () => {
  const frames: [name: string, bytes: number[]][] = [
    ['a negative size', [0xff, 0xff, 0xff, 0xff]],
    ['a size beyond the bound', [0x7f, 0, 0, 0]],
    ['a header that is cut', [0, 0, 0, 3, 0, 0, 0]],
    ['an API that nobody knows', [0, 0, 0, 10, 0x70, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff]],
    ['a version that nobody knows', [0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff]],
    ['a body that is cut', [0, 0, 0, 12, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0]],
    ['more elements than bytes', [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]],
  ]
  await withCluster({ transport: 'tcp', topics: { t: 1 } }, async ({ to }) => {
    for (const [name, bytes] of frames) {
      const node = await to(1)
      await assert.rejects(node.exchange(Buffer.from(bytes)), /closed/, name)
    }
    assert.equal((await send(await to(1), 't', batchOf(['a']))).errorCode, 0)
  })
})

test('mutated requests never bring a node down', async () => {
  const seed = Number(process.env['OTTLA_SEED'] ?? 20260901)
  const random = seededRandom(seed)
  const corpus = [
    encodeRequest(
      produce,
      { apiVersion: 9, correlationId: 1, clientId: 'c' },
      produceRequest('t', batchOf(['a'])),
    ),
    encodeRequest(fetch, { apiVersion: 12, correlationId: 1, clientId: 'c' }, fetchRequest('t', 0)),
    encodeRequest(
      metadata,
      { apiVersion: 12, correlationId: 1, clientId: 'c' },
      {
        topics: null,
        includeTopicAuthorizedOperations: true,
      },
    ),
  ].map((pieces) => Buffer.concat(pieces))
  await withCluster({ topics: { t: 1 }, configs: { 'num.partitions': 3 } }, async ({ to }) => {
    for (let round = 0; round < 400; round++) {
      const frame = Buffer.from(corpus[random.below(corpus.length)] as Buffer)
      for (let flips = 1 + random.below(4); flips > 0; flips--) {
        frame[4 + random.below(frame.length - 4)] = random.below(256)
      }
      const node = await to(1)
      node.exchange(frame).then(
        () => node.close(),
        () => undefined,
      )
      await new Promise<void>((resolve) => setImmediate(resolve))
      node.close()
    }
    const alive = await send(await to(1), 't', batchOf(['a']))
    assert.equal(alive.errorCode, 0, `seed ${seed}`)
  })
})

test('every API takes random bodies without an exception', async () => {
  const seed = Number(process.env['OTTLA_SEED'] ?? 20261121)
  const random = seededRandom(seed)
  const errors: unknown[] = []
  const nothing = () => undefined
  const logger = {
    debug: nothing,
    info: nothing,
    warn: nothing,
    error: (fields: object) => errors.push(fields),
  }
  await withCluster({ topics: { t: 2 }, logger }, async ({ to }) => {
    for (const { apiKey, minVersion, maxVersion } of apiTable().advertised) {
      for (let version = minVersion; version <= maxVersion; version++) {
        for (let round = 0; round < 4; round++) {
          // Small numbers are lengths that fit: they get further into the message than any byte would.
          const most = round % 2 === 0 ? 4 : 256
          const body = Buffer.from(Array.from({ length: 60 }, () => random.below(most)))
          const frame = Buffer.concat([Buffer.alloc(14), body])
          frame.writeInt32BE(10 + body.length, 0)
          frame.writeInt16BE(apiKey, 4)
          frame.writeInt16BE(version, 6)
          frame.writeInt16BE(-1, 12)
          const node = await to(1)
          node.exchange(frame).catch(nothing)
          for (let turn = 0; turn < 4; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
          node.close()
        }
      }
    }
    assert.deepEqual(errors, [], `seed ${seed}`)
    assert.equal((await send(await to(1), 't', batchOf(['a']))).errorCode, 0)
  })
})

test('an announced size alone reserves no memory', async () => {
  await withCluster({}, async ({ to }) => {
    const before = process.memoryUsage().arrayBuffers
    const announced = Buffer.from([0x05, 0, 0, 0, 0, 0])
    for (let index = 0; index < 20; index++) (await to(1)).write(announced)
    await new Promise((resolve) => setImmediate(resolve))
    assert.ok(process.memoryUsage().arrayBuffers - before < 40 << 20)
  })
})

test('a client that sends and ends at once has its requests applied', async () => {
  await withCluster({ transport: 'tcp', topics: { t: 1 } }, async ({ cluster, to }) => {
    const { host, port } = parseAddress(cluster.brokers[0] ?? '')
    const socket = connect({ host, port })
    const request = produceRequest('t', batchOf(['a']), { acks: 0 })
    const header = { apiVersion: 9, correlationId: 1, clientId: null }
    socket.end(Buffer.concat([0, 1, 2].flatMap(() => encodeRequest(produce, header, request))))
    socket.resume()
    await once(socket, 'close')
    assert.equal((await send(await to(1), 't', batchOf(['b']))).baseOffset, 3)
  })
})

test('a client that does not read is not written to without end', async () => {
  await withCluster({ transport: 'tcp', topics: { t: 1 } }, async ({ cluster, to }) => {
    const value = 'x'.repeat(900_000)
    await send(await to(1), 't', batchOf([value]))
    const { host, port } = parseAddress(cluster.brokers[0] ?? '')
    const socket = connect({ host, port })
    const header = { apiVersion: 12, correlationId: 1, clientId: null }
    const frame = Buffer.concat(encodeRequest(fetch, header, fetchRequest('t', 0)))
    socket.pause()
    const before = process.memoryUsage().arrayBuffers
    for (let index = 0; index < 300; index++) socket.write(frame)
    for (let turn = 0; turn < 200; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
    assert.ok(process.memoryUsage().arrayBuffers - before < 100 << 20, 'not 300 answers of 900 kB')
    socket.destroy()
    assert.equal((await topicsOf(await to(1), ['t']))[0]?.errorCode, 0)
  })
})

test('a stopped node refuses connections, and has its address again when it starts', async () => {
  for (const transport of ['tcp', 'memory'] as const) {
    await withCluster({ brokers: 2, transport }, async ({ cluster, to }) => {
      const { brokers } = cluster
      const node = await to(1)
      await cluster.stopNode(1)
      await node.closed
      await assert.rejects(to(1), { code: 'ECONNREFUSED' })
      const other = await to(2)
      const down = await other.send(metadata, 1, { topics: [] })
      assert.deepEqual([down.brokers.length, down.controllerId], [1, 2])
      await cluster.startNode(1)
      assert.deepEqual(cluster.brokers, brokers)
      const up = await (await to(1)).send(metadata, 1, { topics: [] })
      assert.deepEqual([up.brokers.length, up.controllerId], [2, 1])
    })
  }
})

test('nodes listen at the ports that follow the one given', async () => {
  const probe = await startCluster()
  const { port } = parseAddress(probe.brokers[0] ?? '')
  await probe.stop()
  await withCluster({ transport: 'tcp', listen: { port, host: '127.0.0.1' } }, async ({ cluster }) => {
    assert.deepEqual(cluster.brokers, [`127.0.0.1:${port}`])
    await assert.rejects(startCluster({ listen: { port } }), { code: 'EADDRINUSE' })
  })
})

test('a cluster that cannot start leaves nothing listening', async () => {
  const before = await startCluster()
  const { port } = parseAddress(before.brokers[0] as string)
  await before.stop()
  const noTimers: Clock = {
    ...systemClock,
    setTimeout: () => {
      throw new Error('no timers here')
    },
  }
  await assert.rejects(startCluster({ listen: { port }, clock: noTimers }), /no timers here/)
  const socket = connect(port, '127.0.0.1')
  const outcome = await Promise.race([
    once(socket, 'connect').then(() => 'listens'),
    once(socket, 'error').then(([error]) => error.code),
  ]).catch((error: NodeJS.ErrnoException) => error.code)
  socket.destroy()
  assert.equal(outcome, 'ECONNREFUSED')
})

test('wrong options are refused with what would be right', async () => {
  await assert.rejects(startCluster({ broker: 3 } as object), { code: 'INVALID_OPTION', message: /brokers/ })
  await assert.rejects(startCluster({ port: 9092 } as object), { message: /did you mean listen\?/ })
  await assert.rejects(startCluster({ configs: { 'no.such.config': 1 } }), {
    code: 'INVALID_OPTION',
    path: 'startCluster.configs.no.such.config',
    message: /option configs\.no\.such\.config must be as Kafka has it: Unknown broker config.*, not 1$/,
  })
  await withCluster({ brokers: 2 }, async ({ cluster }) => {
    await assert.rejects(cluster.stopNode('1' as never), { message: 'there is no node "1"; there are 1, 2' })
  })
  await assert.rejects(startCluster({ topics: { 'a b': 1 } }), { code: 'INVALID_ARGUMENT' })
  await assert.rejects(startCluster({ topics: { t: 0 } }), { code: 'INVALID_ARGUMENT' })
})

const PEM_KEY = '-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n'
const PEM_CERTIFICATE = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'

const wrongOptions: [options: object, path: string, message: RegExp][] = [
  [
    { topics: ['orders'] },
    'topics',
    /option topics must be topics by name, such as \{ orders: 4 \}.*, not a list/,
  ],
  [{ topics: { t: '4' } }, 'topics.t', /option t must be a number of partitions, or \{.*\}, not "4"/],
  [{ topics: { t: null } }, 'topics.t', /must be a number of partitions, or \{.*\}, not null/],
  [{ topics: { t: [4] } }, 'topics.t', /must be a number of partitions, or \{.*\}, not a list/],
  [{ topics: { t: 2.5 } }, 'topics.t.partitions', /must be a whole number, not 2\.5/],
  [{ topics: { t: { partitions: '4' } } }, 'topics.t.partitions', /must be a whole number, not "4"/],
  [
    { topics: { t: { partition: 4 } } },
    'topics.t.partition',
    /unknown option partition; did you mean partitions\?/,
  ],
  [{ topics: { t: { configs: [] } } }, 'topics.t.configs', /must be an object, not an empty list/],
  [{ listen: { prot: 1 } }, 'listen.prot', /did you mean port\?/],
  [{ listen: { port: '9092' } }, 'listen.port', /a whole number from 0 to 65535, not "9092"/],
  [{ racks: 'a' }, 'racks', /must be a list of names, not "a"/],
  [{ sasl: {} }, 'sasl.users', /option users is required: give passwords by user name/],
  [{ sasl: { user: {} } }, 'sasl.user', /did you mean users\?/],
  [{ sasl: { users: 'ada:hunter2' } }, 'sasl.users', /must be passwords by user name.*, not a string/],
  [{ sasl: { users: ['ada'] } }, 'sasl.users', /must be passwords by user name.*, not an object/],
  [{ sasl: { users: { ada: 4711 } } }, 'sasl.users.ada', /a string that is not empty, not a number/],
  [
    { sasl: { users: {}, mechanisms: ['SCRAM'] } },
    'sasl.mechanisms[0]',
    /must be "PLAIN" or .*, not "SCRAM"/,
  ],
  [{ tls: {} }, 'tls.key', /option key is required: give PEM text or its bytes/],
  [
    { tls: { key: 'server.key', cert: '' } },
    'tls.key',
    /there is no private key in it; this looks like a path/,
  ],
  [{ tls: { key: PEM_KEY, cert: ' ' } }, 'tls.cert', /there is no certificate in it, not a string/],
  [
    { tls: { key: PEM_KEY, cert: PEM_CERTIFICATE, ca: [PEM_CERTIFICATE, ''] } },
    'tls.ca[1]',
    /no certificate in it/,
  ],
  [
    { tls: { key: PEM_KEY, cert: PEM_CERTIFICATE, ca: [] } },
    'tls.ca',
    /must be PEM text, or a list of at least one/,
  ],
  [{ brokers: 3, racks: ['a'] }, 'racks', /as many names as there are brokers \(3\), not 1/],
  [{ racks: ['a', 'b'] }, 'racks', /as many names as there are brokers \(1\), not 2/],
  [
    { transport: 'memory', listen: { port: 9092 } },
    'listen',
    /must be left out beside transport 'memory', where nothing listens/,
  ],
  [{ transport: 'tpc' }, 'transport', /"tcp" or "memory" \(did you mean "tcp"\?\), not "tpc"/],
  [{ tls: { key: PEM_KEY, crt: 'c' } }, 'tls.crt', /did you mean cert\?/],
]

for (const [options, path, message] of wrongOptions) {
  test(`refused with what would be right: startCluster(${JSON.stringify(options)})`, async () => {
    await assert.rejects(startCluster(options), {
      code: 'INVALID_OPTION',
      path: `startCluster.${path}`,
      message,
    })
  })
}

test('one seed gives one run: every answer is the same, byte for byte', async () => {
  const run = async (seed: number) => {
    const clock = new VirtualClock()
    const digest: string[] = []
    await withCluster({ brokers: 3, topics: { t: 3 }, clock, random: seededRandom(seed) }, async (kit) => {
      const random = seededRandom(seed)
      for (let round = 0; round < 60; round++) {
        const partition = random.below(3)
        if (round % 10 === 9) {
          const target = 1 + random.below(3)
          if (kit.cluster.replicaOf(target, 't', partition).isInSync)
            kit.cluster.moveLeader('t', partition, target)
        }
        const node = await kit.to(1 + random.below(3))
        const header = { apiVersion: 12, correlationId: round, clientId: 'c' }
        const request = produceRequest('t', batchOf([`${round}`]), { partition })
        const answer = node.exchange(Buffer.concat(encodeRequest(produce, header, request)))
        await clock.advance(random.below(20))
        digest.push((await answer).toString('hex'))
      }
      digest.push((await kit.to(1)) instanceof RawConnection ? kit.cluster.clusterId : '')
    })
    return digest.join()
  }
  assert.equal(await run(7), await run(7))
  assert.notEqual(await run(7), await run(8))
})

test('a cluster that stops leaves no timer and nobody waiting', async () => {
  const timers = new Set<unknown>()
  const clock: Clock = {
    ...systemClock,
    setTimeout: (callback, delayMs) => {
      const timer = systemClock.setTimeout(() => {
        timers.delete(timer)
        callback()
      }, delayMs)
      timers.add(timer)
      return timer
    },
    clearTimeout: (timer) => {
      timers.delete(timer)
      systemClock.clearTimeout(timer)
    },
  }
  const answers: Promise<unknown>[] = []
  const configs = { 'broker.session.timeout.ms': 60_000 }
  await withCluster(
    { brokers: 3, topics: { t: 1, u: 1 }, clock, configs },
    async ({ cluster, toLeader, to }) => {
      const leader = cluster.leaderOf('t', 0)
      cluster.holdReplica((leader % 3) + 1, 't', 0)
      answers.push(send(await toLeader('t'), 't', batchOf(['a']), { timeoutMs: 60_000 }))
      answers.push(read(await toLeader('t'), 't', 0, { maxWaitMs: 60_000 }))
      cluster.faults.on({ api: 'ApiVersions' }, { delayMs: 60_000 })
      answers.push((await to(leader)).send(apiVersions, 0, {}))
      await cluster.stopNode(((leader + 1) % 3) + 1, { kill: true })
      await until(() => cluster.replicaOf(leader, 't', 0).logEnd === 1)
      assert.ok(timers.size >= 5, `${timers.size} timers`)
    },
  )
  await Promise.allSettled(answers)
  assert.equal(timers.size, 0)
})

test('an older broker is played by capping versions and leaving APIs out', async () => {
  const maxVersions = { Produce: 8, Fetch: 11, DescribeProducers: null }
  await withCluster({ topics: { t: 1 }, maxVersions }, async ({ to }) => {
    const node = await to(1)
    const { apiKeys } = await node.send(apiVersions, 0, {})
    const highest = new Map(apiKeys.map(({ apiKey, maxVersion }) => [apiKey, maxVersion]))
    assert.deepEqual([highest.get(0), highest.get(1), highest.get(61)], [8, 11, undefined])
    assert.equal((await send(node, 't', batchOf(['a']), { version: 8 })).errorCode, 0)
    await assert.rejects(send(node, 't', batchOf(['a']), { version: 9 }), /closed/)
  })
  await assert.rejects(startCluster({ maxVersions: { Nothing: 1 } }), { code: 'INVALID_OPTION' })
  await assert.rejects(startCluster({ maxVersions: { Fetch: 3 } }), { code: 'INVALID_OPTION' })
})

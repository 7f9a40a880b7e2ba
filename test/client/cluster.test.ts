import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../src/client/cluster.ts'
import type { Address, Dial } from '../../src/client/dial.ts'
import { formatAddress } from '../../src/client/dial.ts'
import { type ClientOptions, resolveClientOptions } from '../../src/client/options.ts'
import { findCoordinator, heartbeat, metadata } from '../../src/protocol/messages/index.ts'
import { seededRandom } from '../../src/util/random.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { FakeBroker } from './fake-broker.ts'
import { type FakeTopic, metadataOf, rejection } from './support.ts'

const one = { nodeId: 1, host: 'one', port: 9092 }
const two = { nodeId: 2, host: 'two', port: 9092 }
const leader = (leaderId: number, leaderEpoch = 0) => ({ leaderId, leaderEpoch })

/** Fake brokers behind addresses, a clock that stands, and what each test may change. */
class Net {
  readonly clock = new VirtualClock()
  readonly hosts = new Map<string, FakeBroker>()
  readonly dials: string[] = []
  brokers: readonly (Address & { nodeId: number })[] = [one, two]
  topics: FakeTopic[] = [{ name: 't', leaders: [leader(1)] }]
  /** Hosts whose dials never come to an end. */
  readonly blackHoles = new Set<string>()

  constructor() {
    for (const { host } of this.brokers) this.host(host)
  }

  host(name: string): FakeBroker {
    const broker = new FakeBroker().on(metadata, ({ body }) => {
      const asked = body.topics?.map((topic) => topic.name)
      const known = this.topics.filter(({ name }) => asked?.includes(name) ?? true)
      const unknown = (asked ?? []).filter((name) => !this.topics.some((topic) => topic.name === name))
      return metadataOf(this.brokers, [
        ...known,
        ...unknown.map((name) => ({ name: name ?? '', topicId: 'AAAAAAAAAAAAAAAAAAAAAA', errorCode: 3 })),
      ])
    })
    broker.on(heartbeat, () => ({ errorCode: 0 }))
    this.hosts.set(name, broker)
    return broker
  }

  readonly dial: Dial = (address, options) => {
    this.dials.push(formatAddress(address))
    if (this.blackHoles.has(address.host)) return new Promise(() => undefined)
    const broker = this.hosts.get(address.host)
    if (broker === undefined)
      return Promise.reject(new Error(`connect ECONNREFUSED ${formatAddress(address)}`))
    return broker.dial(address, options)
  }

  cluster(options: Partial<ClientOptions> = {}): Cluster {
    const { clock, dial } = this
    const random = seededRandom(1)
    return new Cluster(resolveClientOptions({ brokers: 'one:9092', clock, dial, random, ...options }))
  }

  /** Metadata requests that reached any broker. */
  asked() {
    return [...this.hosts.values()].flatMap((broker) => broker.of(metadata))
  }

  /** Ends the connections of a host, and refuses new ones. */
  down(name: string): void {
    for (const { stream } of this.hosts.get(name)?.links ?? []) stream.destroy()
    this.hosts.delete(name)
  }
}

test('connects when first used, and learns the cluster', async () => {
  const net = new Net()
  const cluster = net.cluster()
  await net.clock.advance(1_000)
  assert.deepEqual(net.dials, [])
  await net.clock.during(cluster.refresh({ topics: ['t'] }))
  assert.equal(cluster.clusterId, 'cluster')
  assert.equal(cluster.controllerId, 1)
  assert.deepEqual(
    cluster.brokers().map(({ nodeId }) => nodeId),
    [1, 2],
  )
  assert.equal(cluster.topic('t')?.partitions[0]?.leaderId, 1)
  assert.equal(cluster.topicById('AAAAAAAAAAAAAAAAAAAAAQ')?.name, 't')
  await cluster.stop()
})

test('the connection to a configured address becomes that of the node it turns out to be', async () => {
  const net = new Net()
  const cluster = net.cluster()
  await net.clock.during(cluster.refresh())
  assert.ok(cluster.openConnection(1)?.isOpen)
  await net.clock.during(cluster.connection(1))
  assert.deepEqual(net.dials, ['one:9092'])
  await cluster.stop()
})

test('refreshes that come together are one request for all of their topics', async () => {
  const net = new Net()
  const cluster = net.cluster()
  const calls = ['a', 'b', 'c'].map((topic) => cluster.refresh({ topics: [topic] }))
  await net.clock.during(Promise.all(calls))
  assert.equal(net.asked().length, 1)
  assert.deepEqual(
    net
      .asked()[0]
      ?.body.topics?.map(({ name }) => name)
      .sort(),
    ['a', 'b', 'c'],
  )
  await cluster.stop()
})

test('a refresh waits for the least interval, unless it is forced', async () => {
  const net = new Net()
  const cluster = net.cluster({ metadataMinIntervalMs: 1_000 })
  await net.clock.during(cluster.refresh())
  let isDone = false
  const waiting = cluster.refresh().then(() => {
    isDone = true
  })
  await net.clock.advance(999)
  assert.equal(net.asked().length, 1)
  await net.clock.advance(1)
  await net.clock.during(waiting)
  assert.ok(isDone)
  assert.equal(net.asked().length, 2)
  const joined = cluster.refresh()
  await net.clock.advance(10)
  await net.clock.during(cluster.refresh({ force: true }), 0)
  await net.clock.during(joined, 0)
  assert.equal(net.asked().length, 3)
  await cluster.stop()
})

test('a call for a topic that the request under way does not name comes next', async () => {
  const net = new Net()
  const cluster = net.cluster()
  const releases: (() => void)[] = []
  net.hosts.get('one')?.on(metadata, async () => {
    await new Promise<void>((resolve) => releases.push(resolve))
    return metadataOf(net.brokers, net.topics)
  })
  const first = cluster.refresh({ topics: ['t'] })
  await net.clock.until(() => releases.length === 1)
  const same = cluster.refresh({ topics: ['t'] })
  const other = cluster.refresh({ topics: ['u'] })
  releases[0]?.()
  await net.clock.during(Promise.all([first, same]))
  await net.clock.until(() => releases.length === 2)
  releases[1]?.()
  await net.clock.during(other)
  assert.deepEqual(
    net.asked().map(({ body }) => body.topics?.map(({ name }) => name)),
    [['t'], ['u']],
  )
  await cluster.stop()
})

test('watched topics are in every refresh, and are refreshed before they are too old', async () => {
  const net = new Net()
  const cluster = net.cluster({ metadataMaxAgeMs: 60_000 })
  let changes = 0
  const end = cluster.onChange(() => changes++)
  const unwatch = cluster.watch(['t'])
  const unwatchAgain = cluster.watch(['t', 'u'])
  await net.clock.during(cluster.refresh())
  assert.deepEqual(
    net.asked()[0]?.body.topics?.map(({ name }) => name),
    ['t', 'u'],
  )
  await net.clock.advance(60_000)
  assert.equal(net.asked().length, 2)
  unwatchAgain()
  unwatchAgain()
  await net.clock.advance(60_000)
  assert.deepEqual(
    net.asked()[2]?.body.topics?.map(({ name }) => name),
    ['t'],
  )
  assert.equal(changes, 3)
  end()
  unwatch()
  await net.clock.advance(600_000)
  assert.equal(net.asked().length, 3)
  assert.equal(changes, 3)
  await cluster.stop()
})

test('nothing is timed while nobody watches and nobody waits', async () => {
  const net = new Net()
  const cluster = net.cluster()
  await net.clock.during(cluster.ensureTopic('t'))
  await net.clock.advance(30_000)
  await assert.rejects(
    net.clock.until(() => false),
    /no timer is pending/,
  )
  await cluster.stop()
})

test('a watched topic is refreshed with back-off while no broker can be reached', async () => {
  const net = new Net()
  const cluster = net.cluster({ metadataMaxAgeMs: 10_000, minBackoffMs: 100, maxBackoffMs: 1_000 })
  cluster.watch(['t'])
  await net.clock.during(cluster.refresh())
  net.down('one')
  net.down('two')
  await net.clock.advance(10_000)
  const before = net.dials.length
  await net.clock.advance(10_000)
  const more = net.dials.length - before
  assert.ok(more > 5 && more < 60, `${more} dials in ten seconds`)
  net.host('one')
  await net.clock.advance(2_000)
  assert.equal(net.hosts.get('one')?.of(metadata).length, 1)
  await cluster.stop()
})

test('an older leader epoch, a newer hint: the newest known leader stands', async () => {
  const net = new Net()
  const cluster = net.cluster()
  net.topics = [{ name: 't', leaders: [leader(1, 3)] }]
  await net.clock.during(cluster.refresh({ topics: ['t'] }))
  let changes = 0
  cluster.onChange(() => changes++)
  const endpoint = { nodeId: 7, host: 'seven', port: 9092, rack: null }
  cluster.noteLeader('t', 0, { leaderId: 7, leaderEpoch: 4, endpoints: [endpoint] })
  cluster.noteLeader('t', 0, { leaderId: 2, leaderEpoch: 4 })
  assert.equal(cluster.topic('t')?.partitions[0]?.leaderId, 7)
  assert.equal(changes, 1)
  net.host('seven')
  await net.clock.during(cluster.connection(7))
  await net.clock.during(cluster.refresh({ topics: ['t'], force: true }))
  assert.equal(cluster.topic('t')?.partitions[0]?.leaderId, 7, 'the broker still tells of epoch 3')
  await cluster.stop()
})

test('one dial at a time per node and purpose; each purpose has its own connection', async () => {
  const net = new Net()
  const cluster = net.cluster()
  await net.clock.during(cluster.refresh())
  const [a, b, c] = await net.clock.during(
    Promise.all([cluster.connection(2), cluster.connection(2), cluster.connection(2, { purpose: 'fetch' })]),
  )
  assert.equal(a, b)
  assert.notEqual(a, c)
  assert.equal(net.dials.filter((address) => address === 'two:9092').length, 2)
  assert.equal(cluster.openConnection(2, 'fetch'), c)
  a.close()
  assert.equal(cluster.openConnection(2), undefined)
  const again = await net.clock.during(cluster.connection(2))
  assert.notEqual(again, a)
  await cluster.stop()
})

test('a failed dial rejects with its cause, and the next one waits for the back-off', async () => {
  const net = new Net()
  const cluster = net.cluster({ minBackoffMs: 100, maxBackoffMs: 400 })
  await net.clock.during(cluster.refresh())
  net.down('two')
  const waits: number[] = []
  for (let attempt = 0; attempt < 5; attempt++) {
    const before = net.clock.monotonic()
    const error = await net.clock.during(rejection(cluster.connection(2), 'CONNECTION_FAILED'))
    assert.match(error.message, /ECONNREFUSED two:9092/)
    waits.push(net.clock.monotonic() - before)
  }
  assert.equal(waits[0], 0)
  for (const [index, least] of [80, 160, 320, 320].entries()) {
    assert.ok(
      (waits[index + 1] as number) >= least && (waits[index + 1] as number) <= least * 1.5,
      `${waits}`,
    )
  }
  net.host('two')
  await net.clock.during(cluster.connection(2))
  await cluster.stop()
})

test('a caller that gives up leaves the dial to the others', async () => {
  const net = new Net()
  const cluster = net.cluster()
  await net.clock.during(cluster.refresh())
  const giveUp = new AbortController()
  const impatient = rejection(cluster.connection(2, { signal: giveUp.signal }), 'ABORTED')
  const patient = cluster.connection(2)
  giveUp.abort()
  await impatient
  assert.ok((await net.clock.during(patient)).isOpen)
  await rejection(cluster.connection(2, { purpose: 'x', signal: giveUp.signal }), 'ABORTED')
  await rejection(cluster.refresh({ signal: giveUp.signal }), 'ABORTED')
  await cluster.stop()
})

test('connections to brokers that are gone or have moved take no more, and close when they are quiet', async () => {
  const net = new Net()
  const cluster = net.cluster()
  await net.clock.during(cluster.refresh())
  const connection = await net.clock.during(cluster.connection(2))
  let release: (() => void) | undefined
  net.hosts.get('two')?.on(heartbeat, async () => {
    await new Promise<void>((resolve) => (release = resolve))
    return { errorCode: 0 }
  })
  const beat = connection.request(heartbeat, { groupId: 'g', generationId: 1, memberId: 'm' })
  await net.clock.until(() => release !== undefined)
  net.brokers = [one, { ...two, host: 'elsewhere' }]
  net.host('elsewhere')
  await net.clock.during(cluster.refresh({ force: true }))
  assert.equal(cluster.openConnection(2), undefined)
  const moved = await net.clock.during(cluster.connection(2))
  assert.equal(moved.address.host, 'elsewhere')
  release?.()
  await net.clock.during(beat)
  await net.clock.until(() => net.hosts.get('two')?.links[0]?.isClosed === true)
  net.brokers = [one]
  await net.clock.during(cluster.refresh({ force: true }))
  await net.clock.until(() => net.hosts.get('elsewhere')?.links[0]?.isClosed === true)
  await net.clock.during(rejection(cluster.connection(2), 'CONNECTION_FAILED'))
  await cluster.stop()
})

test('when no known broker answers the configured addresses are dialled again (KIP-899)', async () => {
  const net = new Net()
  const cluster = net.cluster({ brokers: 'seed:9092' })
  net.host('seed')
  await net.clock.during(cluster.refresh())
  await net.clock.during(cluster.connection(1))
  await net.clock.during(cluster.refresh({ force: true }))
  net.down('one')
  net.down('two')
  net.brokers = [{ nodeId: 1, host: 'three', port: 9092 }]
  net.host('three')
  net.dials.length = 0
  await net.clock.advance(0)
  await net.clock.during(cluster.refresh({ force: true }))
  assert.ok(net.dials.includes('seed:9092'), `${net.dials}`)
  assert.equal((await net.clock.during(cluster.connection(1))).address.host, 'three')
  await cluster.stop()
})

test('a broker that says that the metadata is stale sends the client to the configured addresses', async () => {
  const net = new Net()
  const cluster = net.cluster()
  await net.clock.during(cluster.refresh())
  const stale = { errorCode: 129, ...metadataOf([]) }
  net.hosts.get('one')?.on(metadata, () => ({ ...stale, brokers: [], topics: [] }))
  await net.clock.during(rejection(cluster.refresh({ force: true }), 'REBOOTSTRAP_REQUIRED'))
  assert.deepEqual(cluster.brokers(), [])
  await cluster.stop()
})

test('a broker that hangs does not hold up what another one can tell', async () => {
  const net = new Net()
  const cluster = net.cluster()
  await net.clock.during(cluster.refresh())
  net.hosts.get('one')?.on(metadata, () => 'silence')
  net.hosts.get('one')?.on(findCoordinator, () => 'silence')
  net.hosts.get('two')?.on(findCoordinator, ({ body }) => ({
    coordinators: [
      {
        key: body.coordinatorKeys[0] ?? '',
        errorCode: 0,
        errorMessage: null,
        nodeId: 2,
        host: 'two',
        port: 9092,
      },
    ],
  }))
  const before = net.clock.monotonic()
  await net.clock.during(cluster.refresh({ force: true }))
  assert.equal(net.clock.monotonic() - before, 1_000)
  assert.equal(net.hosts.get('two')?.of(metadata).length, 1)
  assert.equal(await net.clock.during(cluster.coordinator('group', 'g')), 2)
  await net.clock.during(cluster.refresh({ force: true }))
  await cluster.stop()
})

test('a broker that goes away under the request is followed by the next one', async () => {
  const net = new Net()
  const cluster = net.cluster()
  await net.clock.during(cluster.refresh())
  net.hosts.get('one')?.on(metadata, () => 'close')
  await net.clock.during(cluster.refresh({ force: true }))
  assert.equal(net.hosts.get('two')?.of(metadata).length, 1)
  await cluster.stop()
})

test('several configured addresses: those that refuse or keep silent do not hold up the others', async () => {
  const orders = new Set<string>()
  for (let order = 0; order < 12; order++) {
    const net = new Net()
    net.blackHoles.add('hole')
    const brokers = ['nobody:1', 'hole:1', 'one:9092']
    const cluster = net.cluster({ brokers, random: seededRandom(order) })
    const before = net.clock.monotonic()
    await net.clock.during(cluster.refresh())
    assert.ok(net.clock.monotonic() - before <= 500)
    orders.add(`${net.dials}`)
    await cluster.stop()
  }
  assert.ok(orders.size > 2, 'the order differs')
})

test('when nobody can be reached the error tells of each', async () => {
  const net = new Net()
  const cluster = net.cluster({ brokers: ['nobody:1', 'neither:2'] })
  const error = await net.clock.during(rejection(cluster.refresh(), 'CONNECTION_FAILED'))
  assert.ok(error.retriable)
  assert.match(error.message, /nobody:1.*neither:2|neither:2.*nobody:1/)
  await cluster.stop()
})

test('ensureTopic waits until the topic is there', async () => {
  const net = new Net()
  const cluster = net.cluster()
  const known = await net.clock.during(cluster.ensureTopic('t'))
  assert.equal(await cluster.ensureTopic('t'), known)
  assert.equal(net.asked().length, 1)
  const waiting = cluster.ensureTopic('later')
  await net.clock.advance(3_000)
  net.topics.push({ name: 'later', topicId: 'AAAAAAAAAAAAAAAAAAAAAw', leaders: [leader(2)] })
  assert.equal((await net.clock.during(waiting)).name, 'later')
  await cluster.stop()
})

test('only a topic that is wanted may be created, and only when that is allowed', async () => {
  const net = new Net()
  const cluster = net.cluster()
  cluster.watch(['watched'])
  await net.clock.during(Promise.all([cluster.refresh({ topics: ['looked-for'] }), cluster.ensureTopic('t')]))
  const asked = () =>
    net.asked().map(({ body }) => [body.topics?.map(({ name }) => name).sort(), body.allowAutoTopicCreation])
  assert.deepEqual(asked(), [
    [['t'], true],
    [['looked-for', 'watched'], false],
  ])
  await cluster.stop()
  const strict = net.cluster({ allowAutoTopicCreation: false })
  await net.clock.during(strict.ensureTopic('t'))
  assert.deepEqual(asked().at(-1), [['t'], false])
  await strict.stop()
})

test('ensureTopic rejects with the last reason, in time', async () => {
  const net = new Net()
  const cluster = net.cluster()
  const before = net.clock.monotonic()
  const missing = cluster.ensureTopic('missing', { timeoutMs: 5_000 })
  await net.clock.during(rejection(missing, 'UNKNOWN_TOPIC_OR_PARTITION'))
  assert.ok(net.clock.monotonic() - before <= 5_000)
  net.topics.push({ name: 'secret', errorCode: 29 })
  await net.clock.during(rejection(cluster.ensureTopic('secret'), 'TOPIC_AUTHORIZATION_FAILED'), 100)
  net.down('one')
  net.down('two')
  await net.clock.advance(0)
  await net.clock.during(rejection(cluster.ensureTopic('other', { timeoutMs: 2_000 }), 'CONNECTION_FAILED'))
  const giveUp = new AbortController()
  const given = rejection(cluster.ensureTopic('other', { signal: giveUp.signal }), 'ABORTED')
  giveUp.abort()
  await net.clock.during(given, 0)
  await cluster.stop()
})

test('ensureTopic rejects in time when a broker never answers', async () => {
  const net = new Net()
  net.hosts.get('one')?.on(metadata, () => 'silence')
  const cluster = net.cluster()
  const before = net.clock.monotonic()
  await net.clock.during(rejection(cluster.ensureTopic('t', { timeoutMs: 3_000 }), 'TIMEOUT'))
  assert.equal(net.clock.monotonic() - before, 3_000)
  await cluster.stop()
})

for (const [name, version] of [
  ['batched', 4],
  ['single', 3],
] as const) {
  test(`coordinators are looked up once, kept, and looked up again when told (${name})`, async () => {
    const net = new Net()
    const cluster = net.cluster()
    const broker = net.hosts.get('one') as FakeBroker
    broker.ranges.set(findCoordinator.key, [0, version])
    let failures = 2
    broker.on(findCoordinator, ({ body }) => {
      const errorCode = failures-- > 0 ? 15 : 0
      const found = { errorCode, errorMessage: null, nodeId: 2, host: 'two', port: 9092 }
      return version < 4 ? found : { coordinators: [{ ...found, key: body.coordinatorKeys[0] ?? '' }] }
    })
    const both = [cluster.coordinator('group', 'g'), cluster.coordinator('group', 'g')]
    assert.deepEqual(await net.clock.during(Promise.all(both)), [2, 2])
    assert.equal(broker.of(findCoordinator).length, 3)
    assert.equal(await cluster.coordinator('group', 'g'), 2)
    assert.equal(broker.of(findCoordinator).length, 3)
    await net.clock.during(cluster.coordinator('group', 'g', { refresh: true }))
    await net.clock.during(cluster.coordinator('transaction', 'g'))
    assert.deepEqual(
      broker.of(findCoordinator).map(({ body }) => body.keyType),
      [0, 0, 0, 0, 1],
    )
    failures = 1_000
    const error = await net.clock.during(
      rejection(cluster.coordinator('group', 'h'), 'COORDINATOR_NOT_AVAILABLE'),
    )
    assert.equal(error.groupId, 'h')
    await cluster.stop()
  })
}

test('after stop every call rejects, whoever waits is told, and nothing is left', async () => {
  const net = new Net()
  const cluster = net.cluster()
  cluster.watch(['t'])
  await net.clock.during(cluster.refresh())
  net.blackHoles.add('two')
  const waiting = [
    cluster.connection(2),
    cluster.ensureTopic('missing'),
    cluster.refresh(),
    cluster.connection(2, { purpose: 'fetch' }),
  ].map((call) => rejection(call, 'ABORTED'))
  await net.clock.advance(0)
  await cluster.stop()
  await cluster.stop()
  await net.clock.during(Promise.all(waiting), 0)
  for (const call of [
    () => cluster.connection(1),
    () => cluster.anyConnection(),
    () => cluster.refresh(),
    () => cluster.ensureTopic('u'),
    () => cluster.coordinator('group', 'g'),
  ]) {
    const error = await net.clock.during(
      rejection(call(), 'INVALID_STATE').catch((other) => other),
      0,
    )
    assert.match(String(error), /stopped/)
  }
  assert.equal(cluster.openConnection(1), undefined)
  await assert.rejects(
    net.clock.until(() => false),
    /no timer is pending/,
  )
  assert.ok(net.hosts.get('one')?.links.every(({ isClosed }) => isClosed))
})

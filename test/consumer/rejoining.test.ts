/** While a member waits for the others of its group: it lives, works and commits, and knows whether it still may. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConsumerOptions, RebalanceEvent } from '../../src/consumer/consumer.ts'
import { encodeConsumerProtocol, subscription } from '../../src/protocol/messages/consumer-protocol.ts'
import { heartbeat, joinGroup, syncGroup } from '../../src/protocol/messages/index.ts'
import { type Bench, quick, still } from './kit.ts'

const PARTITIONS = 4
const topics = ['orders']

/** A member by hand, which comes to a rebalance when the test says so and may take a minute for it. */
class SlowMember {
  readonly #bench: Bench
  #memberId = ''
  generation = -1
  isIn = false

  constructor(bench: Bench) {
    this.#bench = bench
  }

  async #connection(purpose = 'slow') {
    const node = await this.#bench.cluster.coordinator('group', 'group')
    return this.#bench.cluster.connection(node, { purpose })
  }

  /** Joins the next generation and takes what it is given there. */
  async come(): Promise<void> {
    this.isIn = false
    await this.join()
    await this.#sync()
    this.isIn = true
  }

  async join(): Promise<void> {
    const metadata = encodeConsumerProtocol(subscription, {
      topics,
      userData: null,
      ownedPartitions: [],
      generationId: -1,
      rackId: null,
    })
    const connection = await this.#connection()
    for (;;) {
      const joined = await connection.request(joinGroup, {
        groupId: 'group',
        sessionTimeoutMs: 60_000,
        rebalanceTimeoutMs: 60_000,
        memberId: this.#memberId,
        groupInstanceId: null,
        protocolType: 'consumer',
        protocols: [{ name: 'cooperative-sticky', metadata }],
      })
      this.#memberId = joined.memberId
      if (joined.errorCode !== 0) continue
      this.generation = joined.generationId
      return
    }
  }

  async #sync(): Promise<void> {
    const connection = await this.#connection()
    await connection.request(syncGroup, {
      groupId: 'group',
      generationId: this.generation,
      memberId: this.#memberId,
      groupInstanceId: null,
      protocolType: 'consumer',
      protocolName: 'cooperative-sticky',
      assignments: [],
    })
  }

  /** Whether the coordinator waits for it to join again. */
  async isAwaited(): Promise<boolean> {
    const connection = await this.#connection('beat')
    const { errorCode } = await connection.request(heartbeat, {
      groupId: 'group',
      generationId: this.generation,
      memberId: this.#memberId,
      groupInstanceId: null,
    })
    return errorCode !== 0
  }
}

async function stage(options: Partial<ConsumerOptions> = {}) {
  const set = await still(undefined, { topics: { orders: PARTITIONS } })
  const events: RebalanceEvent['type'][] = []
  const consumer = set.member(
    {
      topics,
      heartbeatIntervalMs: 300,
      onRebalance: ({ type }) => void events.push(type),
      ...options,
    },
    { clientId: 'watched' },
  )
  return { ...set, events, consumer }
}

test('a member that waits longer for another one than its own session and rebalance time-outs keeps what it has', async () => {
  const { clock, bench, events, consumer } = await stage()
  await using _ = bench
  let handled = 0
  const running = consumer.run(() => void handled++)
  await clock.until(() => consumer.assignment().length === PARTITIONS)
  const slow = new SlowMember(bench)
  void slow.come()
  await clock.until(() => slow.isIn && consumer.assignment().length === PARTITIONS / 2)
  const kept = consumer.assignment()
  // Its partitions were given up in one round and are given to the other in the next, which waits for that one.
  for (let round = 0; round < 20 && (await slow.isAwaited()); round++) {
    await bench.append('orders', kept[0]?.partition ?? 0, [{ value: 'x' }])
    await clock.advance(quick.rebalanceTimeoutMs / 4)
    assert.equal(handled, round + 1)
    assert.deepEqual(await bench.committed('orders', PARTITIONS), committedOf(kept[0]?.partition, handled))
  }
  assert.equal(handled, 20)
  void slow.come()
  await clock.until(() => slow.isIn)
  assert.deepEqual(consumer.assignment(), kept)
  assert.deepEqual([...new Set(events)], ['assigned', 'revoked'])
  await clock.during(consumer.stop())
  await running
})

test('a commit that the coordinator refuses because our own JoinGroup has begun the next generation voids nothing', async () => {
  const refused: (string | undefined)[] = []
  const onCommit: ConsumerOptions['onCommit'] = ({ error }) => void refused.push(error?.code)
  const { clock, bench, member, events, consumer } = await stage({ onCommit })
  await using _ = bench
  let handled = 0
  const running = consumer.run(() => void handled++)
  await clock.until(() => consumer.assignment().length === PARTITIONS)
  // The next generation begins at the coordinator; the member hears of it a while later.
  const late = bench.broker.faults.on({ api: 'JoinGroup', clientId: 'watched' }, { delayResponseMs: 400 })
  const newcomer = member({ topics, heartbeatIntervalMs: 300 })
  const other = newcomer.run(() => undefined)
  await clock.until(() => late.hits > 0)
  const kept = consumer.assignment()[0]?.partition ?? 0
  await bench.append('orders', kept, [{ value: 'x' }])
  await clock.until(() => refused.includes('ILLEGAL_GENERATION'))
  late.remove()
  await clock.until(() => newcomer.assignment().length === PARTITIONS / 2)
  assert.ok(!events.includes('lost'), `${events}`)
  await clock.during(Promise.all([consumer.stop(), newcomer.stop()]))
  await Promise.all([running, other])
  assert.equal(handled, 1)
  assert.deepEqual(await bench.committed('orders', PARTITIONS), committedOf(kept, 1))
})

test('a JoinGroup that hangs: what is held is lost when the session is over, not when the request is', async () => {
  const { clock, bench, member, events, consumer } = await stage()
  await using _ = bench
  const running = consumer.run(() => undefined)
  await clock.until(() => consumer.assignment().length === PARTITIONS)
  bench.broker.faults.on({ api: 'JoinGroup', clientId: 'watched' }, 'swallow')
  const silence = bench.broker.faults.on(
    { api: 'Heartbeat', clientId: 'watched', where: () => hangs },
    'swallow',
  )
  let hangs = false
  const began = clock.monotonic()
  const other = member({ topics })
  void other.run(() => undefined)
  await clock.advance(1000)
  hangs = true
  await clock.until(() => events.includes('lost'))
  const tookMs = clock.monotonic() - began
  assert.ok(tookMs < quick.sessionTimeoutMs + 2000, `${tookMs} ms`)
  assert.ok(silence.hits > 0)
  consumer.abort()
  await assert.rejects(running, { code: 'ABORTED' })
})

const committedOf = (partition = 0, offset = 0) =>
  Array.from({ length: PARTITIONS }, (_, index) => (index === partition ? offset : 0))

test('a newcomer that waits for its assignment longer than a session beats meanwhile', async () => {
  const { clock, bench, events, consumer } = await stage()
  await using _ = bench
  const slow = new SlowMember(bench)
  void slow.come()
  await clock.until(() => slow.isIn)
  const beats = bench.broker.faults.on({ api: 'Heartbeat', clientId: 'watched' }, { delayMs: 0 })
  const running = consumer.run(() => undefined)
  await clock.advance(quick.sessionTimeoutMs * 1.5)
  // Its JoinGroup was held for longer than a session; so is its SyncGroup, as the leader of the group takes its time.
  void slow.join()
  await clock.until(() => slow.generation === 2)
  await clock.advance(quick.sessionTimeoutMs * 1.5)
  assert.equal(await slow.isAwaited(), false)
  assert.ok(beats.hits > 20, `${beats.hits} heartbeats`)
  assert.deepEqual(events, [])
  consumer.abort()
  await assert.rejects(running, { code: 'ABORTED' })
})

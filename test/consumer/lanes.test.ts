/** One connection to a broker or two: when the second is opened, what is read over which, and what if one of them fails. */
import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import type { FaultAction } from '../../src/broker/index.ts'
import type { Dial } from '../../src/client/dial.ts'
import type { ClientOptions } from '../../src/client/options.ts'
import type { Consumer, ConsumerBatch, ConsumerOptions, RebalanceEvent } from '../../src/consumer/consumer.ts'
import { deferred } from '../../src/util/deferred.ts'
import { type Random, seededRandom } from '../../src/util/random.ts'
import { seed } from '../support/seed.ts'
import { Bench, still, turn, until } from './kit.ts'

const NEAREST = 'org.apache.kafka.common.replica.RackAwareReplicaSelector'
const PARTITIONS = 4
const COUNT = 600
const PER_BATCH = 20
/** An answer holds some 128 KiB: thirty of them. */
const small = { fetchMaxBytes: 128 * 1024 }

interface FetchRequest {
  readonly replicaId?: number
  readonly sessionId: number
  readonly topics: readonly { readonly partitions: readonly unknown[] }[]
}

const STORM: readonly FaultAction[] = [
  'reset',
  'close',
  'apply-then-drop',
  { flipByteAt: 3000 },
  { flipByteAt: 60_000 },
  { truncateAt: 70_000 },
  { error: 'UNKNOWN_SERVER_ERROR' },
  { error: 'NOT_LEADER_OR_FOLLOWER' },
  { delayMs: 5 },
  { delayResponseMs: 8 },
]
const BUDGETS: readonly Partial<ConsumerOptions>[] = [
  {},
  { prefetchBytes: 1024 * 1024 },
  { prefetchBytes: 200 * 1024, partitionPrefetchBytes: 50 * 1024 },
]

const immediately = () => new Promise((resolve) => setImmediate(resolve))

/** A full topic, one consumer of it, the sockets that has open and its fetch sessions as the brokers see them. */
class Bed implements AsyncDisposable {
  readonly bench: Bench
  readonly sessions = new Set<string>()
  readonly seen = new Map<number, number[]>()
  sockets = 0
  dials = 0
  /** Dials beyond it fail. */
  mostDials = Number.POSITIVE_INFINITY
  count = 0
  latest: Duplex | undefined

  private constructor(bench: Bench) {
    this.bench = bench
    bench.broker.faults.on(
      {
        api: 'Fetch',
        where: (request, { node }) => {
          const { sessionId, replicaId = -1 } = request as unknown as FetchRequest
          if (replicaId < 0 && sessionId > 0) this.sessions.add(`${node}:${sessionId}`)
          return false
        },
      },
      'close',
    )
  }

  static async open({ partitions = PARTITIONS, brokers = 1, count = COUNT } = {}): Promise<Bed> {
    const bench = await Bench.open({
      brokers,
      topics: partitions > 0 ? { orders: partitions } : {},
      ...(brokers === 2 ? { racks: ['a', 'b'] } : {}),
      configs: { 'group.initial.rebalance.delay.ms': 0, 'replica.selector.class': NEAREST },
    })
    const bed = new Bed(bench)
    for (let partition = 0; partition < partitions; partition++) await bed.fill(partition, count)
    return bed
  }

  async fill(
    partition: number,
    count: number,
    { perBatch = PER_BATCH, size = 2000, topic = 'orders' } = {},
  ): Promise<void> {
    const value = Buffer.alloc(size)
    const batch = Array.from({ length: perBatch }, () => ({ value }))
    for (let from = 0; from < count; from += perBatch) await this.bench.append(topic, partition, batch)
  }

  consumer(options: Partial<ConsumerOptions> = {}, client: Partial<ClientOptions> = {}): Consumer {
    const dial: Dial = async (address, how) => {
      this.dials++
      if (this.dials > this.mostDials) throw new Error('too many connections')
      const stream = await this.bench.broker.dial(address, how)
      this.latest = stream
      this.sockets++
      stream.once('close', () => this.sockets--)
      return stream
    }
    return this.bench.consumer({ topics: ['orders'], ...small, ...options }, { ...client, dial })
  }

  /** Reads all records of a full topic, and stops. */
  async readAll(options: Partial<ConsumerOptions> = {}, client: Partial<ClientOptions> = {}): Promise<void> {
    const consumer = this.consumer(options, client)
    const running = consumer.runBatches(this.take)
    await until(() => this.count === PARTITIONS * COUNT, 'all records')
    await consumer.stop()
    await running
  }

  readonly take = (batch: ConsumerBatch) => {
    const offsets = this.seen.get(batch.partition)
    const read = [...batch].map(({ offset }) => offset)
    if (offsets === undefined) this.seen.set(batch.partition, read)
    else offsets.push(...read)
    this.count += read.length
  }

  /** Every record of every partition came once and in order. */
  check(partitions = PARTITIONS, count = COUNT): void {
    const all = Array.from({ length: count }, (_, offset) => offset)
    assert.equal(this.seen.size, partitions)
    for (const offsets of this.seen.values()) assert.deepEqual(offsets, all)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bench[Symbol.asyncDispose]()
  }
}

/** Shared, to join, for heartbeats and offsets, to fetch. */
const SOCKETS = 4

test('several partitions of one broker that handlers wait for are read over two connections', async () => {
  await using bed = await Bed.open()
  const consumer = bed.consumer()
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === PARTITIONS * COUNT, 'all records')
  bed.check()
  assert.equal(bed.sessions.size, 2)
  assert.equal(bed.sockets, SOCKETS + 1)
  await bed.bench.append('orders', 1, [{ value: 'one more' }])
  await bed.bench.append('orders', 2, [{ value: 'one more' }])
  await until(() => bed.count === PARTITIONS * COUNT + 2, 'what comes later')
  await consumer.stop()
  await running
  await until(() => bed.sockets === 1, 'nothing but the shared connection is left')
})

test('each partition is asked for over one of the two connections', async () => {
  await using bed = await Bed.open()
  const asked = new Map<number, Set<number>>()
  bed.bench.broker.faults.on(
    {
      api: 'Fetch',
      where: (request) => {
        const { sessionId, topics } = request as unknown as FetchRequest
        if (bed.sessions.size < 2) return false
        for (const { partition } of topics.flatMap(
          ({ partitions }) => partitions as { partition: number }[],
        )) {
          asked.set(partition, (asked.get(partition) ?? new Set()).add(sessionId))
        }
        return false
      },
    },
    'close',
  )
  await bed.readAll()
  assert.equal(asked.size, PARTITIONS)
  for (const sessions of asked.values()) assert.equal(sessions.size, 1)
  const bySession = Map.groupBy(asked.values(), (sessions) => [...sessions][0])
  assert.deepEqual(
    [...bySession.values()].map(({ length }) => length),
    [2, 2],
  )
})

interface Setup {
  readonly partitions?: number
  readonly brokers?: number
  readonly count?: number
}

const enough: readonly (readonly [string, Setup])[] = [
  ['one partition', { partitions: 1 }],
  ['little to read', { count: PER_BATCH }],
  ['partitions of several brokers', { brokers: 2 }],
]

for (const [what, setup] of enough) {
  test(`${what}: one connection to a broker is enough`, async () => {
    await using bed = await Bed.open(setup)
    const consumer = bed.consumer()
    const running = consumer.runBatches(bed.take)
    const { partitions = PARTITIONS, count = COUNT, brokers = 1 } = setup
    await until(() => bed.count === partitions * count, 'all records')
    await consumer.stop()
    await running
    bed.check(partitions, count)
    if (brokers === 1) assert.equal(bed.dials, SOCKETS)
    const nodes = [...bed.sessions].map((session) => session.split(':')[0])
    assert.equal(new Set(nodes).size, nodes.length, `sessions ${[...bed.sessions]}`)
  })
}

test('fetchMinBytes: half of the partitions might wait for what they never have, so nothing is divided', async () => {
  await using bed = await Bed.open()
  await bed.readAll({ fetchMinBytes: 2 })
  bed.check()
  assert.equal(bed.dials, SOCKETS)
})

test('handlers that wait for a producer do not open a second connection', async () => {
  await using bed = await Bed.open({ count: 0 })
  const consumer = bed.consumer()
  const running = consumer.runBatches(bed.take)
  for (let round = 1; round <= 8; round++) {
    await bed.fill(round % PARTITIONS, 1, { perBatch: 1, size: 70_000 })
    await until(() => bed.count === round, `record ${round}`)
  }
  await consumer.stop()
  await running
  assert.equal(bed.dials, SOCKETS)
})

test('handlers that are slower than the broker do not open a second connection', async () => {
  await using bed = await Bed.open({ count: 200 })
  let requests = 0
  const where = ({ replicaId = -1 }: Readonly<Record<string, unknown>>) => {
    if (replicaId === -1) requests++
    return false
  }
  bed.bench.broker.faults.on({ api: 'Fetch', where }, 'close')
  const consumer = bed.consumer({ fetchMaxWaitMs: 5 })
  const running = consumer.runBatches(async (batch) => {
    bed.take(batch)
    // An answer has come meanwhile: the next request follows it.
    const before = requests
    await until(() => requests >= before + 2 || bed.count === PARTITIONS * 200, 'an answer')
  })
  await until(() => bed.count === PARTITIONS * 200, 'all records')
  await consumer.stop()
  await running
  bed.check(PARTITIONS, 200)
  assert.equal(bed.sessions.size, 1)
  assert.equal(bed.dials, SOCKETS)
})

test('a second connection that is refused is done without, and not asked for again', async () => {
  await using bed = await Bed.open()
  bed.mostDials = SOCKETS
  await bed.readAll()
  bed.check()
  assert.equal(bed.dials, SOCKETS + 1)
  assert.equal(bed.sessions.size, 1)
})

for (const which of ['first', 'second'] as const) {
  test(`the ${which} connection of two is lost: the other reads on, nothing is lost or comes twice`, async () => {
    await using bed = await Bed.open()
    let dropped = 0
    bed.bench.broker.faults.on(
      {
        api: 'Fetch',
        times: 1,
        where: (request, { node }) => {
          const { sessionId } = request as unknown as FetchRequest
          const sessions = [...bed.sessions]
          const isIt =
            sessions.length === 2 && sessions.indexOf(`${node}:${sessionId}`) === (which === 'first' ? 0 : 1)
          // And the broker takes no other one in its place.
          if (isIt && dropped++ === 0) bed.mostDials = bed.dials
          return isIt
        },
      },
      'reset',
    )
    await bed.readAll()
    bed.check()
    assert.equal(dropped, 1)
    await until(() => bed.sockets === 1, 'nothing is left open')
  })
}

test('a second connection that is lost is not opened again and again', async () => {
  await using bed = await Bed.open()
  const where = (request: Readonly<Record<string, unknown>>, { node }: { node: number }) =>
    [...bed.sessions].indexOf(`${node}:${request['sessionId']}`) > 0
  const lost = bed.bench.broker.faults.on({ api: 'Fetch', where }, 'reset')
  await bed.readAll()
  bed.check()
  assert.equal(lost.hits, 1)
  assert.equal(bed.dials, SOCKETS + 1)
})

test('after metadataMaxAgeMs a second connection is opened again, whichever was lost', async () => {
  await using bed = await Bed.open()
  let isLost = false
  const where = (request: Readonly<Record<string, unknown>>, { node }: { node: number }) => {
    const isFirst = bed.sessions.size === 2 && [...bed.sessions][0] === `${node}:${request['sessionId']}`
    return isFirst && !isLost && (isLost = true)
  }
  bed.bench.broker.faults.on({ api: 'Fetch', where }, 'reset')
  const consumer = bed.consumer({ fetchMaxWaitMs: 60_000 }, { metadataMaxAgeMs: 1 })
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === PARTITIONS * COUNT, 'all records')
  assert.equal(isLost, true)
  assert.equal(bed.sockets, SOCKETS + 1)
  await consumer.stop()
  await running
  bed.check()
})

test('a partition that is put off after trouble does not wait for the long poll of the others', async () => {
  await using bed = await Bed.open({ partitions: 2, count: PER_BATCH })
  const trouble = { api: 'Fetch', topic: 'orders', partition: 1, times: 1 } as const
  bed.bench.broker.faults.on(trouble, { error: 'UNKNOWN_SERVER_ERROR' })
  const consumer = bed.consumer({ fetchMaxWaitMs: 60_000 })
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === 2 * PER_BATCH, 'all records')
  await consumer.stop()
  await running
})

test('what came damaged over one of two connections is read again over that, and nobody waits for the other', async () => {
  await using bed = await Bed.open()
  // Longer than the test may take.
  const consumer = bed.consumer({ fetchMaxWaitMs: 60_000 })
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === PARTITIONS * COUNT && bed.sessions.size === 2, 'all records')
  for (const partition of [0, 1]) {
    // Wakes its connection; the next answer is damaged.
    const dials = bed.dials
    await bed.fill(partition, 1, { perBatch: 1 })
    await until(() => bed.seen.get(partition)?.length === COUNT + 1, 'one more')
    const where = (request: Readonly<Record<string, unknown>>, { node }: { node: number }) =>
      [...bed.sessions].indexOf(`${node}:${request['sessionId']}`) === partition
    const damaged = bed.bench.broker.faults.on({ api: 'Fetch', times: 1, where }, { flipByteAt: 50_000 })
    await bed.fill(partition, 1, { perBatch: 1 })
    await until(() => bed.seen.get(partition)?.length === COUNT + 2, 'another one')
    await bed.fill(partition, 100, { perBatch: 100 })
    await until(() => bed.seen.get(partition)?.length === COUNT + 102, 'what came after')
    assert.equal(damaged.hits, 1)
    assert.equal(bed.dials, dials + 1)
    assert.equal(bed.sockets, SOCKETS + 1)
  }
  await consumer.stop()
  await running
})

test('who has caught up reads over one connection again, and nobody waits for a long poll', async () => {
  await using bed = await Bed.open()
  const consumer = bed.consumer({ fetchMaxWaitMs: 60_000 })
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === PARTITIONS * COUNT && bed.sessions.size === 2, 'all records')
  const one = { perBatch: 1 }
  // The other connection waits for its partitions meanwhile.
  for (let round = 1; bed.sockets > SOCKETS && round < 100; round++) {
    await bed.fill(1, 1, one)
    await until(() => bed.seen.get(1)?.length === COUNT + round, `record ${round}`)
  }
  assert.equal(bed.sockets, SOCKETS)
  for (const partition of [3, 0, 1, 2]) {
    const { count } = bed
    await bed.fill(partition, 1, one)
    await until(() => bed.count === count + 1, `what came after in ${partition}`)
  }
  assert.equal(bed.dials, SOCKETS + 1)
  await consumer.stop()
  await running
})

test('one of two connections to a follower is lost: its leader is not asked for that', async () => {
  await using bed = await Bed.open({ partitions: 0, brokers: 2, count: 0 })
  const { broker, admin } = bed.bench
  await admin.createTopics([{ name: 'near', partitions: PARTITIONS, replicas: 2 }])
  for (let partition = 0; partition < PARTITIONS; partition++) broker.moveLeader('near', partition, 1)
  for (let partition = 0; partition < PARTITIONS; partition++)
    await bed.fill(partition, COUNT, { topic: 'near' })
  let atLeader = 0
  let isLost = false
  const where = (
    request: Readonly<Record<string, unknown>>,
    { node, clientId }: { node: number; clientId: string | null },
  ) => {
    if (clientId !== 'near') return false
    if (node === 1 && isLost) atLeader++
    const sessions = [...bed.sessions].filter((session) => session.startsWith('2:'))
    const isSecond = sessions.length === 2 && sessions[1] === `2:${request['sessionId']}`
    const isIt = isSecond && !isLost
    isLost ||= isIt
    return isIt
  }
  broker.faults.on({ api: 'Fetch', where }, 'reset')
  await bed.readAll({ topics: ['near'] }, { rack: 'b', clientId: 'near' })
  bed.check()
  assert.equal(isLost, true)
  assert.equal(atLeader, 0)
})

test('a second connection that has found nothing to do goes with the consumer', async () => {
  // Two large answers and nothing after them.
  await using bed = await Bed.open({ partitions: 2, count: 60 })
  const consumer = bed.consumer()
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === 120 && bed.sockets === SOCKETS + 1, 'all records, and the connection')
  assert.equal(bed.sessions.size, 1)
  await consumer.stop()
  await running
  await until(() => bed.sockets === 1, 'nothing but the shared connection is left')
})

test('a second connection that was closed before it was used is opened anew', async () => {
  await using bed = await Bed.open({ partitions: 2, count: 60 })
  const consumer = bed.consumer()
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === 120 && bed.sockets === SOCKETS + 1, 'all records, and the connection')
  bed.latest?.destroy()
  await until(() => bed.sockets === SOCKETS, 'its end')
  const partitions = [0, 1].map((partition) => ({ topic: 'orders', partition }))
  consumer.pause(partitions)
  for (let partition = 0; partition < 2; partition++) await bed.fill(partition, COUNT - 60)
  consumer.resume(partitions)
  await until(() => bed.count === 2 * COUNT, 'all records')
  await consumer.stop()
  await running
  bed.check(2)
  assert.equal(bed.sessions.size, 2)
})

test('two connections share the room for requests', async () => {
  await using bed = await Bed.open()
  const sizes = new Set<number>()
  const where = (request: Readonly<Record<string, unknown>>) => {
    if (bed.sessions.size === 2) sizes.add(request['maxBytes'] as number)
    return false
  }
  bed.bench.broker.faults.on({ api: 'Fetch', where }, 'close')
  const consumer = bed.consumer({
    prefetchBytes: 1024 * 1024,
    fetchMaxBytes: 512 * 1024,
    fetchMaxWaitMs: 20,
  })
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === PARTITIONS * COUNT, 'all records')
  assert.deepEqual([...sizes], [256 * 1024])
  await until(() => bed.sockets === SOCKETS, 'one connection again')
  sizes.clear()
  await until(() => sizes.has(512 * 1024), 'a request for all of the room')
  await consumer.stop()
  await running
  bed.check()
})

test('with room for one answer at a time the connections take turns', async () => {
  await using bed = await Bed.open({ count: 0 })
  const count = 40
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await bed.fill(partition, count, { perBatch: 1, size: 100 * 1024 })
  }
  const consumer = bed.consumer({ prefetchBytes: 96 * 1024, partitionPrefetchBytes: 64 * 1024 })
  let least = -1
  const running = consumer.runBatches((batch) => {
    bed.take(batch)
    const counts = Array.from({ length: PARTITIONS }, (_, partition) => bed.seen.get(partition)?.length ?? 0)
    if (least < 0 && Math.max(...counts) === count) least = Math.min(...counts)
  })
  await until(() => bed.count === PARTITIONS * count, 'all records')
  await consumer.stop()
  await running
  bed.check(PARTITIONS, count)
  assert.equal(bed.sessions.size, 2)
  assert.ok(least > count / 2, `one partition was read to its end while another was at ${least}`)
})

test('the connection that is left takes the partitions of the other also when its own are paused', async () => {
  await using bed = await Bed.open()
  let isOver = false
  const where = (request: Readonly<Record<string, unknown>>, { node }: { node: number }) =>
    isOver && [...bed.sessions].indexOf(`${node}:${request['sessionId']}`) === 1
  bed.bench.broker.faults.on({ api: 'Fetch', times: 1, where }, 'reset')
  // No news of the cluster wakes anybody.
  const consumer = bed.consumer({ fetchMaxWaitMs: 20 }, { metadataMinIntervalMs: 60_000 })
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === PARTITIONS * COUNT && bed.sessions.size === 2, 'all records')
  consumer.pause([0, 2].map((partition) => ({ topic: 'orders', partition })))
  bed.mostDials = bed.dials
  isOver = true
  await until(() => bed.sockets === SOCKETS, 'the loss')
  await bed.fill(1, PER_BATCH)
  await bed.fill(3, PER_BATCH)
  await until(() => bed.count === PARTITIONS * COUNT + 2 * PER_BATCH, 'what came after')
  await consumer.stop()
  await running
})

/** A consumer whose first request of this API gets no answer; its clock stands still then. */
async function stillSockets(api: string) {
  const { bench, clock, member } = await still(undefined, { topics: { orders: 2 } })
  await bench.fill('orders', 2, 1)
  const held = bench.broker.faults.on({ api, times: 1 }, 'swallow')
  let sockets = 0
  const dial: Dial = async (address, how) => {
    const stream = await bench.broker.dial(address, how)
    sockets++
    return stream
  }
  const consumer = member({ topics: ['orders'], heartbeatIntervalMs: 1900 }, { dial })
  const running = consumer.run(() => undefined)
  return {
    /** Resolves when that request has come, and so many sockets are open. */
    async until(count: number) {
      await until(async () => {
        if (held.hits === 0) await clock.advance(1)
        return held.hits === 1 && sockets === count
      }, `${count} sockets`)
      assert.ok(clock.monotonic() < 1900, 'no heartbeat was due')
    },
    async [Symbol.asyncDispose]() {
      consumer.abort()
      await running.catch(() => undefined)
      await bench[Symbol.asyncDispose]()
    },
  }
}

test('the connection for heartbeats and offsets is dialled while the group is divided', async () => {
  await using bed = await stillSockets('SyncGroup')
  await bed.until(SOCKETS - 1)
})

test('the leaders are dialled while the positions are looked up', async () => {
  await using bed = await stillSockets('OffsetFetch')
  await bed.until(SOCKETS)
})

for (const how of ['abort', 'stop'] as const) {
  test(`${how} while onRebalance is at work: no leader is dialled afterwards`, async () => {
    await using bed = await Bed.open({ count: 0 })
    const told = deferred<void>()
    const release = deferred<void>()
    const onRebalance = async ({ type }: RebalanceEvent) => {
      if (type !== 'assigned') return
      told.resolve()
      await release.promise
    }
    const consumer = bed.consumer({ drainTimeoutMs: 20, onRebalance })
    const running = consumer.runBatches(bed.take)
    await told.promise
    if (how === 'abort') consumer.abort()
    else await consumer.stop()
    await running.catch(() => undefined)
    await until(() => bed.sockets === 1, 'the end of the others')
    const { dials } = bed
    release.resolve()
    await turn(20)
    assert.equal(bed.dials, dials)
  })
}

test('a leader that was dialled and then leads elsewhere is left', async () => {
  const { bench, clock, member } = await still(undefined, { brokers: 3, topics: { orders: 1 } })
  await using _ = bench
  await bench.fill('orders', 1, 1)
  const open = new Map<string, number>()
  const dial: Dial = async (address, how) => {
    const stream = await bench.broker.dial(address, how)
    const change = (by: number) => open.set(address.host, (open.get(address.host) ?? 0) + by)
    change(1)
    stream.once('close', () => change(-1))
    return stream
  }
  const leader = bench.broker.leaderOf('orders', 0)
  const coordinator = bench.broker.coordinatorOf('group')
  const to = [1, 2, 3].find((node) => node !== leader && node !== coordinator) as number
  const openTo = (node: number) => open.get(bench.broker.brokers[node - 1]?.split(':')[0] ?? '') ?? 0
  let count = 0
  const held = bench.broker.faults.on({ api: 'OffsetFetch', times: 1 }, { delayMs: 200 })
  const consumer = member({ topics: ['orders'] }, { dial, metadataMaxAgeMs: 100 })
  const running = consumer.run(() => {
    count++
  })
  await clock.until(() => held.hits === 1)
  const expected = openTo(leader)
  bench.broker.moveLeader('orders', 0, to)
  await clock.until(() => count === 1)
  await until(() => openTo(leader) < expected, 'the end of the connection')
  consumer.abort()
  await running.catch(() => undefined)
})

test('partitions that come later are read over the connection that is there', async () => {
  await using bed = await Bed.open({ partitions: 2, count: PER_BATCH })
  const consumer = bed.consumer({ fetchMaxWaitMs: 20 })
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === 2 * PER_BATCH, 'all records')
  const other = bed.bench.consumer({ topics: ['orders'] })
  const ended = other.runBatches(() => undefined)
  await until(() => consumer.assignment().length === 1 && other.assignment().length === 1, 'one for each')
  await other.stop()
  await ended
  await until(() => consumer.assignment().length === 2, 'both again')
  bed.sessions.clear()
  for (let round = 1; round <= 3; round++) {
    for (const partition of [0, 1]) await bed.fill(partition, 1, { perBatch: 1 })
    await until(() => bed.count === 2 * (PER_BATCH + round), 'what came after')
  }
  assert.equal(bed.sessions.size, 1)
  await consumer.stop()
  await running
})

test('a leader that was dialled and whose partitions go before they are looked up is left', async () => {
  const topics = { here: 1, there: 1 }
  await using bench = await Bench.open({ brokers: 2, topics })
  bench.broker.moveLeader('here', 0, 1)
  bench.broker.moveLeader('there', 0, 2)
  const match = { api: 'OffsetFetch', topic: 'there' }
  const pending = bench.broker.faults.on(match, { error: 'UNSTABLE_OFFSET_COMMIT' })
  const open = new Map<string, number>()
  const dial: Dial = async (address, how) => {
    const stream = await bench.broker.dial(address, how)
    const change = (by: number) => open.set(address.host, (open.get(address.host) ?? 0) + by)
    change(1)
    stream.once('close', () => change(-1))
    return stream
  }
  const consumer = bench.consumer({ topics: ['here', 'there'] }, { dial })
  const running = consumer.run(() => undefined)
  const here = { topic: 'here', partition: 0 }
  await until(() => pending.hits > 1 && consumer.lag(here) === 0, 'one partition of two')
  const [host = ''] = bench.broker.brokers[1]?.split(':') ?? []
  const before = open.get(host) ?? 0
  const other = bench.consumer({ topics: ['there'] })
  const ended = other.run(() => undefined)
  await until(() => consumer.assignment().length === 1, 'the other member')
  await until(() => (open.get(host) ?? 0) < before, 'the end of the connection')
  assert.equal(consumer.lag(here), 0)
  await Promise.all([consumer.stop(), other.stop()])
  await Promise.all([running, ended])
})

test('a leader that was dialled stays while its partitions are looked up', async () => {
  await using bed = await Bed.open({ partitions: 2, brokers: 2, count: PER_BATCH })
  const slow = { api: 'ListOffsets', node: 2, times: 1 } as const
  const listing = bed.bench.broker.faults.on(slow, { delayMs: 30 })
  const consumer = bed.consumer()
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === 2 * PER_BATCH, 'all records')
  assert.equal(listing.hits, 1)
  // One more than with one broker: to the other leader, for its offsets.
  assert.equal(bed.dials, SOCKETS + 2)
  await consumer.stop()
  await running
})

for (const how of ['abort', 'stop'] as const) {
  test(`${how} at any moment of the opening of a second connection leaves none behind`, async () => {
    for (let moment = 0; moment < 30; moment++) {
      await using bed = await Bed.open({ count: 200 })
      const fifth = deferred<void>()
      let dials = 0
      let going = 0
      // Does not listen to its signal, and takes its time.
      const dial: Dial = async (address) => {
        const mine = ++dials
        going++
        if (mine === SOCKETS + 1) fifth.resolve()
        for (let turns = moment % 5; mine > SOCKETS && turns > 0; turns--) await immediately()
        const stream = await bed.bench.broker.dial(address, { signal: new AbortController().signal })
        bed.sockets++
        stream.once('close', () => bed.sockets--)
        going--
        return stream
      }
      const consumer = bed.bench.consumer({ topics: ['orders'], ...small }, { dial })
      const running = consumer.runBatches(bed.take)
      await fifth.promise
      for (let turns = moment >> 1; turns > 0; turns--) await (moment % 2 === 0 ? null : immediately())
      if (how === 'abort') consumer.abort()
      else await consumer.stop()
      await running.catch(() => undefined)
      await until(() => going === 0 && bed.sockets <= 1, `moment ${moment}: nothing is left open`)
    }
  })
}

const pick = <T>(random: Random, all: readonly T[]): T => all[random.below(all.length)] as T

for (let run = 0; run < 4; run++) {
  test(`storm ${run}, seed ${seed}: whichever connection, every record comes once and in order`, async () => {
    const random = seededRandom(seed + run)
    await using bed = await Bed.open({ brokers: 2 })
    const { broker } = bed.bench
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 'orders', partition }))
    for (const { partition } of partitions) broker.moveLeader('orders', partition, 1)
    const where = ({ replicaId = -1 }: Readonly<Record<string, unknown>>) =>
      replicaId === -1 && random.below(60) === 0
    for (const action of STORM) broker.faults.on({ api: 'Fetch', where }, action)
    const consumer = bed.consumer({ fetchMaxWaitMs: 50, ...pick(random, BUDGETS) })
    let failure: unknown
    const handle = async (batch: ConsumerBatch) => {
      bed.take(batch)
      if (random.below(4) === 0) await turn(random.below(3))
    }
    const running = consumer.runBatches(handle).catch((error) => {
      failure = error
    })
    await until(() => {
      const some = [pick(random, partitions), pick(random, partitions)]
      const what = random.below(8)
      if (what < 3) consumer.pause(some)
      else if (what < 6) consumer.resume(partitions)
      else for (const { partition } of some) broker.moveLeader('orders', partition, what === 6 ? 2 : 1)
      return failure !== undefined || bed.count >= PARTITIONS * COUNT
    }, 'all records')
    assert.equal(failure, undefined)
    bed.check()
    await consumer.stop()
    await running
  })
}

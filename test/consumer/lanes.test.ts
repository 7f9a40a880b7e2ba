/** One connection to a broker or two: when the second is opened, what is read over which, and what if one of them fails. */
import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import type { Dial } from '../../src/client/dial.ts'
import type { Consumer, ConsumerBatch, ConsumerOptions } from '../../src/consumer/consumer.ts'
import { Bench, still, turn, until } from './kit.ts'

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
    const bench = await Bench.open({ brokers, topics: { orders: partitions } })
    const bed = new Bed(bench)
    for (let partition = 0; partition < partitions; partition++) await bed.fill(partition, count)
    return bed
  }

  async fill(partition: number, count: number, { perBatch = PER_BATCH, size = 2000 } = {}): Promise<void> {
    const value = Buffer.alloc(size)
    const batch = Array.from({ length: perBatch }, () => ({ value }))
    for (let from = 0; from < count; from += perBatch) await this.bench.append('orders', partition, batch)
  }

  consumer(options: Partial<ConsumerOptions> = {}): Consumer {
    const dial: Dial = async (address, how) => {
      this.dials++
      if (this.dials > this.mostDials) throw new Error('too many connections')
      const stream = await this.bench.broker.dial(address, how)
      this.latest = stream
      this.sockets++
      stream.once('close', () => this.sockets--)
      return stream
    }
    return this.bench.consumer({ topics: ['orders'], ...small, ...options }, { dial })
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
  const consumer = bed.consumer()
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === PARTITIONS * COUNT, 'all records')
  await consumer.stop()
  await running
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

test('handlers that are slower than the broker do not open a second connection', async () => {
  await using bed = await Bed.open()
  const consumer = bed.consumer()
  const running = consumer.runBatches(async (batch) => {
    bed.take(batch)
    await turn(5)
  })
  await until(() => bed.count === PARTITIONS * COUNT, 'all records')
  await consumer.stop()
  await running
  bed.check()
  assert.equal(bed.sessions.size, 1)
  assert.equal(bed.dials, SOCKETS)
})

test('a second connection that is refused is done without, and not asked for again', async () => {
  await using bed = await Bed.open()
  bed.mostDials = SOCKETS
  const consumer = bed.consumer()
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === PARTITIONS * COUNT, 'all records')
  await consumer.stop()
  await running
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
    const consumer = bed.consumer()
    const running = consumer.runBatches(bed.take)
    await until(() => bed.count === PARTITIONS * COUNT, 'all records')
    await consumer.stop()
    await running
    bed.check()
    assert.equal(dropped, 1)
    await until(() => bed.sockets === 1, 'nothing is left open')
  })
}

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
  const consumer = bed.consumer({ prefetchBytes: 1024 * 1024, fetchMaxBytes: 512 * 1024 })
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === PARTITIONS * COUNT, 'all records')
  await consumer.stop()
  await running
  bed.check()
  assert.deepEqual([...sizes], [256 * 1024])
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

test('when one connection has lost its last partition, it goes', async () => {
  await using bed = await Bed.open({ partitions: 2 })
  const consumer = bed.consumer()
  const running = consumer.runBatches(bed.take)
  await until(() => bed.count === 2 * COUNT && bed.sessions.size === 2, 'all records')
  const other = bed.bench.consumer({ topics: ['orders'] })
  const ended = other.runBatches(() => undefined)
  await until(() => consumer.assignment().length === 1, 'the other member')
  await until(() => bed.sockets === SOCKETS, 'the end of the second connection')
  await Promise.all([consumer.stop(), other.stop()])
  await Promise.all([running, ended])
})

test('the connection that is left takes the partitions of the other also when its own are paused', async () => {
  await using bed = await Bed.open()
  let isOver = false
  const where = (request: Readonly<Record<string, unknown>>, { node }: { node: number }) =>
    isOver && [...bed.sessions].indexOf(`${node}:${request['sessionId']}`) === 1
  bed.bench.broker.faults.on({ api: 'Fetch', times: 1, where }, 'reset')
  const consumer = bed.consumer({ fetchMaxWaitMs: 20 })
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

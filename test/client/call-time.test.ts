/** A call of admin ends when its time is over, says so, and leaves the shared connections as they are. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startCluster } from '../../src/broker/index.ts'
import type { ClientOptions } from '../../src/client/options.ts'
import { type Admin, Kafka } from '../../src/index.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { rejection } from './support.ts'

async function world(t: TestContext, options: Partial<ClientOptions> = {}) {
  const clock = new VirtualClock()
  const starting = startCluster({ transport: 'memory', topics: { orders: 1 }, clock })
  const cluster = await clock.during(starting)
  let dials = 0
  const dial: typeof cluster.dial = (address, how) => {
    dials++
    return cluster.dial(address, how)
  }
  const kafka = new Kafka({ brokers: cluster.brokers, dial, clock, metadataMinIntervalMs: 0, ...options })
  t.after(async () => {
    await kafka.stop()
    await clock.during(cluster.stop())
  })
  const admin = kafka.admin()
  // From now on the controller and the coordinator are known.
  await clock.during(admin.createTopics([{ name: 'other' }]))
  await clock.during(admin.alterGroupOffsets('g', [{ topic: 'orders', partition: 0, offset: 0 }]))
  /** How many milliseconds the call takes until it rejects, and with what. */
  const timeOut = async (call: Promise<unknown>) => {
    const since = clock.monotonic()
    const error = await clock.during(rejection(call, 'TIMEOUT'))
    return { afterMs: clock.monotonic() - since, error }
  }
  return { clock, cluster, admin, timeOut, dials: () => dials }
}

test('a time of 0 is over: nothing is sent', async (t) => {
  const { cluster, admin, timeOut } = await world(t)
  const asked = cluster.faults.on({}, { delayMs: 0 })
  const calls: readonly ((options: { readonly timeoutMs: number }) => Promise<unknown>)[] = [
    (options) => admin.listTopics(options),
    (options) => admin.listGroups(options),
    (options) => admin.groupLag('g', options),
    (options) => admin.createTopics([{ name: 'new' }], options),
    (options) => admin.describeProducers([{ topic: 'orders', partition: 0 }], options),
  ]
  for (const call of calls) {
    const { afterMs, error } = await timeOut(call({ timeoutMs: 0 }))
    assert.match(error.message, /: the 0 ms of the call were over before a broker could be asked$/)
    assert.equal(afterMs, 0)
  }
  assert.equal(asked.hits, 0)
})

interface Late {
  readonly call: (admin: Admin) => Promise<unknown>
  /** Answered when there is half a millisecond left. */
  readonly first: string
  readonly last: string
  readonly end: string
}

const late: Readonly<Record<string, Late>> = {
  groupLag: {
    call: (admin) => admin.groupLag('g', { timeoutMs: 500 }),
    first: 'OffsetFetch',
    last: 'Metadata',
    end: 'ANYBODY answered',
  },
  listGroups: {
    call: (admin) => admin.listGroups({ timeoutMs: 500 }),
    first: 'Metadata',
    last: 'ListGroups',
    end: 'ANYBODY answered',
  },
  // It waits until the topic is known, and has then no time to look at it.
  createTopics: {
    call: (admin) => admin.createTopics([{ name: 'orders' }], { timeoutMs: 500, ifNotExists: true }),
    first: 'CreateTopics',
    last: 'Metadata',
    end: 'a broker could be asked',
  },
}

for (const [name, { call, first, last, end }] of Object.entries(late)) {
  test(`${name}: the last of its requests has little time left, and closes no connection`, async (t) => {
    const { clock, cluster, admin, timeOut, dials } = await world(t)
    const before = dials()
    cluster.faults.on({ api: first, times: 1 }, { delayResponseMs: 499.5 })
    cluster.faults.on({ api: last, times: 1 }, { delayResponseMs: 3_000 })
    const { afterMs, error } = await timeOut(call(admin))
    assert.equal(afterMs, 500)
    const message = error.message.replace(/\S+:\d+/, 'ANYBODY')
    assert.equal(message, `${last} of admin.${name}: the 500 ms of the call were over before ${end}`)
    assert.equal(error.retriable, true)
    await clock.during(admin.describeCluster())
    assert.equal(dials(), before, 'the connection of others was closed')
  })
}

test('a broker that never answers costs its connection when requestTimeoutMs is over, not before', async (t) => {
  const { clock, cluster, admin, timeOut, dials } = await world(t, { requestTimeoutMs: 2_000 })
  const before = dials()
  cluster.faults.on({ api: 'ListGroups', times: 1 }, 'swallow')
  const { afterMs } = await timeOut(admin.listGroups({ timeoutMs: 500 }))
  assert.equal(afterMs, 500)
  await clock.advance(1_400)
  assert.equal(dials(), before)
  await clock.advance(200)
  await clock.during(admin.describeCluster())
  assert.equal(dials(), before + 1)
})

test('a call may take longer than requestTimeoutMs, and its broker is told a little less', async (t) => {
  const { clock, cluster, admin } = await world(t, { requestTimeoutMs: 2_000 })
  const told: unknown[] = []
  const where = ({ timeoutMs }: Readonly<Record<string, unknown>>) => {
    told.push(timeoutMs)
    return true
  }
  cluster.faults.on({ api: 'CreateTopics', where }, { delayResponseMs: 5_000 })
  const [made] = await clock.during(admin.createTopics([{ name: 'new' }], { timeoutMs: 10_000 }))
  assert.equal(made?.name, 'new')
  assert.deepEqual(told, [9_000])
})

test('what a call met before its time was over goes with the error', async (t) => {
  const { clock, cluster, admin, timeOut } = await world(t)
  cluster.faults.on({ api: 'DescribeGroups', times: 1 }, { error: 'COORDINATOR_LOAD_IN_PROGRESS' })
  await clock.advance(1_000)
  cluster.faults.on({ api: 'DescribeGroups' }, 'swallow')
  const { error } = await timeOut(admin.describeGroups(['g'], { timeoutMs: 500 }))
  assert.equal((error.cause as { code?: string }).code, 'COORDINATOR_LOAD_IN_PROGRESS')
})

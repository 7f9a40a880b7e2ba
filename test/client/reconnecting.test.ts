/** A broker that greets everybody and serves nobody: connections to it are made ever more rarely, not without end. */
import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { startCluster } from '../../src/broker/index.ts'
import { ConnectionPool } from '../../src/client/connection-pool.ts'
import type { Dial } from '../../src/client/dial.ts'
import { OttlaError } from '../../src/errors.ts'
import { Kafka } from '../../src/index.ts'
import { heartbeat, metadata } from '../../src/protocol/messages/index.ts'
import { seededRandom } from '../../src/util/random.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { FakeBroker } from './fake-broker.ts'
import { inMemory, metadataOf, somewhere } from './support.ts'

const NODE = 1

/** A pool over a broker that answers Metadata, and Heartbeat only when told so. */
class Bed {
  readonly clock = new VirtualClock()
  readonly dials: number[] = []
  serves = false
  readonly #broker = new FakeBroker()
    .on(metadata, () => metadataOf([]))
    .on(heartbeat, () => (this.serves ? { errorCode: 0 } : 'close'))
  readonly #dial: Dial = (address, options) => {
    this.dials.push(this.clock.monotonic())
    return this.#broker.dial(address, options)
  }
  readonly pool = new ConnectionPool(
    inMemory(this.#broker, {
      clock: this.clock,
      random: seededRandom(1),
      dial: this.#dial,
      minBackoffMs: 100,
      maxBackoffMs: 1_000,
    }),
    () => somewhere,
  )

  /** As often as it fails, at once again: what no caller of the pool should do. */
  async beat(purpose: string): Promise<void> {
    const connection = await this.pool.get(NODE, purpose)
    const closed = new Promise<void>((resolve) => connection.onClose(() => resolve()))
    await connection.request(heartbeat, { groupId: 'g', generationId: 1, memberId: 'm' }).catch(() => closed)
  }

  /** The delays between the last dials. */
  delays(): number[] {
    return this.dials.slice(1).map((at, index) => Math.round(at - (this.dials[index] as number)))
  }
}

const around = (delayMs: number, nominalMs: number) =>
  assert.ok(delayMs >= nominalMs * 0.8 && delayMs <= nominalMs * 1.2, `${delayMs}, not some ${nominalMs} ms`)

test('connections that end before they have served: the back-off grows from its minimum to its maximum', async () => {
  const bed = new Bed()
  for (let round = 0; round < 8; round++) await bed.clock.during(bed.beat('own'))
  for (const [index, nominalMs] of [100, 200, 400, 800, 1_000, 1_000, 1_000].entries()) {
    around(bed.delays()[index] as number, nominalMs)
  }
  bed.pool.stop(new OttlaError('ABORTED', 'the test is over'))
})

test('one that serves ends it; an older one that still serves does not', async () => {
  const bed = new Bed()
  const shared = await bed.clock.during(bed.pool.get(NODE))
  const ask = () => bed.clock.during(shared.request(metadata, { topics: [] }))
  await ask()
  for (let round = 0; round < 5; round++) {
    await bed.clock.during(bed.beat('own'))
    await ask()
  }
  around(bed.delays()[4] as number, 800)
  bed.serves = true
  await bed.clock.during(bed.beat('own'))
  bed.serves = false
  // The connection that served is told to end; the next one is the first failure anew.
  await bed.clock.during(bed.beat('own'))
  bed.dials.splice(0)
  for (let round = 0; round < 3; round++) await bed.clock.during(bed.beat('own'))
  around(bed.delays()[0] as number, 100)
  around(bed.delays()[1] as number, 200)
  bed.pool.stop(new OttlaError('ABORTED', 'the test is over'))
})

test('a connection that this side closes before it was used is no failure', async () => {
  const bed = new Bed()
  const connection = await bed.clock.during(bed.pool.get(NODE, 'own'))
  connection.close()
  await bed.clock.advance(1)
  assert.equal(bed.pool.isBackingOff(NODE), false)
  bed.pool.stop(new OttlaError('ABORTED', 'the test is over'))
})

for (const api of ['Fetch', 'Metadata', 'JoinGroup', 'everything']) {
  test(`a broker that closes at ${api}: a consumer dials it some once a second`, async () => {
    const clock = new VirtualClock()
    const cluster = await startCluster({
      transport: 'memory',
      clock,
      random: seededRandom(1),
      topics: { t: 1 },
    })
    let dials = 0
    const dial: Dial = (address, options) => {
      dials++
      return cluster.dial(address, options)
    }
    const kafka = new Kafka({ brokers: cluster.brokers, clock, random: seededRandom(2), dial })
    const where = (_: unknown, info: { api: string }) =>
      api === 'everything' ? info.api !== 'ApiVersions' : info.api === api
    const fault = cluster.faults.on({ where }, 'close')
    const consumer = kafka.consumer({ groupId: 'g', topics: ['t'] })
    const running = consumer.run(async () => undefined).catch(() => undefined)
    await clock.advance(10_000)
    const before = dials
    await clock.advance(30_000)
    assert.ok(dials - before <= 45, `${dials - before} dials within 30 s`)
    assert.ok(dials - before >= 15, 'it goes on trying')
    fault.remove()
    consumer.abort()
    await clock.during(running)
    await clock.during(kafka.stop())
    await clock.during(cluster.stop())
  })
}

test('with acks 0 nothing is ever answered: the end of a connection that has served for minutes is no failure', async () => {
  const clock = new VirtualClock(undefined, 60)
  const cluster = await startCluster({
    transport: 'memory',
    clock,
    random: seededRandom(1),
    topics: { t: 1 },
  })
  const streams: Duplex[] = []
  const dial: Dial = async (...where) => {
    const stream = await cluster.dial(...where)
    streams.push(stream)
    return stream
  }
  const kafka = new Kafka({ brokers: cluster.brokers, dial, clock, random: seededRandom(2) })
  const producer = kafka.producer({ acks: 0 })
  const send = () => clock.during(producer.send({ topic: 't', value: 'x' }))
  await send()
  for (let round = 0; round < 4; round++) {
    await clock.advance(60_000)
    await send()
    streams.at(-1)?.destroy()
    await clock.advance(0)
    const began = clock.monotonic()
    await send()
    assert.ok(clock.monotonic() - began < 10, `${clock.monotonic() - began} ms`)
  }
  await clock.during(producer.abort())
  await clock.during(kafka.stop())
  await clock.during(cluster.stop())
})

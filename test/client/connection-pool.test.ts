import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { ConnectionPool } from '../../src/client/connection-pool.ts'
import type { Dial } from '../../src/client/dial.ts'
import { OttlaError } from '../../src/errors.ts'
import { metadata } from '../../src/protocol/messages/index.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { FakeBroker } from './fake-broker.ts'
import { inMemory, metadataOf, rejection, somewhere } from './support.ts'

const NODE = 1

/** A pool for one broker, whose dials a test can hold back or have fail. */
class Bed {
  readonly clock = new VirtualClock()
  readonly broker = new FakeBroker().on(metadata, () => metadataOf([]))
  readonly signals: AbortSignal[] = []
  held: Promise<void> = Promise.resolve()
  isDown = false
  onStream: (stream: Duplex) => void = () => undefined

  readonly #dial: Dial = async (address, options) => {
    this.signals.push(options.signal)
    await this.held
    if (this.isDown) throw new Error('connect ECONNREFUSED')
    const stream = await this.broker.dial(address, options)
    this.onStream(stream)
    return stream
  }

  pool(): ConnectionPool {
    const options = { clock: this.clock, dial: this.#dial, minBackoffMs: 100, maxBackoffMs: 400 }
    return new ConnectionPool(inMemory(this.broker, options), () => somewhere)
  }

  /** Has dials wait until the returned function is called. */
  hold(): () => void {
    let release: () => void = () => undefined
    this.held = new Promise((resolve) => {
      release = resolve
    })
    return release
  }

  get openLinks(): number {
    return this.broker.links.filter(({ isClosed }) => !isClosed).length
  }
}

const over = () => new OttlaError('ABORTED', 'the test is over')

test('a dial whose last waiter has gone is given up, whenever it would have come', async () => {
  const bed = new Bed()
  const pool = bed.pool()
  const release = bed.hold()
  const [first, second] = [new AbortController(), new AbortController()]
  const waiting = [first, second].map(({ signal }) => pool.get(NODE, 'fetch:1', signal))
  const rejections = waiting.map((each) => rejection(each, 'ABORTED'))
  await bed.clock.advance(0)
  first.abort()
  await bed.clock.advance(0)
  assert.equal(bed.signals[0]?.aborted, false, 'one still waits')
  second.abort()
  await Promise.all(rejections)
  assert.equal(bed.signals[0]?.aborted, true)
  release()
  await bed.clock.advance(0)
  assert.equal(bed.openLinks, 0)
  assert.equal(pool.isBackingOff(NODE), false, 'the broker has not failed')
  assert.equal(pool.size, 0)
  pool.stop(over())
})

/** Gives up when `begun` says so, and expects that nothing is left; whoever got a connection closes it. */
async function givesUp(bed: Bed, begun: (giveUp: () => void) => void, what: string): Promise<void> {
  const pool = bed.pool()
  const waiter = new AbortController()
  const outcome = pool.get(NODE, 'fetch:1', waiter.signal).then(
    (connection) => connection.close(),
    () => undefined,
  )
  begun(() => waiter.abort())
  await outcome
  await bed.clock.advance(0)
  assert.equal(bed.openLinks, 0, what)
  assert.equal(pool.size, 0, what)
  pool.stop(over())
}

test('a dial that is given up at any turn of its way leaves no socket', async () => {
  for (let turns = 0; turns < 12; turns++) {
    const later = (left: number, then: () => void): unknown =>
      left === 0 ? then() : setImmediate(() => later(left - 1, then))
    await givesUp(new Bed(), (giveUp) => later(turns, giveUp), `after ${turns} turns`)
  }
})

test('a dial that is given up between the last answer and its waiters leaves no socket', async () => {
  for (let steps = 0; steps < 24; steps++) {
    const bed = new Bed()
    const begun = (giveUp: () => void) => {
      bed.onStream = (stream) =>
        stream.once('data', async () => {
          for (let step = 0; step < steps; step++) await undefined
          giveUp()
        })
    }
    await givesUp(bed, begun, `after ${steps} microtasks`)
  }
})

test('who comes after a dial was given up gets one of its own', async () => {
  const bed = new Bed()
  const pool = bed.pool()
  const release = bed.hold()
  const waiter = new AbortController()
  const gone = rejection(pool.get(NODE, 'fetch:1', waiter.signal), 'ABORTED')
  await bed.clock.advance(0)
  waiter.abort()
  const patient = pool.get(NODE, 'fetch:1')
  release()
  await gone
  const connection = await bed.clock.during(patient)
  assert.ok(connection.isOpen)
  assert.equal(pool.open(NODE, 'fetch:1'), connection)
  assert.equal(bed.openLinks, 1)
  pool.stop(over())
})

test('the shared connection is dialled to its end: somebody will want it', async () => {
  const bed = new Bed()
  const pool = bed.pool()
  const release = bed.hold()
  const waiter = new AbortController()
  const gone = rejection(pool.get(NODE, undefined, waiter.signal), 'ABORTED')
  await bed.clock.advance(0)
  waiter.abort()
  await gone
  release()
  await bed.clock.advance(0)
  assert.ok(pool.open(NODE)?.isOpen)
  pool.stop(over())
  await bed.clock.advance(0)
  assert.equal(bed.openLinks, 0)
})

test('who has given up before asking dials nobody', async () => {
  const bed = new Bed()
  const pool = bed.pool()
  await rejection(pool.get(NODE, 'fetch:1', AbortSignal.abort()), 'ABORTED')
  await rejection(pool.get(NODE, undefined, AbortSignal.abort()), 'ABORTED')
  await bed.clock.advance(0)
  assert.equal(bed.signals.length, 0)
  assert.equal(pool.size, 0)
})

test('the wait for the back-off ends with its last waiter, and the back-off stands', async () => {
  const bed = new Bed()
  const pool = bed.pool()
  bed.isDown = true
  await bed.clock.during(rejection(pool.get(NODE, 'fetch:1'), 'CONNECTION_FAILED'))
  const waiter = new AbortController()
  const gone = rejection(pool.get(NODE, 'fetch:1', waiter.signal), 'ABORTED')
  await bed.clock.advance(10)
  waiter.abort()
  await gone
  await assert.rejects(
    bed.clock.until(() => false),
    /no timer is pending/,
  )
  assert.equal(pool.isBackingOff(NODE), true)
  bed.isDown = false
  const before = bed.clock.monotonic()
  await bed.clock.during(pool.get(NODE, 'fetch:2'))
  assert.ok(bed.clock.monotonic() - before >= 60, 'another purpose waits for the same broker')
  pool.stop(over())
})

test('nothing is kept for purposes whose connections are closed or never came', async () => {
  const bed = new Bed()
  const pool = bed.pool()
  for (let index = 0; index < 5; index++) {
    const connection = await bed.clock.during(pool.get(NODE, `group:${index}`))
    connection.close()
    bed.isDown = true
    await bed.clock.during(rejection(pool.get(NODE, `fetch:${index}`), 'CONNECTION_FAILED'))
    bed.isDown = false
  }
  const kept = await bed.clock.during(pool.get(NODE, 'kept'))
  assert.equal(pool.size, 1)
  assert.equal(pool.adopt(2, await bed.clock.during(bed.pool().get(NODE))), true)
  assert.equal(pool.size, 2)
  pool.open(2)?.close()
  await bed.clock.advance(0)
  assert.equal(pool.size, 1)
  assert.equal(pool.open(NODE, 'kept'), kept)
  pool.stop(over())
})

test('a retired connection that still has requests ends with the pool', async () => {
  const bed = new Bed()
  bed.broker.on(metadata, () => 'silence')
  const pool = bed.pool()
  const connection = await bed.clock.during(pool.get(NODE))
  const call = rejection(connection.request(metadata, { topics: [] }), 'CONNECTION_CLOSED')
  connection.retire('the test says so')
  await bed.clock.during(pool.get(NODE))
  assert.equal(bed.openLinks, 2)
  pool.stop(over())
  await call
  await bed.clock.advance(0)
  assert.equal(bed.openLinks, 0)
})

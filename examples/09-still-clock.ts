// A clock that stands still until it is told to go: minutes of retries pass at once, and each run is the same as the last.
import assert from 'node:assert/strict'
import { Kafka } from 'ottla'
import { seededRandom, startCluster, VirtualClock } from 'ottla/broker'

/** When the handler was called, in milliseconds of the clock. */
async function story(seed: number): Promise<number[]> {
  const clock = new VirtualClock()
  const random = seededRandom(seed)
  const cluster = await clock.during(
    startCluster({ transport: 'memory', topics: { orders: 1 }, clock, random }),
  )
  const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial, clock, random })
  try {
    await clock.during(kafka.producer().send({ topic: 'orders', value: 'x' }))
    const attempts: number[] = []
    const failure = { retries: 5, minBackoffMs: 10_000, maxBackoffMs: 60_000 }
    const consumer = kafka.consumer({ groupId: 'mailer', topics: ['orders'], startFrom: 'earliest', failure })
    const running = consumer.run(async () => {
      attempts.push(clock.monotonic())
      if (attempts.length < 4) throw new Error('the mail server is away')
    })
    await clock.until(() => attempts.length === 4)
    await clock.during(consumer.stop())
    await running
    return attempts
  } finally {
    await clock.during(kafka.stop())
    await clock.during(cluster.stop())
  }
}

const first = await story(7)
assert.deepEqual(await story(7), first)
const waited = ((first.at(-1) ?? 0) - (first[0] ?? 0)) / 1000
assert.ok(waited > 10)
console.log(`retried for ${waited.toFixed(0)} s of the clock`)

/** Signals that this realm did not make (jsdom's, a polyfill's) end calls as its own do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startCluster } from '../src/broker/index.ts'
import { Kafka } from '../src/kafka.ts'

/** As polyfills make it: everything that a signal has, and no AbortSignal. */
class ForeignSignal extends EventTarget {
  aborted = false
  reason: unknown
  onabort = null
  /** Listeners that are still there. */
  listeners = 0

  override addEventListener(...given: Parameters<EventTarget['addEventListener']>): void {
    this.listeners++
    super.addEventListener(...given)
  }

  override removeEventListener(...given: Parameters<EventTarget['removeEventListener']>): void {
    this.listeners--
    super.removeEventListener(...given)
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
  }

  abort(reason: unknown): void {
    this.aborted = true
    this.reason = reason
    this.dispatchEvent(new Event('abort'))
  }
}

const foreign = (): AbortSignal & ForeignSignal => new ForeignSignal() as never

type Call = (kafka: Kafka, options: { readonly signal: AbortSignal }) => Promise<unknown>

const record = { topic: 'orders', value: 'v' }
const consumerOf = (kafka: Kafka) => kafka.consumer({ groupId: 'g', topics: ['orders'] })

const calls: Readonly<Record<string, Call>> = {
  'producer.start': (kafka, options) => kafka.producer().start(options),
  'producer.send': (kafka, options) => kafka.producer().send(record, options),
  'producer.send of several': (kafka, options) => kafka.producer().send([record, record], options),
  'consumer.start': (kafka, options) => consumerOf(kafka).start(options),
  'admin.listTopics': (kafka, options) => kafka.admin().listTopics(options),
  'admin.describeTopics': (kafka, options) => kafka.admin().describeTopics(['orders'], options),
  'admin.createTopics': (kafka, options) => kafka.admin().createTopics([{ name: 'made' }], options),
  'admin.listGroups': (kafka, options) => kafka.admin().listGroups(options),
  'admin.describeCluster': (kafka, options) => kafka.admin().describeCluster(options),
  'admin.listOffsets': (kafka, options) =>
    kafka.admin().listOffsets([{ topic: 'orders', partition: 0, position: 'latest' }], options),
}

for (const [name, call] of Object.entries(calls)) {
  test(`${name} is ended by a foreign signal, before it and while it waits`, async () => {
    const kafka = new Kafka({ brokers: ['nowhere:9092'], dial: () => new Promise(() => undefined) })
    try {
      const fired = foreign()
      fired.abort('before')
      await assert.rejects(call(kafka, { signal: fired }), { code: 'ABORTED', cause: 'before' })
      const signal = foreign()
      const waits = call(kafka, { signal })
      await new Promise(setImmediate)
      signal.abort('meanwhile')
      await assert.rejects(waits, { code: 'ABORTED', cause: 'meanwhile' })
    } finally {
      await kafka.stop({ timeoutMs: 0 })
    }
  })
}

test('producer.flush is ended by a foreign signal', async () => {
  const kafka = new Kafka({ brokers: ['nowhere:9092'], dial: () => new Promise(() => undefined) })
  const producer = kafka.producer()
  const sent = assert.rejects(producer.send(record), { code: 'PRODUCER_STOPPED' })
  const signal = foreign()
  const flushed = producer.flush({ signal })
  signal.abort('enough')
  await assert.rejects(flushed, { code: 'ABORTED', cause: 'enough' })
  await kafka.stop({ timeoutMs: 0 })
  await sent
})

test('calls that end well leave no more than one listener on a foreign signal', async () => {
  const cluster = await startCluster({ transport: 'memory', topics: { orders: 1 } })
  const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial })
  try {
    const signal = foreign()
    for (let round = 0; round < 3; round++) {
      await kafka.producer().send(record, { signal })
      await consumerOf(kafka).start({ signal })
      await kafka.admin().listTopics({ signal })
      await kafka.admin().listGroups({ signal })
    }
    assert.ok(signal.listeners <= 1, `${signal.listeners} listeners`)
  } finally {
    await kafka.stop()
    await cluster.stop()
  }
})

test('what cannot be listened to like a signal is refused', async () => {
  const kafka = new Kafka({ brokers: ['nowhere:9092'] })
  const signal = { aborted: false, addEventListener: () => undefined } as never
  const refusal = (path: string) => ({ code: 'INVALID_OPTION', path, message: /must be an AbortSignal/ })
  await assert.rejects(kafka.producer().send(record, { signal }), refusal('producer.send.signal'))
  await assert.rejects(kafka.admin().listTopics({ signal }), refusal('admin.listTopics.signal'))
  await kafka.stop()
})

/** The options of calls are checked as those of constructors are, and what is refused has begun nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startCluster } from '../src/broker/index.ts'
import { Kafka } from '../src/kafka.ts'

type Wrong = readonly [given: unknown, path: string, words: RegExp]

const noTimeout: readonly Wrong[] = [
  [{ timeout: 1 }, '.timeout', /: unknown option timeout; did you mean timeoutMs\?$/],
  [
    { timeoutMs: '5s' },
    '.timeoutMs',
    /: option timeoutMs must be milliseconds from 0 to 2147483647, not "5s"$/,
  ],
  [{ timeoutMs: Number.NaN }, '.timeoutMs', /not NaN$/],
  [{ timeoutMs: -1 }, '.timeoutMs', /not -1$/],
  [3, '', /: the options must be an object, not 3$/],
  [null, '', /: the options must be an object, not null$/],
]
const noSignal: readonly Wrong[] = [
  [{ signl: AbortSignal.abort() }, '.signl', /: unknown option signl; did you mean signal\?$/],
  [{ signal: new AbortController() }, '.signal', /: option signal must be an AbortSignal, not an object$/],
  [{ signal: 'abort' }, '.signal', /not "abort"$/],
]

test('options of calls: an unknown name, and a value of the wrong kind, are refused and change nothing', async () => {
  const cluster = await startCluster({ transport: 'memory', topics: { orders: 1 } })
  const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial })
  try {
    const producer = kafka.producer()
    const consumer = kafka.consumer({ groupId: 'g', topics: ['orders'] })
    const record = { topic: 'orders', value: 'v' }
    const sendOnly: Wrong = [
      { timeoutMs: 5 },
      '.timeoutMs',
      /: unknown option timeoutMs; known are signal$/,
    ] as const
    const calls: readonly [
      name: string,
      wrong: readonly Wrong[],
      call: (given: never) => Promise<unknown>,
    ][] = [
      ['producer.start', [...noTimeout, ...noSignal], (given) => producer.start(given)],
      ['producer.send', [...noSignal, sendOnly], (given) => producer.send(record, given)],
      ['producer.send', [...noSignal, sendOnly], (given) => producer.send([record], given)],
      ['producer.enqueue', [...noSignal, sendOnly], (given) => producer.enqueue(record, given)],
      ['producer.flush', [...noTimeout, ...noSignal], (given) => producer.flush(given)],
      ['consumer.start', noSignal, (given) => consumer.start(given)],
    ]
    for (const [name, wrong, call] of calls) {
      for (const [given, path, message] of wrong) {
        const error = { code: 'INVALID_OPTION', path: `${name}${path}`, message }
        await assert.rejects(call(given as never), error, name)
      }
      assert.deepEqual([producer.state, consumer.state], ['idle', 'idle'], name)
    }
    // Nothing was sent, and all of it can still be done, with options that are right.
    const { signal } = new AbortController()
    await producer.start({ timeoutMs: 5000, signal })
    assert.equal((await producer.send(record, { signal })).offset, 0)
    await producer.flush({ timeoutMs: 5000, signal })
    await consumer.start({ signal })
    await consumer.stop({ timeoutMs: 0 })
    await producer.stop({ timeoutMs: 5000 })
    await kafka.stop({ timeoutMs: 5000 })
  } finally {
    await kafka.stop()
    await cluster.stop()
  }
})

test('a stop is never refused: what is wrong with its options is told when all is settled', async () => {
  const cluster = await startCluster({ transport: 'memory', topics: { orders: 1 } })
  try {
    for (const given of [{ timeout: 1 }, { timeoutMs: '5s' }, 'SIGTERM', null]) {
      const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial })
      const producer = kafka.producer({ lingerMs: 100 })
      const consumer = kafka.consumer({ groupId: 'g', topics: ['orders'] })
      const sent = producer.send({ topic: 'orders', value: 'v' })
      await assert.rejects(consumer.stop(given as never), { code: 'INVALID_OPTION' })
      await assert.rejects(producer.stop(given as never), { code: 'INVALID_OPTION' })
      assert.ok((await sent).offset >= 0)
      await assert.rejects(kafka.stop(given as never), { code: 'INVALID_OPTION' })
      assert.deepEqual([producer.state, consumer.state], ['stopped', 'stopped'])
      await kafka.stop()
    }
    // What is over already, or without end, is a time all the same.
    for (const timeoutMs of [-5, Number.POSITIVE_INFINITY]) {
      const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial })
      await kafka.producer().stop({ timeoutMs })
      await kafka.consumer({ groupId: 'g', topics: ['orders'] }).stop({ timeoutMs })
      await kafka.stop({ timeoutMs })
    }
  } finally {
    await cluster.stop()
  }
})

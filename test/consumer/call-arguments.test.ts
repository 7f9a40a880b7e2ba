/** What is handed to a consumer's methods is checked at once, and what is refused leaves the consumer as it was. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecordHandler, TopicPartition } from '../../src/consumer/consumer.ts'
import { Bench, until } from './kit.ts'

test('pause, resume and lag take partitions of the topics of the consumer, and nothing else', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  const consumer = bench.consumer({ topics: ['orders', 'mails'] })
  const orders = { topic: 'orders', partition: 0 }
  const wrong: readonly [given: unknown, path: string, words: RegExp][] = [
    [
      { topic: 'zz', partition: 0 },
      '.topic',
      /must be a topic of this consumer \(orders, mails\), not "zz"$/,
    ],
    [{ partition: 0 }, '.topic', /it is missing$/],
    [{ topic: 'orders', partition: '0' }, '.partition', /must be a whole number from 0, not "0"$/],
    [{ topic: 'orders', partition: -1 }, '.partition', /not -1$/],
    [{ topic: 'orders' }, '.partition', /must be a whole number from 0, it is missing$/],
    [
      { topic: 'orders', partitions: [0] },
      '.partition',
      /one \{ topic, partition \} for each, not a list of them/,
    ],
    ['orders', '', /must be \{ topic, partition \}, not "orders"$/],
    [null, '', /not null$/],
  ]
  for (const [given, part, message] of wrong) {
    const error = (path: string) => ({ code: 'INVALID_ARGUMENT', path: `${path}${part}`, message })
    for (const method of ['pause', 'resume'] as const) {
      assert.throws(() => consumer[method]([orders, given as TopicPartition]), error('partitions[1]'))
    }
    assert.throws(() => consumer.lag(given as TopicPartition), error('partition'))
  }
  for (const given of [orders, 'orders', undefined]) {
    const error = { code: 'INVALID_ARGUMENT', path: 'partitions', message: /^consumer\.pause: .* a list of / }
    assert.throws(() => consumer.pause(given as never), error)
  }
  // What was refused has paused nothing, the part that was right included; a record is a partition, too.
  await bench.fill('orders', 1, 2)
  const seen: number[] = []
  const running = consumer.run((record) => {
    seen.push(record.offset)
    consumer.pause([record])
    consumer.resume([record])
  })
  await until(() => seen.length === 2, 'the records')
  assert.equal(typeof consumer.lag(orders), 'number')
  await consumer.stop()
  await running
})

test('a handler that is no function is refused at once, and the consumer can still be used', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 1)
  const consumer = bench.consumer({ topics: ['orders'] })
  const handler = () => undefined
  const told: readonly [method: 'run' | 'runBatches', given: unknown, words: RegExp][] = [
    [
      'run',
      undefined,
      /^consumer\.run: handler must be a function, such as async \(record\) => …, not undefined$/,
    ],
    [
      'run',
      { eachMessage: handler },
      /not an object; give the function itself in place of \{ eachMessage \}$/,
    ],
    [
      'run',
      { eachBatch: handler },
      /give the function itself to runBatches\(\) in place of \{ eachBatch \}$/,
    ],
    ['runBatches', { eachBatch: handler }, /async \(batch\) => .*itself in place of \{ eachBatch \}$/],
    ['runBatches', 'handler', /not "handler"$/],
  ]
  for (const [method, given, message] of told) {
    const refused = consumer[method](given as RecordHandler & (() => void))
    await assert.rejects(refused, { code: 'INVALID_ARGUMENT', path: 'handler', message })
    assert.equal(consumer.state, 'idle')
  }
  let handled = 0
  const running = consumer.run(() => void handled++)
  await until(() => handled === 1, 'the record')
  await consumer.stop()
  await running
})

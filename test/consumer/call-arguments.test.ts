/** What is handed to a consumer's methods is checked at once, and what is refused leaves the consumer as it was. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecordHandler } from '../../src/consumer/consumer.ts'
import { Bench, until } from './kit.ts'

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

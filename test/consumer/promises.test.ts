/** Promises that show only while something else goes on: records that come during a handler, revokes that take a while. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bench, until, values } from './kit.ts'

test('records that come while a handler runs wait for it', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(1))
  const consumer = bench.consumer({ topics: ['orders'], concurrency: 4 })
  const gate = Promise.withResolvers<void>()
  const begun: number[] = []
  const running = consumer.run(async ({ offset }) => {
    begun.push(offset)
    if (offset === 0) await gate.promise
  })
  await until(() => begun.length > 0, 'the first record')
  const heldBefore = consumer.heldBytes
  await bench.fill('orders', 1, 4, 1)
  await until(() => consumer.heldBytes > heldBefore, 'the next response')
  assert.deepEqual(begun, [0])
  gate.resolve()
  await until(() => begun.length === 5, 'all records')
  assert.deepEqual(begun, [0, 1, 2, 3, 4])
  await consumer.stop()
  await running
})

test('a partition is held until onRebalance has ended its revoke', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 1)
  let handled = 0
  const held: number[] = []
  const consumer = bench.consumer({
    topics: ['orders'],
    onRebalance: async ({ type }) => {
      if (type !== 'revoked') return
      // A way to the coordinator and back: what did not wait for this callback is over by then.
      for (let round = 0; round < 3; round++) await bench.committed('orders', 1)
      held.push(consumer.assignment().length)
    },
  })
  const running = consumer.run(async () => void handled++)
  await until(() => handled === 1, 'the record')
  await consumer.stop()
  await running
  assert.deepEqual(held, [1])
})

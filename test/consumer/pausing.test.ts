/** Partitions that are paused while there is work in them: nothing more of them is done, and nobody waits for them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Consumer } from '../../src/consumer/consumer.ts'
import { Bench, turn, until, values } from './kit.ts'

test('what paused partitions hold does not keep the others from being read, and comes when they are resumed', async () => {
  await using bench = await Bench.open({ topics: { orders: 3 }, configs: { 'message.max.bytes': 4_000_000 } })
  const consumer = bench.consumer({ topics: ['orders'], prefetchBytes: 1024 * 1024, concurrency: 1 })
  const gate = Promise.withResolvers<void>()
  const seen: number[][] = [[], [], []]
  const running = consumer.run(async ({ partition, offset }) => {
    seen[partition]?.push(offset)
    if (partition === 0 && offset === 0) await gate.promise
  })
  await bench.append('orders', 0, values(1))
  await until(() => seen[0]?.length === 1, 'the handler that stands')
  const large = [{ value: Buffer.alloc(600_000) }]
  for (const partition of [1, 2]) await bench.append('orders', partition, large)
  // With it there is no room for another request.
  await until(() => consumer.heldBytes > 600_000, 'one of the large ones')
  const paused = [1, 2].map((partition) => ({ topic: 'orders', partition }))
  consumer.pause(paused)
  gate.resolve()
  await bench.append('orders', 0, values(3))
  await until(() => seen[0]?.length === 4, 'what comes in the other partition', 5000)
  assert.deepEqual(seen, [[0, 1, 2, 3], [], []])
  await bench.fill('orders', 3, 2)
  consumer.resume(paused)
  await until(() => seen.flat().length === 12, 'all records')
  assert.deepEqual(seen, [
    [0, 1, 2, 3, 4, 5],
    [0, 1, 2],
    [0, 1, 2],
  ])
  await consumer.stop()
  await running
  assert.deepEqual(await bench.committed('orders', 3), [6, 3, 3])
})

test('a partition that is paused in the middle of a large batch gives the rest of it back when its handler ends', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 }, configs: { 'message.max.bytes': 4_000_000 } })
  const consumer = bench.consumer({ topics: ['orders'], prefetchBytes: 1024 * 1024 })
  const gate = Promise.withResolvers<void>()
  const seen: string[] = []
  const running = consumer.run(async ({ partition, offset }) => {
    seen.push(`${partition}/${offset}`)
    if (partition === 1 && offset === 0) await gate.promise
  })
  const half = { value: Buffer.alloc(400_000) }
  await bench.append('orders', 1, [half, half])
  await until(() => seen.length === 1, 'the first of the batch')
  const paused = [{ topic: 'orders', partition: 1 }]
  consumer.pause(paused)
  await bench.append('orders', 0, values(1))
  await turn(50)
  // Beside the large batch there is no room for another request.
  assert.deepEqual(seen, ['1/0'])
  gate.resolve()
  await until(() => seen.length === 2, 'what there is room for then', 5000)
  assert.deepEqual(seen, ['1/0', '0/0'])
  consumer.resume(paused)
  await until(() => seen.length === 3, 'the rest of the batch')
  assert.deepEqual(seen, ['1/0', '0/0', '1/1'])
  await consumer.stop()
  await running
  assert.deepEqual(await bench.committed('orders', 2), [1, 2])
})

/** Runs the consumer in this way; `see` is told of each record, or the first of each batch, and waited for. */
const ways = {
  run: (consumer: Consumer, see: (partition: number, offset: number) => Promise<void>) =>
    consumer.run(({ partition, offset }) => see(partition, offset)),
  runBatches: (consumer: Consumer, see: (partition: number, offset: number) => Promise<void>) =>
    consumer.runBatches(({ partition, firstOffset }) => see(partition, firstOffset)),
  iteration: async (consumer: Consumer, see: (partition: number, offset: number) => Promise<void>) => {
    for await (const { partition, offset } of consumer) await see(partition, offset)
  },
}

for (const [name, way] of Object.entries(ways)) {
  test(`${name}: after pause() nothing of the partition begins until resume(), though records wait`, async () => {
    await using bench = await Bench.open({ topics: { orders: 2 } })
    await bench.fill('orders', 2, 10)
    const consumer = bench.consumer({ topics: ['orders'], maxBatchRecords: 1 })
    const paused = [{ topic: 'orders', partition: 1 }]
    const seen: number[][] = [[], []]
    const running = way(consumer, async (partition, offset) => {
      seen[partition]?.push(offset)
      // Paused while this one is at work: it may end, and nine wait behind it.
      if (partition === 1 && offset === 0) consumer.pause(paused)
    })
    await until(() => seen[0]?.length === 10 && seen[1]?.length === 1, 'the other partition')
    // The long poll that was under way may bring some more of it; what comes then is not asked for.
    await bench.fill('orders', 2, 10)
    await until(() => seen[0]?.length === 20, 'the other partition again')
    await bench.append('orders', 1, [{ value: Buffer.alloc(20_000) }])
    await bench.append('orders', 0, values(1))
    await until(() => seen[0]?.length === 21, 'the other partition once more')
    assert.deepEqual(seen[1], [0])
    assert.ok(consumer.heldBytes < 20_000, `${consumer.heldBytes} bytes held`)
    consumer.resume(paused)
    await until(() => seen[1]?.length === 21, 'the paused partition')
    assert.deepEqual(seen[1], [...Array(21).keys()])
    await consumer.stop()
    await running
  })
}

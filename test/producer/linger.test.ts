/** When batches close: by age, bytes and count, at the end of a turn, and not before the window has room. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Kit, range, withProducer } from './support/kit.ts'

const order = (value: string) => ({ topic: 'orders', value })

/** How many records each batch in the log has. */
const batches = ({ cluster }: Kit): number[] =>
  cluster.replicaOf(1, 'orders', 0).batches.map(({ baseOffset, lastOffset }) => lastOffset - baseOffset + 1)

test('lingerMs 0: everything of one turn is one batch', async () => {
  await withProducer({}, async (kit) => {
    const { producer, during, clock } = kit
    await during(producer.send(order('before')))
    const began = clock.monotonic()
    await during(Promise.all(range(10).map((index) => producer.send(order(`${index}`)))))
    await during(Promise.all(range(3).map((index) => producer.send(order(`${index}`)))))
    assert.deepEqual(batches(kit), [1, 10, 3])
    assert.equal(clock.monotonic(), began)
  })
})

test('lingerMs: a batch waits so long from its first record, and takes what comes meanwhile', async () => {
  await withProducer({ producer: { lingerMs: 50 } }, async (kit) => {
    const { producer, during, clock } = kit
    await during(producer.send(order('before')))
    const sent = producer.send(order('a'))
    const began = clock.monotonic()
    await clock.advance(30)
    void producer.send(order('b'))
    await clock.advance(19)
    void producer.send(order('c'))
    assert.deepEqual(batches(kit), [1])
    await during(sent)
    assert.equal(clock.monotonic() - began, 50)
    assert.deepEqual(batches(kit), [1, 3])
  })
})

test('the lingers of several partitions end each at its own time', async () => {
  await withProducer({ producer: { lingerMs: 50 } }, async ({ producer, during, clock }) => {
    await during(producer.send(range(2).map((partition) => ({ topic: 'many', partition, value: '' }))))
    const times: number[] = []
    const began = clock.monotonic()
    const send = (partition: number) =>
      producer.send({ topic: 'many', partition, value: '' }).then(() => times.push(clock.monotonic() - began))
    const first = send(0)
    await clock.advance(20)
    await during(Promise.all([first, send(1)]))
    assert.deepEqual(times, [50, 70])
  })
})

test('lingerRecords and lingerBytes end a linger', async () => {
  await withProducer({ producer: { lingerMs: 10_000, lingerRecords: 3 } }, async (kit) => {
    const { producer, during, clock } = kit
    await during(Promise.all(range(3).map((index) => producer.send(order(`${index}`)))))
    assert.ok(clock.monotonic() < 10_000)
    const began = clock.monotonic()
    await during(Promise.all(range(6).map((index) => producer.send(order(`${index}`)))))
    assert.ok(clock.monotonic() - began < 10_000)
  })
  await withProducer({ producer: { lingerMs: 10_000, lingerBytes: 500 } }, async (kit) => {
    const { producer, during, clock } = kit
    await during(producer.send(order('x'.repeat(500))))
    const began = clock.monotonic()
    await during(Promise.all([producer.send(order('a'.repeat(300))), producer.send(order('b'.repeat(300)))]))
    assert.ok(clock.monotonic() - began < 10_000)
    assert.deepEqual(batches(kit), [1, 2])
  })
})

test('a full batch does not wait', async () => {
  await withProducer({ producer: { lingerMs: 10_000, maxBatchBytes: 400 } }, async (kit) => {
    const { producer, during, clock } = kit
    await during(producer.start())
    void producer.send(order('x'.repeat(250)))
    const began = clock.monotonic()
    const full = producer.send(order('y'.repeat(250)))
    await clock.advance(100)
    assert.deepEqual(batches(kit), [1])
    await during(full)
    assert.equal(clock.monotonic() - began, 10_000)
  })
})

test('while the window has no room, a batch goes on filling', async () => {
  await withProducer({}, async (kit) => {
    const { producer, during, cluster, clock } = kit
    await during(producer.send(order('before')))
    const fault = cluster.faults.on({ api: 'Produce' }, { delayMs: 100 })
    const sent: Promise<unknown>[] = []
    for (const index of range(30)) {
      sent.push(producer.send(order(`${index}`)))
      await clock.advance(1)
    }
    fault.remove()
    await during(Promise.all(sent))
    assert.deepEqual(batches(kit), [1, 1, 1, 1, 1, 1, 25])
  })
})

for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
  test(`compressed batches arrive as they were (${compression})`, async () => {
    await withProducer({ producer: { compression } }, async (kit) => {
      const { producer, during, values } = kit
      const wanted = range(200).map((index) => `${index} ${'same '.repeat(20)}`)
      await during(producer.send(wanted.map(order)))
      assert.deepEqual(values('orders'), wanted)
      const [batch] = kit.cluster.replicaOf(1, 'orders', 0).batches
      assert.ok((batch?.sizeBytes ?? 0) < 5_000)
      assert.equal(producer.stats.heldBytes, 0)
    })
  })
}

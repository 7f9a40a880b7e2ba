/** Batches that are too large, and batches of which some records are refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PartialDeliveryError } from '../../src/producer/receipts.ts'
import { codeOf, range, withProducer } from './support/kit.ts'

const limited = (bytes: number) => ({
  topics: { orders: { partitions: 1, configs: { 'max.message.bytes': bytes } } },
})
const text = (index: number) => `${index} `.padEnd(100, 'x')

for (const compression of ['none', 'gzip'] as const) {
  test(`a batch that is too large goes in halves, in order (${compression})`, async () => {
    const options = { cluster: limited(compression === 'none' ? 1_000 : 200), producer: { compression } }
    await withProducer(options, async ({ cluster, producer, during, values }) => {
      const first = range(50).map(text)
      const receipts = await during(producer.send(first.map((value) => ({ topic: 'orders', value }))))
      assert.deepEqual(
        receipts.map(({ offset }) => offset),
        range(50),
      )
      assert.deepEqual(values('orders'), first)
      assert.ok(producer.stats.splitBatches >= 1)
      assert.equal(new Set(cluster.records('orders', 0).map(({ producerEpoch }) => producerEpoch)).size, 1)
    })
  })
}

test('followers on the wire follow the halves', async () => {
  await withProducer(
    { cluster: limited(1_000), producer: { maxBatchBytes: 3_000 } },
    async ({ producer, during, values }) => {
      await during(producer.send({ topic: 'orders', value: 'before' }))
      const wanted = range(150).map(text)
      await during(Promise.all(wanted.map((value) => producer.send({ topic: 'orders', value }))))
      assert.deepEqual(values('orders'), ['before', ...wanted])
    },
  )
})

test('the limit is learned, so that it is met only once, and recovers', async () => {
  await withProducer({ cluster: limited(1_000) }, async ({ kafka, cluster, producer, during, clock }) => {
    await during(producer.send(range(50).map((index) => ({ topic: 'orders', value: text(index) }))))
    await clock.advance(50)
    const { splitBatches } = producer.stats
    for (const _ of range(5)) {
      await during(producer.send(range(50).map((index) => ({ topic: 'orders', value: text(index) }))))
    }
    assert.equal(producer.stats.splitBatches, splitBatches)
    const wider = { type: 'topic', name: 'orders', configs: { 'max.message.bytes': '100000' } } as const
    await during(kafka.admin().alterConfigs([wider]))
    // What was learned is doubted in the end; each look doubles it.
    for (const _ of range(12)) {
      await clock.advance(660_000)
      await during(producer.send({ topic: 'orders', value: 'look' }))
    }
    const records = range(50).map((index) => ({ topic: 'orders', value: text(index) }))
    const [first] = await during(producer.send(records))
    const batch = cluster
      .replicaOf(1, 'orders', 0)
      .batches.find(({ baseOffset }) => baseOffset === first?.offset)
    assert.equal(batch?.lastOffset, (first?.offset ?? 0) + 49, 'all of them in one batch')
    assert.equal(producer.stats.splitBatches, splitBatches)
  })
})

test('without the right to read the limit it is halved until batches pass', async () => {
  await withProducer({ cluster: limited(1_000) }, async ({ cluster, producer, during }) => {
    cluster.faults.on({ api: 'DescribeConfigs' }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
    const send = () =>
      during(producer.send(range(50).map((index) => ({ topic: 'orders', value: text(index) }))))
    await send()
    const { splitBatches } = producer.stats
    await send()
    assert.equal(producer.stats.splitBatches, splitBatches)
    assert.ok(splitBatches > 0)
  })
})

test('a single record that the topic does not take fails alone', async () => {
  await withProducer({ cluster: limited(1_000) }, async ({ producer, during, values }) => {
    const records = ['a', 'x'.repeat(3_000), 'b'].map((value) => ({ topic: 'orders', value }))
    const error = await during(producer.send(records).catch((reason: unknown) => reason))
    assert.ok(error instanceof PartialDeliveryError)
    assert.deepEqual(
      error.results.map((result) => (result.status === 'failed' ? result.error.code : 'delivered')),
      ['delivered', 'RECORD_TOO_LARGE', 'delivered'],
    )
    assert.deepEqual(values('orders'), ['a', 'b'])
    await during(producer.send({ topic: 'orders', value: 'c' }))
    assert.deepEqual(values('orders'), ['a', 'b', 'c'])
  })
})

test('INVALID_RECORD fails the named records only (KIP-467)', async () => {
  const cluster = { topics: { orders: { partitions: 1, configs: { 'cleanup.policy': 'compact' } } } }
  await withProducer(
    { cluster, producer: { lingerMs: 5 } },
    async ({ producer, during, cluster, reports }) => {
      const records = range(10).map((index) => ({
        topic: 'orders',
        key: index === 3 || index === 9 ? null : `k${index}`,
        value: `${index}`,
      }))
      const single = codeOf(producer.send({ topic: 'orders', value: 'no key' }))
      const error = await during(producer.send(records).catch((reason: unknown) => reason))
      assert.ok(error instanceof PartialDeliveryError)
      assert.deepEqual(
        error.results.map((result) => (result.status === 'failed' ? result.error.code : result.offset)),
        [0, 1, 2, 'INVALID_RECORD', 3, 4, 5, 6, 7, 'INVALID_RECORD'],
      )
      assert.equal(await single, 'INVALID_RECORD')
      await during(producer.send({ topic: 'orders', key: 'k', value: 'after' }))
      const log = cluster.records('orders', 0)
      assert.deepEqual(
        log.map(({ value }) => value?.toString()),
        ['0', '1', '2', '4', '5', '6', '7', '8', 'after'],
      )
      assert.equal(log.at(-1)?.producerEpoch, 1, 'the hole was closed by the next epoch')
      assert.equal(reports.length, 12)
      assert.equal(producer.stats.heldBytes, 0)
    },
  )
})

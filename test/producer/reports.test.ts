/** What a delivery report says of its record. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { range, withProducer } from './support/kit.ts'

for (const compression of ['none', 'gzip'] as const) {
  test(`each report carries its record's key, delivered or not (${compression})`, async () => {
    await withProducer({ producer: { compression } }, async ({ cluster, producer, reports, during }) => {
      const keys = range(12).map((index) => (index % 4 === 3 ? null : `row-${index}`))
      const records = keys.map((key, index) => ({ topic: 'orders', key, value: 'v'.repeat(index) }))
      const told = () => reports.map(({ status, key }) => [status, key === null ? null : key.toString()])
      await producer.enqueue(records.slice(0, 8))
      await producer.enqueue(records.slice(8, 9))
      await Promise.all([producer.send(records[9] as never), producer.send(records[10] as never)].map(during))
      await during(producer.send(records.slice(11)))
      assert.deepEqual(
        told(),
        keys.map((key) => ['delivered', key]),
      )
      assert.deepEqual(
        reports.map((report) => report.status === 'delivered' && report.offset),
        range(12),
      )

      reports.length = 0
      cluster.faults.on({ api: 'Produce', times: 1 }, { error: 'INVALID_TOPIC_EXCEPTION' })
      await producer.enqueue(records.slice(0, 2))
      await during(producer.flush())
      assert.deepEqual(told(), [
        ['failed', 'row-0'],
        ['failed', 'row-1'],
      ])
    })
  })
}

test('a key is a copy, and the halves of a batch that was too large carry theirs', async () => {
  await withProducer({}, async ({ cluster, producer, reports, during }) => {
    cluster.faults.on({ api: 'Produce', times: 1 }, { error: 'MESSAGE_TOO_LARGE' })
    const key = Buffer.from('key-0')
    await producer.enqueue(
      [0, 1, 2, 3].map((index) => ({ topic: 'orders', key: index === 0 ? key : `key-${index}`, value: 'v' })),
    )
    key.fill(0)
    await during(producer.flush())
    const first = reports.map((report) => `${report.key}`)
    // Their batches' memory is used again.
    await producer.enqueue(range(50).map((index) => ({ topic: 'orders', key: `other-${index}`, value: 'w' })))
    await during(producer.flush())
    assert.ok(producer.stats.splitBatches > 0)
    assert.deepEqual(first, ['key-0', 'key-1', 'key-2', 'key-3'])
    assert.deepEqual(
      reports.slice(0, 4).map((report) => `${report.key}`),
      first,
    )
  })
})

/** A broker that speaks no version of an API that is needed is an error of the records, not of the process. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeOf, withProducer } from './support/kit.ts'

test('without Produce records wait for another leader, and settle at their deadline', async () => {
  const cluster = { maxVersions: { Produce: null } }
  const producer = { idempotent: false, deliveryTimeoutMs: 1500 }
  await withProducer({ cluster, producer }, async ({ producer, during }) => {
    const codes = [0, 1].map((index) => codeOf(producer.send({ topic: 'orders', value: `${index}` })))
    assert.deepEqual(await during(Promise.all(codes)), ['DELIVERY_UNKNOWN', 'DELIVERY_UNKNOWN'])
  })
})

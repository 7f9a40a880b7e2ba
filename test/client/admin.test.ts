import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startCluster } from '../../src/broker/index.ts'
import { Kafka } from '../../src/index.ts'
import { adminSuite } from './admin-suite.ts'

adminSuite('the embedded broker', async () => {
  const cluster = await startCluster({ brokers: 3 })
  return { brokers: cluster.brokers, stop: () => cluster.stop() }
})

test('groupOffsets does not wait for an open transaction: it tells what is committed', async (t) => {
  const cluster = await startCluster({ transport: 'memory', topics: { orders: 1 } })
  const patient = { minBackoffMs: 60_000, maxBackoffMs: 60_000 }
  const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial, ...patient })
  t.after(async () => {
    await kafka.stop()
    await cluster.stop()
  })
  const admin = kafka.admin()
  await admin.alterGroupOffsets('group', [{ topic: 'orders', partition: 0, offset: 3 }])
  const open = cluster.faults.on(
    { api: 'OffsetFetch', topic: 'orders', partition: 0, times: 1 },
    { error: 'UNSTABLE_OFFSET_COMMIT' },
  )
  const [found] = await admin.groupOffsets('group')
  assert.deepEqual([found?.offset, open.hits], [3, 1])
})

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startCluster } from '../../src/broker/index.ts'

import { BrokerError, Kafka } from '../../src/index.ts'
import {
  describeCluster,
  describeGroups,
  describeProducers,
  findCoordinator,
  listOffsets,
  metadata,
} from '../../src/protocol/messages/index.ts'
import type { Api, ReceivedRequestOf } from '../../src/protocol/schema.ts'

import { adminSuite } from './admin-suite.ts'
import { FakeBroker } from './fake-broker.ts'
import { metadataOf, rejection } from './support.ts'

adminSuite('the embedded broker', async () => {
  const cluster = await startCluster({ brokers: 3 })
  return { brokers: cluster.brokers, stop: () => cluster.stop() }
})

/** The admin of a cluster in memory, and how to see which node was asked what. */
async function watched(t: TestContext, topics: Record<string, { partitions: number; replicas: number }>) {
  const cluster = await startCluster({ transport: 'memory', brokers: 3, topics })
  const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial })
  t.after(async () => {
    await kafka.stop()
    await cluster.stop()
  })
  const watch = <A extends Api>(api: A) => {
    const seen: { readonly node: number; readonly request: ReceivedRequestOf<A> }[] = []
    const where = (request: Readonly<Record<string, unknown>>, { node }: { readonly node: number }) => {
      seen.push({ node, request: request as ReceivedRequestOf<A> })
      return false
    }
    cluster.faults.on({ api: api.key, where }, 'close')
    return seen
  }
  return { cluster, admin: kafka.admin(), watch }
}

test('listOffsets tells the broker the isolation that is asked for', async (t) => {
  const { admin, watch } = await watched(t, { orders: { partitions: 1, replicas: 1 } })
  const seen = watch(listOffsets)
  const latest = [{ topic: 'orders', partition: 0, position: 'latest' }] as const
  await admin.listOffsets(latest)
  await admin.listOffsets(latest, { isolation: 'read_committed' })
  assert.deepEqual(
    seen.map(({ request }) => request.isolationLevel),
    [0, 1],
  )
})

test('describeProducers asks the leader, or the replica that is named', async (t) => {
  const { admin, watch } = await watched(t, { orders: { partitions: 1, replicas: 3 } })
  const seen = watch(describeProducers)
  const [topic] = await admin.describeTopics(['orders'])
  const { leaderId = -1, replicas = [] } = topic?.partitions[0] ?? {}
  const follower = replicas.find((nodeId) => nodeId !== leaderId) as number
  await admin.describeProducers([{ topic: 'orders', partition: 0 }])
  await admin.describeProducers([{ topic: 'orders', partition: 0, nodeId: follower }])
  assert.deepEqual(
    seen.map(({ node }) => node),
    [leaderId, follower],
  )
})

test('older brokers: the cluster is described by its metadata, and a group that is not there is called dead', async (t) => {
  const node = { nodeId: 4, host: 'old', port: 9092 }
  const broker = new FakeBroker().on(metadata, () => metadataOf([node]))
  broker.ranges.delete(describeCluster.key)
  broker.ranges.set(describeGroups.key, [0, 5])
  broker.on(findCoordinator, ({ body }) => ({
    coordinators: [{ key: body.coordinatorKeys[0] ?? '', errorCode: 0, errorMessage: null, ...node }],
  }))
  broker.on(describeGroups, ({ body }) => ({
    groups: body.groups.map((groupId) => ({
      ...{ errorCode: 0, groupId, groupState: 'Dead', protocolType: '', protocolData: '', members: [] },
    })),
  }))
  const kafka = new Kafka({ brokers: 'old:9092', dial: broker.dial })
  t.after(() => kafka.stop())
  assert.deepEqual(await kafka.admin().describeCluster(), {
    clusterId: 'cluster',
    controllerId: 4,
    brokers: [{ ...node, rack: null }],
  })
  await rejection(kafka.admin().describeGroups(['gone']), 'GROUP_ID_NOT_FOUND')
})

test('a topic that is not there is the same error from every call, and named in it', async (t) => {
  const cluster = await startCluster({ transport: 'memory', autoCreateTopics: false })
  const backoff = { minBackoffMs: 1, maxBackoffMs: 1 }
  const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial, ...backoff })
  t.after(async () => {
    await kafka.stop()
    await cluster.stop()
  })
  const admin = kafka.admin()
  const place = { topic: 'gone', partition: 0 }
  const calls: readonly (readonly [name: string, call: () => Promise<unknown>])[] = [
    ['gone', () => admin.describeTopics(['gone'])],
    ['gone', () => admin.deleteTopics(['gone'])],
    ['gone', () => admin.createPartitions([{ name: 'gone', partitions: 2 }])],
    ['gone', () => admin.describeConfigs([{ type: 'topic', name: 'gone' }])],
    ['gone', () => admin.alterConfigs([{ type: 'topic', name: 'gone', configs: { 'retention.ms': 1 } }])],
    ['gone-0', () => admin.listOffsets([{ ...place, position: 'latest' }])],
    ['gone-0', () => admin.deleteRecords([{ ...place, beforeOffset: 'latest' }])],
    ['gone-0', () => admin.describeProducers([place])],
    ['gone-0', () => admin.alterGroupOffsets('g', [{ ...place, offset: 0 }])],
  ]
  for (const [name, call] of calls) {
    await assert.rejects(call(), (error) => {
      assert.ok(error instanceof BrokerError, `${error}`)
      const { code, errorCode, retriable, topic } = error
      assert.deepEqual([code, errorCode, retriable, topic], ['UNKNOWN_TOPIC_OR_PARTITION', 3, true, 'gone'])
      assert.match(error.message, new RegExp(` of (topic )?${name}[ :]`))
      return true
    })
  }
  await assert.rejects(admin.deleteTopics(['gone', 'away']), {
    code: 'PARTIAL_FAILURE',
    message: /^DeleteTopics: 2 of 2 failed: DeleteTopics of gone: UNKNOWN_TOPIC_OR_PARTITION \(3\): /,
  })
})

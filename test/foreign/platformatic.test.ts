/** @platformatic/kafka, unmodified, against the embedded broker. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  Admin,
  Consumer,
  MessagesStreamModes,
  ProduceAcks,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka'
import { type EmbeddedCluster, type StartClusterOptions, startCluster } from '../../src/broker/index.ts'

async function clusterFor(t: TestContext, options: StartClusterOptions): Promise<EmbeddedCluster> {
  const cluster = await startCluster({ configs: { 'group.initial.rebalance.delay.ms': 0 }, ...options })
  t.after(() => cluster.stop())
  return cluster
}

const connection = (cluster: EmbeddedCluster) => ({
  clientId: 'platformatic',
  bootstrapBrokers: cluster.brokers,
  retries: 5,
  retryDelay: 50,
})

const producerOf = (cluster: EmbeddedCluster, options: { readonly idempotent?: boolean } = {}) =>
  new Producer({ ...connection(cluster), serializers: stringSerializers, ...options })

async function consume(cluster: EmbeddedCluster, topic: string, count: number) {
  const consumer = new Consumer({
    ...connection(cluster),
    groupId: `group-of-${topic}`,
    deserializers: stringDeserializers,
  })
  try {
    const stream = await consumer.consume({
      topics: [topic],
      mode: MessagesStreamModes.EARLIEST,
      autocommit: true,
    })
    const values: string[] = []
    for await (const { value } of stream) {
      values.push(value)
      if (values.length === count) break
    }
    return values
  } finally {
    await consumer.close(true)
  }
}

test('produces idempotently and consumes in a group', async (t) => {
  const cluster = await clusterFor(t, { brokers: 3, topics: { orders: 3 } })
  const producer = producerOf(cluster, { idempotent: true })
  t.after(() => producer.close())
  const messages = Array.from({ length: 100 }, (_, n) => ({
    topic: 'orders',
    key: `k${n % 7}`,
    value: `v${n}`,
  }))
  const { offsets } = await producer.send({ messages: messages.slice(0, 50), acks: ProduceAcks.ALL })
  assert.ok(offsets !== undefined && offsets.length > 0)
  await producer.send({ messages: messages.slice(50), acks: ProduceAcks.ALL })
  const values = await consume(cluster, 'orders', 100)
  assert.deepEqual(values.toSorted(), messages.map(({ value }) => value).toSorted())
})

test('an idempotent producer whose answer is lost writes its batch once', async (t) => {
  const cluster = await clusterFor(t, { topics: { once: 1 } })
  const producer = producerOf(cluster, { idempotent: true })
  t.after(() => producer.close())
  const fault = cluster.faults.on({ api: 'Produce', times: 1 }, 'apply-then-drop')
  const messages = ['a', 'b'].map((value) => ({ topic: 'once', value }))
  await producer.send({ messages, acks: ProduceAcks.ALL })
  assert.equal(fault.hits, 1)
  assert.deepEqual(
    cluster.records('once', 0).map(({ value }) => value?.toString()),
    ['a', 'b'],
  )
})

test('administers topics and groups', async (t) => {
  const cluster = await clusterFor(t, { brokers: 3, autoCreateTopics: false })
  const admin = new Admin(connection(cluster))
  t.after(() => admin.close())
  const [created] = await admin.createTopics({ topics: ['made'], partitions: 2, replicas: 3 })
  assert.equal(created?.name, 'made')
  assert.deepEqual(await admin.listTopics(), ['made'])
  const producer = producerOf(cluster)
  await producer.send({ messages: [{ topic: 'made', value: 'x' }], acks: ProduceAcks.LEADER })
  await producer.close()
  assert.deepEqual(await consume(cluster, 'made', 1), ['x'])
  assert.deepEqual([...(await admin.listGroups()).keys()], ['group-of-made'])
  const groups = await admin.describeGroups({ groups: ['group-of-made'] })
  assert.equal(String(groups.get('group-of-made')?.state), 'Empty')
  await admin.deleteGroups({ groups: ['group-of-made'] })
  await admin.deleteTopics({ topics: ['made'] })
  assert.deepEqual(await admin.listTopics(), [])
})

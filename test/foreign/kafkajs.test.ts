/** kafkajs, unmodified, against the embedded broker. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import kafkajs, { type Kafka } from 'kafkajs'
import { type EmbeddedCluster, type StartClusterOptions, startCluster } from '../../src/broker/index.ts'

async function clusterFor(t: TestContext, options: StartClusterOptions): Promise<EmbeddedCluster> {
  const cluster = await startCluster({ configs: { 'group.initial.rebalance.delay.ms': 0 }, ...options })
  t.after(() => cluster.stop())
  return cluster
}

const clientOf = (cluster: EmbeddedCluster, extra: object = {}) =>
  new kafkajs.Kafka({
    clientId: 'kafkajs',
    brokers: cluster.brokers,
    logLevel: kafkajs.logLevel.NOTHING,
    ...extra,
  })

/** Reads `count` records of a topic with a group of its own. */
async function consume(client: Kafka, topic: string, count: number) {
  const consumer = client.consumer({ groupId: `group-of-${topic}`, maxWaitTimeInMs: 100 })
  const records: { partition: number; offset: string; key: string | undefined; value: string | undefined }[] =
    []
  const done = Promise.withResolvers<void>()
  consumer.on(consumer.events.CRASH, ({ payload }) => done.reject(payload.error))
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ partition, message: { offset, key, value } }) => {
        records.push({ partition, offset, key: key?.toString(), value: value?.toString() })
        if (records.length === count) done.resolve()
      },
    })
    await done.promise
  } finally {
    await consumer.disconnect()
  }
  return records
}

test('produces and consumes in a group, with keys, headers and compression', async (t) => {
  const cluster = await clusterFor(t, { brokers: 3, topics: { orders: 4 } })
  const client = clientOf(cluster)
  const producer = client.producer()
  await producer.connect()
  const messages = Array.from({ length: 200 }, (_, n) => ({
    ...{ key: `k${n % 10}`, value: `v${n}`, headers: { n: String(n) } },
  }))
  await producer.send({ topic: 'orders', messages: messages.slice(0, 100) })
  await producer.send({
    topic: 'orders',
    messages: messages.slice(100),
    compression: kafkajs.CompressionTypes.GZIP,
  })
  await producer.disconnect()
  const records = await consume(client, 'orders', 200)
  assert.deepEqual(
    records.map(({ value }) => value).toSorted(),
    messages.map(({ value }) => value).toSorted(),
  )
  const partitionsOfKey = new Map<string | undefined, Set<number>>()
  for (const { key, partition } of records) {
    partitionsOfKey.set(key, (partitionsOfKey.get(key) ?? new Set()).add(partition))
  }
  assert.ok([...partitionsOfKey.values()].every(({ size }) => size === 1))
  const [stored] = [0, 1, 2, 3].flatMap((partition) => cluster.records('orders', partition))
  assert.deepEqual(Object.keys(Object.fromEntries(stored?.headers ?? [])), ['n'])
})

test('an idempotent producer whose answer is lost writes its batch once', async (t) => {
  const cluster = await clusterFor(t, { topics: { once: 1 } })
  const producer = clientOf(cluster).producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  t.after(() => producer.disconnect())
  const fault = cluster.faults.on({ api: 'Produce', times: 1 }, 'apply-then-drop')
  await producer.send({ topic: 'once', messages: [{ value: 'a' }, { value: 'b' }] })
  await producer.send({ topic: 'once', messages: [{ value: 'c' }] })
  assert.equal(fault.hits, 1)
  const values = cluster.records('once', 0).map(({ value }) => value?.toString())
  assert.deepEqual(values, ['a', 'b', 'c'])
})

test('two members share a topic, and one takes over what the other leaves', async (t) => {
  const cluster = await clusterFor(t, { brokers: 2, topics: { shared: 4 } })
  const client = clientOf(cluster)
  const owners = new Map<string, number[]>()
  const changed = new EventTarget()
  const member = async (name: string) => {
    const consumer = client.consumer({
      ...{ groupId: 'sharers', sessionTimeout: 30_000, heartbeatInterval: 200, maxWaitTimeInMs: 100 },
    })
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      owners.set(name, payload.memberAssignment['shared'] ?? [])
      changed.dispatchEvent(new Event('change'))
    })
    await consumer.connect()
    await consumer.subscribe({ topics: ['shared'] })
    await consumer.run({ eachMessage: async () => undefined })
    return consumer
  }
  const settled = (expected: Record<string, number>) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (Object.entries(expected).every(([name, size]) => owners.get(name)?.length === size)) resolve()
      }
      changed.addEventListener('change', look)
      look()
    })
  const first = await member('first')
  t.after(() => first.disconnect())
  await settled({ first: 4 })
  const second = await member('second')
  await settled({ first: 2, second: 2 })
  const together = [...(owners.get('first') ?? []), ...(owners.get('second') ?? [])]
  assert.deepEqual(together.toSorted(), [0, 1, 2, 3])
  const left = performance.now()
  await second.disconnect()
  await settled({ first: 4 })
  // It said good-bye: nobody waited for the end of its session.
  assert.ok(performance.now() - left < 20_000)
})

test('administers topics, offsets, configurations and groups', async (t) => {
  const cluster = await clusterFor(t, { brokers: 3, autoCreateTopics: false })
  const client = clientOf(cluster)
  const admin = client.admin()
  await admin.connect()
  t.after(() => admin.disconnect())
  const configEntries = [{ name: 'retention.ms', value: '60000' }]
  assert.equal(
    await admin.createTopics({ topics: [{ topic: 'made', numPartitions: 2, configEntries }] }),
    true,
  )
  assert.equal(await admin.createTopics({ topics: [{ topic: 'made' }] }), false)
  await admin.createPartitions({ topicPartitions: [{ topic: 'made', count: 3 }] })
  const { topics } = await admin.fetchTopicMetadata({ topics: ['made'] })
  assert.equal(topics[0]?.partitions.length, 3)
  assert.equal((await admin.describeCluster()).brokers.length, 3)
  const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: 'made', configNames: ['retention.ms'] }]
  const described = await admin.describeConfigs({ resources, includeSynonyms: false })
  assert.equal(described.resources[0]?.configEntries[0]?.configValue, '60000')

  const producer = client.producer()
  await producer.connect()
  await producer.send({
    topic: 'made',
    messages: [
      { partition: 1, value: 'x' },
      { partition: 1, value: 'y' },
    ],
  })
  await producer.disconnect()
  const ends = await admin.fetchTopicOffsets('made')
  assert.deepEqual(Object.fromEntries(ends.map(({ partition, high }) => [partition, high])), {
    0: '0',
    1: '2',
    2: '0',
  })
  await admin.deleteTopicRecords({ topic: 'made', partitions: [{ partition: 1, offset: '1' }] })
  const [, low] = (await admin.fetchTopicOffsets('made')).toSorted((a, b) => a.partition - b.partition)
  assert.equal(low?.low, '1')

  await consume(client, 'made', 1)
  assert.deepEqual(
    (await admin.listGroups()).groups.map(({ groupId }) => groupId),
    ['group-of-made'],
  )
  const { groups } = await admin.describeGroups(['group-of-made'])
  assert.equal(groups[0]?.state, 'Empty')
  const [offsets] = await admin.fetchOffsets({ groupId: 'group-of-made', topics: ['made'] })
  assert.equal(offsets?.partitions.find(({ partition }) => partition === 1)?.offset, '2')
  await admin.deleteGroups(['group-of-made'])
  assert.deepEqual((await admin.listGroups()).groups, [])
  await admin.deleteTopics({ topics: ['made'] })
  assert.deepEqual(await admin.listTopics(), ['__consumer_offsets'], 'kafkajs hides no internal topic')
})

for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
  test(`authenticates with ${mechanism}, and is refused with a wrong password`, async (t) => {
    const cluster = await clusterFor(t, { sasl: { users: { ada: 'secret' } } })
    const adminWith = (password: string) =>
      clientOf(cluster, { sasl: { mechanism, username: 'ada', password }, retry: { retries: 0 } }).admin()
    const admin = adminWith('secret')
    await admin.connect()
    assert.deepEqual(await admin.listTopics(), [])
    await admin.disconnect()
    await assert.rejects(adminWith('wrong').connect())
  })
}

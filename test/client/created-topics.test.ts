/** A topic that was created is not known to every broker at once, and is found nevertheless. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startCluster } from '../../src/broker/index.ts'
import { Kafka } from '../../src/index.ts'
import { rejection } from './support.ts'

const UNKNOWN = { error: 'UNKNOWN_TOPIC_OR_PARTITION' }

async function world(t: TestContext, brokers = 1) {
  const cluster = await startCluster({ transport: 'memory', brokers })
  const kafka = new Kafka({
    brokers: cluster.brokers,
    dial: cluster.dial,
    minBackoffMs: 1,
    metadataMinIntervalMs: 0,
  })
  t.after(async () => {
    await kafka.stop()
    await cluster.stop()
  })
  return { cluster, kafka, admin: kafka.admin() }
}

test('when some topics of a call fail, those that were created are waited for all the same', async (t) => {
  const { cluster, admin } = await world(t)
  const lagging = cluster.faults.on({ api: 'Metadata', topic: 'good', times: 3 }, UNKNOWN)
  await rejection(admin.createTopics([{ name: 'good' }, { name: 'not a topic' }]), 'PARTIAL_FAILURE')
  assert.equal(lagging.hits, 3)
})

test('when some topics of a call cannot grow, the others are known to have grown all the same', async (t) => {
  const { admin, kafka } = await world(t)
  await admin.createTopics([
    { name: 'a', partitions: 1 },
    { name: 'b', partitions: 2 },
  ])
  const producer = kafka.producer()
  await producer.send([
    { topic: 'a', value: 'x' },
    { topic: 'b', value: 'x' },
  ])
  const both = admin.createPartitions([
    { name: 'a', partitions: 3 },
    { name: 'b', partitions: 1 },
  ])
  await rejection(both, 'PARTIAL_FAILURE')
  assert.equal((await producer.send({ topic: 'a', partition: 2, value: 'y' })).partition, 2)
})

test('what was created a moment ago is asked for again where a broker does not know it yet', async (t) => {
  const { cluster, admin } = await world(t, 3)
  await admin.createTopics([{ name: 'new' }])
  const lagging = cluster.faults.on({ api: 'Metadata', topic: 'new', times: 3 }, UNKNOWN)
  assert.equal((await admin.describeTopics(['new'])).length, 1)
  assert.equal(lagging.hits, 3)
  const offsets = cluster.faults.on({ api: 'ListOffsets', topic: 'new', times: 3 }, UNKNOWN)
  const [latest] = await admin.listOffsets([{ topic: 'new', partition: 0, position: 'latest' }])
  assert.deepEqual([latest?.offset, offsets.hits], [0, 3])
})

test('one that is made anew under the name of another is waited for, not taken for that', async (t) => {
  const { cluster, admin, kafka } = await world(t)
  const producer = kafka.producer()
  const partitionOf = async (partition: number) =>
    (await producer.send({ topic: 'anew', partition, value: 'x' })).partition
  await admin.createTopics([{ name: 'anew', partitions: 1 }])
  assert.equal(await partitionOf(0), 0)
  await admin.deleteTopics(['anew'])
  const asked = cluster.faults.on({ api: 'Metadata', topic: 'anew' }, { delayMs: 0 })
  await admin.createTopics([{ name: 'anew', partitions: 3 }])
  assert.ok(asked.hits > 0)
  assert.equal(await partitionOf(2), 2)
})

test('what was never created, or is deleted again, is unknown at the first answer', async (t) => {
  const { cluster, admin } = await world(t)
  await admin.createTopics([{ name: 'gone' }])
  await admin.deleteTopics(['gone'])
  const asked = cluster.faults.on({ api: 'Metadata' }, { delayMs: 0 })
  for (const name of ['gone', 'never']) {
    const before = asked.hits
    await rejection(admin.describeTopics([name]), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(asked.hits - before, 1, name)
  }
})

test('one that others have created may not be known yet: told at once, and retriable as Kafka has it', async (t) => {
  const { cluster, admin } = await world(t)
  cluster.createTopic('theirs')
  cluster.faults.on({ api: 'Metadata', topic: 'theirs', times: 1 }, UNKNOWN)
  const error = await rejection(admin.describeTopics(['theirs']), 'UNKNOWN_TOPIC_OR_PARTITION')
  assert.equal(error.retriable, true)
  assert.equal((await admin.describeTopics(['theirs'])).length, 1)
})

// What a test can do with the embedded broker: lose an answer, move a leader, stop a node, and count afterwards.
import assert from 'node:assert/strict'
import { Kafka } from 'ottla'
import { startCluster } from 'ottla/broker'

const cluster = await startCluster({ brokers: 3, topics: { orders: { partitions: 1, replicas: 3 } } })
const kafka = new Kafka({ clientId: 'test', brokers: cluster.brokers })
try {
  const producer = kafka.producer()
  await producer.send({ topic: 'orders', value: 'first' })

  // The broker appends the records, and its answer is lost. The producer finds out what is in the log.
  cluster.faults.on({ api: 'Produce', times: 1 }, 'apply-then-drop')
  await producer.send({ topic: 'orders', value: 'second' })

  // The leader goes away with a request under way.
  const sending = producer.send({ topic: 'orders', value: 'third' })
  await cluster.stopNode(cluster.leaderOf('orders', 0))
  await sending

  const values = cluster.records('orders', 0).map((record) => `${record.value}`)
  assert.deepEqual(values, ['first', 'second', 'third'])
  console.log(values.join(', '))
} finally {
  await kafka.stop()
  await cluster.stop()
}

// One record out, one record in, on a Kafka that lives in this process.
import { Kafka } from 'ottla'
import { startCluster } from 'ottla/broker'

const cluster = await startCluster({ brokers: 3, topics: { orders: 4 } })
const kafka = new Kafka({ clientId: 'shop', brokers: cluster.brokers })
try {
  const producer = kafka.producer()
  const { partition, offset } = await producer.send({ topic: 'orders', key: 'o-1', value: 'paid' })
  console.log(`orders/${partition} at offset ${offset}`)

  const consumer = kafka.consumer({ groupId: 'mailer', topics: ['orders'] })
  for await (const record of consumer) {
    console.log(`${record.key}: ${record.value}`)
    break // leaves the group; a record is finished when the next one is asked for, so this one would come again
  }
} finally {
  await kafka.stop()
  await cluster.stop()
}

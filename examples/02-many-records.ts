// Many records with one promise, and what happens when some of them cannot be delivered.
import { Kafka, PartialDeliveryError } from 'ottla'

const kafka = Kafka.fromEnv() // KAFKA_BROKERS=host:port,host:port
try {
  await kafka.admin().createTopics([{ name: 'readings', partitions: 4 }])
  const producer = kafka.producer({ lingerMs: 5, compression: 'lz4' })

  const readings = Array.from({ length: 1000 }, (_, index) => ({
    topic: 'readings',
    key: `sensor-${index % 10}`,
    value: JSON.stringify({ index, celsius: 20 + (index % 7) }),
  }))
  const receipts = await producer.send(readings)
  console.log(`${receipts.length} delivered, the first to partition ${receipts[0]?.partition}`)

  // One record of this call is too large for any batch: the others are delivered all the same.
  try {
    await producer.send([
      { topic: 'readings', value: 'fits' },
      { topic: 'readings', value: Buffer.alloc(2_000_000) },
    ])
  } catch (error) {
    if (!(error instanceof PartialDeliveryError)) throw error
    for (const result of error.results)
      console.log(result.status, result.status === 'failed' ? result.error.code : result.offset)
  }
} finally {
  await kafka.stop()
}

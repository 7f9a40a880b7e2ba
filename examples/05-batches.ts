// Whole batches: one call of the handler for what arrived together from one partition.
import { Kafka } from 'ottla'

const kafka = Kafka.fromEnv()
try {
  await kafka.admin().createTopics([{ name: 'prices', partitions: 1 }])
  await kafka
    .producer()
    .send(Array.from({ length: 1000 }, (_, index) => ({ topic: 'prices', value: `${index}` })))

  const consumer = kafka.consumer({ groupId: 'totals', topics: ['prices'] })
  let count = 0
  let total = 0
  const running = consumer.runBatches(async (batch) => {
    for (const record of batch) {
      total += Number(record.value)
      count++
    }
    if (count === 1000) void consumer.stop()
  })
  await running
  console.log(`${count} prices, ${total} in all`)
} finally {
  await kafka.stop()
}

// From one topic to another in batches: what was done before a failure is sent, and is not done again.
import { FailedAtError, Kafka, type ProducerRecord } from 'ottla'

const kafka = Kafka.fromEnv()
try {
  await kafka.admin().createTopics([
    { name: 'orders', partitions: 2 },
    { name: 'orders.enriched', partitions: 2 },
  ])
  const producer = kafka.producer()
  await producer.send(
    Array.from({ length: 20 }, (_, index) => ({
      topic: 'orders',
      key: `customer-${index % 5}`,
      value: `${index}`,
    })),
  )

  // A service that is not always there.
  let calls = 0
  const enrich = async (order: string) => {
    if (++calls % 7 === 0) throw new Error('the service is busy')
    return JSON.stringify({ order, total: Number(order) * 2 })
  }

  const consumer = kafka.consumer({
    groupId: 'enricher',
    topics: ['orders'],
    failure: { retries: 5, minBackoffMs: 10, maxBackoffMs: 100 },
    stopOnSignals: ['SIGTERM'],
  })
  let sent = 0
  await consumer.runBatches(async (batch) => {
    const done: ProducerRecord[] = []
    let failure: FailedAtError | undefined
    for (const { key, value, partition, offset } of batch) {
      try {
        const enriched = await enrich(`${value}`)
        done.push({
          topic: 'orders.enriched',
          key,
          value: enriched,
          headers: { source: `${partition}/${offset}` },
        })
      } catch (error) {
        failure = new FailedAtError(offset, error)
        break
      }
    }
    await producer.send(done)
    sent += done.length
    // What is before it counts as finished; the next call begins with it.
    if (failure !== undefined) throw failure
    if (sent === 20) void consumer.stop()
  })
  console.log(`${sent} orders after ${calls} calls of the service`)
} finally {
  await kafka.stop()
}

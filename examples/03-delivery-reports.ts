// Fire and account for it: `enqueue` resolves when the record is accepted, its outcome comes as a report.
import { Kafka } from 'ottla'

const kafka = Kafka.fromEnv()
try {
  await kafka.admin().createTopics([{ name: 'clicks', partitions: 2 }])
  const producer = kafka.producer({ bufferBytes: 8 * 1024 * 1024, onFull: 'wait' })
  const outcomes = { delivered: 0, failed: 0 }
  producer.onDelivery((report) => {
    outcomes[report.status]++
  })

  for (let index = 0; index < 5000; index++) {
    await producer.enqueue({ topic: 'clicks', key: `user-${index % 100}`, value: `click ${index}` })
  }
  await producer.flush({ timeoutMs: 10_000 })
  console.log(outcomes)
} finally {
  await kafka.stop()
}

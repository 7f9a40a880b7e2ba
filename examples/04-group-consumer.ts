// Two members share the partitions of a topic. Stopping one hands its partitions over, drained and committed.
import { Kafka } from 'ottla'

const kafka = Kafka.fromEnv()
try {
  await kafka.admin().createTopics([{ name: 'jobs', partitions: 4 }])
  await kafka
    .producer()
    .send(
      Array.from({ length: 200 }, (_, index) => ({ topic: 'jobs', key: `${index}`, value: `job ${index}` })),
    )

  const done = new Set<string>()
  const finished = Promise.withResolvers<void>()
  const member = (name: string) => {
    const consumer = kafka.consumer({ groupId: 'workers', topics: ['jobs'] })
    const running = consumer.run(async (record) => {
      done.add(`${record.key}`)
      if (done.size === 200) finished.resolve()
    })
    running.catch((error) => finished.reject(error))
    return { name, consumer, running }
  }
  const members = [member('first'), member('second')]
  await finished.promise
  for (const { consumer, running } of members) {
    await consumer.stop({ timeoutMs: 5000 })
    await running
  }
  console.log(`${done.size} jobs done`)
} finally {
  await kafka.stop()
}

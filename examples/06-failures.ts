// A handler that throws: retried with back-off, then skipped to a report. Never silently.
import { Kafka } from 'ottla'

const kafka = Kafka.fromEnv()
try {
  await kafka.admin().createTopics([{ name: 'mails', partitions: 1 }])
  await kafka.producer().send(['good', 'poison', 'good too'].map((value) => ({ topic: 'mails', value })))

  const consumer = kafka.consumer({
    groupId: 'mailer',
    topics: ['mails'],
    failure: { retries: 2, minBackoffMs: 10, maxBackoffMs: 100, onExhausted: 'skip' },
    onSkip: (report) => console.log(`skipped offset ${report.offset}: ${report.error.message}`),
  })
  const seen: string[] = []
  const running = consumer.run(async (record) => {
    if (`${record.value}` === 'poison') throw new Error('cannot send this')
    seen.push(`${record.value}`)
    if (seen.length === 2) void consumer.stop()
  })
  await running
  console.log(seen.join(', '))
} finally {
  await kafka.stop()
}

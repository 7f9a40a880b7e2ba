import { startKafka } from '../../tools/kafka/index.ts'
import { adminSuite } from './admin-suite.ts'

adminSuite('Apache Kafka', async () => {
  const given = process.env['OTTLA_KAFKA_BROKERS']
  if (given) return { brokers: given.split(','), stop: () => Promise.resolve() }
  const kafka = await startKafka()
  return { brokers: kafka.brokers, stop: () => kafka.stop() }
})

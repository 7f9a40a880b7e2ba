import { startKafka } from '../../tools/kafka/index.ts'
import { parseAddress } from '../support/raw-connection.ts'
import { conformance } from './suite.ts'

conformance('Apache Kafka', async () => {
  const given = process.env['OTTLA_KAFKA_BROKERS']
  if (given)
    return {
      addresses: given.split(',').map(parseAddress),
      cluster: undefined,
      stop: () => Promise.resolve(),
    }
  const kafka = await startKafka()
  return { addresses: kafka.brokers.map(parseAddress), cluster: undefined, stop: () => kafka.stop() }
})

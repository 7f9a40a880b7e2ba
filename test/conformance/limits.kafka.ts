import { startKafka } from '../../tools/kafka/index.ts'
import { parseAddress } from '../support/raw-connection.ts'
import { limits, limitsSettings } from './limits.ts'

limits('Apache Kafka', async () => {
  const kafka = await startKafka({ properties: limitsSettings })
  return { addresses: kafka.brokers.map(parseAddress), cluster: undefined, stop: () => kafka.stop() }
})

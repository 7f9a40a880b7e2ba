import { startKafka } from '../../tools/kafka/index.ts'
import { securitySuite, settings } from './security-suite.ts'

securitySuite('Apache Kafka', settings.mechanisms, async () => {
  const kafka = await startKafka({
    security: { protocol: 'SASL_SSL', users: settings.users },
    properties: { 'connections.max.reauth.ms': settings.sessionMs },
  })
  if (kafka.certificates === undefined) throw new Error('there are no certificates')
  return { brokers: kafka.brokers, certificates: kafka.certificates, stop: () => kafka.stop() }
})

import { startKafka } from '../../tools/kafka/index.ts'
import { type SecureSettings, securitySuite, users } from './security-suite.ts'

const settings: SecureSettings = {
  mechanisms: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'],
  sessionMs: 4_000,
}

securitySuite('Apache Kafka', settings, async () => {
  const kafka = await startKafka({
    security: { protocol: 'SASL_SSL', users },
    properties: { 'connections.max.reauth.ms': settings.sessionMs },
  })
  if (kafka.certificates === undefined) throw new Error('there are no certificates')
  return { brokers: kafka.brokers, certificates: kafka.certificates, stop: () => kafka.stop() }
})

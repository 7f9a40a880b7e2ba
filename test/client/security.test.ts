import { startCluster } from '../../src/broker/index.ts'
import { testCertificates } from '../../tools/kafka/index.ts'
import { securitySuite, settings } from './security-suite.ts'

securitySuite('the embedded broker', ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'], async () => {
  const certificates = testCertificates()
  const { authority, server } = certificates
  const cluster = await startCluster({
    sasl: { users: settings.users },
    tls: { cert: server.certificate, key: server.key, ca: authority.certificate },
    configs: { 'connections.max.reauth.ms': settings.sessionMs },
  })
  return { brokers: cluster.brokers, certificates, stop: () => cluster.stop() }
})

import { startCluster } from '../../src/broker/index.ts'
import { testCertificates } from '../../tools/kafka/index.ts'
import { type SecureSettings, securitySuite, users } from './security-suite.ts'

const settings: SecureSettings = {
  mechanisms: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'],
  sessionMs: 1_000,
}

securitySuite('the embedded broker', settings, async () => {
  const certificates = testCertificates()
  const { authority, server } = certificates
  const cluster = await startCluster({
    sasl: { users },
    tls: { cert: server.certificate, key: server.key, ca: authority.certificate },
    configs: { 'connections.max.reauth.ms': settings.sessionMs },
  })
  return { brokers: cluster.brokers, certificates, stop: () => cluster.stop() }
})

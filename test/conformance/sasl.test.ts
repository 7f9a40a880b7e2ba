import { startCluster } from '../../src/broker/index.ts'
import { parseAddress } from '../support/raw-connection.ts'
import { saslConformance, saslSettings } from './sasl.ts'

saslConformance('the embedded broker', async () => {
  const { users, mechanisms, maxReauthMs } = saslSettings
  const cluster = await startCluster({
    brokers: 1,
    sasl: { users, mechanisms },
    configs: { 'connections.max.reauth.ms': String(maxReauthMs) },
  })
  return { addresses: cluster.brokers.map(parseAddress), cluster, stop: () => cluster.stop() }
})

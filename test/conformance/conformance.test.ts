import { startCluster } from '../../src/broker/index.ts'
import { parseAddress } from '../support/raw-connection.ts'
import { conformance } from './suite.ts'

conformance('the embedded broker', async () => {
  const cluster = await startCluster({ brokers: 1 })
  return { addresses: cluster.brokers.map(parseAddress), cluster, stop: () => cluster.stop() }
})

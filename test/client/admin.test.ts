import { startCluster } from '../../src/broker/index.ts'
import { adminSuite } from './admin-suite.ts'

adminSuite('the embedded broker', async () => {
  const cluster = await startCluster({ brokers: 3 })
  return { brokers: cluster.brokers, stop: () => cluster.stop() }
})

import { startCluster } from '../../src/broker/index.ts'
import { failoverSuite } from './failover-suite.ts'

failoverSuite('the embedded broker', async () => {
  const cluster = await startCluster({ brokers: 3 })
  return {
    brokers: cluster.brokers,
    kill: (nodeId) => cluster.stopNode(nodeId, { kill: true }),
    restart: (nodeId) => cluster.startNode(nodeId),
    stop: () => cluster.stop(),
  }
})

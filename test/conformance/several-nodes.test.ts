import { startCluster } from '../../src/broker/index.ts'
import { parseAddress } from '../support/raw-connection.ts'
import { severalNodes, severalNodesSettings } from './several-nodes.ts'

severalNodes('the embedded broker', async () => {
  const configs = Object.fromEntries(
    Object.entries(severalNodesSettings).map(([key, value]) => [key, String(value)]),
  )
  const cluster = await startCluster({ brokers: 3, configs })
  return { addresses: cluster.brokers.map(parseAddress), cluster, stop: () => cluster.stop() }
})

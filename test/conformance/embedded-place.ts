import { type StartClusterOptions, startCluster } from '../../src/broker/index.ts'
import { parseAddress } from '../support/raw-connection.ts'
import type { Place } from './target.ts'

/** An embedded cluster to run a suite against. */
export async function embeddedPlace(options: StartClusterOptions): Promise<Place> {
  const cluster = await startCluster(options)
  return { addresses: cluster.brokers.map(parseAddress), cluster, stop: () => cluster.stop() }
}

import { EmbeddedCluster } from '../../src/broker/embedded-cluster.ts'
import { resolveStartOptions, type StartClusterOptions } from '../../src/broker/options.ts'
import { parseAddress } from '../support/raw-connection.ts'
import type { ErrorLedger } from './error-ledger.ts'
import type { Place } from './target.ts'

/** An embedded cluster to run a suite against; the ledger hears of all that it answers, and of what the suite reads. */
export async function embeddedPlace(options: StartClusterOptions, ledger: ErrorLedger): Promise<Place> {
  const cluster = await new EmbeddedCluster(resolveStartOptions(options), ledger.observe).start()
  const nodes = {
    stop: (nodeId: number) => cluster.stopNode(nodeId),
    start: (nodeId: number) => cluster.startNode(nodeId),
  }
  return {
    addresses: cluster.brokers.map(parseAddress),
    cluster,
    nodes,
    onResponse: ledger.watch,
    stop: () => cluster.stop(),
  }
}

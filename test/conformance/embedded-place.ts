import type { AnswerObserver } from '../../src/broker/answered-errors.ts'
import { EmbeddedCluster } from '../../src/broker/embedded-cluster.ts'
import { resolveStartOptions, type StartClusterOptions } from '../../src/broker/options.ts'
import { parseAddress } from '../support/raw-connection.ts'
import type { Place } from './target.ts'

/** An embedded cluster to run a suite against, with an observer of all that it answers. */
export async function embeddedPlace(options: StartClusterOptions, observer: AnswerObserver): Promise<Place> {
  const cluster = await new EmbeddedCluster(resolveStartOptions(options), observer).start()
  const nodes = {
    stop: (nodeId: number) => cluster.stopNode(nodeId),
    start: (nodeId: number) => cluster.startNode(nodeId),
  }
  return { addresses: cluster.brokers.map(parseAddress), cluster, nodes, stop: () => cluster.stop() }
}

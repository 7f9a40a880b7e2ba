/**
 * The embedded broker: a Kafka cluster inside this process, for development and tests.
 *
 *     const cluster = await startCluster({ brokers: 3, topics: { orders: 4 } })
 *     const kafka = new Kafka({ brokers: cluster.brokers })
 *     …
 *     await cluster.stop()
 */
import { EmbeddedCluster } from './embedded-cluster.ts'
import { resolveStartOptions, type StartClusterOptions } from './options.ts'

/**
 * Starts a cluster; its nodes take connections when this resolves. INVALID_OPTION for wrong options, INVALID_ARGUMENT
 * for a topic that Kafka would refuse, the system's error when an address is taken.
 */
export async function startCluster(options?: StartClusterOptions): Promise<EmbeddedCluster> {
  return new EmbeddedCluster(resolveStartOptions(options)).start()
}

export { seededRandom } from '../util/random.ts'
export { VirtualClock } from '../util/virtual-clock.ts'
export type { Fault, FaultAction, FaultMatch, RequestInfo } from './faults.ts'
export type { LoggedBatch, LoggedRecord, ReplicaReport } from './log-report.ts'
export type { StartClusterOptions, TlsOption, TopicOption } from './options.ts'
export type { EmbeddedCluster }

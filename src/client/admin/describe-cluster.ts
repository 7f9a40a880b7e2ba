/** Who is there: DescribeCluster (API key 60, KIP-700), or Metadata (3) where the broker is older. */
import { BrokerError } from '../../protocol/error-codes.ts'
import { describeCluster, metadata } from '../../protocol/messages/index.ts'
import type { Broker, Cluster } from '../cluster.ts'
import type { AdminCallOptions } from './call-time.ts'
import { type Asking, callItems, type Outcome } from './items.ts'

export interface DescribedCluster {
  readonly clusterId: string
  /** With KRaft some broker, which passes on what is for the controller. */
  readonly controllerId: number
  readonly brokers: readonly Broker[]
}

export async function describeClusterOn(
  cluster: Cluster,
  options: AdminCallOptions,
): Promise<DescribedCluster> {
  const [described] = await callItems(
    cluster,
    {
      doing: 'DescribeCluster',
      items: ['the cluster'],
      subject: (name) => name,
      route: () => -1,
      isIdempotent: true,
      ask: async (asking) => [
        asking.connection.supports(describeCluster) ? await askCluster(asking) : await askMetadata(asking),
      ],
    },
    options,
  )
  return described as DescribedCluster
}

async function askCluster({ connection, timeoutMs }: Asking): Promise<Outcome<DescribedCluster>> {
  const response = await connection.request(
    describeCluster,
    { includeClusterAuthorizedOperations: false },
    { timeoutMs },
  )
  const { errorCode: code, errorMessage: brokerMessage, clusterId, controllerId } = response
  if (code !== 0) return { error: new BrokerError(code, 'DescribeCluster', { brokerMessage }) }
  const brokers = response.brokers.map(({ brokerId: nodeId, host, port, rack }) => ({
    nodeId,
    host,
    port,
    rack,
  }))
  return { value: { clusterId, controllerId, brokers } }
}

async function askMetadata({ connection, timeoutMs }: Asking): Promise<Outcome<DescribedCluster>> {
  const response = await connection.request(metadata, { topics: [] }, { timeoutMs })
  const { clusterId, controllerId, brokers } = response
  return { value: { clusterId: clusterId ?? '', controllerId, brokers } }
}

/** DescribeCluster (60): the nodes and the cluster's id. */
import { errorCode } from '../../protocol/error-codes.ts'
import { describeCluster } from '../../protocol/messages/describe-cluster.ts'
import type { SentResponseOf } from '../../protocol/schema.ts'
import { ALL_CLUSTER_OPERATIONS } from '../authorized-operations.ts'
import type { Handler } from '../handler.ts'

const BROKERS = 1
const CONTROLLERS = 2
const FENCED_SINCE = 2

export const describeClusterHandler: Handler<typeof describeCluster> = {
  api: describeCluster,
  versions: [0, 2],
  errors: [errorCode.MISMATCHED_ENDPOINT_TYPE, errorCode.UNSUPPORTED_ENDPOINT_TYPE],
  handle({ endpointType, includeFencedBrokers, includeClusterAuthorizedOperations }, context) {
    if (endpointType === CONTROLLERS) {
      const message =
        'The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER'
      return refused(errorCode.MISMATCHED_ENDPOINT_TYPE, message)
    }
    if (endpointType !== BROKERS) {
      return refused(errorCode.UNSUPPORTED_ENDPOINT_TYPE, `Unsupported endpoint type ${endpointType}`)
    }
    const { cluster, version } = context
    const nodes = includeFencedBrokers ? cluster.allNodes() : cluster.nodes()
    return {
      throttleTimeMs: 0,
      errorCode: errorCode.NONE,
      clusterId: cluster.clusterId,
      controllerId: cluster.controllerId,
      brokers: nodes.map(({ id, host, port, rack, isRegistered }) => ({
        brokerId: id,
        host,
        port,
        rack,
        ...(version >= FENCED_SINCE ? { isFenced: !isRegistered } : {}),
      })),
      ...(includeClusterAuthorizedOperations ? { clusterAuthorizedOperations: ALL_CLUSTER_OPERATIONS } : {}),
    }
  },
  refuse: (_request, code) => refused(code, null),
}

const refused = (code: number, errorMessage: string | null): SentResponseOf<typeof describeCluster> => ({
  throttleTimeMs: 0,
  errorCode: code,
  errorMessage,
  clusterId: '',
  brokers: [],
})

/** FindCoordinator (10): which node coordinates a group. */
import { errorCode, errorName } from '../../protocol/error-codes.ts'
import { findCoordinator } from '../../protocol/messages/find-coordinator.ts'
import type { Handler, RequestContext } from '../handler.ts'

const BATCHED = 4
const GROUP = 0

interface Found {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly errorCode: number
  readonly errorMessage: string
}

const failed = (error: number, errorMessage: string): Found => ({
  nodeId: -1,
  host: '',
  port: -1,
  errorCode: error,
  errorMessage,
})

export const findCoordinatorHandler: Handler<typeof findCoordinator> = {
  api: findCoordinator,
  versions: [0, 6],
  errors: [errorCode.INVALID_REQUEST, errorCode.COORDINATOR_NOT_AVAILABLE],
  handle({ key, keyType, coordinatorKeys }, context) {
    if (context.version >= BATCHED) {
      return { coordinators: coordinatorKeys.map((one) => ({ key: one, ...find(one, keyType, context) })) }
    }
    const found = find(key, keyType, context)
    return found.errorCode === errorCode.NONE ? { ...found, errorMessage: 'NONE' } : found
  },
  refuse({ coordinatorKeys }, code, { version }) {
    const refused = failed(code, errorName(code))
    return version >= BATCHED
      ? { coordinators: coordinatorKeys.map((key) => ({ key, ...refused })) }
      : refused
  },
}

function find(key: string, keyType: number, { cluster }: RequestContext): Found {
  if (keyType !== GROUP) {
    return failed(errorCode.INVALID_REQUEST, 'Only coordinators of consumer groups are to be found here.')
  }
  const node = cluster.node(cluster.coordinatorPartition(key).leaderId)
  if (node === undefined) {
    return failed(errorCode.COORDINATOR_NOT_AVAILABLE, 'The coordinator is not available.')
  }
  const { id, host, port } = node
  return { nodeId: id, host, port, errorCode: errorCode.NONE, errorMessage: '' }
}

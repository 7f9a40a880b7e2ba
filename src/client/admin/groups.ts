/** Consumer groups: ListGroups (API key 16), DescribeGroups (15), DeleteGroups (42). */
import { errorCode } from '../../protocol/error-codes.ts'
import { assignment, decodeConsumerProtocol } from '../../protocol/messages/consumer-protocol.ts'
import { deleteGroups, describeGroups, listGroups } from '../../protocol/messages/index.ts'
import type { Cluster } from '../cluster.ts'
import { type AdminCallOptions, CallTime, type SharedOptions, shareOf } from './call-time.ts'
import { callItems, type Outcome } from './items.ts'
import { outcomesOf, refused, type TopicPartition, toCoordinator } from './routes.ts'

export interface ListedGroup {
  readonly groupId: string
  /** `consumer` for groups of consumers. */
  readonly protocolType: string
  /** `Stable`, `Empty`, …; empty when the broker is too old to tell. */
  readonly state: string
  /** `classic`, `consumer` (KIP-848), `share`; empty when the broker is too old to tell. */
  readonly type: string
}

export interface ListGroupsOptions extends AdminCallOptions {
  /** Only groups in one of these states (KIP-518). Default all. */
  readonly states?: readonly string[]
  /** Only groups of one of these types (KIP-848). Default all. */
  readonly types?: readonly string[]
}

export async function listGroupsOn(cluster: Cluster, options: ListGroupsOptions): Promise<ListedGroup[]> {
  const { states = [], types = [] } = options
  // Each broker knows the groups that it coordinates.
  const share = shareOf(cluster, 'admin.listGroups', options)
  await refreshInTime(cluster, share())
  const lists = await callItems(
    cluster,
    {
      doing: 'ListGroups',
      items: cluster.brokers(),
      subject: ({ nodeId }) => `node ${nodeId}`,
      route: ({ nodeId }) => nodeId,
      isIdempotent: true,
      ask: async ({ connection, timeoutMs }, [broker]) => {
        const body = {
          ...(states.length === 0 ? {} : { statesFilter: states }),
          ...(types.length === 0 ? {} : { typesFilter: types }),
        }
        const response = await connection.request(listGroups, body, { timeoutMs })
        if (response.errorCode === 0) return [{ value: response.groups }]
        return [{ error: refused(response.errorCode, `ListGroups at node ${broker?.nodeId}`) }]
      },
    },
    share(),
  )
  const groups = lists.flat().map(({ groupId, protocolType, groupState: state, groupType: type }) => ({
    groupId,
    protocolType,
    state,
    type,
  }))
  return groups.sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
}

async function refreshInTime(cluster: Cluster, options: SharedOptions): Promise<void> {
  const { signal } = options
  const time = new CallTime(cluster, 'Metadata', options)
  const unasked = () => time.unasked(undefined)
  try {
    if (time.isOverIn(0)) throw unasked()
    await time.within(cluster.refresh(signal === undefined ? {} : { signal }), unasked)
  } finally {
    time.end()
  }
}

export interface GroupMember {
  readonly memberId: string
  /** Null for a dynamic member. */
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** Empty for groups that are not of consumers. */
  readonly assignment: readonly TopicPartition[]
}

export interface DescribedGroup {
  readonly groupId: string
  /** `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`. */
  readonly state: string
  readonly protocolType: string
  /** The assignor in use. */
  readonly protocol: string
  readonly members: readonly GroupMember[]
}

/** Groups of the classic protocol; those of KIP-848 are listed but have a description of their own in Kafka. */
export function describeGroupsOn(
  cluster: Cluster,
  groupIds: readonly string[],
  options: AdminCallOptions,
): Promise<DescribedGroup[]> {
  return callItems(
    cluster,
    {
      doing: 'DescribeGroups',
      items: groupIds,
      subject: (groupId) => groupId,
      route: toCoordinator(cluster),
      isIdempotent: true,
      ask: async ({ connection, timeoutMs }, items) => {
        const response = await connection.request(describeGroups, { groups: items }, { timeoutMs })
        const answers = new Map(response.groups.map((group) => [group.groupId, group]))
        return outcomesOf(items, answers, {
          subject: (groupId) => groupId,
          outcome: (groupId, answer): Outcome<DescribedGroup> => {
            const { errorMessage: brokerMessage } = answer
            // Brokers before 4.0 call a group that does not exist dead (KIP-1043).
            const code = answer.groupState === 'Dead' ? errorCode.GROUP_ID_NOT_FOUND : answer.errorCode
            if (code !== 0) return { error: refused(code, 'DescribeGroups', { groupId, brokerMessage }) }
            const { groupState: state, protocolType, protocolData: protocol } = answer
            const members = answer.members.map(({ memberMetadata: _, memberAssignment, ...member }) => ({
              ...member,
              assignment: protocolType === 'consumer' ? assigned(memberAssignment) : [],
            }))
            return { value: { groupId, state, protocolType, protocol, members } }
          },
        })
      },
    },
    options,
  )
}

function assigned(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return []
  const { assignedPartitions } = decodeConsumerProtocol(assignment, bytes)
  return assignedPartitions.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition })),
  )
}

export async function deleteGroupsOn(
  cluster: Cluster,
  groupIds: readonly string[],
  options: AdminCallOptions,
): Promise<void> {
  await callItems(
    cluster,
    {
      doing: 'DeleteGroups',
      items: groupIds,
      subject: (groupId) => groupId,
      route: toCoordinator(cluster),
      isIdempotent: false,
      ask: async ({ connection, timeoutMs }, items) => {
        const response = await connection.request(deleteGroups, { groupsNames: items }, { timeoutMs })
        const answers = new Map(response.results.map((result) => [result.groupId, result]))
        return outcomesOf(items, answers, {
          subject: (groupId) => groupId,
          outcome: (groupId, { errorCode: code }) =>
            code === 0 ? { value: undefined } : { error: refused(code, 'DeleteGroups', { groupId }) },
        })
      },
    },
    options,
  )
}

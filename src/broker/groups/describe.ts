/** What DescribeGroups tells about a group. Members' metadata is told only while the group is Stable. */
import type { GroupState } from './group-state.ts'
import { metadataOf, NO_BYTES } from './member.ts'

export interface GroupDescription {
  readonly groupState: string
  readonly protocolType: string
  readonly protocolData: string
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly clientId: string
    readonly clientHost: string
    readonly memberMetadata: Uint8Array
    readonly memberAssignment: Uint8Array
  }[]
}

export function describe(group: GroupState): GroupDescription {
  const isStable = group.phase === 'Stable'
  return {
    groupState: group.phase,
    protocolType: group.membership.protocolType ?? '',
    protocolData: isStable ? (group.protocolName ?? '') : '',
    members: [...group.membership.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: isStable ? metadataOf(member, group.protocolName) : NO_BYTES,
      memberAssignment: member.assignment,
    })),
  }
}

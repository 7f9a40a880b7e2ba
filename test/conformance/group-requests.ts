/** The requests of group members in the versions that cases want them in. */
import assert from 'node:assert/strict'
import { errorCode, errorName } from '../../src/protocol/error-codes.ts'
import { encodeConsumerProtocol, subscription } from '../../src/protocol/messages/consumer-protocol.ts'
import { heartbeat, joinGroup, syncGroup } from '../../src/protocol/messages/index.ts'
import type { RequestOf, ResponseOf } from '../../src/protocol/schema.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import type { Target } from './target.ts'

export type Join = RequestOf<typeof joinGroup>
export type Joined = ResponseOf<typeof joinGroup>

export const subscribed = (...topics: string[]): Buffer => encodeConsumerProtocol(subscription, { topics })

/** A JoinGroup as a consumer sends it; fields that the version does not have are left out. */
export function joinRequest(groupId: string, version: number, given: Partial<Join> = {}): Join {
  const request: Join = {
    groupId,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: subscribed('somewhere') }],
    ...given,
  }
  if (version > 0) return request
  const { rebalanceTimeoutMs: _, ...rest } = request
  return rest
}

/** Joins as a client does: with the id that it is told to take. */
export async function joinAs(
  connection: RawConnection,
  groupId: string,
  version = 9,
  given: Partial<Join> = {},
): Promise<Joined> {
  const first = await connection.send(joinGroup, version, joinRequest(groupId, version, given))
  if (first.errorCode !== errorCode.MEMBER_ID_REQUIRED) return first
  const again = { ...given, memberId: first.memberId }
  return connection.send(joinGroup, version, joinRequest(groupId, version, again))
}

export interface SyncGiven {
  readonly version?: number
  readonly generationId?: number
  readonly groupInstanceId?: string | null
  readonly assignments?: RequestOf<typeof syncGroup>['assignments']
  readonly protocolType?: string | null
  readonly protocolName?: string | null
}

export function syncAs(connection: RawConnection, groupId: string, member: Joined, given: SyncGiven = {}) {
  const { version = 5, assignments = [], generationId = member.generationId, groupInstanceId } = given
  const { protocolType = 'consumer', protocolName = member.protocolName ?? 'range' } = given
  return connection.send(syncGroup, version, {
    groupId,
    generationId,
    memberId: member.memberId,
    assignments,
    ...(groupInstanceId === undefined ? {} : { groupInstanceId }),
    ...(version >= 5 ? { protocolType, protocolName } : {}),
  })
}

export interface TestMember {
  readonly connection: RawConnection
  readonly joined: Joined
  readonly groupInstanceId: string | null
}

/** Waits until a member is told to join again. */
export async function rebalanceBegins(
  connection: RawConnection,
  groupId: string,
  member: Joined,
): Promise<void> {
  const { memberId, generationId } = member
  for (;;) {
    const { errorCode: error } = await connection.send(heartbeat, 2, { groupId, memberId, generationId })
    if (error === errorCode.REBALANCE_IN_PROGRESS) return
    assert.equal(errorName(error), 'NONE')
  }
}

/**
 * A Stable group with a connection for each member, the leader (the first of them) first; each is assigned its own
 * index. They come one after the other, each with a generation of its own.
 */
export async function stableGroup(
  target: Target,
  groupId: string,
  members: readonly Partial<Join>[],
): Promise<TestMember[]> {
  const connections = await Promise.all(members.map(() => target.connectToCoordinator(groupId)))
  const join = (index: number, memberId: string) =>
    joinAs(connections[index] as RawConnection, groupId, 9, { ...members[index], memberId })
  let joined: Joined[] = []
  for (const index of members.keys()) {
    const newcomer = join(index, '')
    if (joined[0]) await rebalanceBegins(connections[0] as RawConnection, groupId, joined[0])
    joined = await Promise.all([...joined.map(({ memberId }, earlier) => join(earlier, memberId)), newcomer])
  }
  for (const one of joined) assert.equal(errorName(one.errorCode), 'NONE')
  assert.equal(joined[0]?.leader, joined[0]?.memberId)
  const assignments = joined.map(({ memberId }, index) => ({
    memberId,
    assignment: Buffer.from(`part ${index}`),
  }))
  const synced = await Promise.all(
    joined.map((one, index) =>
      syncAs(connections[index] as RawConnection, groupId, one, {
        assignments: index === 0 ? assignments : [],
        groupInstanceId: members[index]?.groupInstanceId ?? null,
        protocolType: one.protocolType,
      }),
    ),
  )
  assert.deepEqual(
    synced.map(({ assignment }) => String(assignment)),
    joined.map((_, index) => `part ${index}`),
  )
  return joined.map((one, index) => ({
    connection: connections[index] as RawConnection,
    joined: one,
    groupInstanceId: members[index]?.groupInstanceId ?? null,
  }))
}

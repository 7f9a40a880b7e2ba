/** FindCoordinator (10), JoinGroup (11), SyncGroup (14): how a generation comes to be. */
import assert from 'node:assert/strict'
import {
  findCoordinator,
  heartbeat,
  joinGroup,
  leaveGroup,
  syncGroup,
} from '../../src/protocol/messages/index.ts'
import { caseOn, type Targeted } from './case.ts'
import { joinAs, joinRequest, rebalanceBegins, stableGroup, subscribed, syncAs } from './group-requests.ts'
import { named } from './target.ts'

const protocol = (name: string, topic = 'somewhere') => ({ name, metadata: subscribed(topic) })

export function findCoordinatorCases(target: Targeted): void {
  const check = caseOn(target)

  check('FindCoordinator: every version names the same node', async (at) => {
    const groupId = at.name('group')
    const nodeId = await at.coordinator(groupId)
    const connection = await at.connect()
    for (const version of at.versions(findCoordinator, 0, 3)) {
      const answer = await connection.send(findCoordinator, version, { key: groupId })
      assert.equal(named(answer.errorCode), 'NONE')
      assert.equal(answer.nodeId, nodeId)
      assert.equal(answer.errorMessage, version === 0 ? '' : 'NONE')
    }
    for (const version of at.versions(findCoordinator, 4)) {
      const coordinatorKeys = [groupId, at.name('other')]
      const { coordinators } = await connection.send(findCoordinator, version, { coordinatorKeys })
      assert.deepEqual(
        coordinators.map((one) => [one.key, named(one.errorCode), one.errorMessage]),
        coordinatorKeys.map((key) => [key, 'NONE', '']),
      )
      assert.equal(coordinators[0]?.nodeId, nodeId)
      assert.ok((coordinators[0]?.port ?? 0) > 0)
    }
  })

  check('FindCoordinator: an unknown kind of key is INVALID_REQUEST', async (at) => {
    const connection = await at.connect()
    const old = await connection.send(findCoordinator, 3, { key: 'g', keyType: 5 })
    assert.equal(named(old.errorCode), 'INVALID_REQUEST')
    const { coordinators } = await connection.send(findCoordinator, 4, { coordinatorKeys: ['g'], keyType: 5 })
    assert.deepEqual(
      coordinators.map((one) => [named(one.errorCode), one.nodeId, one.port]),
      [['INVALID_REQUEST', -1, -1]],
    )
  })
}

export function joinCases(target: Targeted): void {
  const check = caseOn(target)

  check('JoinGroup: what is refused, in every version', async (at) => {
    const groupId = at.name('group')
    const connection = await at.connectToCoordinator(groupId)
    const refused = async (version: number, given: Parameters<typeof joinRequest>[2], id = groupId) => {
      const answer = await connection.send(joinGroup, version, joinRequest(id, version, given))
      assert.equal(answer.generationId, -1)
      assert.equal(answer.leader, '')
      assert.deepEqual(answer.members, [])
      assert.equal(answer.protocolName, version < 7 ? '' : null)
      return [named(answer.errorCode), answer.memberId]
    }
    for (const version of at.versions(joinGroup)) {
      assert.deepEqual(await refused(version, {}, ''), ['INVALID_GROUP_ID', ''])
      assert.deepEqual(await refused(version, { sessionTimeoutMs: 1 }), ['INVALID_SESSION_TIMEOUT', ''])
      const longest = { sessionTimeoutMs: 0x7fff_ffff }
      assert.deepEqual(await refused(version, longest), ['INVALID_SESSION_TIMEOUT', ''])
      assert.deepEqual(await refused(version, { memberId: 'nobody' }), ['UNKNOWN_MEMBER_ID', 'nobody'])
      assert.deepEqual(await refused(version, { protocols: [] }), ['INCONSISTENT_GROUP_PROTOCOL', ''])
      assert.deepEqual(await refused(version, { protocolType: '' }), ['INCONSISTENT_GROUP_PROTOCOL', ''])
    }
  })

  check('JoinGroup, SyncGroup, Heartbeat: a whole generation in every version', async (at) => {
    for (const version of at.versions(joinGroup)) {
      const groupId = at.name('group')
      const connection = await at.connectToCoordinator(groupId)
      const joined = await joinAs(connection, groupId, version)
      assert.equal(named(joined.errorCode), 'NONE')
      assert.equal(joined.generationId, 1)
      assert.equal(joined.leader, joined.memberId)
      assert.equal(joined.protocolName, 'range')
      assert.equal(joined.protocolType, version < 7 ? null : 'consumer')
      assert.deepEqual(
        joined.members.map(({ memberId, metadata }) => [memberId, metadata]),
        [[joined.memberId, subscribed('somewhere')]],
      )
      const syncVersion = Math.min(version, at.versions(syncGroup).at(-1) ?? 0)
      const assignments = [{ memberId: joined.memberId, assignment: Buffer.from('all') }]
      const synced = await syncAs(connection, groupId, joined, { version: syncVersion, assignments })
      assert.equal(named(synced.errorCode), 'NONE')
      assert.equal(String(synced.assignment), 'all')
      assert.equal(synced.protocolName, syncVersion < 5 ? null : 'range')
      const again = await syncAs(connection, groupId, joined, { version: syncVersion })
      assert.equal(String(again.assignment), 'all', 'a Stable group gives the assignment again')
      const beat = { groupId, generationId: 1, memberId: joined.memberId }
      for (const beatVersion of at.versions(heartbeat)) {
        assert.equal(named((await connection.send(heartbeat, beatVersion, beat)).errorCode), 'NONE')
      }
    }
  })

  check('JoinGroup: from version 4 a new member is given an id and has to come with it', async (at) => {
    for (const version of at.versions(joinGroup)) {
      const groupId = at.name('group')
      const connection = await at.connectToCoordinator(groupId)
      connection.clientId = 'my-client'
      const first = await connection.send(joinGroup, version, joinRequest(groupId, version))
      assert.match(
        first.memberId,
        /^my-client-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      )
      assert.equal(named(first.errorCode), version < 4 ? 'NONE' : 'MEMBER_ID_REQUIRED')
    }
  })

  check('JoinGroup: an id given out and a static name do not go together', async (at) => {
    const groupId = at.name('group')
    const connection = await at.connectToCoordinator(groupId)
    const { memberId } = await connection.send(joinGroup, 9, joinRequest(groupId, 9))
    const request = joinRequest(groupId, 9, { memberId, groupInstanceId: 'name' })
    const answer = await connection.send(joinGroup, 9, request)
    assert.deepEqual([named(answer.errorCode), answer.memberId], ['UNKNOWN_SERVER_ERROR', ''])
  })

  check('JoinGroup: type and protocols must fit those of the members', async (at) => {
    const groupId = at.name('group')
    await stableGroup(at, groupId, [{}])
    const connection = await at.connectToCoordinator(groupId)
    for (const given of [{ protocolType: 'connect' }, { protocols: [protocol('sticky')] }]) {
      const answer = await connection.send(joinGroup, 9, joinRequest(groupId, 9, given))
      assert.equal(named(answer.errorCode), 'INCONSISTENT_GROUP_PROTOCOL')
    }
  })

  check('JoinGroup: members vote, and only for what everybody offers', async (at) => {
    const groupId = at.name('group')
    const offers = [
      [protocol('a'), protocol('b'), protocol('c')],
      [protocol('c'), protocol('b')],
      [protocol('b'), protocol('c')],
    ]
    const members = await stableGroup(
      at,
      groupId,
      offers.map((protocols) => ({ protocols })),
    )
    assert.deepEqual(
      members.map(({ joined }) => joined.protocolName),
      ['b', 'b', 'b'],
    )
  })

  check('JoinGroup: a rebalance begins when the leader joins again, not when a follower does', async (at) => {
    const groupId = at.name('group')
    const [leader, follower] = await stableGroup(at, groupId, [{}, {}])
    assert.ok(leader && follower)
    const { generationId } = follower.joined
    const again = await joinAs(follower.connection, groupId, 9, { memberId: follower.joined.memberId })
    assert.equal(again.generationId, generationId)
    assert.deepEqual(again.members, [])
    const waiting = joinAs(leader.connection, groupId, 9, { memberId: leader.joined.memberId })
    await rebalanceBegins(follower.connection, groupId, follower.joined)
    await joinAs(follower.connection, groupId, 9, { memberId: follower.joined.memberId })
    assert.equal((await waiting).generationId, generationId + 1)
  })

  check('JoinGroup: who does not come back within the rebalance timeout is out', async (at) => {
    const groupId = at.name('group')
    const short = { rebalanceTimeoutMs: 300 }
    const [leader, follower] = await stableGroup(at, groupId, [short, short])
    assert.ok(leader && follower)
    const joined = await joinAs(leader.connection, groupId, 9, { ...short, memberId: leader.joined.memberId })
    assert.deepEqual(
      joined.members.map(({ memberId }) => memberId),
      [leader.joined.memberId],
    )
    const beat = { groupId, generationId: joined.generationId, memberId: follower.joined.memberId }
    assert.equal(named((await follower.connection.send(heartbeat, 4, beat)).errorCode), 'UNKNOWN_MEMBER_ID')
  })

  check('JoinGroup: version 0 has its session timeout for a rebalance timeout', async (at) => {
    const groupId = at.name('group')
    const connections = await Promise.all([0, 1].map(() => at.connectToCoordinator(groupId)))
    const [first, second] = connections
    assert.ok(first && second)
    const alone = await joinAs(first, groupId, 0)
    await syncAs(first, groupId, alone, { version: 0 })
    const newcomer = joinAs(second, groupId, 0)
    await rebalanceBegins(first, groupId, alone)
    const both = await Promise.all([joinAs(first, groupId, 0, { memberId: alone.memberId }), newcomer])
    assert.deepEqual(
      both.map(({ generationId }) => generationId),
      [2, 2],
    )
  })

  check('SyncGroup: what is refused, in every version', async (at) => {
    const groupId = at.name('group')
    const [leader] = await stableGroup(at, groupId, [{}])
    assert.ok(leader)
    const { connection, joined } = leader
    for (const version of at.versions(syncGroup)) {
      const refusal = async (id: string, given: Parameters<typeof syncAs>[3] & { memberId?: string }) => {
        const member = { ...joined, memberId: given.memberId ?? joined.memberId }
        const answer = await syncAs(connection, id, member, { version, ...given })
        assert.equal(answer.assignment.length, 0)
        return named(answer.errorCode)
      }
      assert.equal(await refusal('', {}), 'INVALID_GROUP_ID')
      assert.equal(await refusal(at.name('no-group'), {}), 'UNKNOWN_MEMBER_ID')
      assert.equal(await refusal(groupId, { memberId: 'nobody' }), 'UNKNOWN_MEMBER_ID')
      assert.equal(await refusal(groupId, { generationId: 99 }), 'ILLEGAL_GENERATION')
      if (version < 5) continue
      const inconsistent = [{ protocolType: null }, { protocolName: null }, { protocolType: 'connect' }]
      for (const given of [...inconsistent, { protocolName: 'sticky' }]) {
        assert.equal(await refusal(groupId, given), 'INCONSISTENT_GROUP_PROTOCOL')
      }
    }
  })

  check('SyncGroup: assignments that are more than the log takes at once', async (at) => {
    const groupId = at.name('group')
    const connection = await at.connectToCoordinator(groupId)
    for (const version of at.versions(syncGroup)) {
      const member = await joinAs(connection, groupId)
      const assignments = [{ memberId: member.memberId, assignment: Buffer.alloc(2 << 20) }]
      const answer = await syncAs(connection, groupId, member, { version, assignments })
      assert.deepEqual([named(answer.errorCode), answer.assignment.length], ['UNKNOWN_SERVER_ERROR', 0])
      await connection.send(leaveGroup, 3, { groupId, members: [{ memberId: member.memberId }] })
    }
  })

  check('SyncGroup: who waits for an assignment is told of the next rebalance', async (at) => {
    const groupId = at.name('group')
    const [leader, follower] = await stableGroup(at, groupId, [{}, {}])
    assert.ok(leader && follower)
    const first = joinAs(leader.connection, groupId, 9, { memberId: leader.joined.memberId })
    await rebalanceBegins(follower.connection, groupId, follower.joined)
    const joined = await joinAs(follower.connection, groupId, 9, { memberId: follower.joined.memberId })
    await first
    const waiting = syncAs(follower.connection, groupId, joined)
    const newcomer = await at.connectToCoordinator(groupId)
    const third = joinAs(newcomer, groupId)
    assert.equal(named((await waiting).errorCode), 'REBALANCE_IN_PROGRESS')
    const late = await syncAs(leader.connection, groupId, {
      ...leader.joined,
      generationId: joined.generationId,
    })
    assert.equal(named(late.errorCode), 'REBALANCE_IN_PROGRESS')
    const all = await Promise.all([
      third,
      joinAs(leader.connection, groupId, 9, { memberId: leader.joined.memberId }),
      joinAs(follower.connection, groupId, 9, { memberId: follower.joined.memberId }),
    ])
    assert.deepEqual(
      all.map((one) => [named(one.errorCode), one.generationId]),
      all.map(() => ['NONE', joined.generationId + 1]),
    )
  })
}

/** Heartbeat (12), LeaveGroup (13) and static members (KIP-345): how members live and go. */
import assert from 'node:assert/strict'
import { heartbeat, joinGroup, leaveGroup } from '../../src/protocol/messages/index.ts'
import { caseOn, type Targeted } from './case.ts'
import { joinAs, joinRequest, rebalanceBegins, stableGroup, syncAs } from './group-requests.ts'
import { named } from './target.ts'

export function livingCases(target: Targeted): void {
  const check = caseOn(target)

  check('Heartbeat: what is refused, in every version', async (at) => {
    const groupId = at.name('group')
    const [member] = await stableGroup(at, groupId, [{}])
    assert.ok(member)
    const { memberId, generationId } = member.joined
    for (const version of at.versions(heartbeat)) {
      const refusal = async (given: {
        groupId?: string
        memberId?: string
        generationId?: number
      }): Promise<string> =>
        named(
          (await member.connection.send(heartbeat, version, { groupId, memberId, generationId, ...given }))
            .errorCode,
        )
      assert.equal(await refusal({ groupId: '' }), 'INVALID_GROUP_ID')
      assert.equal(await refusal({ groupId: at.name('no-group') }), 'UNKNOWN_MEMBER_ID')
      assert.equal(await refusal({ memberId: 'nobody' }), 'UNKNOWN_MEMBER_ID')
      assert.equal(await refusal({ generationId: generationId + 1 }), 'ILLEGAL_GENERATION')
      assert.equal(await refusal({ generationId: generationId - 1 }), 'ILLEGAL_GENERATION')
      assert.equal(await refusal({}), 'NONE')
    }
  })

  check('LeaveGroup: one member in versions 0 to 2', async (at) => {
    for (const version of at.versions(leaveGroup, 0, 2)) {
      const groupId = at.name('group')
      const [member] = await stableGroup(at, groupId, [{}])
      assert.ok(member)
      const leave = async (id: string, memberId: string) =>
        named((await member.connection.send(leaveGroup, version, { groupId: id, memberId })).errorCode)
      assert.equal(await leave('', member.joined.memberId), 'INVALID_GROUP_ID')
      assert.equal(await leave(at.name('no-group'), 'nobody'), 'UNKNOWN_MEMBER_ID')
      assert.equal(await leave(groupId, 'nobody'), 'UNKNOWN_MEMBER_ID')
      assert.equal(await leave(groupId, member.joined.memberId), 'NONE')
      assert.equal(await leave(groupId, member.joined.memberId), 'UNKNOWN_MEMBER_ID')
    }
  })

  check('LeaveGroup: several members from version 3 on, each with its own answer', async (at) => {
    for (const version of at.versions(leaveGroup, 3)) {
      const groupId = at.name('group')
      const members = await stableGroup(at, groupId, [
        {},
        { groupInstanceId: 'by-name' },
        { groupInstanceId: 'other' },
      ])
      const dynamic = members.find(({ groupInstanceId }) => groupInstanceId === null)?.joined.memberId ?? ''
      const { connection } = members[0] as (typeof members)[0]
      const leaving = [
        { memberId: dynamic, groupInstanceId: null },
        { memberId: 'nobody', groupInstanceId: null },
        { memberId: '', groupInstanceId: 'by-name' },
        { memberId: '', groupInstanceId: 'no-name' },
        { memberId: 'impostor', groupInstanceId: 'other' },
        { memberId: '', groupInstanceId: null },
      ]
      const answer = await connection.send(leaveGroup, version, { groupId, members: leaving })
      assert.equal(named(answer.errorCode), 'NONE')
      const errors = [
        'NONE',
        'UNKNOWN_MEMBER_ID',
        'NONE',
        'UNKNOWN_MEMBER_ID',
        'FENCED_INSTANCE_ID',
        'UNKNOWN_MEMBER_ID',
      ]
      assert.deepEqual(
        answer.members.map((one) => [one.memberId, one.groupInstanceId, named(one.errorCode)]),
        leaving.map((one, index) => [one.memberId, one.groupInstanceId, errors[index]]),
      )
      const nowhere = await connection.send(leaveGroup, version, {
        groupId: at.name('no-group'),
        members: [{ memberId: 'nobody', groupInstanceId: null }],
      })
      assert.equal(named(nowhere.errorCode), 'NONE')
      assert.equal(named(nowhere.members[0]?.errorCode), 'UNKNOWN_MEMBER_ID')
      const unnamed = await connection.send(leaveGroup, version, { groupId: '', members: leaving })
      assert.equal(named(unnamed.errorCode), 'INVALID_GROUP_ID')
    }
  })

  check('LeaveGroup: an id given out but not used can leave', async (at) => {
    const groupId = at.name('group')
    const connection = await at.connectToCoordinator(groupId)
    const { memberId } = await connection.send(joinGroup, 9, joinRequest(groupId, 9))
    const members = [{ memberId, groupInstanceId: null }]
    const answer = await connection.send(leaveGroup, 5, { groupId, members })
    assert.equal(named(answer.members[0]?.errorCode), 'NONE')
    const late = await connection.send(joinGroup, 9, joinRequest(groupId, 9, { memberId }))
    assert.equal(named(late.errorCode), 'UNKNOWN_MEMBER_ID')
  })

  check('a closed connection removes nobody', async (at) => {
    const groupId = at.name('group')
    const [member] = await stableGroup(at, groupId, [{}])
    assert.ok(member)
    member.connection.close()
    const connection = await at.connectToCoordinator(groupId)
    const { memberId, generationId } = member.joined
    const beat = await connection.send(heartbeat, 4, { groupId, memberId, generationId })
    assert.equal(named(beat.errorCode), 'NONE')
  })
}

export function staticMemberCases(target: Targeted): void {
  const check = caseOn(target)
  const statics = [{ groupInstanceId: 's0' }, { groupInstanceId: 's1' }]

  check('static member: its return begins no rebalance, and the id before is fenced', async (at) => {
    const groupId = at.name('group')
    const [leader, follower] = await stableGroup(at, groupId, statics)
    assert.ok(leader && follower)
    const { groupInstanceId, connection } = follower
    const { memberId: old, generationId } = follower.joined
    const joined = await joinAs(connection, groupId, 9, { groupInstanceId })
    assert.equal(named(joined.errorCode), 'NONE')
    assert.equal(joined.generationId, generationId)
    assert.notEqual(joined.memberId, old)
    assert.ok(joined.memberId.startsWith(`${groupInstanceId}-`))
    assert.equal(joined.skipAssignment, false)
    const synced = await syncAs(connection, groupId, joined, { groupInstanceId })
    assert.match(String(synced.assignment), /^part \d$/)

    const beat = (memberId: string, version: number, name: string | null) =>
      connection.send(heartbeat, version, {
        groupId,
        generationId,
        memberId,
        ...(version >= 3 ? { groupInstanceId: name } : {}),
      })
    for (const version of at.versions(heartbeat)) {
      const expected = version >= 3 ? 'FENCED_INSTANCE_ID' : 'UNKNOWN_MEMBER_ID'
      assert.equal(named((await beat(old, version, groupInstanceId)).errorCode), expected)
      assert.equal(named((await beat(joined.memberId, version, groupInstanceId)).errorCode), 'NONE')
    }
    assert.equal(named((await beat(old, 4, 'no-name')).errorCode), 'UNKNOWN_MEMBER_ID')
    const fencedSync = await syncAs(connection, groupId, follower.joined, { groupInstanceId })
    assert.equal(named(fencedSync.errorCode), 'FENCED_INSTANCE_ID')
    const fencedJoin = await joinAs(connection, groupId, 9, { groupInstanceId, memberId: old })
    assert.deepEqual([named(fencedJoin.errorCode), fencedJoin.memberId], ['FENCED_INSTANCE_ID', old])
  })

  check(
    'static member: a leader that returns is told to skip the assignment, or not that it leads',
    async (at) => {
      for (const version of at.versions(joinGroup, 5)) {
        const groupId = at.name('group')
        const [leader] = await stableGroup(at, groupId, statics)
        assert.ok(leader)
        const joined = await joinAs(leader.connection, groupId, version, {
          groupInstanceId: leader.groupInstanceId,
        })
        assert.equal(joined.skipAssignment, version >= 9)
        assert.equal(joined.leader === joined.memberId, version >= 9)
        assert.equal(joined.members.length, version >= 9 ? 2 : 0)
        assert.equal(joined.generationId, leader.joined.generationId)
      }
    },
  )

  check('static member: its return with another protocol begins a rebalance', async (at) => {
    const groupId = at.name('group')
    const both = ['range', 'sticky'].map((name) => ({ name, metadata: Buffer.from('m') }))
    const [member] = await stableGroup(at, groupId, [{ groupInstanceId: 's0', protocols: both }])
    assert.ok(member)
    assert.equal(member.joined.protocolName, 'range')
    const given = { groupInstanceId: 's0', protocols: both.slice(1) }
    const joined = await joinAs(member.connection, groupId, 9, given)
    assert.equal(joined.protocolName, 'sticky')
    assert.equal(joined.generationId, member.joined.generationId + 1)
  })

  check(
    'static member: its return while the group waits for the assignment begins a rebalance',
    async (at) => {
      const groupId = at.name('group')
      const connection = await at.connectToCoordinator(groupId)
      const first = await joinAs(connection, groupId, 9, { groupInstanceId: 's0' })
      const second = await joinAs(connection, groupId, 9, { groupInstanceId: 's0' })
      assert.deepEqual([first.generationId, second.generationId], [1, 2])
      assert.notEqual(first.memberId, second.memberId)
    },
  )

  check('static member: the twin that waits is fenced', async (at) => {
    const groupId = at.name('group')
    const [leader, follower] = await stableGroup(at, groupId, statics)
    assert.ok(leader && follower)
    const { memberId } = leader.joined
    const { groupInstanceId } = leader
    const waiting = joinAs(leader.connection, groupId, 9, { groupInstanceId, memberId })
    const { memberId: other, generationId } = follower.joined
    await rebalanceBegins(follower.connection, groupId, follower.joined)
    const twin = await at.connectToCoordinator(groupId)
    const joined = joinAs(twin, groupId, 9, { groupInstanceId })
    assert.equal(named((await waiting).errorCode), 'FENCED_INSTANCE_ID')
    await joinAs(follower.connection, groupId, 9, {
      groupInstanceId: follower.groupInstanceId,
      memberId: other,
    })
    assert.equal((await joined).generationId, generationId + 1)
  })
}

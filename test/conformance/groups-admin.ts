/** DescribeGroups (15), ListGroups (16), DeleteGroups (42): what tools see of groups. */
import assert from 'node:assert/strict'
import { deleteGroups, describeGroups, leaveGroup, listGroups } from '../../src/protocol/messages/index.ts'
import { caseOn, type Targeted } from './case.ts'
import { joinAs, stableGroup, subscribed, syncAs } from './group-requests.ts'
import { eventually, named } from './target.ts'

const NOT_ASKED = -0x8000_0000
/** READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS. */
const ALL_OPERATIONS = 3400

export function groupAdminCases(target: Targeted): void {
  const check = caseOn(target)

  check('DescribeGroups: states and members in every version', async (at) => {
    for (const version of at.versions(describeGroups)) {
      const groupId = at.name('group')
      const connection = await at.connectToCoordinator(groupId)
      connection.clientId = 'describer'
      const describe = async () => {
        const includes = version >= 3 ? { includeAuthorizedOperations: true } : {}
        const { groups } = await connection.send(describeGroups, version, { groups: [groupId], ...includes })
        const [group] = groups
        assert.ok(group)
        assert.equal(named(group.errorCode), 'NONE')
        assert.equal(group.errorMessage, null)
        assert.equal(group.authorizedOperations, version >= 3 ? ALL_OPERATIONS : NOT_ASKED)
        const members = group.members.map(({ memberMetadata, memberAssignment, ...rest }) => ({
          ...rest,
          memberMetadata: memberMetadata.toString('hex'),
          memberAssignment: String(memberAssignment),
        }))
        return { state: group.groupState, type: group.protocolType, data: group.protocolData, members }
      }
      const joined = await joinAs(connection, groupId, 9, { groupInstanceId: 'one' })
      const member = {
        memberId: joined.memberId,
        groupInstanceId: version >= 4 ? 'one' : null,
        clientId: 'describer',
        clientHost: '/127.0.0.1',
        memberMetadata: '',
        memberAssignment: '',
      }
      const completing = { state: 'CompletingRebalance', type: 'consumer', data: '', members: [member] }
      // Kafka describes what its log holds: a new group is not in it at once.
      await eventually('the group', async () => {
        const { groups } = await connection.send(describeGroups, 5, { groups: [groupId] })
        return groups[0]?.groupState === 'Dead' ? undefined : true
      })
      assert.deepEqual(await describe(), completing)
      const assignments = [{ memberId: joined.memberId, assignment: Buffer.from('mine') }]
      await syncAs(connection, groupId, joined, { assignments, groupInstanceId: 'one' })
      const described = {
        ...member,
        memberMetadata: subscribed('somewhere').toString('hex'),
        memberAssignment: 'mine',
      }
      assert.deepEqual(await describe(), {
        ...completing,
        state: 'Stable',
        data: 'range',
        members: [described],
      })
      await connection.send(leaveGroup, 3, { groupId, members: [{ memberId: '', groupInstanceId: 'one' }] })
      assert.deepEqual(await describe(), { ...completing, state: 'Empty', members: [] })
    }
  })

  check('DescribeGroups: a rebalance under way', async (at) => {
    const groupId = at.name('group')
    const [leader, follower] = await stableGroup(at, groupId, [{}, {}])
    assert.ok(leader && follower)
    const waiting = joinAs(leader.connection, groupId, 9, { memberId: leader.joined.memberId })
    for (;;) {
      const { groups } = await follower.connection.send(describeGroups, 5, { groups: [groupId] })
      if (groups[0]?.groupState === 'Stable') continue
      assert.equal(groups[0]?.groupState, 'PreparingRebalance')
      assert.equal(groups[0]?.members.length, 2)
      assert.ok(groups[0]?.members.every(({ memberMetadata }) => memberMetadata.length === 0))
      break
    }
    const members = [{ memberId: follower.joined.memberId, groupInstanceId: null }]
    await follower.connection.send(leaveGroup, 3, { groupId, members })
    assert.equal((await waiting).members.length, 1)
  })

  check('DescribeGroups: a group that does not exist is Dead, from version 6 on an error', async (at) => {
    const groupId = at.name('no-group')
    const connection = await at.connectToCoordinator(groupId)
    for (const version of at.versions(describeGroups)) {
      const { groups } = await connection.send(describeGroups, version, { groups: [groupId] })
      const [group] = groups
      assert.equal(group?.groupState, 'Dead')
      assert.equal(named(group?.errorCode), version < 6 ? 'NONE' : 'GROUP_ID_NOT_FOUND')
      assert.equal(group?.errorMessage, version < 6 ? null : `Group ${groupId} not found.`)
    }
  })

  check('ListGroups: every version, filtered by state from 4 and by type from 5', async (at) => {
    const [stable, empty] = [at.name('stable'), at.name('empty')]
    await stableGroup(at, stable, [{}])
    const [member] = await stableGroup(at, empty, [{}])
    assert.ok(member)
    const members = [{ memberId: member.joined.memberId, groupInstanceId: null }]
    await member.connection.send(leaveGroup, 3, { groupId: empty, members })
    const connections = await Promise.all([stable, empty].map((one) => at.connectToCoordinator(one)))
    for (const version of at.versions(listGroups)) {
      const list = async (filter: { statesFilter?: string[]; typesFilter?: string[] } = {}) => {
        const answers = await Promise.all(connections.map((one) => one.send(listGroups, version, filter)))
        assert.ok(answers.every(({ errorCode }) => errorCode === 0))
        const found = new Map(answers.flatMap(({ groups }) => groups.map((group) => [group.groupId, group])))
        return [stable, empty].map((groupId) => found.get(groupId))
      }
      const [first, second] = await list()
      assert.deepEqual(first, {
        groupId: stable,
        protocolType: 'consumer',
        groupState: version >= 4 ? 'Stable' : '',
        groupType: version >= 5 ? 'classic' : '',
      })
      assert.equal(second?.groupState, version >= 4 ? 'Empty' : '')
      const present = (groups: (object | undefined)[]) => groups.map((group) => group !== undefined)
      if (version >= 4) {
        assert.deepEqual(present(await list({ statesFilter: ['sTaBlE'] })), [true, false])
        assert.deepEqual(present(await list({ statesFilter: ['Empty', 'Stable'] })), [true, true])
        assert.deepEqual(present(await list({ statesFilter: ['NoSuchState'] })), [false, false])
      }
      if (version >= 5) {
        assert.deepEqual(present(await list({ typesFilter: ['Classic'] })), [true, true])
        assert.deepEqual(present(await list({ typesFilter: ['consumer'] })), [false, false])
        assert.deepEqual(present(await list({ typesFilter: ['nonsense'] })), [false, false])
      }
    }
  })

  check('DeleteGroups: every version', async (at) => {
    for (const version of at.versions(deleteGroups)) {
      const groupId = at.name('group')
      const [member] = await stableGroup(at, groupId, [{}])
      assert.ok(member)
      const { connection, joined } = member
      const remove = async (...groupsNames: string[]) => {
        const { results } = await connection.send(deleteGroups, version, { groupsNames })
        return Object.fromEntries(results.map((one) => [one.groupId, named(one.errorCode)]))
      }
      assert.deepEqual(await remove(groupId, groupId), { [groupId]: 'NON_EMPTY_GROUP' })
      const members = [{ memberId: joined.memberId, groupInstanceId: null }]
      await connection.send(leaveGroup, 3, { groupId, members })
      assert.deepEqual(await remove(groupId), { [groupId]: 'NONE' })
      assert.deepEqual(await remove(groupId), { [groupId]: 'GROUP_ID_NOT_FOUND' })
      const { groups } = await connection.send(describeGroups, 5, { groups: [groupId] })
      assert.equal(groups[0]?.groupState, 'Dead')
    }
  })
}

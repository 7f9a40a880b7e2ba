/** What only an embedded cluster can be made to do: nodes that stop, coordinators that move, errors on demand. */
import assert from 'node:assert/strict'
import type { EmbeddedCluster } from '../../src/broker/index.ts'
import { errorCode, type KafkaErrorName } from '../../src/protocol/error-codes.ts'
import {
  deleteGroups,
  describeGroups,
  findCoordinator,
  heartbeat,
  joinGroup,
  leaveGroup,
  listGroups,
  metadata,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  syncGroup,
} from '../../src/protocol/messages/index.ts'
import type { Api, RequestOf } from '../../src/protocol/schema.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { embeddedCaseOn, type Targeted } from './case.ts'
import { joinAs, joinRequest, rebalanceBegins, stableGroup, syncAs } from './group-requests.ts'
import { eventually, named, type Target } from './target.ts'

const clusterOf = (at: Target): EmbeddedCluster => {
  assert.ok(at.cluster)
  return at.cluster
}

/** The answers of the group APIs to one request each, every error in them by name. */
async function groupErrors(
  connection: RawConnection,
  groupId: string,
  topic: string,
): Promise<Record<string, string>> {
  const errors: Record<string, string> = {}
  const ask = async <A extends Api>(api: A, version: number, body: RequestOf<A>) => {
    const answer = JSON.stringify(await connection.send(api, version, body))
    const codes = [...answer.matchAll(/"errorCode":(-?\d+)/g)].map(([, code]) => Number(code))
    errors[api.name] = named(codes.find((code) => code !== 0) ?? 0)
  }
  const member = { groupId, generationId: 1, memberId: 'anybody' }
  const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }]
  await ask(joinGroup, 9, joinRequest(groupId, 9))
  await ask(syncGroup, 4, { ...member, assignments: [] })
  await ask(heartbeat, 4, member)
  await ask(leaveGroup, 5, { groupId, members: [{ memberId: 'anybody' }] })
  await ask(offsetCommit, 8, { groupId, memberId: '', topics: [{ name: topic, partitions }] })
  await ask(offsetFetch, 8, { groups: [{ groupId, topics: null }] })
  await ask(describeGroups, 5, { groups: [groupId] })
  await ask(deleteGroups, 2, { groupsNames: [groupId] })
  await ask(offsetDelete, 0, { groupId, topics: [] })
  await ask(listGroups, 5, {})
  await ask(findCoordinator, 4, { coordinatorKeys: [groupId] })
  return errors
}

export function movingCases(target: Targeted): void {
  const check = embeddedCaseOn(target)

  check('errors on demand: each group API answers them in its own place', async (at) => {
    const { faults } = clusterOf(at)
    const topic = await at.topic()
    const groupId = at.name('group')
    const connection = await at.connectToCoordinator(groupId)
    const codes: KafkaErrorName[] = [
      'COORDINATOR_LOAD_IN_PROGRESS',
      'COORDINATOR_NOT_AVAILABLE',
      'NOT_COORDINATOR',
      'GROUP_AUTHORIZATION_FAILED',
    ]
    for (const code of codes) {
      const fault = faults.on({ clientId: 'refused' }, { error: errorCode[code] })
      connection.clientId = 'refused'
      const answers = await groupErrors(connection, groupId, topic.name)
      for (const [api, error] of Object.entries(answers)) assert.equal(error, code, api)
      assert.equal(fault.hits, Object.keys(answers).length)
      fault.remove()
    }
    assert.equal((await groupErrors(connection, groupId, topic.name))['JoinGroup'], 'MEMBER_ID_REQUIRED')
  })

  check(
    'a coordinator that moves: who waits is told, members and offsets come along, sessions begin anew',
    async (at) => {
      const cluster = clusterOf(at)
      const groupId = at.name('group')
      const topic = await at.topic()
      const [leader, follower] = await stableGroup(at, groupId, [{}, {}])
      assert.ok(leader && follower)
      const { memberId, generationId } = leader.joined
      const partitions = [{ partitionIndex: 0, committedOffset: 42, committedMetadata: 'm' }]
      const commit = {
        groupId,
        generationIdOrMemberEpoch: generationId,
        memberId,
        topics: [{ name: topic.name, partitions }],
      }
      await leader.connection.send(offsetCommit, 8, commit)
      const waiting = joinAs(leader.connection, groupId, 9, { memberId })
      await rebalanceBegins(follower.connection, groupId, follower.joined)
      const from = cluster.coordinatorOf(groupId)
      const to = at.nodeIds.find((id) => id !== from) as number
      cluster.moveCoordinator(groupId, to)
      assert.equal(named((await waiting).errorCode), 'NOT_COORDINATOR')
      const { groupId: _, ...member } = { groupId, memberId, generationId }
      const old = await leader.connection.send(heartbeat, 4, { groupId, ...member })
      assert.equal(named(old.errorCode), 'NOT_COORDINATOR')
      const connection = await at.connectToCoordinator(groupId)
      assert.equal(await at.coordinator(groupId), to)
      const beat = await connection.send(heartbeat, 4, { groupId, ...member })
      assert.equal(named(beat.errorCode), 'NONE', 'the rebalance under way is forgotten')
      const synced = await syncAs(connection, groupId, follower.joined)
      assert.match(String(synced.assignment), /^part \d$/)
      const offsets = await connection.send(offsetFetch, 7, { groupId, topics: null })
      assert.equal(offsets.topics[0]?.partitions[0]?.committedOffset, 42)
    },
  )

  check('a coordinator whose node stops: another takes over, and gives it back', async (at) => {
    const cluster = clusterOf(at)
    const groupId = at.name('group')
    const [member] = await stableGroup(at, groupId, [{}])
    assert.ok(member)
    const { memberId, generationId } = member.joined
    const first = cluster.coordinatorOf(groupId)
    await cluster.stopNode(first)
    await member.connection.closed
    const survivor = await at.connect(at.nodeIds.find((id) => id !== first))
    const nodeId = await eventually('another coordinator', async () => {
      const answer = await survivor.send(findCoordinator, 3, { key: groupId })
      return answer.errorCode === 0 && answer.nodeId !== first ? answer.nodeId : undefined
    })
    const connection = await at.connect(nodeId)
    const beat = await connection.send(heartbeat, 4, { groupId, memberId, generationId })
    assert.equal(named(beat.errorCode), 'NONE')
    await cluster.startNode(first)
    await eventually('the node in sync again', async () => {
      const { topics } = await connection.send(metadata, 9, { topics: [{ name: '__consumer_offsets' }] })
      return topics[0]?.partitions.every(({ isrNodes }) => isrNodes.includes(first)) || undefined
    })
    cluster.moveCoordinator(groupId, first)
    const back = await at.connectToCoordinator(groupId)
    assert.equal(
      named((await back.send(heartbeat, 4, { groupId, memberId, generationId })).errorCode),
      'NONE',
    )
  })

  check('a coordinator that loads: each group API says so, except the one that finds it', async (at) => {
    const cluster = clusterOf(at)
    const topic = await at.topic()
    const groupId = at.name('group')
    const from = await at.coordinator(groupId)
    const to = at.nodeIds.find((id) => id !== from) as number
    const release = cluster.holdCoordinator(groupId)
    cluster.moveCoordinator(groupId, to)
    const connection = await at.connect(to)
    for (const [api, error] of Object.entries(await groupErrors(connection, groupId, topic.name))) {
      assert.equal(error, api === 'FindCoordinator' ? 'NONE' : 'COORDINATOR_LOAD_IN_PROGRESS', api)
    }
    for (const version of at.versions(listGroups)) {
      const { errorCode: error, groups } = await connection.send(listGroups, version, {})
      assert.deepEqual([named(error), groups], ['COORDINATOR_LOAD_IN_PROGRESS', []], `ListGroups ${version}`)
    }
    release()
    await eventually('the group', async () => {
      const errors = await groupErrors(connection, groupId, topic.name)
      return errors['OffsetCommit'] === 'NONE' || undefined
    })
  })

  check('a partition of offsets that nobody leads: its groups have no coordinator', async (at) => {
    const cluster = clusterOf(at)
    const groupId = at.name('group')
    const coordinator = cluster.coordinatorOf(groupId)
    const [first, second] = at.nodeIds.filter((id) => id !== coordinator) as [number, number]
    // The last in-sync replica goes, and one that has been away comes back.
    for (const node of [first, second, coordinator]) await cluster.stopNode(node)
    await cluster.startNode(first)
    const connection = await at.connect(first)
    for (const version of at.versions(findCoordinator)) {
      const request = version >= 4 ? { coordinatorKeys: [groupId] } : { key: groupId }
      const answer = await connection.send(findCoordinator, version, request)
      const code = version >= 4 ? answer.coordinators[0]?.errorCode : answer.errorCode
      assert.equal(named(code), 'COORDINATOR_NOT_AVAILABLE')
    }
    const beat = await connection.send(heartbeat, 4, { groupId, memberId: 'm', generationId: 1 })
    assert.equal(named(beat.errorCode), 'NOT_COORDINATOR')
    for (const node of [coordinator, second]) await cluster.startNode(node)
    await at.coordinator(groupId)
  })

  check('a member that is made to expire', async (at) => {
    const cluster = clusterOf(at)
    const groupId = at.name('group')
    const [stays, goes] = await stableGroup(at, groupId, [{}, { groupInstanceId: 'named' }])
    assert.ok(stays && goes)
    assert.throws(() => cluster.expireMember(groupId, 'nobody'), { code: 'INVALID_ARGUMENT' })
    cluster.expireMember(groupId, 'named')
    await rebalanceBegins(stays.connection, groupId, stays.joined)
    const { memberId, generationId } = goes.joined
    const beat = await goes.connection.send(heartbeat, 4, { groupId, memberId, generationId })
    assert.equal(named(beat.errorCode), 'UNKNOWN_MEMBER_ID')
    const waiting = joinAs(stays.connection, groupId, 9, { memberId: stays.joined.memberId })
    assert.equal((await waiting).members.length, 1)
  })

  check('a commit that is applied and whose answer is lost', async (at) => {
    const groupId = at.name('group')
    const topic = await at.topic()
    const connection = await at.connectToCoordinator(groupId)
    clusterOf(at).faults.on({ api: 'OffsetCommit', topic: topic.name, times: 1 }, 'apply-then-drop')
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: '' }]
    const topics = [{ name: topic.name, partitions }]
    await assert.rejects(connection.send(offsetCommit, 8, { groupId, memberId: '', topics }))
    const again = await at.connectToCoordinator(groupId)
    const offsets = await again.send(offsetFetch, 7, { groupId, topics: null })
    assert.equal(offsets.topics[0]?.partitions[0]?.committedOffset, 7)
  })
}

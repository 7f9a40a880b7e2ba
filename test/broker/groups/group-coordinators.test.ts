import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { coordinatorPartition } from '../../../src/broker/groups/coordinator-partition.ts'
import { GroupCoordinators } from '../../../src/broker/groups/group-coordinators.ts'
import type { JoinRequest } from '../../../src/broker/groups/join.ts'
import { errorName } from '../../../src/protocol/error-codes.ts'
import { encodeConsumerProtocol, subscription } from '../../../src/protocol/messages/consumer-protocol.ts'
import { seededRandom } from '../../../src/util/random.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'

const DAY_MS = 86_400_000

function bench(configs: { readonly [name: string]: number } = {}) {
  const clock = new VirtualClock()
  const leaders = new Map<number, number>()
  const groups = new GroupCoordinators({
    clock,
    random: seededRandom(1),
    config: (name, fallback) => configs[name] ?? fallback,
    offsetsLeader: (partition) => leaders.get(partition) ?? 1,
    offsetsPartitions: 50,
  })
  const askToJoin = (groupId: string, given: Partial<JoinRequest> = {}) =>
    groups.join(groupId, {
      memberId: '',
      groupInstanceId: null,
      clientId: 'c',
      clientHost: '/h',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: encodeConsumerProtocol(subscription, { topics: ['read'] }) }],
      requiresMemberId: false,
      canSkipAssignment: true,
      ...given,
    })
  const join = (groupId: string, given: Partial<JoinRequest> = {}) => clock.during(askToJoin(groupId, given))
  const commit = (groupId: string, topic: string, retentionMs?: number) =>
    groups.commit(groupId, { topic, partition: 0 }, { offset: 7, leaderEpoch: -1, metadata: '', retentionMs })
  const move = (groupId: string, nodeId: number) => {
    leaders.set(groups.partitionOf(groupId), nodeId)
    groups.leaderChanged(groups.partitionOf(groupId))
  }
  return { clock, groups, askToJoin, join, commit, move }
}

describe('which partition keeps a group', () => {
  test("Java's hash of its id", () => {
    // What `abs("…".hashCode()) % 50` gives in Java; the last one hashes to the smallest int, whose abs Kafka takes for 0.
    const known = { '': 0, a: 47, group: 47, 'my-consumer-group': 13, 'Ω→€': 35, polygenelubricants: 0 }
    for (const [groupId, partition] of Object.entries(known)) {
      assert.equal(coordinatorPartition(groupId, 50), partition, groupId)
    }
  })
})

describe('sessions on the clock', () => {
  test('a member that is silent expires; heartbeats and commits keep it', async () => {
    const { clock, groups, join, commit } = bench()
    const { memberId, generationId } = await join('g')
    await groups.sync('g', {
      memberId,
      generationId,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      assignments: [],
    })
    const member = { memberId, generationId, groupInstanceId: null }
    for (const _sign of [1, 2, 3]) {
      await clock.advance(9_000)
      assert.equal(errorName(groups.heartbeat('g', member)), 'NONE')
      await clock.advance(9_000)
      assert.equal(errorName(groups.mayCommit('g', member)), 'NONE')
      commit('g', 't')
    }
    await clock.advance(10_000)
    assert.equal(errorName(groups.heartbeat('g', member)), 'UNKNOWN_MEMBER_ID')
    assert.equal(groups.describe('g')?.groupState, 'Empty')
    groups.stop()
  })

  test('nothing is left on the clock after a stop, and whoever waits is answered', async () => {
    const { clock, groups, askToJoin } = bench({ 'group.initial.rebalance.delay.ms': 60_000 })
    const waiting = askToJoin('g')
    await clock.advance(10)
    groups.stop()
    assert.equal(errorName((await waiting).errorCode), 'COORDINATOR_NOT_AVAILABLE')
    await assert.rejects(
      clock.until(() => false, 10 * DAY_MS),
      /no timer is pending/,
    )
  })

  test('the same ids from the same seed', async () => {
    const ids = await Promise.all([bench(), bench()].map(async ({ join }) => (await join('g')).memberId))
    assert.equal(ids[0], ids[1])
    assert.match(ids[0] ?? '', /^c-[0-9a-f-]{36}$/)
  })
})

describe('moves', () => {
  test('a group without a coordinator keeps its members until there is one', async () => {
    const { clock, groups, join, move } = bench()
    const { memberId, generationId } = await join('g')
    const request = { memberId, generationId, groupInstanceId: null, protocolType: null, protocolName: null }
    await groups.sync('g', { ...request, assignments: [{ memberId, assignment: Buffer.from('mine') }] })
    move('g', -1)
    assert.equal(groups.coordinatorOf('g'), -1)
    assert.equal(errorName(groups.refusal('g', 1)), 'NOT_COORDINATOR')
    await clock.advance(3_600_000)
    move('g', 2)
    assert.equal(errorName(groups.refusal('g', 2)), 'NONE')
    assert.equal(errorName(groups.heartbeat('g', request)), 'NONE')
    const synced = await groups.sync('g', { ...request, assignments: [] })
    assert.equal(String(synced.assignment), 'mine')
    await clock.advance(10_000)
    assert.equal(
      errorName(groups.heartbeat('g', request)),
      'UNKNOWN_MEMBER_ID',
      'its session began anew, and ended',
    )
    groups.stop()
  })

  test('a generation that was never assigned is forgotten', async () => {
    const { groups, join, move } = bench()
    const { memberId } = await join('g')
    assert.equal(groups.describe('g')?.groupState, 'CompletingRebalance')
    move('g', 2)
    assert.equal(groups.describe('g')?.groupState, 'Empty')
    assert.equal(errorName((await join('g', { memberId })).errorCode), 'UNKNOWN_MEMBER_ID')
    groups.stop()
  })
})

describe('retention (KIP-211)', () => {
  const expired = (groups: GroupCoordinators, groupId: string, topic: string) =>
    groups.offsets(groupId)?.get(topic, 0) === undefined

  test('offsets of a consumer that assigns itself age from their commit', async () => {
    const { clock, groups, commit } = bench()
    commit('simple', 'old')
    await clock.advance(4 * DAY_MS)
    commit('simple', 'new')
    await clock.advance(4 * DAY_MS)
    assert.deepEqual([expired(groups, 'simple', 'old'), expired(groups, 'simple', 'new')], [true, false])
    await clock.advance(4 * DAY_MS)
    assert.equal(groups.offsets('simple'), undefined, 'and nothing is left of the group')
    groups.stop()
  })

  test('offsets of an empty group age from the moment it became empty', async () => {
    const { clock, groups, join, commit } = bench()
    const { memberId } = await join('g', { sessionTimeoutMs: 1_800_000 })
    commit('g', 'read')
    groups.leave('g', [{ memberId, groupInstanceId: null }])
    await clock.advance(6.9 * DAY_MS)
    assert.equal(expired(groups, 'g', 'read'), false)
    await clock.advance(0.2 * DAY_MS)
    assert.equal(groups.describe('g'), undefined)
    groups.stop()
  })

  test('while there are members, only offsets of topics that nobody reads age', async () => {
    const { clock, groups, join, commit } = bench({
      'offsets.retention.minutes': 60,
      'offsets.retention.check.interval.ms': 60_000,
    })
    const { memberId, generationId } = await join('g')
    const member = { memberId, generationId, groupInstanceId: null }
    await groups.sync('g', { ...member, protocolType: null, protocolName: null, assignments: [] })
    commit('g', 'read')
    commit('g', 'unread')
    for (let minute = 0; minute < 65 * 10; minute++) {
      await clock.advance(6_000)
      groups.heartbeat('g', member)
    }
    assert.deepEqual([expired(groups, 'g', 'read'), expired(groups, 'g', 'unread')], [false, true])
    groups.stop()
  })

  test('an old client names its own retention', async () => {
    const { clock, groups, commit } = bench({ 'offsets.retention.check.interval.ms': 1_000 })
    commit('simple', 'short', 5_000)
    commit('simple', 'usual')
    await clock.advance(4_000)
    assert.equal(expired(groups, 'simple', 'short'), false)
    await clock.advance(2_000)
    assert.deepEqual([expired(groups, 'simple', 'short'), expired(groups, 'simple', 'usual')], [true, false])
    groups.stop()
  })

  test('offsets of a deleted topic go', () => {
    const { groups, commit } = bench()
    commit('simple', 'gone')
    commit('simple', 'stays')
    groups.topicDeleted('gone')
    assert.deepEqual(groups.offsets('simple')?.topics, ['stays'])
    groups.stop()
  })
})

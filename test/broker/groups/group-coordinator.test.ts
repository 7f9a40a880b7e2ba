import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BrokerNode } from '../../../src/broker/broker-node.ts'
import { ClusterState } from '../../../src/broker/cluster-state.ts'
import { FetchSessions } from '../../../src/broker/fetch-sessions.ts'
import { coordinatorPartition } from '../../../src/broker/groups/coordinator-partition.ts'
import { GroupCoordinator } from '../../../src/broker/groups/group-coordinator.ts'
import type { JoinRequest } from '../../../src/broker/groups/join.ts'
import type { SyncRequest } from '../../../src/broker/groups/sync.ts'
import { errorCode, errorName } from '../../../src/protocol/error-codes.ts'
import { encodeConsumerProtocol, subscription } from '../../../src/protocol/messages/consumer-protocol.ts'
import { zeroUuid } from '../../../src/protocol/schema.ts'
import { silentLogger } from '../../../src/util/logger.ts'
import { seededRandom } from '../../../src/util/random.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'

const DAY_MS = 86_400_000

/** The coordinators of a cluster of two nodes, without their listeners. */
function bench(configs: { readonly [name: string]: number } = {}) {
  const clock = new VirtualClock()
  const state = new ClusterState({
    clock,
    random: seededRandom(1),
    logger: silentLogger,
    configs: Object.fromEntries(Object.entries(configs).map(([name, value]) => [name, String(value)])),
    logBytes: 1 << 20,
    kafkaVersion: '4.1',
  })
  for (const id of [1, 2]) {
    const fetchSessions = new FetchSessions(seededRandom(id), 1)
    const options = { rack: null, fetchSessions, groups: new GroupCoordinator(state) }
    state.addNode(new BrokerNode(id, { host: 'h', port: id }, options))
  }
  for (const node of state.allNodes()) state.nodeUp(node)
  /** The groups of the node that coordinates the group now. */
  const at = (groupId: string) => {
    const found = state.node(state.coordinatorPartition(groupId).leaderId)?.groups.find(groupId)
    assert.ok(found && 'groups' in found, 'the group is loaded')
    return found.groups
  }
  const askToJoin = (groupId: string, given: Partial<JoinRequest> = {}) =>
    at(groupId).join(groupId, {
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
  const commit = (groupId: string, topic: string, retentionMs?: number) => {
    const commits = [{ topic, partition: 0, offset: 7, leaderEpoch: -1, metadata: '', topicId: zeroUuid }]
    return clock.during(
      Promise.resolve(
        at(groupId).commit(
          groupId,
          commits.map((one) => ({ ...one, retentionMs })),
        ),
      ),
    )
  }
  const sync = (
    groupId: string,
    request: Pick<SyncRequest, 'memberId' | 'generationId'> & Partial<SyncRequest>,
  ) =>
    clock.during(
      at(groupId).sync(groupId, {
        groupInstanceId: null,
        protocolType: null,
        protocolName: null,
        assignments: [],
        ...request,
      }),
    )
  /** Makes the node the coordinator, and waits until it has loaded. */
  const move = async (groupId: string, nodeId: number) => {
    state.coordinatorPartition(groupId).lead(nodeId)
    await clock.advance(0)
  }
  return { clock, state, at, askToJoin, join, sync, commit, move }
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
    const { clock, state, at, join, sync, commit } = bench()
    const { memberId, generationId } = await join('g')
    await sync('g', { memberId, generationId })
    const member = { memberId, generationId, groupInstanceId: null }
    for (const _sign of [1, 2, 3]) {
      await clock.advance(9_000)
      assert.equal(errorName(await at('g').heartbeat('g', member)), 'NONE')
      await clock.advance(9_000)
      assert.equal(errorName(at('g').mayCommit('g', member)), 'NONE')
      await commit('g', 't')
    }
    await clock.advance(10_000)
    assert.equal(errorName(await at('g').heartbeat('g', member)), 'UNKNOWN_MEMBER_ID')
    assert.equal(at('g').describe('g')?.groupState, 'Empty')
    state.stop()
  })

  test('nothing is left on the clock after a stop, and whoever waits is answered', async () => {
    const { clock, state, askToJoin } = bench({ 'group.initial.rebalance.delay.ms': 60_000 })
    const waiting = askToJoin('g')
    await clock.advance(10)
    state.stop()
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
    const { clock, state, at, join, sync } = bench()
    const { memberId, generationId } = await join('g')
    const member = { memberId, generationId, groupInstanceId: null }
    await sync('g', { memberId, generationId, assignments: [{ memberId, assignment: Buffer.from('mine') }] })
    const nodes = state.allNodes()
    for (const node of nodes) state.nodeDown(node)
    assert.equal(state.coordinatorPartition('g').leaderId, -1)
    assert.deepEqual(nodes[0]?.groups.find('g'), { errorCode: errorCode.NOT_COORDINATOR })
    await clock.advance(3_600_000)
    for (const node of nodes) state.nodeUp(node)
    await clock.advance(0)
    assert.equal(errorName(await at('g').heartbeat('g', member)), 'NONE')
    assert.equal(String((await sync('g', member)).assignment), 'mine')
    await clock.advance(10_000)
    assert.equal(
      errorName(await at('g').heartbeat('g', member)),
      'UNKNOWN_MEMBER_ID',
      'its session began anew, and ended',
    )
    state.stop()
  })

  test('a generation that was never assigned is forgotten', async () => {
    const { state, at, join, move } = bench()
    const { memberId } = await join('g')
    assert.equal(at('g').describe('g')?.groupState, 'CompletingRebalance')
    await move('g', 2)
    assert.equal(at('g').describe('g')?.groupState, 'Empty')
    assert.equal(errorName((await join('g', { memberId })).errorCode), 'UNKNOWN_MEMBER_ID')
    state.stop()
  })
})

describe('retention (KIP-211)', () => {
  const expired = ({ at }: ReturnType<typeof bench>, groupId: string, topic: string) =>
    at(groupId).offsets(groupId)?.get(topic, 0) === undefined

  test('offsets of a consumer that assigns itself age from their commit', async () => {
    const made = bench()
    const { clock, state, at, commit } = made
    await commit('simple', 'old')
    await clock.advance(4 * DAY_MS)
    await commit('simple', 'new')
    await clock.advance(4 * DAY_MS)
    assert.deepEqual([expired(made, 'simple', 'old'), expired(made, 'simple', 'new')], [true, false])
    await clock.advance(4 * DAY_MS)
    assert.equal(at('simple').offsets('simple'), undefined)
    assert.equal(at('simple').describe('simple'), undefined, 'and nothing is left of the group')
    state.stop()
  })

  test('offsets of an empty group age from the moment it became empty', async () => {
    const made = bench()
    const { clock, state, at, join, commit } = made
    const { memberId } = await join('g', { sessionTimeoutMs: 1_800_000 })
    await commit('g', 'read')
    at('g').leave('g', [{ memberId, groupInstanceId: null }])
    await clock.advance(6.9 * DAY_MS)
    assert.equal(expired(made, 'g', 'read'), false)
    await clock.advance(0.2 * DAY_MS)
    assert.equal(at('g').describe('g'), undefined)
    state.stop()
  })

  test('while there are members, only offsets of topics that nobody reads age', async () => {
    const made = bench({
      'offsets.retention.minutes': 60,
      'offsets.retention.check.interval.ms': 60_000,
    })
    const { clock, state, at, join, sync, commit } = made
    const { memberId, generationId } = await join('g')
    const member = { memberId, generationId, groupInstanceId: null }
    await sync('g', member)
    await commit('g', 'read')
    await commit('g', 'unread')
    for (let minute = 0; minute < 65 * 10; minute++) {
      await clock.advance(6_000)
      await at('g').heartbeat('g', member)
    }
    assert.deepEqual([expired(made, 'g', 'read'), expired(made, 'g', 'unread')], [false, true])
    state.stop()
  })

  test('an old client names its own retention', async () => {
    const made = bench({ 'offsets.retention.check.interval.ms': 1_000 })
    const { clock, state, commit } = made
    await commit('simple', 'short', 5_000)
    await commit('simple', 'usual')
    await clock.advance(4_000)
    assert.equal(expired(made, 'simple', 'short'), false)
    await clock.advance(2_000)
    assert.deepEqual([expired(made, 'simple', 'short'), expired(made, 'simple', 'usual')], [true, false])
    state.stop()
  })

  test('offsets of a deleted topic go', async () => {
    const { clock, state, at, commit } = bench()
    const [gone] = ['gone', 'stays'].map((name) =>
      state.createTopic({ name, partitions: 1, replicationFactor: 1 }),
    )
    await commit('simple', 'gone')
    await commit('simple', 'stays')
    assert.ok(gone)
    state.deleteTopic(gone)
    await clock.advance(0)
    assert.deepEqual(at('simple').offsets('simple')?.topics, ['stays'])
    state.stop()
  })
})

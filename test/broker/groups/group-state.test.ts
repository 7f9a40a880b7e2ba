import assert from 'node:assert/strict'
import { describe as suite, test } from 'node:test'
import type { JoinAnswer, SyncAnswer } from '../../../src/broker/groups/answers.ts'
import { groupLimits } from '../../../src/broker/groups/group-limits.ts'
import type { GroupRecord } from '../../../src/broker/groups/group-record.ts'
import { GroupState } from '../../../src/broker/groups/group-state.ts'
import { heartbeat } from '../../../src/broker/groups/heartbeat.ts'
import { type JoinRequest, join } from '../../../src/broker/groups/join.ts'
import { leave } from '../../../src/broker/groups/leave.ts'
import { type SyncRequest, sync } from '../../../src/broker/groups/sync.ts'
import { errorCode, errorName } from '../../../src/protocol/error-codes.ts'

/** A group with a clock that is moved by hand, and the answers by ticket. */
class Bench {
  readonly group: GroupState
  readonly joins = new Map<number, JoinAnswer>()
  readonly syncs = new Map<number, SyncAnswer>()
  /** The last that was written down. */
  record: GroupRecord | undefined
  now = 0
  ids = 0
  #ticket = 0

  constructor(configs: { readonly [name: string]: number } = {}, group?: GroupState) {
    const limits = groupLimits((name, fallback) => configs[name] ?? fallback)
    this.group = group ?? new GroupState('g', limits, 0)
  }

  get times() {
    return { now: this.now, wallNow: this.now }
  }

  join(request: Partial<JoinRequest> = {}): number {
    const ticket = ++this.#ticket
    const full: JoinRequest = {
      memberId: '',
      groupInstanceId: null,
      clientId: 'c',
      clientHost: '/h',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: Buffer.from('m') }],
      requiresMemberId: false,
      canSkipAssignment: true,
      newMemberId: `id-${++this.ids}`,
      ...request,
    }
    join(this.group, { request: full, ticket }, this.times)
    this.collect()
    return ticket
  }

  sync(memberId: string, request: Partial<SyncRequest> = {}): number {
    const ticket = ++this.#ticket
    const full: SyncRequest = {
      memberId,
      groupInstanceId: null,
      generationId: this.group.generationId,
      protocolType: null,
      protocolName: null,
      assignments: [],
      ...request,
    }
    sync(this.group, { request: full, ticket })
    this.collect()
    return ticket
  }

  heartbeat(memberId: string, generationId = this.group.generationId, groupInstanceId: string | null = null) {
    return errorName(heartbeat(this.group, { memberId, generationId, groupInstanceId }, this.now))
  }

  leave(memberId: string, groupInstanceId: string | null = null) {
    const errors = leave(this.group, [{ memberId, groupInstanceId }], this.times)
    this.collect()
    return errors.map(errorName)
  }

  /** Time passes; what falls due is done at its time. */
  pass(ms: number): void {
    const end = this.now + ms
    for (let at = this.group.wakeAt; at !== undefined && at <= end; at = this.group.wakeAt) {
      this.now = Math.max(this.now, at)
      this.group.expire(this.times)
      this.collect()
    }
    this.now = end
  }

  /** What is written down is so at once, unless the test has taken it out before. */
  collect(): void {
    for (const unsaved of this.group.takeUnsaved()) {
      this.record = unsaved.record
      this.group.saved(unsaved, errorCode.NONE, this.times)
    }
    for (const answer of this.group.takeAnswers()) {
      if ('join' in answer) {
        assert.ok(!this.joins.has(answer.ticket), 'a ticket is answered once')
        this.joins.set(answer.ticket, answer.join)
      } else {
        assert.ok(!this.syncs.has(answer.ticket), 'a ticket is answered once')
        this.syncs.set(answer.ticket, answer.sync)
      }
    }
  }

  joined(ticket: number): JoinAnswer {
    const answer = this.joins.get(ticket)
    assert.ok(answer, `join ${ticket} is answered`)
    return answer
  }

  synced(ticket: number): SyncAnswer {
    const answer = this.syncs.get(ticket)
    assert.ok(answer, `sync ${ticket} is answered`)
    return answer
  }

  /** A Stable group of so many members; their ids, the leader first. */
  stable(count: number, request: (index: number) => Partial<JoinRequest> = () => ({})): string[] {
    const tickets = Array.from({ length: count }, (_, index) => this.join(request(index)))
    this.pass(0)
    const ids = tickets.map((ticket) => this.joined(ticket).memberId)
    for (const id of ids.slice(1)) this.sync(id)
    this.sync(ids[0] as string, {
      assignments: ids.map((memberId) => ({ memberId, assignment: Buffer.from(`for ${memberId}`) })),
    })
    assert.equal(this.group.phase, 'Stable')
    return ids
  }
}

const named = (code: number) => errorName(code)

suite('joining', () => {
  test('the first rebalance waits for the initial delay, then the leader gets all members', () => {
    const bench = new Bench({ 'group.initial.rebalance.delay.ms': 3_000 })
    const [a, b] = [bench.join(), bench.join()]
    bench.pass(2_999)
    assert.equal(bench.joins.size, 0)
    assert.equal(bench.group.phase, 'PreparingRebalance')
    bench.pass(3_001)
    const [leader, follower] = [bench.joined(a), bench.joined(b)]
    assert.equal(leader.leader, leader.memberId)
    assert.equal(follower.leader, leader.memberId)
    assert.deepEqual(
      leader.members.map(({ memberId }) => memberId),
      ['id-1', 'id-2'],
    )
    assert.deepEqual(follower.members, [])
    assert.equal(leader.generationId, 1)
    assert.equal(leader.protocolName, 'range')
    assert.equal(bench.group.phase, 'CompletingRebalance')
  })

  test('a newcomer prolongs the initial delay, never beyond the rebalance timeout', () => {
    const bench = new Bench({ 'group.initial.rebalance.delay.ms': 3_000 })
    const first = bench.join({ rebalanceTimeoutMs: 7_000 })
    bench.pass(2_000)
    bench.join({ rebalanceTimeoutMs: 7_000 })
    bench.pass(1_500)
    assert.equal(bench.joins.size, 0, 'at 3,500 the delay was taken once more')
    bench.join({ rebalanceTimeoutMs: 7_000 })
    bench.pass(3_000)
    assert.equal(bench.joins.size, 0, 'at 6,500 what was left of it was taken')
    bench.join({ rebalanceTimeoutMs: 7_000 })
    bench.pass(500)
    assert.equal(bench.joined(first).generationId, 1, 'at 7,000 the time is over')
  })

  test('an id is required first from version 4 on, and pending ids expire', () => {
    const bench = new Bench()
    const first = bench.join({ requiresMemberId: true })
    assert.equal(named(bench.joined(first).errorCode), 'MEMBER_ID_REQUIRED')
    const { memberId } = bench.joined(first)
    const second = bench.join({ memberId, requiresMemberId: true })
    bench.pass(0)
    assert.equal(bench.joined(second).errorCode, 0)
    assert.equal(bench.joined(second).memberId, memberId)

    const late = bench.joined(bench.join({ requiresMemberId: true })).memberId
    bench.pass(10_000)
    const refused = bench.join({ memberId: late, requiresMemberId: true })
    assert.equal(named(bench.joined(refused).errorCode), 'UNKNOWN_MEMBER_ID')
  })

  test('a pending id with a static name is a bug of the client', () => {
    const bench = new Bench()
    const { memberId } = bench.joined(bench.join({ requiresMemberId: true }))
    const refused = bench.join({ memberId, groupInstanceId: 's' })
    assert.equal(named(bench.joined(refused).errorCode), 'UNKNOWN_SERVER_ERROR')
  })

  test('type and protocols must fit those of the members', () => {
    const bench = new Bench()
    const none = bench.join({ protocols: [] })
    assert.equal(named(bench.joined(none).errorCode), 'INCONSISTENT_GROUP_PROTOCOL')
    const untyped = bench.join({ protocolType: '' })
    assert.equal(named(bench.joined(untyped).errorCode), 'INCONSISTENT_GROUP_PROTOCOL')
    bench.stable(1)
    for (const request of [
      { protocolType: 'connect' },
      { protocols: [{ name: 'own', metadata: Buffer.from('') }] },
    ]) {
      const refused = bench.join(request)
      assert.equal(named(bench.joined(refused).errorCode), 'INCONSISTENT_GROUP_PROTOCOL')
    }
  })

  test('the protocol with most votes among those that everybody offers is chosen', () => {
    const bench = new Bench()
    const offer = (...names: string[]) => ({
      protocols: names.map((name) => ({ name, metadata: Buffer.from(`by ${name}`) })),
    })
    const tickets = [offer('a', 'b', 'c'), offer('c', 'b'), offer('b', 'c')].map((one) => bench.join(one))
    bench.pass(0)
    const leader = bench.joined(tickets[0] as number)
    assert.equal(leader.protocolName, 'b')
    assert.deepEqual(
      leader.members.map(({ metadata }) => String(metadata)),
      ['by b', 'by b', 'by b'],
    )
  })

  test('a group takes no more than group.max.size members', () => {
    const bench = new Bench({ 'group.max.size': 2 })
    bench.join()
    bench.join()
    const third = bench.join()
    assert.equal(named(bench.joined(third).errorCode), 'GROUP_MAX_SIZE_REACHED')
    bench.pass(0)
    const later = bench.join()
    assert.equal(named(bench.joined(later).errorCode), 'GROUP_MAX_SIZE_REACHED')
  })

  test('who joins again unchanged gets the generation as it stands; the leader begins a rebalance', () => {
    const bench = new Bench()
    const [leader, follower] = bench.stable(2) as [string, string]
    const again = bench.joined(bench.join({ memberId: follower }))
    assert.equal(again.errorCode, 0)
    assert.equal(again.generationId, 1)
    assert.equal(bench.group.phase, 'Stable')
    const waiting = bench.join({ memberId: leader })
    assert.equal(bench.group.phase, 'PreparingRebalance')
    assert.ok(!bench.joins.has(waiting))
    assert.equal(bench.heartbeat(follower), 'REBALANCE_IN_PROGRESS')
    bench.join({ memberId: follower })
    assert.equal(bench.joined(waiting).generationId, 2)
  })

  test('a member that changes its metadata begins a rebalance', () => {
    const bench = new Bench()
    const [, follower] = bench.stable(2) as [string, string]
    bench.join({ memberId: follower, protocols: [{ name: 'range', metadata: Buffer.from('other') }] })
    assert.equal(bench.group.phase, 'PreparingRebalance')
  })

  test('the answer to a lost JoinGroup is given again while the group completes', () => {
    const bench = new Bench()
    const first = bench.join()
    bench.pass(0)
    const { memberId } = bench.joined(first)
    const again = bench.joined(bench.join({ memberId }))
    assert.equal(again.generationId, 1)
    assert.equal(again.members.length, 1)
    assert.equal(bench.group.phase, 'CompletingRebalance')
  })

  test('members that do not join again within the rebalance timeout are out', () => {
    const bench = new Bench()
    const [leader, , lazy] = bench.stable(3, () => ({ sessionTimeoutMs: 200_000 })) as [
      string,
      string,
      string,
    ]
    const waiting = bench.join({ memberId: leader, sessionTimeoutMs: 200_000 })
    bench.pass(59_999)
    assert.ok(!bench.joins.has(waiting))
    bench.pass(1)
    assert.deepEqual(
      bench.joined(waiting).members.map(({ memberId }) => memberId),
      [leader],
    )
    assert.equal(bench.heartbeat(lazy), 'UNKNOWN_MEMBER_ID')
  })

  test('when the leader does not come back another member leads', () => {
    const bench = new Bench()
    const [, follower] = bench.stable(2) as [string, string]
    const waiting = bench.join({
      memberId: follower,
      protocols: [{ name: 'range', metadata: Buffer.from('other') }],
    })
    bench.pass(60_000)
    assert.equal(bench.joined(waiting).leader, follower)
  })
})

suite('syncing', () => {
  test('followers wait for the leader, and each gets its own', () => {
    const bench = new Bench()
    const tickets = [bench.join(), bench.join(), bench.join()]
    bench.pass(0)
    const [leader, second, third] = tickets.map((ticket) => bench.joined(ticket).memberId) as [
      string,
      string,
      string,
    ]
    const waiting = bench.sync(second)
    assert.ok(!bench.syncs.has(waiting))
    const own = bench.sync(leader, { assignments: [{ memberId: second, assignment: Buffer.from('x') }] })
    assert.equal(String(bench.synced(waiting).assignment), 'x')
    assert.equal(bench.synced(waiting).protocolType, 'consumer')
    assert.equal(bench.synced(own).assignment.length, 0, 'not mentioned: empty')
    assert.equal(bench.synced(bench.sync(third)).errorCode, 0, 'after the leader: at once')
    assert.equal(bench.group.phase, 'Stable')
  })

  test('refusals', () => {
    const bench = new Bench()
    const [leader] = bench.stable(1) as [string]
    const refusal = (memberId: string, request: Partial<SyncRequest> = {}) =>
      named(bench.synced(bench.sync(memberId, request)).errorCode)
    assert.equal(refusal('nobody'), 'UNKNOWN_MEMBER_ID')
    assert.equal(refusal(leader, { generationId: 7 }), 'ILLEGAL_GENERATION')
    assert.equal(refusal(leader, { protocolType: 'connect' }), 'INCONSISTENT_GROUP_PROTOCOL')
    assert.equal(refusal(leader, { protocolName: 'own' }), 'INCONSISTENT_GROUP_PROTOCOL')
    assert.equal(refusal(leader, { protocolType: 'consumer', protocolName: 'range' }), 'NONE')
    bench.join({ memberId: leader })
    assert.equal(bench.group.phase, 'CompletingRebalance')
    const follower = bench.join()
    assert.equal(bench.group.phase, 'PreparingRebalance')
    assert.equal(refusal(leader), 'REBALANCE_IN_PROGRESS')
    assert.ok(!bench.joins.has(follower))
  })

  test('who waits for an assignment is told when a rebalance begins', () => {
    const bench = new Bench()
    const tickets = [bench.join(), bench.join()]
    bench.pass(0)
    const follower = bench.joined(tickets[1] as number).memberId
    const waiting = bench.sync(follower)
    bench.join()
    assert.equal(named(bench.synced(waiting).errorCode), 'REBALANCE_IN_PROGRESS')
  })

  test('members that never sync are out after the rebalance timeout', () => {
    const bench = new Bench()
    const tickets = [bench.join({ sessionTimeoutMs: 200_000 }), bench.join({ sessionTimeoutMs: 200_000 })]
    bench.pass(0)
    const [leader, silent] = tickets.map((ticket) => bench.joined(ticket).memberId) as [string, string]
    bench.sync(leader)
    bench.pass(60_000)
    assert.equal(bench.group.phase, 'PreparingRebalance')
    assert.equal(bench.heartbeat(silent), 'UNKNOWN_MEMBER_ID')
    assert.equal(bench.heartbeat(leader), 'REBALANCE_IN_PROGRESS')
  })
})

suite('living and leaving', () => {
  test('a session ends without heartbeats and goes on with them', () => {
    const bench = new Bench()
    const [alive, silent] = bench.stable(2) as [string, string]
    bench.pass(6_000)
    assert.equal(bench.heartbeat(alive), 'NONE')
    bench.pass(4_000)
    assert.equal(bench.heartbeat(silent), 'UNKNOWN_MEMBER_ID')
    assert.equal(bench.heartbeat(alive), 'REBALANCE_IN_PROGRESS')
    assert.equal(bench.heartbeat(alive, 9), 'ILLEGAL_GENERATION')
  })

  test('a member that waits for the rebalance needs no heartbeat', () => {
    const bench = new Bench()
    const [leader, follower] = bench.stable(2) as [string, string]
    bench.pass(9_000)
    assert.equal(bench.heartbeat(follower), 'NONE')
    const waiting = bench.join({ memberId: leader })
    bench.pass(9_500)
    assert.ok(!bench.joins.has(waiting), 'its session would have ended')
    bench.pass(500)
    assert.equal(bench.joined(waiting).errorCode, 0, 'the silent follower expired')
    assert.equal(bench.joined(waiting).members.length, 1)
    assert.equal(bench.heartbeat(follower), 'UNKNOWN_MEMBER_ID')
  })

  test('a new member may wait five minutes for its first answer', () => {
    const bench = new Bench()
    const [leader] = bench.stable(1, () => ({ sessionTimeoutMs: 400_000, rebalanceTimeoutMs: 400_000 })) as [
      string,
    ]
    const newcomer = bench.join()
    bench.pass(299_999)
    assert.ok(!bench.joins.has(newcomer))
    bench.pass(1)
    assert.equal(named(bench.joined(newcomer).errorCode), 'UNKNOWN_MEMBER_ID')
    assert.equal(bench.heartbeat(leader), 'REBALANCE_IN_PROGRESS')
  })

  test('leaving begins a rebalance; the last one leaves the group empty, with a new generation', () => {
    const bench = new Bench()
    const [first, second] = bench.stable(2) as [string, string]
    assert.deepEqual(bench.leave(first), ['NONE'])
    assert.equal(bench.group.phase, 'PreparingRebalance')
    assert.deepEqual(bench.leave(second), ['NONE'])
    assert.equal(bench.group.phase, 'Empty')
    assert.equal(bench.group.generationId, 2)
    assert.deepEqual(bench.leave(second), ['UNKNOWN_MEMBER_ID'])
    assert.equal(bench.group.wakeAt, undefined, 'no deadline is left behind')
  })

  test('a pending id leaves, and what waited for it goes on', () => {
    const bench = new Bench()
    const [leader] = bench.stable(1) as [string]
    const pending = bench.joined(bench.join({ requiresMemberId: true })).memberId
    const waiting = bench.join({ memberId: leader })
    assert.ok(!bench.joins.has(waiting), 'it waits for the pending id too')
    assert.deepEqual(bench.leave(pending), ['NONE'])
    assert.equal(bench.joined(waiting).generationId, 2)
  })
})

suite('static members (KIP-345)', () => {
  const statics = (index: number) => ({ groupInstanceId: `s${index}` })

  test('a restarted member takes its place without a rebalance and the old id is fenced', () => {
    const bench = new Bench()
    const [, old] = bench.stable(2, statics) as [string, string]
    const answer = bench.joined(bench.join({ groupInstanceId: 's1' }))
    assert.equal(answer.errorCode, 0)
    assert.equal(answer.generationId, 1)
    assert.notEqual(answer.memberId, old)
    assert.equal(bench.group.phase, 'Stable')
    assert.equal(String(bench.synced(bench.sync(answer.memberId)).assignment), `for ${old}`)
    assert.equal(bench.heartbeat(old, 1, 's1'), 'FENCED_INSTANCE_ID')
    assert.equal(bench.heartbeat(old), 'UNKNOWN_MEMBER_ID')
    assert.equal(bench.heartbeat(answer.memberId, 1, 's1'), 'NONE')
    const fenced = bench.join({ memberId: old, groupInstanceId: 's1' })
    assert.equal(named(bench.joined(fenced).errorCode), 'FENCED_INSTANCE_ID')
    assert.equal(
      named(bench.synced(bench.sync(old, { groupInstanceId: 's1' })).errorCode),
      'FENCED_INSTANCE_ID',
    )
  })

  test('a restarted leader is told to skip the assignment, or that the old id leads', () => {
    for (const canSkipAssignment of [true, false]) {
      const bench = new Bench()
      const [old] = bench.stable(2, statics) as [string]
      const answer = bench.joined(bench.join({ groupInstanceId: 's0', canSkipAssignment }))
      assert.equal(answer.skipAssignment, canSkipAssignment)
      assert.equal(answer.leader, canSkipAssignment ? answer.memberId : old)
      assert.equal(answer.members.length, canSkipAssignment ? 2 : 0)
    }
  })

  test('a restart with other protocols begins a rebalance', () => {
    const bench = new Bench()
    const offer = (name: string) => [
      { name, metadata: Buffer.from('m') },
      { name: 'common', metadata: Buffer.from('m') },
    ]
    bench.stable(1, () => ({ groupInstanceId: 's0', protocols: offer('range') }))
    assert.equal(bench.group.protocolName, 'range')
    bench.join({ groupInstanceId: 's0', protocols: offer('common').slice(1) })
    assert.equal(bench.group.protocolName, 'common')
    assert.equal(bench.group.generationId, 2)
  })

  test('a restart while the group completes begins a rebalance', () => {
    const bench = new Bench()
    const tickets = [bench.join(statics(0)), bench.join(statics(1))]
    bench.pass(0)
    const waiting = bench.sync(bench.joined(tickets[1] as number).memberId, { groupInstanceId: 's1' })
    bench.join(statics(0))
    assert.equal(bench.group.phase, 'PreparingRebalance')
    assert.equal(named(bench.synced(waiting).errorCode), 'REBALANCE_IN_PROGRESS')
  })

  test('the twin that waits for a join is fenced by the one that comes', () => {
    const bench = new Bench({ 'group.initial.rebalance.delay.ms': 3_000 })
    const first = bench.join(statics(0))
    const second = bench.join(statics(0))
    assert.equal(named(bench.joined(first).errorCode), 'FENCED_INSTANCE_ID')
    bench.pass(10_000)
    assert.equal(bench.joined(second).members.length, 1)
  })

  test('static members that do not join again stay in the generation until their session ends', () => {
    const bench = new Bench()
    const [leader, absent] = bench.stable(2, (index) => ({
      ...statics(index),
      sessionTimeoutMs: 300_000,
    })) as [string, string]
    const waiting = bench.join({ memberId: leader, groupInstanceId: 's0', sessionTimeoutMs: 300_000 })
    bench.pass(60_000)
    assert.deepEqual(
      bench.joined(waiting).members.map(({ memberId }) => memberId),
      [leader, absent],
    )
    assert.equal(bench.heartbeat(absent), 'NONE')
  })

  test('when only static members are left and none joins, the rebalance waits on', () => {
    const bench = new Bench()
    const [, stays] = bench.stable(2, (index) => ({
      groupInstanceId: `s${index}`,
      sessionTimeoutMs: 300_000,
    })) as [string, string]
    bench.leave('', 's0')
    bench.pass(60_000)
    assert.equal(bench.group.phase, 'PreparingRebalance')
    bench.pass(60_000)
    assert.equal(bench.heartbeat(stays), 'REBALANCE_IN_PROGRESS')
  })

  test('an administrator removes one by its name', () => {
    const bench = new Bench()
    const [first] = bench.stable(2, statics) as [string]
    assert.deepEqual(bench.leave('', 's1'), ['NONE'])
    assert.deepEqual(bench.leave('', 's1'), ['UNKNOWN_MEMBER_ID'])
    assert.deepEqual(bench.leave('other', 's0'), ['FENCED_INSTANCE_ID'])
    assert.equal(bench.heartbeat(first), 'REBALANCE_IN_PROGRESS')
  })
})

suite('moving', () => {
  test('a group comes back from its record: Stable, with assignments and whole sessions', () => {
    const bench = new Bench()
    const [leader, follower] = bench.stable(2) as [string, string]
    const { record } = bench
    assert.ok(record)
    bench.pass(5_000)
    const moved = GroupState.restore(
      'g',
      { limits: bench.group.limits, record },
      { now: 5_000, wallNow: 5_000 },
    )
    const after = new Bench({}, moved)
    after.now = 5_000
    assert.equal(moved.phase, 'Stable')
    assert.equal(after.heartbeat(leader), 'NONE')
    assert.equal(String(after.synced(after.sync(follower)).assignment), `for ${follower}`)
    after.pass(9_999)
    assert.equal(after.heartbeat(follower), 'NONE')
  })

  test('a rebalance under way is forgotten', () => {
    const bench = new Bench()
    const [leader] = bench.stable(2) as [string]
    const { record } = bench
    assert.ok(record)
    const waiting = bench.join({ memberId: leader })
    bench.group.kill(errorCode.NOT_COORDINATOR)
    bench.collect()
    assert.equal(named(bench.joined(waiting).errorCode), 'NOT_COORDINATOR')
    assert.equal(bench.record, record)
    const moved = GroupState.restore('g', { limits: bench.group.limits, record }, { now: 0, wallNow: 0 })
    assert.equal(moved.phase, 'Stable')
    assert.equal(moved.generationId, 1)
  })

  test('a group that has become too large is made to rebalance', () => {
    const bench = new Bench()
    bench.stable(3)
    const { record } = bench
    assert.ok(record)
    const limits = { ...bench.group.limits, maxSize: 2 }
    const moved = new Bench({}, GroupState.restore('g', { limits, record }, { now: 0, wallNow: 0 }))
    assert.equal(moved.group.phase, 'PreparingRebalance')
  })
})

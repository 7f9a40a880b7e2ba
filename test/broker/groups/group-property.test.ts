/**
 * What must hold of a group whatever its members do: random members join, sync, beat, leave, fall silent, come back
 * under their names, records are written late or not at all, and the coordinator moves; after each step the
 * invariants, and at the end every request answered.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { groupLimits } from '../../../src/broker/groups/group-limits.ts'
import type { GroupRecord } from '../../../src/broker/groups/group-record.ts'
import { GroupState, type Unsaved } from '../../../src/broker/groups/group-state.ts'
import { heartbeat } from '../../../src/broker/groups/heartbeat.ts'
import { join } from '../../../src/broker/groups/join.ts'
import { leave } from '../../../src/broker/groups/leave.ts'
import { sync } from '../../../src/broker/groups/sync.ts'
import { errorCode } from '../../../src/protocol/error-codes.ts'
import type { Random } from '../../../src/util/random.ts'
import { rounds } from '../../support/seed.ts'

const limits = groupLimits((name, fallback) =>
  name === 'group.initial.rebalance.delay.ms' ? 500 : name === 'group.max.size' ? 6 : fallback,
)

/** A client as it behaves: one request at a time, silent while one is under way. */
interface Client {
  memberId: string
  readonly groupInstanceId: string | null
  generationId: number
  isLeader: boolean
  others: readonly string[]
  waiting: number | undefined
  hasAssignment: boolean
}

class Run {
  readonly #random: Random
  readonly #clients: Client[]
  #group: GroupState
  #record: GroupRecord | undefined
  /** What is not written yet, oldest first. */
  #unwritten: Unsaved[] = []
  #delaysWriting = false
  #now = 0
  #ids = 0
  readonly #unanswered = new Map<number, Client>()
  #ticket = 0
  /** Assignments by generation and member: no member ever gets two for one generation. */
  readonly #given = new Map<string, string>()

  constructor(random: Random) {
    this.#random = random
    this.#group = new GroupState('g', limits, 0)
    this.#clients = Array.from({ length: 8 }, (_, index) => ({
      memberId: '',
      groupInstanceId: index % 3 === 0 ? `s${index}` : null,
      generationId: -1,
      isLeader: false,
      others: [],
      waiting: undefined,
      hasAssignment: false,
    }))
  }

  get #times() {
    return { now: this.#now, wallNow: this.#now }
  }

  step(): void {
    const dice = this.#random.below(100)
    const client = this.#clients[this.#random.below(this.#clients.length)] as Client
    if (dice < 35) this.#join(client)
    else if (dice < 60) this.#sync(client)
    else if (dice < 80) this.#beat(client)
    else if (dice < 85) this.#leave(client)
    else if (dice < 88) this.#restart(client)
    else if (dice < 90) this.#move()
    else if (dice < 93) this.#delaysWriting = !this.#delaysWriting
    else if (dice < 95) this.#write(this.#random.below(3) === 0)
    else this.#pass(this.#random.below(dice < 97 ? 400 : 15_000))
    this.#collect()
    this.#check()
  }

  /** Whoever waits is answered when the time is over, without anybody's help. */
  settle(): void {
    this.#delaysWriting = false
    this.#write(false)
    this.#pass(1_000_000)
    assert.equal(this.#unanswered.size, 0, 'a request waits for ever')
    this.#check()
    assert.ok(this.#group.phase === 'Empty', 'everybody was silent')
    assert.equal(this.#group.wakeAt, undefined)
  }

  #join(client: Client): void {
    if (client.waiting !== undefined) return
    const ticket = ++this.#ticket
    const names = this.#random.below(4) === 0 ? ['b', 'a'] : ['a', 'b', 'c']
    client.waiting = ticket
    this.#unanswered.set(ticket, client)
    const request = {
      memberId: client.memberId,
      groupInstanceId: client.groupInstanceId,
      clientId: 'c',
      clientHost: '/h',
      sessionTimeoutMs: 6_000,
      rebalanceTimeoutMs: 5_000 + this.#random.below(5_000),
      protocolType: 'consumer',
      protocols: names.map((name) => ({ name, metadata: Buffer.from([this.#random.below(2)]) })),
      requiresMemberId: this.#random.below(3) > 0,
      canSkipAssignment: this.#random.below(2) > 0,
      newMemberId: `id-${++this.#ids}`,
    }
    join(this.#group, { request, ticket }, this.#times)
  }

  #sync(client: Client): void {
    if (client.waiting !== undefined || client.memberId === '') return
    const ticket = ++this.#ticket
    client.waiting = ticket
    this.#unanswered.set(ticket, client)
    const ids = client.isLeader ? client.others : []
    const assignments = ids.map((memberId) => ({
      memberId,
      assignment: Buffer.from(`${client.generationId} ${memberId}`),
    }))
    const { memberId, groupInstanceId, generationId } = client
    const request = {
      memberId,
      groupInstanceId,
      generationId,
      protocolType: null,
      protocolName: null,
      assignments,
    }
    sync(this.#group, { request, ticket })
  }

  #beat(client: Client): void {
    if (client.waiting !== undefined || client.memberId === '') return
    const code = heartbeat(this.#group, client, this.#now)
    if (code === errorCode.UNKNOWN_MEMBER_ID || code === errorCode.FENCED_INSTANCE_ID) client.memberId = ''
  }

  #leave(client: Client): void {
    if (client.memberId === '') return
    leave(this.#group, [client], this.#times)
    client.memberId = ''
  }

  /** The process behind the client is another one now: it knows no id, and hears no answer of the old one. */
  #restart(client: Client): void {
    const index = this.#clients.indexOf(client)
    this.#clients[index] = {
      ...client,
      memberId: '',
      generationId: -1,
      isLeader: false,
      others: [],
      waiting: undefined,
    }
  }

  #move(): void {
    this.#group.kill(errorCode.NOT_COORDINATOR)
    this.#collect()
    this.#unwritten = []
    const before = this.#record
    this.#group =
      before === undefined
        ? new GroupState('g', limits, this.#now)
        : GroupState.restore('g', { limits, record: before }, this.#times)
  }

  #pass(ms: number): void {
    const end = this.#now + ms
    for (let at = this.#group.wakeAt; at !== undefined && at <= end; at = this.#group.wakeAt) {
      this.#now = Math.max(this.#now, at)
      this.#group.expire(this.#times)
      this.#collect()
      this.#check()
    }
    this.#now = end
  }

  #collect(): void {
    this.#unwritten.push(...this.#group.takeUnsaved())
    if (!this.#delaysWriting) return this.#write(false)
    this.#answer()
  }

  /** Writes what is to be written, or fails to. */
  #write(fails: boolean): void {
    for (let next = this.#unwritten.shift(); next !== undefined; next = this.#unwritten.shift()) {
      if (!fails) this.#record = next.record
      this.#group.saved(next, fails ? errorCode.COORDINATOR_NOT_AVAILABLE : errorCode.NONE, this.#times)
      this.#unwritten.push(...this.#group.takeUnsaved())
    }
    this.#answer()
  }

  #answer(): void {
    for (const answer of this.#group.takeAnswers()) {
      const client = this.#unanswered.get(answer.ticket)
      assert.ok(client, `ticket ${answer.ticket} is answered twice, or was never given`)
      this.#unanswered.delete(answer.ticket)
      client.waiting = undefined
      if ('sync' in answer) this.#synced(client, answer.sync)
      else this.#joined(client, answer.join)
    }
  }

  #joined(
    client: Client,
    answer: {
      errorCode: number
      memberId: string
      generationId: number
      leader: string
      members: readonly { memberId: string }[]
    },
  ): void {
    const keepsId = answer.errorCode === errorCode.NONE || answer.errorCode === errorCode.MEMBER_ID_REQUIRED
    if (!keepsId) {
      if (answer.errorCode === errorCode.UNKNOWN_MEMBER_ID) client.memberId = ''
      return
    }
    client.memberId = answer.memberId
    client.generationId = answer.generationId
    client.isLeader = answer.errorCode === errorCode.NONE && answer.leader === answer.memberId
    client.others = answer.members.map(({ memberId }) => memberId)
    client.hasAssignment = false
  }

  #synced(client: Client, answer: { errorCode: number; assignment: Uint8Array }): void {
    if (answer.errorCode !== errorCode.NONE) return
    client.hasAssignment = true
    const text = Buffer.from(answer.assignment).toString()
    const key = `${client.generationId} ${client.memberId}`
    const before = this.#given.get(key)
    assert.ok(before === undefined || before === text, `${key} got ${before}, then ${text}`)
    this.#given.set(key, text)
  }

  #check(): void {
    const { phase, membership, protocolName, wakeAt } = this.#group
    const members = [...membership.members.values()]
    assert.equal(
      membership.leader !== null,
      members.length > 0,
      'there is a leader exactly when there are members',
    )
    if (membership.leader !== null) assert.ok(membership.get(membership.leader), 'the leader is a member')
    // As in Kafka, a rebalance counts only those who have joined: static members that stay away come on top.
    const dynamic = members.filter(({ groupInstanceId }) => groupInstanceId === null)
    assert.ok(dynamic.length <= 6 || phase === 'PreparingRebalance', 'no more than may be')
    assert.equal(
      new Set(members.map((one) => one.groupInstanceId ?? one.memberId)).size,
      members.length,
      'one per name',
    )
    for (const member of members) {
      const isReplacing = this.#unwritten.some(({ after }) => after?.kind === 'replace')
      if (member.waitingJoin !== undefined && !isReplacing) assert.equal(phase, 'PreparingRebalance')
      if (member.waitingSync !== undefined) assert.equal(phase, 'CompletingRebalance')
      assert.ok(!membership.pendingJoin.has(member.memberId), 'pending ids are no members')
    }
    if (phase === 'Empty') assert.equal(members.length, 0)
    if (phase === 'CompletingRebalance' || phase === 'Stable') {
      assert.ok(members.length > 0)
      for (const { protocols } of members)
        assert.ok(
          protocols.some(({ name }) => name === protocolName),
          'spoken by all',
        )
    }
    // What is being written comes to an end by itself.
    if ((members.length > 0 || this.#unanswered.size > 0) && this.#unwritten.length === 0)
      assert.ok(wakeAt !== undefined, 'something will happen')
    for (const id of membership.pendingSync) assert.ok(membership.get(id), 'who has to sync is a member')
  }
}

test('a group keeps its promises under random members', () => {
  rounds(150, (random) => {
    const run = new Run(random)
    for (let step = 0; step < 400; step++) run.step()
    run.settle()
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Assignment, type GroupMember, readMember } from '../../src/consumer/assignment.ts'
import { assignors, cooperativeSticky, range, roundRobin } from '../../src/consumer/assignors.ts'
import { partitionKey } from '../../src/consumer/topic-partition.ts'
import { encodeConsumerProtocol, subscription } from '../../src/protocol/messages/consumer-protocol.ts'
import type { Random } from '../../src/util/random.ts'
import { rounds } from '../support/seed.ts'

const member = (memberId: string, topics: string[], more: Partial<GroupMember> = {}): GroupMember => ({
  memberId,
  groupInstanceId: null,
  topics,
  owned: [],
  generation: -1,
  ...more,
})

const keys = (assignment: Assignment, memberId: string) => (assignment.get(memberId) ?? []).map(partitionKey)

test('range: consecutive partitions of each topic, the first members get the rest', () => {
  const assigned = range.assign(
    [member('b', ['t', 'u']), member('a', ['t'])],
    new Map([
      ['t', 5],
      ['u', 2],
    ]),
  )
  assert.deepEqual(keys(assigned, 'a'), ['t/0', 't/1', 't/2'])
  assert.deepEqual(keys(assigned, 'b'), ['t/3', 't/4', 'u/0', 'u/1'])
})

test('range: static members stand by their instance ids, which outlive member ids', () => {
  const members = [
    member('a', ['t']),
    member('z', ['t'], { groupInstanceId: 'one' }),
    member('y', ['t'], { groupInstanceId: 'two' }),
  ]
  const assigned = range.assign(members, new Map([['t', 3]]))
  assert.deepEqual(keys(assigned, 'z'), ['t/0'])
  assert.deepEqual(keys(assigned, 'y'), ['t/1'])
  assert.deepEqual(keys(assigned, 'a'), ['t/2'])
})

test('roundrobin: dealt out over all topics, to those that want them', () => {
  const assigned = roundRobin.assign(
    [member('a', ['t', 'u']), member('b', ['t'])],
    new Map([
      ['t', 3],
      ['u', 2],
      ['nobody', 4],
    ]),
  )
  assert.deepEqual(keys(assigned, 'a'), ['t/0', 't/2', 'u/0', 'u/1'])
  assert.deepEqual(keys(assigned, 'b'), ['t/1'])
})

test('cooperative-sticky: a member that comes gets nothing that another still holds', () => {
  const owned = [0, 1, 2, 3].map((partition) => ({ topic: 't', partition }))
  const before = [member('a', ['t'], { owned, generation: 1 }), member('b', ['t'])]
  const first = cooperativeSticky.assign(before, new Map([['t', 4]]))
  assert.equal(keys(first, 'a').length, 2)
  assert.deepEqual(keys(first, 'b'), [])
  const after = [
    member('a', ['t'], { owned: first.get('a') ?? [], generation: 2 }),
    member('b', ['t'], { owned: [], generation: 2 }),
  ]
  const second = cooperativeSticky.assign(after, new Map([['t', 4]]))
  assert.deepEqual(keys(second, 'a'), keys(first, 'a'))
  assert.equal(keys(second, 'b').length, 2)
})

test('cooperative-sticky: the newer claim wins, and the older one still holds back a handover', () => {
  const claim = [{ topic: 't', partition: 0 }]
  const members = [
    member('old', ['t'], { owned: claim, generation: 3 }),
    member('new', ['t'], { owned: claim, generation: 4 }),
  ]
  const assigned = cooperativeSticky.assign(members, new Map([['t', 1]]))
  assert.deepEqual(keys(assigned, 'new'), ['t/0'])
  assert.deepEqual(keys(assigned, 'old'), [])
})

test('subscriptions of other clients are read: without generation, without owned partitions, with user data', () => {
  // Version 0 of another client: topics and user data, nothing else.
  const plain = Buffer.from('0000' + '00000001' + '0001' + '74' + 'ffffffff', 'hex')
  assert.deepEqual(readMember({ memberId: 'm', groupInstanceId: null, metadata: plain }), member('m', ['t']))
  // Version 1 of a Java client before KIP-792: the generation is in the user data.
  const java = Buffer.from(
    '0001' +
      '00000001' +
      '0001' +
      '74' +
      '00000004' +
      '00000007' +
      '00000001' +
      '0001' +
      '74' +
      '00000001' +
      '00000002',
    'hex',
  )
  const read = readMember({ memberId: 'm', groupInstanceId: 'i', metadata: java })
  const owned = [{ topic: 't', partition: 2 }]
  assert.deepEqual(read, member('m', ['t'], { groupInstanceId: 'i', owned, generation: 7 }))
  const ours = encodeConsumerProtocol(subscription, { topics: ['t'], generationId: 5, ownedPartitions: [] })
  assert.equal(readMember({ memberId: 'm', groupInstanceId: null, metadata: ours }).generation, 5)
})

const anyCluster = (random: Random, isUniform: boolean) => {
  const topics = Array.from({ length: 1 + random.below(4) }, (_, index) => `topic-${index}`)
  const counts = new Map(topics.map((topic) => [topic, 1 + random.below(9)]))
  const members = Array.from({ length: 1 + random.below(7) }, (_, index) => {
    const wanted = isUniform ? topics : topics.filter(() => random.below(2) === 0)
    return member(`member-${index}`, wanted)
  })
  return { counts, members }
}

/** Everything that somebody wants has exactly one owner, who wants it. */
function checkComplete(
  assigned: Assignment,
  members: readonly GroupMember[],
  counts: ReadonlyMap<string, number>,
) {
  const owners = new Map<string, string>()
  for (const { memberId, topics } of members) {
    for (const topicPartition of assigned.get(memberId) ?? []) {
      const key = partitionKey(topicPartition)
      assert.ok(topics.includes(topicPartition.topic), `${memberId} got ${key} and does not want it`)
      assert.equal(owners.get(key), undefined, `${key} has two owners`)
      owners.set(key, memberId)
    }
  }
  for (const [topic, count] of counts) {
    if (!members.some(({ topics }) => topics.includes(topic))) continue
    for (let partition = 0; partition < count; partition++) {
      assert.ok(owners.has(`${topic}/${partition}`), `${topic}/${partition} has no owner`)
    }
  }
}

test('every assignor: complete, no double owner, the same in whatever order the members come', () => {
  rounds(150, (random) => {
    const { counts, members } = anyCluster(random, false)
    for (const assignor of Object.values(assignors)) {
      const assigned = assignor.assign(members, counts)
      checkComplete(assigned, members, counts)
      const shuffled = [...members].sort(() => random.next() - 0.5)
      const again = assignor.assign(shuffled, counts)
      for (const { memberId } of members) assert.deepEqual(keys(again, memberId), keys(assigned, memberId))
    }
  })
})

test('cooperative-sticky over many rebalances: never two owners, balanced in the end, nothing moves without need', () => {
  rounds(80, (random) => {
    let { counts, members } = anyCluster(random, true)
    let generation = 0
    /** Rounds until nothing changes; each round every member reports what it holds. */
    const settle = () => {
      for (let step = 0; step < 4; step++) {
        generation++
        const assigned = cooperativeSticky.assign(members, counts)
        const holders = new Map<string, string>()
        for (const { memberId, owned } of members) {
          for (const held of owned) holders.set(partitionKey(held), memberId)
        }
        for (const { memberId } of members) {
          for (const key of keys(assigned, memberId)) {
            const holder = holders.get(key)
            assert.ok(
              holder === undefined || holder === memberId,
              `${key} would go from ${holder} to ${memberId}`,
            )
          }
        }
        members = members.map((one) => ({ ...one, owned: assigned.get(one.memberId) ?? [], generation }))
      }
      checkComplete(new Map(members.map(({ memberId, owned }) => [memberId, owned])), members, counts)
    }
    settle()
    for (let change = 0; change < 5; change++) {
      const before = new Map(
        members.map(({ memberId, owned }) => [memberId, new Set(owned.map(partitionKey))]),
      )
      const isJoin = random.below(2) === 0 || members.length === 1
      if (isJoin) members = [...members, member(`late-${generation}`, members[0]?.topics.slice() ?? [])]
      else members = members.filter((_, index) => index !== 0)
      settle()
      const sizes = members.map(({ owned }) => owned.length)
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `unbalanced: ${sizes}`)
      if (isJoin) {
        // Those that were there only give: none of them gets anything from another.
        for (const { memberId, owned } of members) {
          const had = before.get(memberId)
          if (had === undefined) continue
          for (const held of owned)
            assert.ok(had.has(partitionKey(held)), `${memberId} got ${partitionKey(held)}`)
        }
      } else {
        for (const { memberId, owned } of members) {
          const has = new Set(owned.map(partitionKey))
          for (const key of before.get(memberId) ?? []) assert.ok(has.has(key), `${memberId} lost ${key}`)
        }
      }
    }
  })
})

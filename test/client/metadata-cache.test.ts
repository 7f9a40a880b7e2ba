import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MetadataCache } from '../../src/client/metadata-cache.ts'
import type { metadata } from '../../src/protocol/messages/index.ts'
import { type ResponseOf, zeroUuid } from '../../src/protocol/schema.ts'
import { type FakeTopic, metadataOf } from './support.ts'

const brokers = [
  { nodeId: 1, host: 'one', port: 1 },
  { nodeId: 2, host: 'two', port: 2 },
]
const id = (last: string) => `AAAAAAAAAAAAAAAAAAAAA${last}`

function cacheOf(...topics: FakeTopic[]): MetadataCache {
  const cache = new MetadataCache()
  apply(cache, topics)
  return cache
}

function apply(cache: MetadataCache, topics: readonly FakeTopic[], now = 0, nodes = brokers): void {
  const response = { errorCode: 0, throttleTimeMs: 0, ...metadataOf(nodes, topics) }
  cache.apply(response as unknown as ResponseOf<typeof metadata>, now)
}

const leaders = (cache: MetadataCache, name: string) =>
  cache.topic(name)?.partitions.map(({ leaderId, leaderEpoch }) => [leaderId, leaderEpoch])

test('an older leader epoch never replaces a newer one', () => {
  const cache = cacheOf({ name: 't', leaders: [{ leaderId: 1, leaderEpoch: 5 }] })
  apply(cache, [{ name: 't', leaders: [{ leaderId: 2, leaderEpoch: 4 }] }])
  assert.deepEqual(leaders(cache, 't'), [[1, 5]])
  apply(cache, [{ name: 't', leaders: [{ leaderId: 2, leaderEpoch: 6 }] }])
  assert.deepEqual(leaders(cache, 't'), [[2, 6]])
  apply(cache, [{ name: 't', leaders: [{ leaderId: -1, leaderEpoch: 6 }] }])
  assert.deepEqual(leaders(cache, 't'), [[-1, 6]])
})

test('another topic id is another topic: its epochs begin anew, and its partitions may be fewer', () => {
  const two = [
    { leaderId: 1, leaderEpoch: 5 },
    { leaderId: 1, leaderEpoch: 5 },
  ]
  const cache = cacheOf({ name: 't', topicId: id('Q'), leaders: two })
  apply(cache, [{ name: 't', topicId: id('g'), leaders: [{ leaderId: 2, leaderEpoch: 0 }] }])
  assert.deepEqual(leaders(cache, 't'), [[2, 0]])
  assert.equal(cache.topicById(id('Q')), undefined)
  assert.equal(cache.topicById(id('g'))?.name, 't')
})

test('a broker that knows fewer partitions of the same topic lags behind', () => {
  const two = [
    { leaderId: 1, leaderEpoch: 5 },
    { leaderId: 2, leaderEpoch: 5 },
  ]
  const cache = cacheOf({ name: 't', leaders: two })
  apply(cache, [{ name: 't', leaders: [{ leaderId: 2, leaderEpoch: 6 }] }])
  assert.deepEqual(leaders(cache, 't'), [
    [2, 6],
    [2, 5],
  ])
})

test('without topic ids a topic is told by its name, and gone means forgotten', () => {
  const cache = cacheOf({ name: 't', topicId: zeroUuid, leaders: [{ leaderId: 1, leaderEpoch: 5 }] })
  apply(cache, [{ name: 't', topicId: zeroUuid, errorCode: 3 }])
  assert.equal(cache.topic('t')?.errorCode, 3)
  assert.deepEqual(leaders(cache, 't'), [])
  apply(cache, [{ name: 't', topicId: zeroUuid, leaders: [{ leaderId: 2, leaderEpoch: 0 }] }])
  assert.deepEqual(leaders(cache, 't'), [[2, 0]])
})

test('an error that says nothing about the partitions leaves them', () => {
  const cache = cacheOf({ name: 't', leaders: [{ leaderId: 1, leaderEpoch: 5 }] })
  apply(cache, [{ name: 't', errorCode: 29 }])
  assert.equal(cache.topic('t')?.errorCode, 29)
  assert.deepEqual(leaders(cache, 't'), [[1, 5]])
  apply(cache, [{ name: 't', leaders: [{ leaderId: 1, leaderEpoch: 5 }] }])
  assert.equal(cache.topic('t')?.errorCode, 0)
})

test('a leader hint counts when its epoch is newer', () => {
  const cache = cacheOf({ name: 't', leaders: [{ leaderId: 1, leaderEpoch: 5 }] })
  const before = cache.topic('t')
  for (const leaderEpoch of [-1, 4, 5]) assert.ok(!cache.noteLeader('t', 0, { leaderId: 2, leaderEpoch }))
  assert.ok(!cache.noteLeader('t', 0, { leaderId: -1, leaderEpoch: 9 }))
  assert.ok(!cache.noteLeader('t', 1, { leaderId: 2, leaderEpoch: 9 }))
  assert.ok(!cache.noteLeader('u', 0, { leaderId: 2, leaderEpoch: 9 }))
  assert.equal(cache.topic('t'), before)
  assert.ok(cache.noteLeader('t', 0, { leaderId: 2, leaderEpoch: 6 }))
  assert.deepEqual(leaders(cache, 't'), [[2, 6]])
  assert.deepEqual(before?.partitions[0]?.leaderId, 1, 'what was handed out stays')
})

test('partition numbers may come in any order and leave holes; absurd ones are damage', () => {
  const cache = new MetadataCache()
  const response = metadataOf(brokers, [{ name: 't', leaders: [{ leaderId: 1, leaderEpoch: 5 }] }])
  const [topic] = response.topics
  const partition = topic?.partitions[0]
  assert.ok(topic && partition)
  topic.partitions = [2, 0, 2 ** 31 - 1, -1].map((partitionIndex) => ({ ...partition, partitionIndex }))
  cache.apply(response as unknown as ResponseOf<typeof metadata>, 0)
  assert.deepEqual(leaders(cache, 't'), [
    [1, 5],
    [-1, -1],
    [1, 5],
  ])
})

test('brokers are those of the last response; none at all is no news', () => {
  const cache = cacheOf()
  apply(cache, [], 0, brokers.slice(1))
  assert.deepEqual(
    cache.brokers().map(({ nodeId }) => nodeId),
    [2],
  )
  apply(cache, [], 0, [])
  assert.equal(cache.brokers().length, 1)
  cache.forgetBrokers()
  assert.equal(cache.brokers().length, 0)
})

test('topics that nobody asks for are forgotten', () => {
  const leader = [{ leaderId: 1, leaderEpoch: 0 }]
  const cache = cacheOf({ name: 'kept', topicId: id('Q'), leaders: leader })
  apply(cache, [{ name: 'old', topicId: id('g'), leaders: leader }], 10)
  apply(cache, [{ name: 'new', topicId: id('w'), leaders: leader }], 20)
  cache.expire(20, (name) => name === 'kept')
  assert.deepEqual(
    cache.topics().map(({ name }) => name),
    ['kept', 'new'],
  )
  assert.equal(cache.topicById(id('g')), undefined)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FetchSession, type FetchTarget } from '../../src/consumer/fetch-session.ts'
import { rounds } from '../support/seed.ts'

const target = (partition: number, offset: number, more: Partial<FetchTarget> = {}): FetchTarget => ({
  topic: 't',
  topicId: 'dHQ',
  partition,
  offset,
  maxBytes: 1000,
  leaderEpoch: 0,
  ...more,
})

const named = (topics: readonly { partitions: readonly { partition: number }[] }[]) =>
  topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition))

test('a full request first, then only what has changed', () => {
  const session = new FetchSession<FetchTarget>()
  const full = session.build([target(0, 5), target(1, 7)], true)
  assert.deepEqual([full.sessionId, full.sessionEpoch, named(full.topics ?? [])], [0, 0, [0, 1]])
  session.accept(99)
  const next = session.build([target(0, 6), target(1, 7)], true)
  assert.deepEqual([next.sessionId, next.sessionEpoch, named(next.topics ?? [])], [99, 1, [0]])
  session.accept(99)
  const gone = session.build([target(0, 6)], true)
  assert.deepEqual(named(gone.topics ?? []), [])
  assert.deepEqual(gone.forgottenTopicsData, [{ topic: 't', topicId: 'dHQ', partitions: [1] }])
  assert.equal(session.find('dHQ', '', 1), undefined)
  assert.equal(session.find('dHQ', '', 0)?.offset, 6)
})

test('a broker without sessions, an error and other names of topics begin anew', () => {
  const session = new FetchSession<FetchTarget>()
  session.build([target(0, 5)], true)
  session.accept(0)
  assert.equal(session.build([target(0, 5)], true).sessionEpoch, 0)
  session.accept(7)
  session.reset()
  assert.deepEqual(named(session.build([target(0, 5)], true).topics ?? []), [0])
  session.accept(8)
  const byName = session.build([target(0, 5)], false)
  assert.deepEqual([byName.sessionId, byName.sessionEpoch, named(byName.topics ?? [])], [0, 0, [0]])
  assert.equal(session.find('', 't', 0)?.offset, 5)
})

test('a topic that was created anew is forgotten under its old id', () => {
  const session = new FetchSession<FetchTarget>()
  session.build([target(0, 5)], true)
  session.accept(7)
  const request = session.build([target(0, 0, { topicId: 'bmV3' })], true)
  assert.deepEqual(named(request.topics ?? []), [0])
  assert.deepEqual(
    request.forgottenTopicsData?.map(({ topicId }) => topicId),
    ['dHQ'],
  )
})

test('after any run of requests the broker knows exactly what is wanted', () => {
  rounds(200, (random) => {
    const session = new FetchSession<FetchTarget>()
    let broker = new Map<number, number>()
    for (let step = 0; step < 30; step++) {
      const wanted = [0, 1, 2, 3].filter(() => random.below(3) > 0).map((id) => target(id, random.below(3)))
      const request = session.build(wanted, true)
      if (request.sessionEpoch === 0) broker = new Map()
      for (const { partitions } of request.forgottenTopicsData ?? [])
        for (const id of partitions) broker.delete(id)
      for (const { partitions } of request.topics ?? []) {
        for (const { partition, fetchOffset } of partitions) broker.set(partition, fetchOffset)
      }
      assert.deepEqual(
        [...broker].sort(),
        wanted.map(({ partition, offset }) => [partition, offset]),
      )
      if (random.below(8) === 0) session.reset()
      else session.accept(random.below(8) === 0 ? 0 : 5)
    }
  })
})

/** Fetch (1): what comes out of a log, with long polls and sessions (KIP-227). */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { apiVersions, fetch } from '../../src/protocol/messages/index.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { type Case, caseOn, embeddedCaseOn, type Targeted } from './case.ts'
import {
  batchOf,
  type FetchGiven,
  fetchFrom,
  fetchOne,
  fetchTopic,
  NOWHERE,
  produceTo,
} from './log-requests.ts'
import { named, type Target, type TopicInfo } from './target.ts'

/** Five records in three batches on partition 0, nothing on partition 1. */
async function filled(at: Target): Promise<{ topic: TopicInfo; connection: RawConnection }> {
  const topic = await at.topic({ partitions: 2 })
  const connection = await at.connect(topic.leaders[0])
  for (const records of [batchOf('a'), batchOf('b', 'c', 'd'), batchOf('e')]) {
    assert.equal((await produceTo(connection, { topic, records })).error, 'NONE')
  }
  return { topic, connection }
}

function singleCases(check: Case): void {
  check('Fetch: whole batches, from the one that holds the offset, in every version', async (at) => {
    const { topic, connection } = await filled(at)
    for (const version of at.versions(fetch)) {
      for (const isolationLevel of [0, 1]) {
        const answer = await fetchOne(connection, { version, topic, isolationLevel })
        assert.equal(answer.error, 'NONE')
        assert.deepEqual(answer.values, ['0:a', '1:b', '2:c', '3:d', '4:e'])
        assert.deepEqual([answer.highWatermark, answer.lastStableOffset], [5, 5])
        assert.equal(answer.logStartOffset, version >= 5 ? 0 : -1)
        assert.equal(answer.preferredReadReplica, -1)
        assert.deepEqual(answer.abortedTransactions ?? [], [])
        assert.deepEqual(answer.nodeEndpoints, [])
      }
      const middle = await fetchOne(connection, { version, topic, partitions: [{ fetchOffset: 2 }] })
      assert.deepEqual(middle.values, ['1:b', '2:c', '3:d', '4:e'])
      const end = await fetchOne(connection, { version, topic, partitions: [{ fetchOffset: 5 }] })
      assert.deepEqual([end.error, end.values, end.highWatermark], ['NONE', [], 5])
    }
  })

  check('Fetch: unknown topics and partitions, offsets out of range', async (at) => {
    const { topic, connection } = await filled(at)
    for (const version of at.versions(fetch)) {
      const nowhere = { ...NOWHERE, name: at.name('none') }
      const unknown = await fetchOne(connection, { version, topic: nowhere })
      assert.equal(unknown.error, version >= 13 ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION')
      assert.deepEqual(
        [unknown.highWatermark, unknown.lastStableOffset, unknown.logStartOffset],
        [-1, -1, -1],
      )
      for (const partition of [2, -1]) {
        const beyond = await fetchOne(connection, { version, topic, partitions: [{ partition }] })
        assert.equal(beyond.error, 'UNKNOWN_TOPIC_OR_PARTITION')
      }
      for (const fetchOffset of [6, -1]) {
        const outside = await fetchOne(connection, { version, topic, partitions: [{ fetchOffset }] })
        assert.deepEqual([outside.error, outside.values], ['OFFSET_OUT_OF_RANGE', []])
        assert.deepEqual(
          [outside.highWatermark, outside.lastStableOffset, outside.logStartOffset],
          [-1, -1, -1],
        )
      }
    }
  })

  check('Fetch: leader epochs are checked from version 9, what was fetched last from 12', async (at) => {
    const { topic, connection } = await filled(at)
    for (const version of at.versions(fetch, 9)) {
      const at0 = await fetchOne(connection, { version, topic, partitions: [{ currentLeaderEpoch: 0 }] })
      assert.equal(at0.error, 'NONE')
      const ahead = await fetchOne(connection, { version, topic, partitions: [{ currentLeaderEpoch: 7 }] })
      assert.equal(ahead.error, 'UNKNOWN_LEADER_EPOCH')
      if (version < 12) continue
      const same = await fetchOne(connection, {
        version,
        topic,
        partitions: [{ fetchOffset: 2, lastFetchedEpoch: 0 }],
      })
      assert.deepEqual([same.error, same.divergingEpoch], ['NONE', { epoch: -1, endOffset: -1 }])
      const future = await fetchOne(connection, {
        version,
        topic,
        partitions: [{ fetchOffset: 2, lastFetchedEpoch: 7 }],
      })
      assert.equal(future.error, 'OFFSET_OUT_OF_RANGE')
      const beyond = await fetchOne(connection, {
        version,
        topic,
        partitions: [{ fetchOffset: 99, lastFetchedEpoch: 0 }],
      })
      assert.deepEqual([beyond.error, beyond.divergingEpoch], ['NONE', { epoch: 0, endOffset: 5 }])
      assert.deepEqual(beyond.values, [])
    }
  })

  check('Fetch: the first batch comes whole whatever the limits say, the rest keeps to them', async (at) => {
    const { topic, connection } = await filled(at)
    for (const version of at.versions(fetch)) {
      const tiny = { version, topic, partitions: [{ partitionMaxBytes: 1 }], maxBytes: 1 }
      assert.deepEqual((await fetchOne(connection, tiny)).values, ['0:a'])
      const hundred = await fetchOne(connection, { version, topic, partitions: [{ partitionMaxBytes: 100 }] })
      assert.deepEqual(hundred.values, ['0:a'])
      assert.ok((hundred.records?.length ?? 0) <= 100)
      const inAll = await fetchOne(connection, { version, topic, maxBytes: 100 })
      assert.deepEqual(inAll.values, ['0:a'])
    }
  })

  check(
    'Fetch: waits for minBytes until maxWaitMs, and no longer than until there is something',
    async (at) => {
      const { topic, connection } = await filled(at)
      const end = { topic, partitions: [{ fetchOffset: 5 }] }
      for (const version of at.versions(fetch)) {
        const started = performance.now()
        const empty = await fetchOne(connection, { version, ...end, maxWaitMs: 60 })
        assert.deepEqual(empty.values, [])
        assert.ok(performance.now() - started >= 55, 'it waited')
      }
      const producer = await at.connect(topic.leaders[0])
      const waiting = fetchOne(connection, { ...end, maxWaitMs: 20_000 })
      await producer.send(apiVersions, 0, {})
      await produceTo(producer, { topic, records: batchOf('f') })
      assert.deepEqual((await waiting).values, ['5:f'])
      const more = fetchOne(connection, {
        topic,
        partitions: [{ fetchOffset: 6 }],
        maxWaitMs: 20_000,
        minBytes: 100,
      })
      await produceTo(producer, { topic, records: batchOf('g') })
      await produceTo(producer, { topic, records: batchOf('h') })
      assert.deepEqual((await more).values, ['6:g', '7:h'])
    },
  )

  check('Fetch: an error is answered at once', async (at) => {
    const { topic, connection } = await filled(at)
    const started = performance.now()
    await fetchOne(connection, { topic, partitions: [{ fetchOffset: 99 }], maxWaitMs: 10_000 })
    assert.ok(performance.now() - started < 5_000)
  })
}

function sessionCases(check: Case): void {
  check('Fetch sessions: only what is new is answered, and what changes is kept', async (at) => {
    for (const version of at.versions(fetch, 7)) {
      const { topic, connection } = await filled(at)
      // Both partitions by the same node, or one of them is answered with an error each time.
      const partitions = topic.leaders[1] === topic.leaders[0] ? [{}, { partition: 1 }] : [{}]
      const first = await fetchFrom(connection, { version, topic, partitions, sessionEpoch: 0 })
      assert.equal(named(first.errorCode), 'NONE')
      const { sessionId } = first
      assert.ok(sessionId !== 0)
      assert.equal(
        first.responses[0]?.partitions.length,
        partitions.length,
        'a full fetch answers everything',
      )
      const next = async (
        sessionEpoch: number,
        topics: FetchGiven['partitions'] = [],
        given: object = {},
      ) => {
        const answer = await connection.send(fetch, version, {
          maxWaitMs: 0,
          minBytes: 1,
          maxBytes: 1 << 20,
          sessionId,
          sessionEpoch,
          topics: topics.length === 0 ? [] : [fetchTopic(version, topic, topics)],
          ...given,
        })
        const offsets = answer.responses.flatMap((one) => one.partitions.map((part) => part.partitionIndex))
        return [named(answer.errorCode), answer.sessionId === sessionId, offsets]
      }
      assert.deepEqual(await next(1), ['NONE', true, [0]], 'the position did not move: the same again')
      assert.deepEqual(await next(2, [{ fetchOffset: 5 }]), ['NONE', true, []], 'nothing new')
      assert.deepEqual(await next(9), ['INVALID_FETCH_SESSION_EPOCH', false, []])
      await produceTo(connection, { topic, records: batchOf('new') })
      assert.deepEqual(await next(3), ['NONE', true, [0]])
      const key = version >= 13 ? { topicId: topic.id } : { topic: topic.name }
      assert.deepEqual(await next(4, [], { forgottenTopicsData: [{ ...key, partitions: [0] }] }), [
        'NONE',
        true,
        [],
      ])
      assert.deepEqual(await next(5, [{ partition: 9 }]), ['NONE', true, [9]], 'an error is news')
      assert.deepEqual(await next(6), ['NONE', true, [9]], 'each time')
      const closing = await fetchFrom(connection, { version, topic, sessionId, sessionEpoch: -1 })
      assert.deepEqual([named(closing.errorCode), closing.sessionId], ['NONE', 0])
      assert.deepEqual(await next(7), ['FETCH_SESSION_ID_NOT_FOUND', false, []])
    }
  })

  check('Fetch sessions: topics are spoken of by name or by id, and never by both (KIP-516)', async (at) => {
    const { topic, connection } = await filled(at)
    for (const version of at.versions(fetch, 7)) {
      const other = version >= 13 ? 12 : 13
      const { sessionId } = await fetchFrom(connection, { version, topic, sessionEpoch: 0 })
      assert.ok(sessionId > 0)
      const mixed = await fetchFrom(connection, { version: other, topic, sessionId, sessionEpoch: 1 })
      assert.equal(named(mixed.errorCode), 'FETCH_SESSION_TOPIC_ID_ERROR', `${version}, then ${other}`)
      assert.deepEqual([mixed.responses, mixed.sessionId], [[], 0])
    }
  })

  check('Fetch sessions: one that is not known', async (at) => {
    const { topic, connection } = await filled(at)
    for (const version of at.versions(fetch, 7)) {
      for (const sessionId of [0, 987_654]) {
        const answer = await fetchFrom(connection, { version, topic, sessionId, sessionEpoch: 1 })
        assert.equal(named(answer.errorCode), 'FETCH_SESSION_ID_NOT_FOUND')
        assert.deepEqual([answer.responses, answer.sessionId], [[], 0])
      }
      const none = await fetchFrom(connection, { version, topic, sessionEpoch: -1 })
      assert.equal(none.sessionId, 0, 'nobody asked for a session')
    }
  })
}

export function fetchConformance(target: Targeted): void {
  describe('fetch', () => {
    const check = caseOn(target)
    singleCases(check)
    sessionCases(check)
    check('Fetch: a replica that the partition does not have', async (at) => {
      const { topic, connection } = await filled(at)
      for (const version of at.versions(fetch)) {
        const replica = version >= 15 ? { replicaState: { replicaId: 99 } } : { replicaId: 99 }
        const answer = await fetchOne(connection, { version, topic, ...replica })
        assert.deepEqual([answer.error, answer.values], ['NOT_LEADER_OR_FOLLOWER', []], `version ${version}`)
      }
    })
    embeddedCaseOn(target)('Fetch: records that are damaged on the way are sent as they are', async (at) => {
      const { topic, connection } = await filled(at)
      at.cluster?.faults.on({ api: 'Fetch', topic: topic.name, times: 1 }, { flipByteAt: -1 })
      await assert.rejects(fetchOne(connection, { version: 4, topic }), /checksum|CORRUPT|left|longer/i)
      assert.equal((await fetchOne(connection, { version: 4, topic })).values.length, 5)
    })
  })
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../src/protocol/error-codes.ts'
import { deleteRecords } from '../../src/protocol/messages/delete-records.ts'
import { fetch } from '../../src/protocol/messages/fetch.ts'
import { listOffsets } from '../../src/protocol/messages/list-offsets.ts'
import { encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import type { RequestOf } from '../../src/protocol/schema.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { batchOf, fetchRequest, read, send, sendError, spansOf, until, withCluster } from './kit.ts'

const two = { topics: { t: 2 } }

test('a fetch within the log gives whole batches from the one that holds the offset', async () => {
  await withCluster({ topics: { t: 1 } }, async ({ to }) => {
    const node = await to(1)
    await send(node, 't', batchOf(['a', 'b', 'c']))
    await send(node, 't', batchOf(['d']))
    assert.equal(spansOf(await read(node, 't', 1)), '0-2 3-3')
    assert.equal(spansOf(await read(node, 't', 3)), '3-3')
    const end = await read(node, 't', 4)
    assert.deepEqual([end.errorCode, end.highWatermark, end.logStartOffset], [0, 4, 0])
    assert.equal(errorName((await read(node, 't', 5)).errorCode), 'OFFSET_OUT_OF_RANGE')
    assert.equal(errorName((await read(node, 't', -1)).errorCode), 'OFFSET_OUT_OF_RANGE')
    assert.equal(errorName((await read(node, 'nowhere', 0)).errorCode), 'UNKNOWN_TOPIC_OR_PARTITION')
  })
})

test('the first batch comes whatever its size; other partitions only within the bounds', async () => {
  await withCluster(two, async ({ to }) => {
    const node = await to(1)
    for (const partition of [0, 1]) await send(node, 't', batchOf(['x'.repeat(5000)]), { partition })
    const request = (maxBytes: number): RequestOf<typeof fetch> => ({
      ...fetchRequest('t', 0),
      maxBytes,
      topics: [
        {
          topic: 't',
          partitions: [0, 1].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 100 })),
        },
      ],
    })
    const small = (await node.send(fetch, 12, request(10))).responses[0]?.partitions ?? []
    assert.deepEqual(small.map(spansOf), ['0-0', ''])
  })
})

test('a long poll ends with the records that it waits for, in the turn in which they are committed', async () => {
  const clock = new VirtualClock()
  await withCluster({ brokers: 3, topics: { t: 1 }, clock }, async ({ cluster, to, toLeader }) => {
    const node = await toLeader('t')
    const reader = await toLeader('t')
    const polled = read(reader, 't', 0, { maxWaitMs: 60_000 })
    await clock.advance(1000)
    await send(node, 't', batchOf(['a']))
    assert.equal(spansOf(await polled), '0-0')
    assert.ok(cluster && to)
  })
})

test('a long poll waits for minBytes, and no longer than maxWait', async () => {
  const clock = new VirtualClock()
  await withCluster({ topics: { t: 1 }, clock }, async ({ to }) => {
    const [node, reader] = [await to(1), await to(1)]
    let isDone = false
    const polled = read(reader, 't', 0, { maxWaitMs: 500, minBytes: 150 }).then((answer) => {
      isDone = true
      return answer
    })
    await send(node, 't', batchOf(['a']))
    await clock.advance(499)
    assert.equal(isDone, false, 'one batch is too little')
    await clock.advance(1)
    assert.equal(spansOf(await polled), '0-0')
    const second = read(reader, 't', 0, { maxWaitMs: 500, minBytes: 150 })
    await send(node, 't', batchOf(['b'.repeat(100)]))
    assert.equal(spansOf(await second), '0-0 1-1')
  })
})

test('a long poll ends when the leader changes or the topic goes', async () => {
  const clock = new VirtualClock()
  await withCluster({ brokers: 2, topics: { t: 1, gone: 1 }, clock }, async ({ cluster, toLeader }) => {
    const leader = cluster.leaderOf('t', 0)
    const polled = read(await toLeader('t'), 't', 0, {
      maxWaitMs: 60_000,
      version: 10,
      currentLeaderEpoch: 0,
    })
    await clock.advance(10)
    cluster.moveLeader('t', 0, 3 - leader)
    assert.equal(errorName((await polled).errorCode), 'FENCED_LEADER_EPOCH')
    const other = read(await toLeader('gone'), 'gone', 0, { maxWaitMs: 60_000 })
    await clock.advance(10)
    cluster.deleteTopic('gone')
    assert.equal(errorName((await other).errorCode), 'UNKNOWN_TOPIC_OR_PARTITION')
  })
})

test('what a connection waits for ends with it', async () => {
  const clock = new VirtualClock()
  await withCluster({ topics: { t: 1 }, clock }, async ({ to }) => {
    const reader = await to(1)
    const polled = read(reader, 't', 0, { maxWaitMs: 3_600_000 })
    await clock.advance(10)
    reader.close()
    await assert.rejects(polled, /closed/)
    await clock.advance(10)
  })
})

interface SessionStep {
  readonly sessionId: number
  readonly sessionEpoch: number
  /** Partition to offset. */
  readonly asks?: Record<number, number>
  readonly forgets?: readonly number[]
}

async function step(node: RawConnection, { sessionId, sessionEpoch, asks = {}, forgets = [] }: SessionStep) {
  const partitions = Object.entries(asks).map(([partition, fetchOffset]) => ({
    partition: Number(partition),
    fetchOffset,
    partitionMaxBytes: 1 << 20,
  }))
  const answer = await node.send(fetch, 12, {
    maxWaitMs: 0,
    minBytes: 1,
    sessionId,
    sessionEpoch,
    topics: partitions.length === 0 ? [] : [{ topic: 't', partitions }],
    forgottenTopicsData: forgets.length === 0 ? [] : [{ topic: 't', partitions: forgets }],
  })
  const told = answer.responses.flatMap((topic) => topic.partitions)
  const spans = told.map((one) => `${one.partitionIndex}:${one.errorCode || spansOf(one)}`)
  return { id: answer.sessionId, error: errorName(answer.errorCode), told: spans.join(' ') }
}

test('a session tells only news, and takes changes', async () => {
  await withCluster(two, async ({ to }) => {
    const node = await to(1)
    const first = await step(node, { sessionId: 0, sessionEpoch: 0, asks: { 0: 0, 1: 0 } })
    assert.deepEqual([first.error, first.told], ['NONE', '0: 1:'])
    assert.notEqual(first.id, 0)
    const at = (sessionEpoch: number, more: Partial<SessionStep> = {}) =>
      step(node, { sessionId: first.id, sessionEpoch, ...more })
    assert.equal((await at(1)).told, '')
    await send(node, 't', batchOf(['a']), { partition: 1 })
    assert.equal((await at(2)).told, '1:0-0')
    assert.equal((await at(3)).told, '1:0-0', 'until the client asks for more')
    assert.equal((await at(4, { asks: { 1: 1 } })).told, '')
    await send(node, 't', batchOf(['b']), { partition: 0 })
    assert.equal((await at(5, { forgets: [0] })).told, '')
    assert.equal((await at(6, { asks: { 0: 0 } })).told, '0:0-0')
    assert.equal((await at(7, { asks: { 1: 99 } })).told, '1:1 0:0-0', 'an error is told each time')
    assert.equal((await at(8, { asks: { 0: 1 } })).told, '1:1')
  })
})

test('who got records is read last, so that nobody starves', async () => {
  await withCluster(two, async ({ to }) => {
    const node = await to(1)
    for (const partition of [0, 1]) await send(node, 't', batchOf(['x']), { partition })
    const first = await step(node, { sessionId: 0, sessionEpoch: 0, asks: { 0: 0, 1: 0 } })
    assert.equal(first.told, '0:0-0 1:0-0')
    const more = async (sessionEpoch: number) => {
      const request = { ...fetchRequest('t', 0), sessionId: first.id, sessionEpoch, maxBytes: 1, topics: [] }
      const { responses } = await node.send(fetch, 12, request)
      return responses.flatMap(({ partitions }) => partitions.map((one) => one.partitionIndex)).join()
    }
    assert.deepEqual([await more(1), await more(2), await more(3)], ['0', '1', '0'])
  })
})

test('session errors: an unknown id, a wrong epoch, a closed one, and names where ids were', async () => {
  await withCluster(two, async ({ cluster, to }) => {
    const node = await to(1)
    const unknown = await step(node, { sessionId: 12345, sessionEpoch: 1 })
    assert.equal(unknown.error, 'FETCH_SESSION_ID_NOT_FOUND')
    const { id } = await step(node, { sessionId: 0, sessionEpoch: 0, asks: { 0: 0 } })
    assert.equal((await step(node, { sessionId: id, sessionEpoch: 5 })).error, 'INVALID_FETCH_SESSION_EPOCH')
    const request = { ...fetchRequest('', 0, { topicId: 'AAAAAAAAAAAAAAAAAAAAAQ' }), sessionId: id }
    const mixed = await node.send(fetch, 13, { ...request, sessionEpoch: 1 })
    assert.equal(errorName(mixed.errorCode), 'FETCH_SESSION_TOPIC_ID_ERROR')
    assert.equal(
      (await step(node, { sessionId: id, sessionEpoch: 1 })).error,
      'NONE',
      'errors do not advance',
    )
    assert.equal((await step(node, { sessionId: id, sessionEpoch: -1, asks: { 0: 0 } })).id, 0)
    assert.equal((await step(node, { sessionId: id, sessionEpoch: 2 })).error, 'FETCH_SESSION_ID_NOT_FOUND')
    const other = await step(await to(1), { sessionId: 0, sessionEpoch: 0, asks: { 0: 0 } })
    const again = await step(node, { sessionId: other.id, sessionEpoch: 1 })
    assert.equal(again.error, 'NONE', 'sessions belong to the node, not to a connection')
    await cluster.stopNode(1)
    await cluster.startNode(1)
    const later = await step(await to(1), { sessionId: other.id, sessionEpoch: 2 })
    assert.equal(later.error, 'FETCH_SESSION_ID_NOT_FOUND', 'a restart forgets them')
  })
})

test('without room for sessions a fetch is answered without one', async () => {
  const configs = { 'max.incremental.fetch.session.cache.slots': 1 }
  const clock = new VirtualClock()
  await withCluster({ ...two, configs, clock }, async ({ to }) => {
    const node = await to(1)
    const open = async () => (await step(node, { sessionId: 0, sessionEpoch: 0, asks: { 0: 0 } })).id
    const first = await open()
    assert.notEqual(first, 0)
    assert.equal(await open(), 0)
    await clock.advance(120_000)
    assert.notEqual(await open(), 0, 'who was idle for two minutes gives way')
  })
})

test('ListOffsets finds the ends, and times inside of batches, compressed or not', async () => {
  await withCluster({ topics: { t: 1, empty: 1 } }, async ({ to }) => {
    const node = await to(1)
    const batch = (times: readonly number[], compression: 'none' | 'gzip') =>
      encodeRecordBatch(
        times.map((timestamp) => ({ value: 'v'.repeat(50), timestamp })),
        { compression },
      )
    await send(node, 't', batch([100, 300, 200], 'none'))
    await send(node, 't', batch([400, 600, 500], 'gzip'))
    const find = async (timestamp: number, topic = 't', version = 7) => {
      const partitions = [{ partitionIndex: 0, timestamp }]
      const request = { replicaId: -1, isolationLevel: 0, topics: [{ name: topic, partitions }] }
      const one = (await node.send(listOffsets, version, request)).topics[0]?.partitions[0]
      return one?.errorCode ? errorName(one.errorCode) : [one?.offset, one?.timestamp, one?.leaderEpoch]
    }
    assert.deepEqual(await find(-1), [6, -1, 0])
    assert.deepEqual(await find(-2), [0, -1, 0])
    assert.deepEqual(await find(-3), [4, 600, 0])
    assert.deepEqual(await find(0), [0, 100, 0])
    assert.deepEqual(await find(250), [1, 300, 0])
    assert.deepEqual(await find(301), [3, 400, 0])
    assert.deepEqual(await find(500), [4, 600, 0])
    assert.deepEqual(await find(601), [-1, -1, -1])
    assert.deepEqual(await find(-1, 'empty'), [0, -1, 0])
    assert.deepEqual(await find(-3, 'empty'), [-1, -1, -1])
    assert.equal(await find(-3, 't', 6), 'UNSUPPORTED_VERSION')
    assert.deepEqual(await find(-4, 't', 8), [0, -1, 0])
    assert.deepEqual(await find(-5, 't', 9), [-1, -1, -1])
    assert.equal(await find(-9), 'UNSUPPORTED_VERSION')
    assert.equal(await find(-1, 'nowhere'), 'UNKNOWN_TOPIC_OR_PARTITION')
  })
})

test('DeleteRecords moves the start everywhere, up to the high watermark', async () => {
  const clock = new VirtualClock()
  const compacted = { partitions: 1, configs: { 'cleanup.policy': 'compact' } }
  await withCluster({ brokers: 2, topics: { t: 1, compacted }, clock }, async ({ cluster, toLeader }) => {
    const node = await toLeader('t')
    await send(node, 't', batchOf(['a', 'b', 'c']))
    const cut = async (offset: number, topic = 't', timeoutMs = 1000) => {
      const topics = [{ name: topic, partitions: [{ partitionIndex: 0, offset }] }]
      const connection = topic === 't' ? node : await toLeader(topic)
      const one = (await connection.send(deleteRecords, 2, { topics, timeoutMs })).topics[0]?.partitions[0]
      return one?.errorCode ? errorName(one.errorCode) : one?.lowWatermark
    }
    assert.equal(await cut(2), 2)
    assert.equal(errorName((await read(node, 't', 1)).errorCode), 'OFFSET_OUT_OF_RANGE')
    assert.equal(spansOf(await read(node, 't', 2)), '0-2', 'the batch that holds it stays whole')
    assert.equal(await cut(1), 2, 'a start never moves back')
    assert.equal(await cut(4), 'OFFSET_OUT_OF_RANGE')
    const follower = 3 - cluster.leaderOf('t', 0)
    const release = cluster.holdReplica(follower, 't', 0)
    const waiting = cut(-1, 't', 500)
    await clock.advance(600)
    assert.equal(await waiting, 'REQUEST_TIMED_OUT', 'one replica has not moved')
    release()
    await until(() => cluster.replicaOf(follower, 't', 0).logStart === 3)
    assert.equal(await cut(0, 'compacted'), 'POLICY_VIOLATION')
  })
})

test('retention by time and bytes moves the start at the next check', async () => {
  const clock = new VirtualClock(1_700_000_000_000)
  const configs = { 'retention.ms': 10_000 }
  const small = { partitions: 1, configs: { 'retention.bytes': 150 } }
  const topics = { t: { partitions: 1, configs }, small }
  await withCluster({ topics, clock, configs: { 'log.retention.check.interval.ms': 1000 } }, async (kit) => {
    const node = await kit.to(1)
    await send(node, 't', batchOf(['a']))
    for (let index = 0; index < 5; index++) await send(node, 'small', batchOf(['x'.repeat(30)]))
    await clock.advance(1000)
    const { logStart, batches } = kit.cluster.replicaOf(1, 'small', 0)
    assert.deepEqual([logStart, batches.length], [3, 2], 'at least 150 bytes stay')
    assert.equal(kit.cluster.replicaOf(1, 't', 0).logStart, 0)
    await clock.advance(10_000)
    assert.equal(kit.cluster.replicaOf(1, 't', 0).logStart, 1)
    assert.equal(await sendError(node, 't', batchOf(['b'])), 'NONE')
  })
})

test('the rack-aware selector sends consumers to the replica in their rack', async () => {
  const configs = { 'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector' }
  await withCluster({ brokers: 2, topics: { t: 1 }, racks: ['a', 'b'], configs }, async (kit) => {
    const leader = kit.cluster.leaderOf('t', 0)
    const node = await kit.to(leader)
    await send(node, 't', batchOf(['a']))
    const from = async (rackId: string) => {
      const request = { ...fetchRequest('t', 0), rackId }
      return (await node.send(fetch, 12, request)).responses[0]?.partitions[0]
    }
    const away = await from(leader === 1 ? 'b' : 'a')
    assert.equal(away?.preferredReadReplica, 3 - leader)
    assert.equal(away?.records?.length, 0)
    const near = await from(leader === 1 ? 'a' : 'b')
    assert.deepEqual(
      [near?.preferredReadReplica, near?.records?.length],
      [-1, away ? near?.records?.length : 0],
    )
    assert.ok((near?.records?.length ?? 0) > 0)
  })
})

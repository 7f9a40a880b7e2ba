import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StartClusterOptions } from '../../src/broker/index.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { apiVersions } from '../../src/protocol/messages/api-versions.ts'
import { fetch } from '../../src/protocol/messages/fetch.ts'
import { findCoordinator, offsetCommit, offsetFetch } from '../../src/protocol/messages/index.ts'
import { initProducerId } from '../../src/protocol/messages/init-producer-id.ts'
import { produce } from '../../src/protocol/messages/produce.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import {
  batchOf,
  fetchRequest,
  type Kit,
  produceRequest,
  read,
  send,
  sendError,
  topicsOf,
  valuesOf,
  withCluster,
} from './kit.ts'

/** The same on sockets and in memory. */
function onBoth(name: string, options: StartClusterOptions, run: (kit: Kit) => Promise<void>): void {
  for (const transport of ['tcp', 'memory'] as const) {
    test(`${name} (${transport})`, () => withCluster({ ...options, transport }, run))
  }
}

const topics = { t: 2, other: 1 }
const anId = { transactionalId: null, transactionTimeoutMs: 0 }

onBoth('an error is answered so many times, without applying anything', { topics }, async (kit) => {
  const node = await kit.to(1)
  const fault = kit.cluster.faults.on({ api: 'Produce', times: 2 }, { error: 'NOT_LEADER_OR_FOLLOWER' })
  for (const expected of ['NOT_LEADER_OR_FOLLOWER', 'NOT_LEADER_OR_FOLLOWER', 'NONE']) {
    assert.equal(await sendError(node, 't', batchOf(['a'])), expected)
  }
  assert.equal(fault.hits, 2)
  assert.equal(valuesOf(kit.cluster, 't'), 'a')
})

onBoth('an error on one partition leaves the others of the request alone', { topics }, async (kit) => {
  const node = await kit.to(1)
  kit.cluster.faults.on({ api: 0, topic: 't', partition: 1 }, { error: 19 })
  const partitionData = [0, 1].map((index) => ({ index, records: batchOf([`${index}`]) }))
  const answer = await node.send(produce, 9, {
    acks: -1,
    timeoutMs: 1000,
    topicData: [
      { name: 't', partitionData },
      { name: 'other', partitionData: partitionData.slice(0, 1) },
    ],
  })
  const codes = answer.responses.flatMap((topic) => topic.partitionResponses.map((one) => one.errorCode))
  assert.deepEqual(codes, [0, 19, 0])
  assert.deepEqual([valuesOf(kit.cluster, 't'), valuesOf(kit.cluster, 't', 1)], ['0', ''])
})

test('of an OffsetFetch, errors of partitions reach theirs, and those of groups the whole', async () => {
  await withCluster({ topics }, async ({ cluster, to }) => {
    const node = await to(1)
    const partitions = [0, 1].map((partitionIndex) => ({
      partitionIndex,
      committedOffset: 7,
      committedMetadata: '',
    }))
    await node.send(findCoordinator, 3, { key: 'g' })
    await node.send(offsetCommit, 8, { groupId: 'g', memberId: '', topics: [{ name: 't', partitions }] })
    const topicId = (await topicsOf(node, ['t']))[0]?.topicId ?? ''
    const ask = async (version: number, isAll: boolean) => {
      const partitionIndexes = [0, 1]
      const named = isAll ? null : [{ name: 't', partitionIndexes }]
      const asked = version >= 10 && !isAll ? [{ topicId, partitionIndexes }] : named
      const request =
        version >= 8 ? { groups: [{ groupId: 'g', topics: asked }] } : { groupId: 'g', topics: named }
      const answer = await node.send(offsetFetch, version, request)
      const group = version >= 8 ? answer.groups[0] : answer
      const found = group?.topics[0]?.partitions ?? []
      const errors = found.map(
        ({ committedOffset, errorCode }) => `${committedOffset} ${errorName(errorCode)}`,
      )
      return [errorName(group?.errorCode ?? 0), ...errors]
    }
    const match = { api: 'OffsetFetch', topic: 't', partition: 1 }
    const unstable = cluster.faults.on(match, { error: 'UNSTABLE_OFFSET_COMMIT' })
    const versions = Array.from({ length: 9 }, (_, index) => index + 2)
    for (const version of versions) {
      for (const isAll of [false, true]) {
        assert.deepEqual(
          await ask(version, isAll),
          ['NONE', '7 NONE', '-1 UNSTABLE_OFFSET_COMMIT'],
          `${version}`,
        )
      }
    }
    assert.equal(unstable.hits, 2 * versions.length)
    unstable.remove()
    const moved = cluster.faults.on(match, { error: 'NOT_COORDINATOR' })
    for (const version of versions) assert.deepEqual(await ask(version, false), ['NOT_COORDINATOR'])
    assert.equal(moved.hits, versions.length)
    cluster.faults.on(match, 'close')
    moved.remove()
    await assert.rejects(ask(9, false))
  })
})

test('errors reach whole answers, topics, fetch sessions and their partitions', async () => {
  await withCluster({ topics }, async ({ cluster, to }) => {
    const node = await to(1)
    cluster.faults.on({ api: 'InitProducerId', times: 1 }, { error: 'COORDINATOR_LOAD_IN_PROGRESS' })
    assert.equal(
      errorName((await node.send(initProducerId, 4, anId)).errorCode),
      'COORDINATOR_LOAD_IN_PROGRESS',
    )
    assert.equal((await node.send(initProducerId, 4, anId)).errorCode, 0)

    cluster.faults.on({ api: 'Metadata', topic: 't', times: 1 }, { error: 'LEADER_NOT_AVAILABLE' })
    const named = await topicsOf(node, ['other', 't'])
    assert.deepEqual(
      named.map(({ errorCode }) => errorName(errorCode)),
      ['NONE', 'LEADER_NOT_AVAILABLE'],
    )

    const opened = await node.send(fetch, 12, { ...fetchRequest('t', 0), sessionId: 0, sessionEpoch: 0 })
    const inSession = { ...fetchRequest('t', 0), topics: [], sessionId: opened.sessionId }
    cluster.faults.on({ api: 'Fetch', topic: 't', times: 1 }, { error: 'KAFKA_STORAGE_ERROR' })
    const part = await node.send(fetch, 12, { ...inSession, sessionEpoch: 1 })
    assert.equal(errorName(part.responses[0]?.partitions[0]?.errorCode ?? 0), 'KAFKA_STORAGE_ERROR')
    cluster.faults.on({ api: 'Fetch', topic: 't', times: 1 }, { error: 'FETCH_SESSION_ID_NOT_FOUND' })
    const whole = await node.send(fetch, 12, { ...inSession, sessionEpoch: 2 })
    assert.equal(errorName(whole.errorCode), 'FETCH_SESSION_ID_NOT_FOUND')
    assert.equal((await node.send(fetch, 12, { ...inSession, sessionEpoch: 2 })).errorCode, 0)
  })
})

test('a fault on one API, by its name or its key, leaves the others alone', async () => {
  await withCluster({ topics }, async ({ cluster, to }) => {
    const node = await to(1)
    for (const api of ['InitProducerId', 22]) {
      const fault = cluster.faults.on({ api }, { error: 'NOT_COORDINATOR' })
      assert.equal(await sendError(node, 't', batchOf(['a'])), 'NONE')
      assert.equal(fault.hits, 0)
      assert.equal(errorName((await node.send(initProducerId, 4, anId)).errorCode), 'NOT_COORDINATOR')
      fault.remove()
    }
  })
})

test('node, client and predicate narrow a fault; it can be removed', async () => {
  await withCluster({ brokers: 2, topics: { t: { partitions: 1, replicas: 2 } } }, async (kit) => {
    const { faults } = kit.cluster
    const node = await kit.toLeader('t')
    const leader = kit.cluster.leaderOf('t', 0)
    const error = { error: 'REQUEST_TIMED_OUT' } as const
    const elsewhere = faults.on({ api: 'Produce', node: 3 - leader }, error)
    const stranger = faults.on({ api: 'Produce', clientId: 'somebody else' }, error)
    const never = faults.on(
      { where: (request, info) => info.api === 'Produce' && request['acks'] === 1 },
      error,
    )
    assert.equal(await sendError(node, 't', batchOf(['a'])), 'NONE')
    assert.deepEqual([elsewhere.hits, stranger.hits, never.hits], [0, 0, 0])
    assert.equal(await sendError(node, 't', batchOf(['b']), { acks: 1 }), 'REQUEST_TIMED_OUT')
    never.remove()
    assert.equal(await sendError(node, 't', batchOf(['b']), { acks: 1 }), 'NONE')
    const byClient = faults.on({ api: 'Produce', clientId: 'conformance' }, error)
    assert.equal(await sendError(node, 't', batchOf(['c'])), 'REQUEST_TIMED_OUT')
    assert.equal(byClient.hits, 1)
    faults.clear()
    assert.equal(await sendError(node, 't', batchOf(['d'])), 'NONE')
    assert.throws(() => faults.on({ api: 'Nothing' }, error), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => faults.on({}, { error: 'NO_SUCH_ERROR' }), { code: 'INVALID_ARGUMENT' })
  })
})

onBoth('close and reset end the connection without applying', { topics }, async (kit) => {
  for (const action of ['close', 'reset'] as const) {
    kit.cluster.faults.on({ api: 'Produce', times: 1 }, action)
    const node = await kit.to(1)
    await assert.rejects(send(node, 't', batchOf([action])), /closed/)
    await node.closed
  }
  assert.equal(valuesOf(kit.cluster, 't'), '')
})

onBoth('apply-then-drop has the record in the log and no answer', { topics }, async (kit) => {
  kit.cluster.faults.on({ api: 'Produce', times: 1 }, 'apply-then-drop')
  await assert.rejects(send(await kit.to(1), 't', batchOf(['a'])), /closed/)
  assert.equal(valuesOf(kit.cluster, 't'), 'a')
})

onBoth('a truncated answer ends in the middle; a flipped byte arrives flipped', { topics }, async (kit) => {
  kit.cluster.faults.on({ api: 'Produce', times: 1 }, { truncateAt: 12 })
  await assert.rejects(send(await kit.to(1), 't', batchOf(['a'])), /closed/)
  assert.equal(valuesOf(kit.cluster, 't'), 'a')
  const reader = await kit.to(1)
  kit.cluster.faults.on({ api: 'Fetch', times: 1 }, { flipByteAt: -5 })
  const flipped = await read(reader, 't', 0)
  const whole = await read(reader, 't', 0)
  assert.equal(
    Buffer.compare(flipped.records ?? Buffer.alloc(0), whole.records ?? Buffer.alloc(0)) !== 0,
    true,
  )
  assert.equal(flipped.records?.length, whole.records?.length)
})

test('swallow leaves the connection open and silent; apply-then-swallow applies', async () => {
  const clock = new VirtualClock()
  await withCluster({ topics, clock }, async ({ cluster, to }) => {
    for (const [action, expected] of [
      ['swallow', ''],
      ['apply-then-swallow', 'apply-then-swallow'],
    ] as const) {
      const node = await to(1)
      cluster.faults.on({ api: 'Produce', times: 1 }, action)
      let answers = 0
      const count = () => void answers++
      send(node, 't', batchOf([action])).then(count, () => undefined)
      send(node, 't', batchOf(['behind it'])).then(count, () => undefined)
      await clock.advance(60_000)
      assert.deepEqual([answers, node.isClosed, valuesOf(cluster, 't')], [0, false, expected])
    }
  })
})

test('a delay holds the request, or only its answer; what is behind it waits', async () => {
  const clock = new VirtualClock()
  await withCluster({ topics, clock }, async ({ cluster, to }) => {
    const node = await to(1)
    cluster.faults.on({ api: 'Produce', times: 1 }, { delayMs: 100 })
    const order: string[] = []
    const first = node.send(produce, 9, produceRequest('t', batchOf(['a']))).then(() => order.push('first'))
    const second = node.send(apiVersions, 0, {}).then(() => order.push('second'))
    await clock.advance(99)
    assert.deepEqual([valuesOf(cluster, 't'), order], ['', []])
    await clock.advance(1)
    await Promise.all([first, second])
    assert.deepEqual([valuesOf(cluster, 't'), order], ['a', ['first', 'second']])
    cluster.faults.on({ api: 'Produce', times: 1 }, { delayResponseMs: 100 })
    const third = send(node, 't', batchOf(['b'])).then(() => order.push('third'))
    await clock.advance(99)
    assert.deepEqual([valuesOf(cluster, 't'), order.length], ['a b', 2])
    await clock.advance(1)
    await third
  })
})

test('an answer may say that the client is throttled', async () => {
  await withCluster({ topics }, async ({ cluster, to }) => {
    const node = await to(1)
    cluster.faults.on({ api: 'Produce', times: 1 }, { throttleMs: 250 })
    const throttled = async () =>
      (await node.send(produce, 9, produceRequest('t', batchOf(['a'])))).throttleTimeMs
    assert.deepEqual([await throttled(), await throttled()], [250, 0])
  })
})

test('a delayed request is applied although its client is gone', async () => {
  const clock = new VirtualClock()
  await withCluster({ topics, clock }, async ({ cluster, to }) => {
    const node = await to(1)
    cluster.faults.on({ api: 'Produce', times: 1 }, { delayMs: 700 })
    const lost = send(node, 't', batchOf(['late']))
    await clock.advance(10)
    node.close()
    await assert.rejects(lost)
    await clock.advance(600)
    assert.equal(valuesOf(cluster, 't'), '')
    await clock.advance(100)
    assert.equal(valuesOf(cluster, 't'), 'late')
  })
})

test('what is misspelt or makes no sense is refused, with what was meant', async () => {
  await withCluster({ topics }, async ({ cluster }) => {
    const refused: [match: unknown, action: unknown, path: string, message: RegExp][] = [
      [{}, undefined, 'action', /must be 'swallow', .* or one of \{ error \}, .*, it is missing/],
      [{}, 'drop', 'action', /action 'drop' is not known; known are swallow, .*, delayMs/],
      [{}, 'swalow', 'action', /did you mean swallow\?/],
      [{}, { delay: 500 }, 'action.delay', /did you mean delayMs\?/],
      [{}, { error: 'NOT_COORDINATOR', delayMs: 5 }, 'action', /or one of \{ error \}, \{ delayMs \}/],
      [{}, {}, 'action', /not \{\}/],
      [{}, { delayMs: '5' }, 'action.delayMs', /milliseconds from 0 .*, not "5"/],
      [{}, { truncateAt: -1 }, 'action.truncateAt', /a whole number/],
      [{}, { error: 'NOT_CORDINATOR' }, 'action.error', /did you mean NOT_COORDINATOR\?/],
      [{}, { error: null }, 'action.error', /an error's name, or its number, not null/],
      [{ aip: 'Produce' }, 'close', 'match.aip', /did you mean api\?/],
      [{ api: 'Prodce' }, 'close', 'match.api', /no API is called Prodce; did you mean Produce\?/],
      [{ times: '1' }, 'close', 'match.times', /a whole number from 1 .*, not "1"/],
      [{ partition: '0' }, 'close', 'match.partition', /not "0"/],
      [{ where: true }, 'close', 'match.where', /a function, not true/],
      ['Produce', 'close', 'match', /must be \{ api, node, topic, partition, clientId, times, where \}/],
      [undefined, 'close', 'match', /it is missing/],
    ]
    const on = cluster.faults.on.bind(cluster.faults) as (match: unknown, action: unknown) => unknown
    for (const [match, action, path, message] of refused) {
      assert.throws(() => on(match, action), { code: 'INVALID_ARGUMENT', path, message }, path)
    }
    on({ api: 'Produce', node: undefined, times: undefined }, 'close')
  })
})

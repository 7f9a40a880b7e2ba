import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../src/protocol/error-codes.ts'
import { describeProducers } from '../../src/protocol/messages/describe-producers.ts'
import { initProducerId } from '../../src/protocol/messages/init-producer-id.ts'
import { produce } from '../../src/protocol/messages/produce.ts'
import { encodeRecordBatch, stampBatch, writeCrc } from '../../src/protocol/record-batch.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import {
  batchOf,
  produceRequest,
  send,
  sendError,
  sequenced,
  topicsOf,
  valuesOf,
  withCluster,
} from './kit.ts'

test('records get the next offsets, and lie in the log as they came', async () => {
  await withCluster({ topics: { t: 1 } }, async ({ cluster, to }) => {
    const node = await to(1)
    assert.equal((await send(node, 't', batchOf(['a', 'b']))).baseOffset, 0)
    assert.equal((await send(node, 't', batchOf(['c'], { compression: 'gzip' }))).baseOffset, 2)
    assert.equal(valuesOf(cluster, 't'), 'a b c')
    const [first] = cluster.records('t', 0)
    assert.equal(first?.timestamp, 1_700_000_000_000)
    assert.equal(String(first?.key), 'k')
  })
})

test('every kind of damage has its own answer, and leaves the log alone', async () => {
  const damaged = (change: (batch: Buffer) => void, { keepsCrc = false } = {}) => {
    const batch = batchOf(['a', 'b'])
    change(batch)
    if (!keepsCrc) writeCrc(batch)
    return batch
  }
  const cases: [name: string, records: Buffer | null, expected: string][] = [
    ['no records', null, 'INVALID_RECORD'],
    ['empty records', Buffer.alloc(0), 'INVALID_RECORD'],
    ['a flipped bit', damaged((b) => (b[70] = (b[70] as number) ^ 1), { keepsCrc: true }), 'CORRUPT_MESSAGE'],
    ['a cut batch', batchOf(['a']).subarray(0, 65), 'INVALID_RECORD'],
    ['zeros', Buffer.alloc(20), 'CORRUPT_MESSAGE'],
    ['format 1', damaged((b) => b.writeInt8(1, 16), { keepsCrc: true }), 'INVALID_RECORD'],
    ['two batches', Buffer.concat([batchOf(['a']), batchOf(['b'])]), 'INVALID_RECORD'],
    ['another count', damaged((b) => b.writeInt32BE(3, 57)), 'INVALID_RECORD'],
    ['another offset span', damaged((b) => b.writeInt32BE(5, 23)), 'INVALID_RECORD'],
    ['a base offset', damaged((b) => b.writeInt32BE(9, 4)), 'INVALID_RECORD'],
    ['records longer than the batch', damaged((b) => (b[61] = 0x7e)), 'INVALID_RECORD'],
    ['a control batch', damaged((b) => b.writeInt16BE(0x20, 21)), 'INVALID_RECORD'],
    ['an unknown codec', damaged((b) => b.writeInt16BE(6, 21)), 'INVALID_RECORD'],
    ['no gzip where gzip is said', damaged((b) => b.writeInt16BE(1, 21)), 'INVALID_RECORD'],
    ['a producer without a sequence', sequenced(1, -1, 1), 'INVALID_RECORD'],
  ]
  await withCluster({ topics: { t: 1 } }, async ({ cluster, to }) => {
    const node = await to(1)
    for (const [name, records, expected] of cases) {
      assert.equal(await sendError(node, 't', records), expected, name)
    }
    assert.equal(cluster.replicaOf(1, 't', 0).logEnd, 0)
    assert.equal(await sendError(node, 't', batchOf(['a'])), 'NONE')
  })
})

test('wrong addresses and acks have their own answers', async () => {
  await withCluster(
    { brokers: 2, topics: { t: { partitions: 1, replicas: 1 } } },
    async ({ cluster, to }) => {
      const leader = cluster.leaderOf('t', 0)
      const node = await to(leader)
      assert.equal(await sendError(node, 'nowhere', batchOf(['a'])), 'UNKNOWN_TOPIC_OR_PARTITION')
      assert.equal(await sendError(node, 't', batchOf(['a']), { partition: 9 }), 'UNKNOWN_TOPIC_OR_PARTITION')
      assert.equal(await sendError(node, 't', batchOf(['a']), { acks: 2 }), 'INVALID_REQUIRED_ACKS')
      const other = await to(3 - leader)
      const stale = await other.send(produce, 12, produceRequest('t', batchOf(['a'])))
      const answer = stale.responses[0]?.partitionResponses[0]
      assert.equal(errorName(answer?.errorCode ?? 0), 'NOT_LEADER_OR_FOLLOWER')
      assert.deepEqual(answer?.currentLeader, { leaderId: leader, leaderEpoch: 0 }, 'KIP-951')
      assert.equal(stale.nodeEndpoints[0]?.nodeId, leader)
      const early = await other.send(produce, 9, produceRequest('t', batchOf(['a'])))
      assert.equal(early.responses[0]?.partitionResponses[0]?.currentLeader.leaderId, -1)
    },
  )
})

test('from version 13 topics go by id, and the id of a deleted topic is unknown', async () => {
  await withCluster({ topics: { t: 1 } }, async ({ cluster, to }) => {
    const node = await to(1)
    const [topic] = await topicsOf(node, ['t'])
    const request = (topicId: string) => ({
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ topicId, partitionData: [{ index: 0, records: batchOf(['a']) }] }],
    })
    const answerTo = async (topicId: string) => {
      const { responses } = await node.send(produce, 13, request(topicId))
      return errorName(responses[0]?.partitionResponses[0]?.errorCode ?? -1)
    }
    assert.equal(await answerTo(topic?.topicId ?? ''), 'NONE')
    cluster.deleteTopic('t')
    cluster.createTopic('t', 1)
    assert.equal(await answerTo(topic?.topicId ?? ''), 'UNKNOWN_TOPIC_ID')
  })
})

test('acks 0 gets no answer; when it fails, the connection is closed', async () => {
  await withCluster({ topics: { t: 1 } }, async ({ cluster, to }) => {
    const node = await to(1)
    node.tell(produce, 9, produceRequest('t', batchOf(['a']), { acks: 0 }))
    assert.equal((await send(node, 't', batchOf(['b']))).baseOffset, 1, 'the next answer is the next one')
    node.tell(produce, 9, produceRequest('nowhere', batchOf(['a']), { acks: 0 }))
    await node.closed
    assert.equal(valuesOf(cluster, 't'), 'a b')
  })
})

test('versions below 3 are advertised, for old clients, and close the connection', async () => {
  await withCluster({ topics: { t: 1 } }, async ({ to }) => {
    const node = await to(1)
    const frame = Buffer.from([0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff])
    await assert.rejects(node.exchange(frame), /closed/)
  })
})

test('zstd needs version 7', async () => {
  await withCluster({ topics: { t: 1 } }, async ({ to }) => {
    const node = await to(1)
    const records = batchOf(['a'.repeat(200)], { compression: 'zstd' })
    assert.equal(await sendError(node, 't', records, { version: 6 }), 'UNSUPPORTED_COMPRESSION_TYPE')
    assert.equal(await sendError(node, 't', records, { version: 7 }), 'NONE')
  })
})

test('a batch larger than the topic allows is refused and takes no sequence', async () => {
  const configs = { 'max.message.bytes': 200 }
  await withCluster({ topics: { t: { partitions: 1, configs } } }, async ({ cluster, to }) => {
    const node = await to(1)
    assert.equal(await sendError(node, 't', sequenced(5, 0, 2)), 'NONE')
    assert.equal(await sendError(node, 't', sequenced(5, 2, 60)), 'MESSAGE_TOO_LARGE')
    assert.equal(await sendError(node, 't', sequenced(5, 62, 1)), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
    assert.equal(await sendError(node, 't', sequenced(5, 2, 2)), 'NONE')
    assert.equal(valuesOf(cluster, 't'), '0 1 2 3')
  })
})

test('a compacted topic names the records without a key', async () => {
  const configs = { 'cleanup.policy': 'compact' }
  await withCluster({ topics: { t: { partitions: 1, configs } } }, async ({ to }) => {
    const node = await to(1)
    const records = encodeRecordBatch([
      { key: 'a', value: '1' },
      { key: null, value: '2' },
      { key: 'c', value: '3' },
      { key: null, value: '4' },
    ])
    const answer = await send(node, 't', records)
    assert.equal(errorName(answer.errorCode), 'INVALID_RECORD')
    assert.deepEqual(
      answer.recordErrors.map(({ batchIndex }) => batchIndex),
      [1, 3],
    )
    assert.match(answer.recordErrors[0]?.batchIndexErrorMessage ?? '', /without key/)
    assert.equal(await sendError(node, 't', encodeRecordBatch([{ key: 'a', value: null }])), 'NONE')
  })
})

test('timestamps too far ahead, or too old where the topic says so, are refused', async () => {
  const clock = new VirtualClock(1_700_000_000_000)
  const configs = { 'message.timestamp.before.max.ms': 1000 }
  const topics = { t: 1, young: { partitions: 1, configs } }
  await withCluster({ topics, clock }, async ({ to }) => {
    const node = await to(1)
    const at = (timestamp: number) => encodeRecordBatch([{ value: 'v', timestamp: clock.now() + timestamp }])
    const ahead = await send(node, 't', at(3_600_001))
    assert.equal(errorName(ahead.errorCode), 'INVALID_TIMESTAMP')
    assert.equal(ahead.recordErrors[0]?.batchIndex, 0)
    assert.equal(await sendError(node, 't', at(3_599_999)), 'NONE')
    assert.equal(await sendError(node, 't', at(-1e9)), 'NONE')
    assert.equal(await sendError(node, 'young', at(-1001)), 'INVALID_TIMESTAMP')
    assert.equal(await sendError(node, 'young', at(-999)), 'NONE')
  })
})

test('LogAppendTime stamps the batch, with a checksum that is right', async () => {
  const clock = new VirtualClock(1_800_000_000_000)
  const configs = { 'message.timestamp.type': 'LogAppendTime' }
  await withCluster({ topics: { t: { partitions: 1, configs } }, clock }, async ({ cluster, to }) => {
    const answer = await send(await to(1), 't', batchOf(['a', 'b']))
    assert.equal(answer.logAppendTimeMs, 1_800_000_000_000)
    assert.deepEqual(
      cluster.records('t', 0).map(({ timestamp }) => timestamp),
      [1_800_000_000_000, 1_800_000_000_000],
    )
  })
})

test('an idempotent producer: duplicates get the old offset, also when a different batch is sent', async () => {
  await withCluster({ topics: { t: 1 } }, async ({ cluster, to }) => {
    const node = await to(1)
    const { producerId, producerEpoch } = await node.send(initProducerId, 5, {
      transactionalId: null,
      transactionTimeoutMs: 0,
      producerId: 99,
      producerEpoch: 3,
    })
    assert.deepEqual([producerId, producerEpoch], [0, 0], 'what the client had is not looked at')
    for (let index = 0; index < 6; index++) await send(node, 't', sequenced(producerId, index, 1))
    const again = await send(node, 't', sequenced(producerId, 3, 1))
    assert.deepEqual([again.errorCode, again.baseOffset], [0, 3])
    const other = batchOf(['something else'], { producerId, producerEpoch: 0, baseSequence: 4 })
    assert.deepEqual([(await send(node, 't', other)).baseOffset], [4])
    assert.equal(await sendError(node, 't', sequenced(producerId, 0, 1)), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
    assert.equal(await sendError(node, 't', sequenced(producerId, 8, 1)), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
    assert.equal(valuesOf(cluster, 't'), '0 1 2 3 4 5')
    const epoch1 = sequenced(producerId, 0, 1, { producerEpoch: 1 })
    assert.equal(await sendError(node, 't', epoch1), 'NONE')
    assert.equal(await sendError(node, 't', sequenced(producerId, 6, 1)), 'INVALID_PRODUCER_EPOCH')
  })
})

test('4.5 lets a new partition begin only with sequence 0; 4.1 anywhere', async () => {
  for (const [kafkaVersion, expected] of [
    ['4.1', 'NONE'],
    ['4.5', 'OUT_OF_ORDER_SEQUENCE_NUMBER'],
  ] as const) {
    await withCluster({ topics: { t: 1 }, kafkaVersion }, async ({ to }) => {
      const node = await to(1)
      assert.equal(await sendError(node, 't', sequenced(1, 7, 1)), expected, kafkaVersion)
      assert.equal(await sendError(node, 't', sequenced(2, 0, 1)), 'NONE')
      assert.equal(await sendError(node, 't', sequenced(3, 7, 1)), 'NONE', 'the log has held a record now')
    })
  }
})

test('producers are forgotten by the time of their records, at the next check', async () => {
  const clock = new VirtualClock(1_700_000_000_000)
  const configs = { 'producer.id.expiration.ms': 5000, 'producer.id.expiration.check.interval.ms': 1000 }
  await withCluster({ topics: { t: 1 }, clock, configs }, async ({ cluster, to }) => {
    const node = await to(1)
    await send(node, 't', sequenced(1, 0, 1))
    await clock.advance(4500)
    assert.equal((await send(node, 't', sequenced(1, 0, 1))).baseOffset, 0)
    await clock.advance(1000)
    assert.equal((await send(node, 't', sequenced(1, 0, 1))).baseOffset, 1, 'a duplicate in the log')
    assert.equal(cluster.replicaOf(1, 't', 0).logEnd, 2)
  })
})

test('there are no transactions yet, and that is said', async () => {
  await withCluster({ topics: { t: 1 } }, async ({ to }) => {
    const node = await to(1)
    const init = async (transactionalId: string) =>
      errorName(
        (await node.send(initProducerId, 4, { transactionalId, transactionTimeoutMs: 1000 })).errorCode,
      )
    assert.equal(await init('tx'), 'UNSUPPORTED_VERSION')
    assert.equal(await init(''), 'INVALID_REQUEST')
    const records = batchOf(['a'])
    stampBatch(records, { producerId: 1, producerEpoch: 0, baseSequence: 0, transactional: true })
    assert.equal(await sendError(node, 't', records), 'INVALID_TXN_STATE')
  })
})

test('DescribeProducers tells of leaders and followers', async () => {
  await withCluster({ brokers: 2, topics: { t: 1 } }, async ({ cluster, to, toLeader }) => {
    await send(await toLeader('t'), 't', sequenced(1, 0, 3))
    const describe = async (nodeId: number, topic = 't') => {
      const node = await to(nodeId)
      const topics = [{ name: topic, partitionIndexes: [0] }]
      const answer = (await node.send(describeProducers, 0, { topics })).topics[0]?.partitions[0]
      return answer?.errorCode === 0 ? answer.activeProducers : errorName(answer?.errorCode ?? 0)
    }
    const expected = {
      producerId: 1,
      producerEpoch: 0,
      lastSequence: 2,
      lastTimestamp: 1_700_000_000_000,
      coordinatorEpoch: -1,
      currentTxnStartOffset: -1,
    }
    assert.deepEqual(await describe(1), [expected])
    assert.deepEqual(await describe(2), [expected])
    assert.equal(await describe(1, 'nowhere'), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(cluster.replicaOf(2, 't', 0).logEnd, 3)
  })
})

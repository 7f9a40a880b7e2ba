/** What each answer of a broker leads to: one scenario per error code that Produce may answer, and lost answers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classify } from '../../src/producer/error-classifier.ts'
import { PartialDeliveryError } from '../../src/producer/receipts.ts'
import { BrokerError, errorCode, knownErrors } from '../../src/protocol/error-codes.ts'
import { alone, codeOf, oneByOne, range, withProducer } from './support/kit.ts'

test('every error code that there is has a handling and a reason', () => {
  for (const { code, name } of [...knownErrors(), { code: 9999, name: 'a code of the future' }]) {
    const { handling, reason, maybeInLog } = classify(code)
    assert.ok(reason.length > 10, name)
    // What fails at once must not be in the log: otherwise nobody could be told that it failed.
    if (handling === 'fail' || handling === 'fatal' || handling === 'split')
      assert.equal(maybeInLog, false, name)
  }
  assert.equal(classify(9999).handling, 'retry')
})

/** Codes after which the same record is delivered, once, when the fault is over. */
const passing = [
  'UNKNOWN_SERVER_ERROR',
  'CORRUPT_MESSAGE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REQUEST_TIMED_OUT',
  'BROKER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
  'CONCURRENT_TRANSACTIONS',
  'KAFKA_STORAGE_ERROR',
  'UNKNOWN_PRODUCER_ID',
  'LISTENER_NOT_FOUND',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'PREFERRED_LEADER_NOT_AVAILABLE',
  'ELIGIBLE_LEADERS_NOT_AVAILABLE',
  'THROTTLING_QUOTA_EXCEEDED',
  'PRODUCER_FENCED',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
  'REBOOTSTRAP_REQUIRED',
] as const

for (const error of passing) {
  test(`${error}: delivered in the end, once, in order with its followers`, async () => {
    await withProducer({ producer: oneByOne }, async ({ cluster, producer, during, values }) => {
      await during(producer.send({ topic: 'orders', value: 'before' }))
      const fault = cluster.faults.on({ api: 'Produce', times: 2 }, { error })
      const sent = ['a', 'b', 'c', 'd', 'e', 'f']
        .map(alone)
        .map((value) => producer.send({ topic: 'orders', value }))
      const receipts = await during(Promise.all(sent))
      assert.ok(fault.hits > 0)
      assert.deepEqual(values('orders'), ['before', ...['a', 'b', 'c', 'd', 'e', 'f'].map(alone)])
      assert.deepEqual(
        receipts.map(({ offset }) => offset),
        [1, 2, 3, 4, 5, 6],
      )
    })
  })
}

const failing = [
  'INVALID_TOPIC_EXCEPTION',
  'INVALID_REQUIRED_ACKS',
  'TOPIC_AUTHORIZATION_FAILED',
  'INVALID_TIMESTAMP',
  'UNSUPPORTED_VERSION',
  'INVALID_REQUEST',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
  'POLICY_VIOLATION',
  'INVALID_TXN_STATE',
  'UNSUPPORTED_COMPRESSION_TYPE',
  'INVALID_RECORD',
  'TRANSACTION_ABORTABLE',
  'OFFSET_OUT_OF_RANGE',
] as const

for (const error of failing) {
  test(`${error}: the batch fails with it, the hole is closed and the next is delivered`, async () => {
    await withProducer({ producer: oneByOne }, async ({ cluster, producer, during, values }) => {
      await during(producer.send({ topic: 'orders', value: 'before' }))
      cluster.faults.on({ api: 'Produce', times: 1 }, { error })
      const refused = producer.send({ topic: 'orders', value: alone('refused') })
      const behind = ['a', 'b', 'c'].map(alone).map((value) => producer.send({ topic: 'orders', value }))
      assert.equal(await during(codeOf(refused)), error)
      await during(Promise.all(behind))
      assert.deepEqual(values('orders'), ['before', ...['a', 'b', 'c'].map(alone)])
    })
  })
}

test('a refusal after a lost answer is no answer: the record may be in the log', async () => {
  await withProducer({}, async ({ cluster, producer, during, values }) => {
    await during(producer.send({ topic: 'orders', value: 'before' }))
    cluster.faults.on({ api: 'Produce', times: 1 }, 'apply-then-drop')
    const sent = producer.send({ topic: 'orders', value: 'lost' })
    await during(producer.flush({ timeoutMs: 1 }).catch(() => undefined))
    cluster.faults.on({ api: 'Produce', times: 1 }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
    const error = await during(sent.catch((reason: unknown) => reason))
    assert.ok(error instanceof Error && 'code' in error && error.code === 'DELIVERY_UNKNOWN')
    assert.ok(
      error.cause instanceof BrokerError && error.cause.errorCode === errorCode.TOPIC_AUTHORIZATION_FAILED,
    )
    assert.deepEqual(values('orders'), ['before', 'lost'])
    await during(producer.send({ topic: 'orders', value: 'after' }))
    assert.deepEqual(values('orders'), ['before', 'lost', 'after'])
  })
})

test('no right to write idempotently fails everything with that, and nothing is sent without numbers', async () => {
  await withProducer({}, async ({ cluster, producer, during, values, producerWith }) => {
    cluster.faults.on({ api: 'InitProducerId' }, { error: 'CLUSTER_AUTHORIZATION_FAILED' })
    assert.equal(await during(codeOf(producer.start())), 'CLUSTER_AUTHORIZATION_FAILED')
    const other = producerWith({})
    const sent = [other.send({ topic: 'orders', value: 'a' }), other.send({ topic: 'many', value: 'b' })]
    assert.deepEqual(
      await during(Promise.all(sent.map(codeOf))),
      Array(2).fill('CLUSTER_AUTHORIZATION_FAILED'),
    )
    cluster.faults.clear()
    await during(other.send({ topic: 'orders', value: 'c' }))
    assert.deepEqual(values('orders'), ['c'])
  })
})

test('the partitions of one request are handled each alone', async () => {
  await withProducer({}, async ({ cluster, producer, during, values }) => {
    await during(producer.send(range(4).map((partition) => ({ topic: 'many', partition, value: 'first' }))))
    cluster.faults.on({ api: 'Produce', partition: 1, times: 1 }, { error: 'NOT_ENOUGH_REPLICAS' })
    cluster.faults.on({ api: 'Produce', partition: 2, times: 1 }, { error: 'POLICY_VIOLATION' })
    const outcome = await during(
      producer
        .send(range(4).map((partition) => ({ topic: 'many', partition, value: 'x' })))
        .catch((error) => error),
    )
    assert.ok(outcome instanceof PartialDeliveryError)
    assert.deepEqual(
      outcome.results.map((result) => (result.status === 'failed' ? result.error.code : result.offset)),
      [1, 1, 'POLICY_VIOLATION', 1],
    )
    assert.deepEqual(
      range(4).map((partition) => values('many', partition).length),
      [2, 2, 1, 2],
    )
  })
})

for (const times of [1, 2, 5]) {
  test(`${times} answers lost with five in flight: nothing is lost or doubled`, async () => {
    await withProducer({ producer: oneByOne }, async ({ cluster, producer, during, values }) => {
      await during(producer.send({ topic: 'orders', value: 'before' }))
      cluster.faults.on({ api: 'Produce', times }, 'apply-then-drop')
      const wanted = range(20).map(String).map(alone)
      await during(Promise.all(wanted.map((value) => producer.send({ topic: 'orders', value }))))
      assert.deepEqual(values('orders'), ['before', ...wanted])
    })
  })
}

test('an answer that leaves a partition out is a lost one', async () => {
  await withProducer({}, async ({ cluster, producer, during, values }) => {
    cluster.faults.on({ api: 'Produce', times: 1 }, { truncateAt: 20 })
    await during(producer.send({ topic: 'orders', value: 'a' }))
    assert.deepEqual(values('orders'), ['a'])
    assert.equal(producer.stats.retriedBatches, 1)
  })
})

test('a broker that does not answer is given up after requestTimeoutMs', async () => {
  await withProducer({}, async ({ cluster, producer, during, values, clock }) => {
    await during(producer.start())
    cluster.faults.on({ api: 'Produce', times: 1 }, 'apply-then-swallow')
    await during(producer.send({ topic: 'orders', value: 'a' }))
    assert.ok(clock.monotonic() >= 1_000)
    assert.deepEqual(values('orders'), ['a'])
  })
})

test('acks 0: settled when written, offset unknown; what is lost with the connection is unknown', async () => {
  await withProducer({ producer: { acks: 0 } }, async ({ cluster, producer, during, values, clock }) => {
    const receipt = await during(producer.send({ topic: 'orders', value: 'a' }))
    assert.equal(receipt.offset, -1)
    await clock.advance(10)
    assert.deepEqual(values('orders'), ['a'])
    assert.equal(cluster.records('orders', 0)[0]?.producerId, -1)
  })
})

test('acks 1: no numbers, an offset, and a repetition after a lost answer', async () => {
  await withProducer({ producer: { acks: 1 } }, async ({ cluster, producer, during, values }) => {
    assert.equal((await during(producer.send({ topic: 'orders', value: 'a' }))).offset, 0)
    assert.equal(cluster.records('orders', 0)[0]?.producerId, -1)
    cluster.faults.on({ api: 'Produce', times: 1 }, 'apply-then-drop')
    await during(producer.send({ topic: 'orders', value: 'b' }))
    assert.deepEqual(values('orders'), ['a', 'b', 'b'])
  })
})

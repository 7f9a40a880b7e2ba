/** InitProducerId (22), and what Produce (0) makes of sequences and epochs. */
import assert from 'node:assert/strict'
import { initProducerId, produce } from '../../src/protocol/messages/index.ts'
import { encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import { caseOn, embeddedCaseOn, type Targeted } from './case.ts'
import { newProducer, offsetOf, produceTo, sequenced } from './log-requests.ts'
import { named } from './target.ts'

export function idempotenceCases(target: Targeted): void {
  const check = caseOn(target)

  check('Produce: sequences, duplicates and epochs of an idempotent producer', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect(topic.leaders[0])
    const producer = await newProducer(connection)
    const send = async (baseSequence: number, count = 1, epoch = 0) => {
      const stamp = { ...producer, producerEpoch: epoch }
      const { error, baseOffset } = await produceTo(connection, {
        topic,
        records: sequenced(stamp, baseSequence, count),
      })
      return [error, baseOffset]
    }
    const outOfOrder = ['OUT_OF_ORDER_SEQUENCE_NUMBER', -1]
    assert.deepEqual(await send(0, 2), ['NONE', 0])
    assert.deepEqual(await send(5), outOfOrder, 'a gap')
    assert.deepEqual(await send(2, 3), ['NONE', 2])
    assert.deepEqual(await send(0, 2), ['NONE', 0], 'a duplicate gets its offset again')
    assert.deepEqual(await send(2, 3), ['NONE', 2])
    assert.deepEqual(await send(1, 2), outOfOrder, 'half a duplicate')
    for (const sequence of [5, 6, 7, 8, 9]) assert.deepEqual(await send(sequence), ['NONE', sequence])
    assert.deepEqual(await send(5), ['NONE', 5], 'the fifth batch ago is remembered')
    assert.deepEqual(await send(2, 3), outOfOrder, 'the sixth is not')
    assert.deepEqual(await send(3, 1, 1), outOfOrder, 'a new epoch begins with 0')
    assert.deepEqual(await send(0, 1, 1), ['NONE', 10])
    assert.deepEqual(await send(10, 1, 0), ['INVALID_PRODUCER_EPOCH', -1])
    assert.deepEqual(await send(1, 1, 1), ['NONE', 11])
    assert.deepEqual(await send(-1, 1, 1), ['INVALID_RECORD', -1])
    assert.deepEqual(await send(0, 1, -1), ['INVALID_PRODUCER_EPOCH', -1])
    assert.equal(await offsetOf(connection, topic), 12)
  })

  check(
    'Produce: the refusals of an idempotent producer tell where the log starts, and no record',
    async (at) => {
      const topic = await at.topic()
      const connection = await at.connect(topic.leaders[0])
      const producer = await newProducer(connection)
      await produceTo(connection, { topic, records: sequenced(producer, 0) })
      for (const version of at.versions(produce, 5)) {
        const answer = await produceTo(connection, { version, topic, records: sequenced(producer, 7) })
        assert.deepEqual(
          [answer.error, answer.logStartOffset, answer.recordErrors],
          ['OUT_OF_ORDER_SEQUENCE_NUMBER', 0, []],
        )
      }
    },
  )

  check('Produce: sequences go round at 2^31', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect(topic.leaders[0])
    const largest = 0x7fff_ffff
    const single = await newProducer(connection)
    for (const sequence of [largest - 1, largest, 0, 1]) {
      assert.equal(
        (await produceTo(connection, { topic, records: sequenced(single, sequence) })).error,
        'NONE',
      )
    }
    const inside = await newProducer(connection)
    for (const [sequence, count] of [
      [largest - 2, 1],
      [largest - 1, 4],
      [2, 1],
    ] as const) {
      assert.equal(
        (await produceTo(connection, { topic, records: sequenced(inside, sequence, count) })).error,
        'NONE',
      )
    }
  })

  check('InitProducerId: a new id each time, with epoch 0, in every version', async (at) => {
    const connection = await at.connect()
    const seen = new Set<number>()
    for (const version of at.versions(initProducerId)) {
      const answer = await connection.send(initProducerId, version, {
        transactionalId: null,
        transactionTimeoutMs: 60_000,
      })
      assert.deepEqual([named(answer.errorCode), answer.producerEpoch], ['NONE', 0])
      assert.ok(answer.producerId >= 0 && !seen.has(answer.producerId))
      seen.add(answer.producerId)
    }
  })

  check(
    'InitProducerId: an empty transactional id, or half of a producer, is INVALID_REQUEST',
    async (at) => {
      const connection = await at.connect()
      const ask = async (version: number, given: object) => {
        const request = { transactionalId: null, transactionTimeoutMs: 60_000, ...given }
        const { errorCode, producerId } = await connection.send(initProducerId, version, request)
        return [named(errorCode), producerId]
      }
      for (const version of at.versions(initProducerId)) {
        assert.deepEqual(await ask(version, { transactionalId: '' }), ['INVALID_REQUEST', -1])
        if (version < 3) continue
        assert.deepEqual(await ask(version, { producerId: 5 }), ['INVALID_REQUEST', -1])
        assert.deepEqual(await ask(version, { producerEpoch: 5 }), ['INVALID_REQUEST', -1])
      }
    },
  )

  embeddedCaseOn(target)('there are no transactions: InitProducerId and Produce say so', async (at) => {
    const topic = await at.topic()
    const connection = await at.connect(topic.leaders[0])
    for (const version of at.versions(initProducerId)) {
      const request = { transactionalId: 'payments', transactionTimeoutMs: 60_000 }
      const answer = await connection.send(initProducerId, version, request)
      assert.deepEqual([named(answer.errorCode), answer.producerId], ['UNSUPPORTED_VERSION', -1])
    }
    const { producerId, producerEpoch } = await newProducer(connection)
    const producer = { producerId, producerEpoch, baseSequence: 0, transactional: true }
    const records = encodeRecordBatch([{ value: 'v' }], producer)
    for (const version of at.versions(produce)) {
      const { error } = await produceTo(connection, { version, topic, records })
      assert.equal(error, 'INVALID_TXN_STATE', `Produce ${version}`)
    }
  })

  embeddedCaseOn(target)(
    'Produce: a duplicate whose first answer was lost gets the first offset',
    async (at) => {
      const topic = await at.topic()
      const producer = await newProducer(await at.connect())
      const records = sequenced(producer, 0, 3)
      const fault = at.cluster?.faults.on({ api: 'Produce', topic: topic.name, times: 1 }, 'apply-then-drop')
      const first = await at.connect(topic.leaders[0])
      await assert.rejects(produceTo(first, { topic, records }))
      assert.equal(fault?.hits, 1)
      const second = await at.connect(topic.leaders[0])
      assert.deepEqual((await produceTo(second, { topic, records })).baseOffset, 0)
      assert.equal(await offsetOf(second, topic), 3)
    },
  )
}

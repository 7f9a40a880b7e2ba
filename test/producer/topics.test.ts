/** Topics that come, go, grow and move. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka } from '../../src/index.ts'
import { alone, codeOf, oneByOne, range, withProducer } from './support/kit.ts'

const three = {
  brokers: 3,
  topics: { orders: { partitions: 1, replicas: 3 }, many: { partitions: 4, replicas: 3 } },
}

test('records wait for a topic that comes into being, in their order', async () => {
  await withProducer(
    { cluster: { autoCreateTopics: false } },
    async ({ cluster, producer, during, values, clock }) => {
      const sent = range(5).map((index) => producer.send({ topic: 'late', value: `${index}` }))
      void producer.enqueue({ topic: 'late', value: 'quiet' })
      await clock.advance(300)
      cluster.createTopic('late', 1)
      await during(Promise.all(sent))
      await during(producer.flush())
      assert.deepEqual(values('late'), ['0', '1', '2', '3', '4', 'quiet'])
    },
  )
})

test('a topic that never comes fails its records after unknownTopicTimeoutMs, and is asked for again later', async () => {
  const options = { cluster: { autoCreateTopics: false }, producer: { unknownTopicTimeoutMs: 700 } }
  await withProducer(options, async ({ cluster, producer, during, values, clock }) => {
    const record = { topic: 'never', value: 'a' }
    assert.equal(await during(codeOf(producer.send(record))), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.ok(clock.monotonic() >= 400 && clock.monotonic() < 5_000)
    cluster.createTopic('never', 1)
    await during(producer.send(record))
    assert.deepEqual(values('never'), ['a'])
  })
})

test('a name that is none fails at once', async () => {
  await withProducer({}, async ({ producer, during, clock }) => {
    assert.equal(
      await during(codeOf(producer.send({ topic: 'no/such', value: 'a' }))),
      'INVALID_TOPIC_EXCEPTION',
    )
    assert.ok(clock.monotonic() < 1_000)
  })
})

test('a partition that is not there is refused', async () => {
  await withProducer({}, async ({ producer, during }) => {
    const record = { topic: 'many', partition: 4, value: 'a' }
    assert.equal(await during(codeOf(producer.send(record))), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.equal(await during(codeOf(producer.send(record))), 'UNKNOWN_TOPIC_OR_PARTITION')
  })
})

test('a deleted topic: its records wait, and fail when it stays away', async () => {
  const options = { cluster: { autoCreateTopics: false }, producer: { unknownTopicTimeoutMs: 700 } }
  await withProducer(options, async ({ cluster, producer, during }) => {
    await during(producer.send({ topic: 'orders', value: 'a' }))
    cluster.deleteTopic('orders')
    const code = await during(codeOf(producer.send({ topic: 'orders', value: 'b' })))
    // It was on the wire once; the answer leaves open whether it was appended before the deletion.
    assert.ok(['DELIVERY_UNKNOWN', 'UNKNOWN_TOPIC_OR_PARTITION'].includes(code), code)
    assert.equal(await during(codeOf(producer.send({ topic: 'many', value: 'c' }))), 'fulfilled')
  })
})

/** The topic id that a Produce request names. */
const topicIdOf = (request: Readonly<Record<string, unknown>>): string =>
  (request['topicData'] as { topicId: string }[])[0]?.topicId ?? ''

test('a topic made anew under the same name gets what was not settled, once and in order', async () => {
  await withProducer(
    { cluster: { autoCreateTopics: false }, producer: oneByOne },
    async ({ cluster, producer, during, values, clock }) => {
      await during(producer.send({ topic: 'orders', value: 'old' }))
      let oldId = ''
      const where = (request: Readonly<Record<string, unknown>>) => {
        oldId = topicIdOf(request)
        return true
      }
      const fault = cluster.faults.on({ api: 'Produce', where }, { delayMs: 50 })
      const wanted = range(8).map((index) => alone(`${index}`))
      const sent = Promise.all(wanted.map((value) => producer.send({ topic: 'orders', value })))
      sent.catch(() => undefined)
      await clock.advance(5)
      cluster.deleteTopic('orders')
      await clock.advance(30)
      cluster.createTopic('orders', 1)
      fault.remove()
      // The new log knows nothing of the producer: a second batch behind a refused first one would be taken.
      const isNew = (request: Readonly<Record<string, unknown>>) => topicIdOf(request) !== oldId
      const refused = cluster.faults.on(
        { api: 'Produce', times: 1, where: isNew },
        { error: 'NOT_ENOUGH_REPLICAS' },
      )
      await during(sent)
      assert.equal(refused.hits, 1)
      assert.deepEqual(values('orders'), wanted)
    },
  )
})

test('a topic made anew while nothing is under way begins with one batch in flight', async () => {
  await withProducer(
    { cluster: { autoCreateTopics: false }, producer: oneByOne },
    async ({ cluster, producer, during, values, clock }) => {
      const [orders, many] = [
        { topic: 'orders', value: 'old' },
        { topic: 'many', partition: 0, value: 'x' },
      ]
      await during(Promise.all([producer.send(orders), producer.send(many)]))
      cluster.deleteTopic('orders')
      cluster.createTopic('orders', 1)
      // The other topic's failure brings new metadata.
      cluster.faults.on({ api: 'Produce', topic: 'many', times: 1 }, { error: 'LEADER_NOT_AVAILABLE' })
      await during(producer.send(many))
      await clock.advance(50)
      cluster.faults.on({ api: 'Produce', times: 1 }, { error: 'NOT_ENOUGH_REPLICAS' })
      const wanted = range(8).map((index) => alone(`${index}`))
      await during(Promise.all(wanted.map((value) => producer.send({ topic: 'orders', value }))))
      assert.deepEqual(values('orders'), wanted)
    },
  )
})

test('a topic made anew with fewer partitions: what was for those that are gone fails', async () => {
  await withProducer(
    { cluster: { autoCreateTopics: false } },
    async ({ cluster, producer, during, values, clock }) => {
      await during(producer.send(range(4).map((partition) => ({ topic: 'many', partition, value: 'old' }))))
      const fault = cluster.faults.on({ api: 'Produce' }, { error: 'NOT_ENOUGH_REPLICAS' })
      const sent = range(4).map((partition) =>
        codeOf(producer.send({ topic: 'many', partition, value: 'new' })),
      )
      await clock.advance(5)
      cluster.deleteTopic('many')
      cluster.createTopic('many', 2)
      fault.remove()
      const gone = 'UNKNOWN_TOPIC_OR_PARTITION'
      const codes = await during(Promise.all(sent))
      assert.deepEqual(codes.slice(0, 2), ['fulfilled', 'fulfilled'])
      for (const code of codes.slice(2)) assert.ok([gone, 'DELIVERY_UNKNOWN'].includes(code), code)
      assert.deepEqual(values('many', 0), ['new'])
      assert.deepEqual(values('many', 1), ['new'])
    },
  )
})

test('partitions that are added are used', async () => {
  await withProducer({}, async ({ cluster, kafka, producer, during, values }) => {
    await during(producer.send({ topic: 'orders', value: 'a' }))
    await during(kafka.admin().createPartitions([{ name: 'orders', partitions: 3 }]))
    cluster.faults.on({ api: 'Produce', times: 1 }, { error: 'NOT_LEADER_OR_FOLLOWER' })
    await during(producer.send({ topic: 'orders', value: 'b' }))
    await during(producer.send({ topic: 'orders', partition: 2, value: 'c' }))
    assert.deepEqual(values('orders', 2), ['c'])
  })
})

test('partitions that were just added are known to who added them, and found by who asks for one of them', async () => {
  await withProducer({}, async ({ cluster, kafka, producer, during, values, clock }) => {
    await during(producer.send({ topic: 'orders', value: 'a' }))
    await during(kafka.admin().createPartitions([{ name: 'orders', partitions: 3 }]))
    await during(producer.send({ topic: 'orders', partition: 2, value: 'b' }))
    assert.deepEqual(values('orders', 2), ['b'])
    // Another admin: nobody tells this client.
    const other = new Kafka({ brokers: cluster.brokers, dial: cluster.dial })
    await other.admin().createPartitions([{ name: 'orders', partitions: 5 }])
    await other.stop()
    const record = { topic: 'orders', partition: 4, value: 'c' }
    assert.equal(await during(codeOf(producer.send(record))), 'UNKNOWN_TOPIC_OR_PARTITION')
    await clock.advance(1_000)
    await during(producer.send(record))
    assert.deepEqual(values('orders', 4), ['c'])
  })
})

test('a leader that moves is followed, in order, with records on the wire', async () => {
  await withProducer(
    { cluster: three, producer: oneByOne },
    async ({ cluster, producer, during, values, clock }) => {
      await during(producer.send({ topic: 'orders', value: 'before' }))
      const wanted: string[] = []
      const sent: Promise<unknown>[] = []
      for (const node of [1, 2, 3, 1, 2]) {
        for (const index of range(7)) {
          const value = alone(`${node} ${index} ${wanted.length}`)
          wanted.push(value)
          sent.push(producer.send({ topic: 'orders', value }))
        }
        await clock.advance(1)
        cluster.moveLeader('orders', 0, node)
      }
      await during(Promise.all(sent))
      assert.deepEqual(values('orders'), ['before', ...wanted])
    },
  )
})

test('a hint of the new leader spares the waiting (KIP-951)', async () => {
  await withProducer({ cluster: three }, async ({ cluster, producer, during, clock }) => {
    await during(producer.send({ topic: 'orders', value: 'before' }))
    const refreshes = cluster.faults.on({ api: 'Metadata' }, { delayMs: 500 })
    cluster.moveLeader('orders', 0, (cluster.leaderOf('orders', 0) % 3) + 1)
    const began = clock.monotonic()
    await during(producer.send({ topic: 'orders', value: 'after' }))
    assert.ok(clock.monotonic() - began < 400)
    refreshes.remove()
  })
})

test('a leader that dies is replaced; records without a key go elsewhere meanwhile', async () => {
  const cluster = {
    brokers: 3,
    topics: { orders: 1, many: { partitions: 3, replicas: 1 } },
  }
  await withProducer({ cluster }, async ({ cluster, producer, during, clock, values }) => {
    await during(producer.send(range(3).map((partition) => ({ topic: 'many', partition, value: 'first' }))))
    const dead = cluster.leaderOf('many', 1)
    await cluster.stopNode(dead, { kill: true })
    const stuck = producer.send({ topic: 'many', partition: 1, value: 'stuck' })
    // The producer learns of it by the failure.
    await clock.advance(3_000)
    for (const index of range(30)) {
      const receipt = await during(producer.send({ topic: 'many', value: `${index}` }))
      assert.notEqual(receipt.partition, 1)
    }
    await cluster.startNode(dead)
    await during(stuck)
    assert.deepEqual(values('many', 1), ['first', 'stuck'])
  })
})

test('records without a key spread evenly, many to a batch', async () => {
  await withProducer({}, async ({ producer, during, cluster }) => {
    for (const _ of range(80))
      await during(producer.send(range(10).map((index) => ({ topic: 'many', value: `${index}` }))))
    const counts = range(4).map((partition) => cluster.records('many', partition).length)
    for (const count of counts) assert.ok(count > 80 && count < 400, `${counts}`)
    for (const count of counts) assert.equal(count % 10, 0, 'a call is one batch')
  })
})

test('a key is a partition: in every call, among others, before and after the topic is known', async () => {
  const keys = range(24).map((index) => `k${index}`)
  const record = (key: string | null) => ({ topic: 'late', key, value: 'v' })
  await withProducer(
    { cluster: { autoCreateTopics: false } },
    async ({ cluster, kafka, producer, during, clock }) => {
      // These wait in the topic's spool: there are no partitions yet to choose from.
      const early = Promise.all(keys.map((key) => producer.send(record(key))))
      const earlyCall = producer.send(keys.map((key) => record(key)))
      await clock.advance(300)
      cluster.createTopic('late', 4)
      const calls = [await during(early), await during(earlyCall)]
      // Known now: in a call of their own, one after the other, and between records that go anywhere.
      calls.push(await during(producer.send(keys.map((key) => record(key)))))
      const single = []
      for (const key of keys) single.push(await during(producer.send(record(key))))
      const mixed = await during(producer.send(keys.flatMap((key) => [record(null), record(key)])))
      calls.push(
        single,
        mixed.filter((_, index) => index % 2 === 1),
      )
      const other = kafka.producer()
      calls.push(await during(other.send(keys.map((key) => ({ ...record(key), key: Buffer.from(key) })))))
      const [first, ...rest] = calls.map((receipts) => receipts.map(({ partition }) => partition))
      for (const places of rest) assert.deepEqual(places, first)
      assert.equal(new Set(first).size, 4, 'different keys go to different partitions')
    },
  )
})

test('a custom partitioner decides once per record, and is held to its contract', async () => {
  const asked: unknown[] = []
  const partitioner = (record: { value: unknown }, { partitionCount }: { partitionCount: number }) => {
    asked.push(record.value)
    if (record.value === 'throw') throw new Error('its own bug')
    return record.value === 'beyond' ? partitionCount : 3
  }
  await withProducer({ producer: { partitioner } }, async ({ cluster, producer, during, values }) => {
    cluster.faults.on({ api: 'Produce', times: 2 }, { error: 'NOT_LEADER_OR_FOLLOWER' })
    await during(producer.send({ topic: 'many', value: 'a' }))
    assert.equal(await during(codeOf(producer.send({ topic: 'many', value: 'throw' }))), 'INVALID_ARGUMENT')
    assert.equal(await during(codeOf(producer.send({ topic: 'many', value: 'beyond' }))), 'INVALID_ARGUMENT')
    assert.deepEqual(asked, ['a', 'throw', 'beyond'])
    await during(producer.send({ topic: 'many', partition: 0, value: 'named' }))
    assert.deepEqual([values('many', 3), values('many', 0)], [['a'], ['named']])
  })
})

test('nothing goes to a new leader before the old one has answered, or order would be lost without numbers', async () => {
  const options = { acks: 1, maxInFlight: 5, ...oneByOne } as const
  await withProducer(
    { cluster: three, producer: options },
    async ({ cluster, producer, during, values, clock }) => {
      await during(
        producer.send(range(2).map((partition) => ({ topic: 'many', partition, value: 'before' }))),
      )
      const old = cluster.leaderOf('many', 0)
      cluster.faults.on({ api: 'Produce', node: old, times: 1 }, { delayMs: 300 })
      const first = producer.send({ topic: 'many', partition: 0, value: alone('first') })
      await clock.advance(5)
      cluster.moveLeader('many', 0, (old % 3) + 1)
      // The other partition's failure brings new metadata.
      cluster.faults.on({ api: 'Produce', partition: 1, times: 1 }, { error: 'LEADER_NOT_AVAILABLE' })
      await during(producer.send({ topic: 'many', partition: 1, value: 'other' }))
      await clock.advance(50)
      const second = producer.send({ topic: 'many', partition: 0, value: alone('second') })
      await during(Promise.all([first, second]))
      assert.deepEqual(values('many', 0), ['before', alone('first'), alone('second')])
    },
  )
})

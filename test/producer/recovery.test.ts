/** Out-of-order answers and lost ones: proved, walked, or left to the policy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alone, codeOf, type Kit, oneByOne, range, withProducer } from './support/kit.ts'

/** A cluster of one that restarts: then it remembers one batch of a producer, not five. */
async function loseFive(kit: Kit, restart: () => Promise<void>, knowsOffsets = true): Promise<string[]> {
  const { cluster, producer, during, clock } = kit
  await during(producer.send({ topic: 'orders', value: 'before' }))
  kit.loseAnswers(true)
  const wanted = range(12).map((index) => alone(`${index}`))
  const sent = Promise.all(wanted.map((value) => producer.send({ topic: 'orders', value })))
  sent.catch(() => undefined)
  await clock.advance(20)
  assert.equal(cluster.replicaOf(1, 'orders', 0).logEnd, 6, 'five batches are in the log, unanswered')
  await restart()
  kit.loseAnswers(false)
  const receipts = await during(sent)
  const offsets = receipts.map(({ offset }) => offset)
  assert.deepEqual(
    offsets,
    range(12).map((index) => (knowsOffsets || index > 3 ? index + 1 : -1)),
  )
  return ['before', ...wanted]
}

for (const kill of [true, false]) {
  test(`five answers lost, the broker ${kill ? 'killed' : 'stopped'} and restarted: proved`, async () => {
    await withProducer({ producer: oneByOne }, async (kit) => {
      const wanted = await loseFive(kit, async () => {
        await kit.cluster.stopNode(1, { kill })
        await kit.cluster.startNode(1)
      })
      assert.deepEqual(kit.values('orders'), wanted)
      assert.ok(kit.producer.stats.proved >= 4, `${kit.producer.stats.proved}`)
      assert.equal(kit.producer.stats.uncertain, 0)
    })
  })
}

for (const error of ['TOPIC_AUTHORIZATION_FAILED', 'UNSUPPORTED_VERSION']) {
  test(`without DescribeProducers (${error}) they are walked over, one by one`, async () => {
    await withProducer({ producer: oneByOne }, async (kit) => {
      kit.cluster.faults.on({ api: 'DescribeProducers' }, { error })
      const restart = async () => {
        await kit.cluster.stopNode(1, { kill: true })
        await kit.cluster.startNode(1)
      }
      const wanted = await loseFive(kit, restart, false)
      assert.deepEqual(kit.values('orders'), wanted)
      assert.ok(kit.producer.stats.proved >= 4)
      assert.match(kit.logged.join('\n'), /deliveries cannot be proved/)
    })
  })
}

test('the proof waits for the high watermark', async () => {
  const cluster = { brokers: 3, topics: { orders: { partitions: 1, replicas: 3 } } }
  await withProducer({ cluster }, async ({ cluster, producer, during, values, clock }) => {
    await during(producer.send({ topic: 'orders', value: 'before' }))
    const leader = cluster.leaderOf('orders', 0)
    const release = [1, 2, 3]
      .filter((node) => node !== leader)
      .map((node) => cluster.holdReplica(node, 'orders', 0))
    const lost = cluster.faults.on({ api: 'Produce', times: 1 }, 'apply-then-drop')
    const outOfOrder = { error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }
    cluster.faults.on({ api: 'Produce', times: 1, where: () => lost.hits > 0 }, outOfOrder)
    let isSettled = false
    const sent = producer.send({ topic: 'orders', value: 'held' }).then((receipt) => {
      isSettled = true
      return receipt
    })
    const asked = cluster.faults.on({ api: 'DescribeProducers' }, { delayMs: 0 })
    await clock.advance(2_000)
    assert.ok(asked.hits > 0)
    assert.equal(isSettled, false, 'it is in the log, but not committed')
    for (const one of release) one()
    await during(sent)
    assert.deepEqual(values('orders'), ['before', 'held'])
  })
})

test('what the broker says of a leader that is gone is not believed', async () => {
  const cluster = {
    brokers: 3,
    topics: { orders: { partitions: 1, replicas: 3, configs: { 'min.insync.replicas': 1 } } },
  }
  await withProducer(
    { cluster, producer: oneByOne },
    async ({ cluster, producer, during, values, clock }) => {
      await during(producer.send({ topic: 'orders', value: 'before' }))
      const leader = cluster.leaderOf('orders', 0)
      const followers = [1, 2, 3].filter((node) => node !== leader)
      const release = followers.map((node) => cluster.holdReplica(node, 'orders', 0))
      cluster.faults.on({ api: 'Produce', node: leader }, 'apply-then-swallow')
      const wanted = range(5).map((index) => alone(`${index}`))
      const sent = wanted.map((value) => producer.send({ topic: 'orders', value }))
      await clock.advance(20)
      // The tail of the leader was never copied; it dies, and a follower without it leads.
      await cluster.stopNode(leader, { kill: true })
      for (const one of release) one()
      cluster.faults.clear()
      await during(Promise.all(sent))
      assert.deepEqual(values('orders'), ['before', ...wanted])
      await cluster.startNode(leader)
    },
  )
})

const forgetful = {
  configs: { 'producer.id.expiration.ms': 1_000, 'producer.id.expiration.check.interval.ms': 500 },
}

for (const onUncertain of ['resend', 'drop'] as const) {
  test(`a broker that forgot who wrote an old record: the policy decides (${onUncertain})`, async () => {
    await withProducer({ cluster: forgetful, producer: { onUncertain, lingerMs: 1 } }, async (kit) => {
      const { cluster, producer, during, values, clock, reports } = kit
      await during(producer.send({ topic: 'orders', value: 'before' }))
      cluster.faults.on({ api: 'Produce', times: 1 }, 'apply-then-drop')
      // The proof comes only after the broker has forgotten.
      cluster.faults.on({ api: 'OffsetForLeaderEpoch', times: 1 }, { delayMs: 2_000 })
      const old = clock.now() - 3 * 24 * 3600 * 1000
      const code = await during(codeOf(producer.send({ topic: 'orders', value: 'old', timestamp: old })))
      await during(producer.send({ topic: 'orders', value: 'after' }))
      if (onUncertain === 'resend') {
        assert.equal(code, 'fulfilled')
        assert.deepEqual(values('orders'), ['before', 'old', 'old', 'after'])
        assert.equal(producer.stats.uncertain, 1)
        assert.deepEqual(
          reports.map(({ uncertain }) => uncertain),
          [false, true, false],
        )
      } else {
        assert.equal(code, 'UNPROVEN_DELIVERY')
        assert.deepEqual(values('orders'), ['before', 'old', 'after'])
        assert.equal(producer.stats.unknown, 1)
      }
      assert.match(kit.logged.join('\n'), /it cannot be proved/)
    })
  })
}

test('a broker that forgot an idle producer takes the next record nevertheless', async () => {
  await withProducer({ cluster: forgetful }, async ({ producer, during, values, clock }) => {
    await during(producer.send({ topic: 'orders', value: 'a' }))
    clock.jump(24 * 3600 * 1000)
    await clock.advance(2_000)
    await during(Promise.all(range(3).map((index) => producer.send({ topic: 'orders', value: `${index}` }))))
    assert.deepEqual(values('orders'), ['a', '0', '1', '2'])
  })
})

test('a broker that takes only sequence 0 of whom it does not know (Kafka 4.5)', async () => {
  await withProducer(
    { cluster: { ...forgetful, kafkaVersion: '4.5' } },
    async ({ producer, during, values, clock }) => {
      await during(producer.send({ topic: 'orders', value: 'a' }))
      clock.jump(24 * 3600 * 1000)
      await clock.advance(2_000)
      await during(producer.send({ topic: 'orders', value: 'b' }))
      assert.deepEqual(values('orders'), ['a', 'b'])
    },
  )
})

test('epochs are used up one day: then there is another producer id', async () => {
  await withProducer({}, async ({ cluster, producer, during, values }) => {
    await during(producer.send({ topic: 'orders', value: 'a' }))
    const first = cluster.records('orders', 0)[0]?.producerId
    cluster.faults.on({ api: 'Produce', times: 1 }, { error: 'INVALID_PRODUCER_EPOCH' })
    await during(producer.send({ topic: 'orders', value: 'b' }))
    assert.deepEqual(values('orders'), ['a', 'b'])
    assert.notEqual(cluster.records('orders', 0)[1]?.producerId, first)
  })
})

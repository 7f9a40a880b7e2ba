/** What is said of records whose fate an answer leaves open, and what a proof must not believe. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Batch } from '../../src/producer/batch.ts'
import { SendWindow } from '../../src/producer/send-window.ts'
import { batchesOf, batchOf, NOW } from './support/batches.ts'
import { codeOf, withProducer } from './support/kit.ts'

const order = (value: string) => ({ topic: 'orders', value })
const three = (configs = {}) => ({
  brokers: 3,
  topics: { orders: { partitions: 1, replicas: 3, configs } },
})

for (const [error, code] of [
  ['REQUEST_TIMED_OUT', 'DELIVERY_UNKNOWN'],
  ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'DELIVERY_UNKNOWN'],
  ['UNKNOWN_SERVER_ERROR', 'DELIVERY_UNKNOWN'],
  ['NOT_LEADER_OR_FOLLOWER', 'DELIVERY_UNKNOWN'],
  ['KAFKA_STORAGE_ERROR', 'DELIVERY_UNKNOWN'],
  ['NOT_ENOUGH_REPLICAS', 'DELIVERY_TIMEOUT'],
  ['CORRUPT_MESSAGE', 'DELIVERY_TIMEOUT'],
  ['LEADER_NOT_AVAILABLE', 'DELIVERY_TIMEOUT'],
] as const) {
  test(`a batch that was only ever answered ${error} ends with ${code}`, async () => {
    await withProducer(
      { producer: { deliveryTimeoutMs: 400 } },
      async ({ cluster, producer, during, clock }) => {
        await during(producer.send(order('before')))
        let answered = 0
        const where = () => {
          answered++
          return true
        }
        cluster.faults.on({ api: 'Produce', where }, { error })
        const failed = codeOf(producer.send(order('a')))
        await clock.advance(20)
        assert.ok(answered > 0)
        assert.equal(await during(failed), code)
      },
    )
  })
}

test('what is fatal for one partition is for all that the producer holds', async () => {
  await withProducer({ producer: { lingerMs: 60_000 } }, async ({ cluster, producer, during }) => {
    await during(producer.start())
    cluster.faults.on({ api: 'Produce', topic: 'orders' }, { error: 'CLUSTER_AUTHORIZATION_FAILED' })
    const other = codeOf(producer.send({ topic: 'many', value: 'lingers' }))
    const refused = codeOf(producer.send({ topic: 'orders', value: 'x'.repeat(999_000) }))
    const next = codeOf(producer.send({ topic: 'orders', value: 'y'.repeat(999_000) }))
    const codes = await during(Promise.all([refused, next, other]), 5_000)
    assert.deepEqual(codes, Array(3).fill('CLUSTER_AUTHORIZATION_FAILED'))
  })
})

test('a proof settles nothing that the high watermark has not passed', async () => {
  await withProducer({ cluster: three() }, async ({ cluster, producer, during, values, clock }) => {
    await during(producer.send(order('before')))
    const leader = cluster.leaderOf('orders', 0)
    const followers = [1, 2, 3].filter((node) => node !== leader)
    const release = followers.map((node) => cluster.holdReplica(node, 'orders', 0))
    // The first answer is the broker's own time-out, with the record in the leader's log; the next asks for a proof.
    let requests = 0
    cluster.faults.on(
      { api: 'Produce', times: 1, where: () => ++requests === 2 },
      { error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' },
    )
    let described = 0
    cluster.faults.on({ api: 'DescribeProducers', where: () => ++described < 0 }, 'close')
    let isSettled = false
    const sent = producer.send(order('held')).finally(() => {
      isSettled = true
    })
    await clock.advance(3_000)
    assert.ok(described > 0, 'the leader was asked')
    assert.equal(isSettled, false, 'it is in the log, but not committed')
    for (const one of release) one()
    await during(sent)
    assert.deepEqual(values('orders'), ['before', 'held'])
    assert.equal(producer.stats.proved, 1)
  })
})

test('a leader that was another one’s follower while it was asked is asked again', async () => {
  const cluster = three({ 'unclean.leader.election.enable': 'true' })
  await withProducer({ cluster }, async ({ cluster, producer, during, values, clock }) => {
    await during(producer.send(order('before')))
    const leader = cluster.leaderOf('orders', 0)
    const followers = [1, 2, 3].filter((node) => node !== leader)
    const other = followers[0] as number
    const release = followers.map((node) => cluster.holdReplica(node, 'orders', 0))
    let requests = 0
    cluster.faults.on(
      { api: 'Produce', times: 1, where: () => ++requests === 2 },
      { error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' },
    )
    // What it describes is cut off its log before it leads again, under a newer epoch.
    let described = 0
    const depose = () => {
      if (++described === 1) cluster.moveLeader('orders', 0, other)
      return false
    }
    cluster.faults.on({ api: 'DescribeProducers', where: depose }, 'close')
    let asked = 0
    const restore = () => {
      if (described > 0 && ++asked === 1) cluster.moveLeader('orders', 0, leader)
      return false
    }
    cluster.faults.on({ api: 'OffsetForLeaderEpoch', node: leader, where: restore }, 'close')
    const sent = producer.send(order('held'))
    await clock.advance(3_000)
    for (const one of release) one()
    await during(sent)
    assert.equal(asked > 0, true)
    assert.deepEqual(values('orders'), ['before', 'held'])
  })
})

test('acknowledged records that a fail-over lost are counted and logged', async () => {
  const cluster = three({ 'unclean.leader.election.enable': 'true' })
  await withProducer({ cluster }, async (kit) => {
    const { cluster, producer, during, values, clock } = kit
    await during(producer.send(order('before')))
    const leader = cluster.leaderOf('orders', 0)
    for (const node of [1, 2, 3]) if (node !== leader) cluster.holdReplica(node, 'orders', 0)
    const acknowledged = producer.send(order('lost'))
    // The followers fall out of the in-sync replicas, so the leader alone may acknowledge.
    await clock.advance(60_000)
    await during(acknowledged)
    await cluster.stopNode(leader, { kill: true })
    await during(producer.send(order('next')))
    assert.deepEqual(values('orders'), ['before', 'next'])
    assert.equal(producer.stats.lost, 1)
    assert.match(kit.logged.join('\n'), /no longer has records that it acknowledged/)
  })
})

test('halves leave only when what is on the wire behind them is answered', () => {
  const window = new SendWindow({ idempotent: false, maxInFlight: 5 })
  const [whole, follower] = batchesOf(4, 1) as [Batch, Batch]
  for (const batch of [whole, follower]) window.sent(batch, true)
  window.replace(whole, [batchOf({ count: 2, rank: 0 }), batchOf({ count: 2, rank: 2 })])
  assert.equal(window.step(undefined, NOW).kind, 'wait')
  window.failed(follower, false, NOW)
  assert.equal(window.step(undefined, NOW).kind, 'send')
})

test('a topic that is deleted while nothing of it was ever sent fails by its own time-out', async () => {
  const options = {
    cluster: { autoCreateTopics: false },
    producer: { unknownTopicTimeoutMs: 700, lingerMs: 30_000 },
  }
  await withProducer(options, async ({ cluster, kafka, producer, during, clock }) => {
    await during(producer.start())
    const sent = codeOf(producer.send(order('never on the wire')))
    await clock.advance(10)
    cluster.deleteTopic('orders')
    const began = clock.monotonic()
    await during(kafka.admin().listTopics())
    await during(
      producer.send({ topic: 'many', value: 'another topic brings the news' }).catch(() => undefined),
      60_000,
    )
    assert.equal(await during(sent), 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.ok(clock.monotonic() - began < 100_000)
  })
})

test('what may be in a topic that was deleted needs no proof in the one that is made anew', async () => {
  await withProducer(
    { cluster: { autoCreateTopics: false } },
    async ({ cluster, producer, during, values, clock }) => {
      await during(producer.send(order('old')))
      let proofs = 0
      cluster.faults.on({ api: 'DescribeProducers', where: () => ++proofs < 0 }, 'close')
      const fault = cluster.faults.on({ api: 'Produce' }, 'apply-then-drop')
      const sent = producer.send(order('lost'))
      await clock.advance(5)
      cluster.deleteTopic('orders')
      cluster.createTopic('orders', 1)
      fault.remove()
      await during(sent)
      await during(producer.send(order('next')))
      assert.deepEqual(values('orders'), ['lost', 'next'])
      assert.deepEqual(
        cluster.records('orders', 0).map(({ sequence }) => sequence),
        [0, 1],
        'numbers begin anew',
      )
      assert.equal(proofs, 0)
    },
  )
})

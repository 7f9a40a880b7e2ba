/** A topic that is not there is waited for, and not in silence. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from '../../src/client/cluster.ts'
import { Consumer } from '../../src/consumer/consumer.ts'
import { Bench, clientOptions, quick, until } from './kit.ts'

function logger() {
  const logged: [level: string, topic: unknown, code: unknown][] = []
  const at = (level: string) => (fields: { topic?: unknown; code?: unknown }, message: string) => {
    if (/a topic (cannot|that)/.test(message)) logged.push([level, fields.topic, fields.code])
  }
  return { logged, logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } }
}

const MISSING = ['warn', 'orderz', 'UNKNOWN_TOPIC_OR_PARTITION'] as const

test('a missing topic is warned of once, and told when it comes; the others are read meanwhile', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 }, configs: noCreation })
  await bench.fill('orders', 1, 1)
  const { logged, logger: log } = logger()
  const consumer = bench.consumer({ topics: ['orders', 'orderz'] }, { logger: log, metadataMaxAgeMs: 20 })
  const seen: string[] = []
  const running = consumer.run(({ topic }) => void seen.push(topic))
  await until(() => seen.length === 1, 'the record of the topic that is there')
  await until(() => logged.length === 1, 'the warning')
  let refreshes = 0
  bench.broker.faults.on({ api: 'Metadata', where: () => ++refreshes < 0 }, 'close')
  await until(() => refreshes > 3, 'more metadata')
  assert.deepEqual(logged, [MISSING])
  await bench.admin.createTopics([{ name: 'orderz', partitions: 1 }])
  await bench.fill('orderz', 1, 1)
  await until(() => seen.length === 2, 'the record of the other one')
  assert.deepEqual(logged, [MISSING, ['info', 'orderz', undefined]])
  await consumer.stop()
  await running
})

test('a member that does not lead is warned of its own topics too, and start() does not fail for one', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 }, configs: noCreation })
  const leader = bench.consumer({ topics: ['orders'] })
  const leading = leader.run(() => undefined)
  await until(() => leader.assignment().length === 2, 'the leader')
  for (const isStarted of [false, true]) {
    const { logged, logger: log } = logger()
    // As one that shares its client with others does: the brokers are known, it is given nothing to read, and nobody asks by the way.
    const cluster = new Cluster(clientOptions(bench.broker, { logger: log }))
    await cluster.refresh()
    const member = new Consumer(cluster, { groupId: 'group', ...quick, topics: ['orderz'] })
    if (isStarted) await member.start()
    const running = member.run(() => undefined)
    await until(() => logged.length > 0, 'the warning')
    assert.deepEqual(logged, [MISSING])
    await member.stop()
    await running
    await cluster.stop()
  }
  await leader.stop()
  await leading
})

/** Of the broker's, so that asking for a topic makes none. */
const noCreation = { 'group.initial.rebalance.delay.ms': 0, 'auto.create.topics.enable': false }

/** What a process remembers of its own commits, when the coordinator says that there are none: never too much. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { produce } from '../../src/protocol/messages/index.ts'
import { encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import type { Bench } from './kit.ts'
import { still, values } from './kit.ts'

const partition = { topic: 'orders', partition: 0 }

/** A member whose group forgets it, while a fault keeps it from joining again. */
function watched(startFrom: 'earliest' | 'latest', commitIntervalMs: number) {
  const told = { memberId: '', events: [] as string[], resets: 0 }
  const options = {
    topics: ['orders'],
    startFrom,
    commitIntervalMs,
    onReset: () => void told.resets++,
    onRebalance: ({ type, memberId }: { type: string; memberId: string }) => {
      told.memberId = memberId
      told.events.push(type)
    },
  } as const
  const expire = async ({ broker }: Bench, until: (condition: () => boolean) => Promise<void>) => {
    const lost = told.events.filter((event) => event === 'lost').length
    const apart = broker.faults.on(
      { api: 'JoinGroup', clientId: 'watched' },
      { error: 'COORDINATOR_LOAD_IN_PROGRESS' },
    )
    broker.expireMember('group', told.memberId)
    await until(() => told.events.filter((event) => event === 'lost').length > lost)
    return apart
  }
  return { told, options, expire }
}

test('a life that ends before its first commit does not make the one before it forgotten', async () => {
  const { clock, bench, member } = await still(undefined, { topics: { orders: 1 } })
  await using _ = bench
  const { options, expire } = watched('latest', 3000)
  const seen = new Set<number>()
  const consumer = member(options, { clientId: 'watched', metadataMaxAgeMs: 500 })
  const running = consumer.run(({ offset }) => void seen.add(offset))
  await clock.until(() => consumer.lag(partition) === 0)
  await bench.fill('orders', 1, 5)
  await clock.until(() => seen.size === 5)
  await clock.advance(5000)
  assert.deepEqual(await bench.committed('orders', 1), [5])
  for (let round = 0; round < 2; round++) {
    const apart = await expire(bench, (condition) => clock.until(condition))
    await bench.admin.deleteGroups(['group'])
    await bench.fill('orders', 1, 3)
    await clock.advance(200)
    apart.remove()
    await clock.until(() => consumer.lag(partition) !== undefined)
    await clock.advance(100)
  }
  await bench.fill('orders', 1, 1)
  await clock.until(() => seen.has(11))
  assert.deepEqual(
    [...seen].sort((a, b) => a - b),
    [...Array(12).keys()],
  )
  await clock.during(consumer.stop())
  await running
})

for (const hasIds of [true, false]) {
  test(`a topic that was created anew ${hasIds ? 'and begun' : 'where topics have no ids'} owes nothing to the one before`, async () => {
    const old = hasIds ? {} : { maxVersions: { Metadata: 9, Fetch: 12, Produce: 12 } }
    const { clock, bench, member } = await still(undefined, { topics: { orders: 1 }, ...old })
    await using _ = bench
    const { told, options, expire } = watched('earliest', 1000)
    let seen = new Set<number>()
    const consumer = member(options, { clientId: 'watched', metadataMaxAgeMs: 300 })
    const running = consumer.run(({ offset }) => void seen.add(offset))
    await clock.until(() => consumer.lag(partition) === 0)
    await put(bench, 5)
    await clock.until(() => seen.size === 5)
    await clock.advance(3000)
    seen = new Set()
    const anew = () => {
      bench.broker.deleteTopic('orders')
      bench.broker.createTopic('orders', 1)
    }
    if (hasIds) {
      anew()
      await clock.until(() => told.resets > 0)
      await clock.advance(50)
    }
    const apart = await expire(bench, (condition) => clock.until(condition))
    if (!hasIds) anew()
    await bench.cluster.refresh({ topics: ['orders'], force: true })
    await put(bench, 8)
    await clock.advance(2000)
    apart.remove()
    await clock.until(() => told.events.filter((event) => event === 'assigned').length > 1)
    await clock.until(() => consumer.lag(partition) === 0)
    await clock.advance(3000)
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      [...Array(8).keys()],
    )
    await clock.during(consumer.stop())
    await running
  })
}

/** By the topic's name: brokers without ids take no others. */
async function put({ cluster }: Bench, count: number): Promise<void> {
  await cluster.ensureTopic('orders')
  const connection = await cluster.connection(cluster.topic('orders')?.partitions[0]?.leaderId ?? 1)
  const partitionData = [{ index: 0, records: encodeRecordBatch(values(count), { timestamp: 1 }) }]
  const body = { acks: -1, timeoutMs: 5000, topicData: [{ name: 'orders', partitionData }] }
  const answer = await connection.request(produce, body, { version: 12 })
  assert.equal(answer.responses[0]?.partitionResponses[0]?.errorCode, 0)
}

/** Lost answers, killed brokers and moved leaders on a real Kafka: nothing lost, nothing doubled, all in order. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin } from '../../src/client/admin.ts'
import { Cluster } from '../../src/client/cluster.ts'
import { resolveClientOptions } from '../../src/client/options.ts'
import { Producer } from '../../src/producer/producer.ts'
import type { Receipt } from '../../src/producer/receipts.ts'
import { type Kafka, startKafka } from '../../tools/kafka/index.ts'
import { eventually } from '../client/support.ts'
import { proxied } from './support/fault-proxy.ts'
import { readValues } from './support/read-log.ts'

const PARTITIONS = 3

interface World {
  readonly kafka: Kafka
  readonly proxies: Awaited<ReturnType<typeof proxied>>
  readonly cluster: Cluster
}

async function worldOf(nodes: 1 | 3): Promise<World> {
  const kafka = await startKafka({ nodes })
  const proxies = await proxied(kafka.brokers)
  const cluster = new Cluster(resolveClientOptions({ brokers: kafka.brokers, dial: proxies.dial }))
  return { kafka, proxies, cluster }
}

async function end({ kafka, proxies, cluster }: World): Promise<void> {
  await cluster.stop()
  await proxies.stop()
  await kafka.stop()
}

/** Sends numbered records as long as the disturbance goes on, small batches with five in flight per partition. */
async function sendDuring(
  { cluster }: World,
  topic: string,
  disturb: () => Promise<void>,
): Promise<{ sent: string[][]; receipts: Receipt[]; producer: Producer }> {
  const producer = new Producer(cluster, {
    maxBatchBytes: 1_000,
    requestTimeoutMs: 3_000,
    deliveryTimeoutMs: 110_000,
    // Nobody waits for room here, and each call is charged 3 KiB as long as a broker is away.
    bufferBytes: 256 * 1024 * 1024,
  })
  const sent: string[][] = Array.from({ length: PARTITIONS }, () => [])
  const calls: Promise<Receipt>[] = []
  let isOver = false
  const disturbed = disturb().finally(() => {
    isOver = true
  })
  for (let number = 0; !isOver || number < 500; number++) {
    const partition = number % PARTITIONS
    const value = `${number} `.padEnd(150, '.')
    sent[partition]?.push(value)
    calls.push(producer.send({ topic, partition, value }))
    if (number % 20 === 0) await sleep(5)
  }
  await disturbed
  const receipts = await Promise.all(calls)
  await producer.stop()
  return { sent, receipts, producer }
}

interface Sent {
  readonly sent: readonly (readonly string[])[]
  readonly receipts: readonly Receipt[]
}

async function check(world: World, topic: string, { sent, receipts }: Sent): Promise<void> {
  for (const [partition, wanted] of sent.entries()) {
    const offsets = receipts.filter((receipt) => receipt.partition === partition).map(({ offset }) => offset)
    assert.deepEqual(
      offsets,
      wanted.map((_, index) => index),
      'every receipt tells the offset, also of what was proved',
    )
    // A new leader's high watermark lags until its followers have fetched from it.
    const log = await eventually(async () => {
      await world.cluster.refresh({ topics: [topic] })
      const found = await readValues(world.cluster, topic, partition)
      assert.ok(found.length >= wanted.length, `partition ${partition}: ${wanted.length - found.length} lost`)
      return found
    })
    const seen = new Set(log)
    const lost = wanted.filter((value) => !seen.has(value)).length
    const doubled = log.length - seen.size
    assert.deepEqual({ partition, lost, doubled }, { partition, lost: 0, doubled: 0 })
    assert.deepEqual(log, wanted, `partition ${partition} is out of order`)
  }
}

describe('one broker', { timeout: 300_000 }, () => {
  let world: World
  before(async () => {
    world = await worldOf(1)
  })
  after(() => end(world))

  test('answers lost with five in flight, the broker killed and restarted', async () => {
    const { kafka, proxies, cluster } = world
    await new Admin(cluster).createTopics([{ name: 'killed', partitions: PARTITIONS }])
    const [proxy] = proxies.proxies
    const outcome = await sendDuring(world, 'killed', async () => {
      for (let round = 0; round < 3; round++) {
        await sleep(1_000)
        if (proxy !== undefined) proxy.losesAnswers = true
        await sleep(400)
        await kafka.nodes[0]?.kill()
        if (proxy !== undefined) proxy.losesAnswers = false
        await kafka.nodes[0]?.restart()
      }
      await sleep(500)
    })
    const { producer } = outcome
    await check(world, 'killed', outcome)
    assert.ok(
      producer.stats.proved > 0,
      'a killed broker remembers one batch of five: the others were proved',
    )
    assert.equal(producer.stats.uncertain, 0)
    assert.equal(producer.stats.failed, 0)
  })

  test('requests that arrive after their connection ended', async () => {
    const { proxies, cluster } = world
    await new Admin(cluster).createTopics([{ name: 'late', partitions: PARTITIONS }])
    const [proxy] = proxies.proxies
    const outcome = await sendDuring(world, 'late', async () => {
      for (let round = 0; round < 12; round++) {
        await sleep(200)
        if (proxy !== undefined) proxy.requestDelayMs = 100 * (round % 4)
        await sleep(100)
        proxy?.cut()
      }
      if (proxy !== undefined) proxy.requestDelayMs = 0
    })
    const { producer } = outcome
    await check(world, 'late', outcome)
    assert.equal(producer.stats.uncertain, 0)
  })
})

describe('three brokers', { timeout: 300_000 }, () => {
  let world: World
  before(async () => {
    world = await worldOf(3)
  })
  after(() => end(world))

  test('leaders killed while answers are lost', async () => {
    const { kafka, proxies, cluster } = world
    const configs = { 'min.insync.replicas': '2' }
    await new Admin(cluster).createTopics([{ name: 'moved', partitions: PARTITIONS, replicas: 3, configs }])
    const outcome = await sendDuring(world, 'moved', async () => {
      for (let round = 0; round < 3; round++) {
        await sleep(1_500)
        for (const proxy of proxies.proxies) proxy.losesAnswers = true
        await sleep(300)
        await kafka.nodes[round]?.kill()
        for (const proxy of proxies.proxies) proxy.losesAnswers = false
        await sleep(1_000)
        await kafka.nodes[round]?.restart()
        await sleep(2_000)
      }
    })
    const { producer } = outcome
    await check(world, 'moved', outcome)
    assert.equal(producer.stats.uncertain, 0)
    assert.equal(producer.stats.failed, 0)
  })
})

/** When a batch closes, what a request holds, and where records with keys go: each bound seen from the broker's side. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionOf } from '../../src/producer/partitioners.ts'
import { alone, codeOf, type Kit, oneByOne, range, withProducer } from './support/kit.ts'

/** Of the lower byte of a batch's attributes, which holds the codec. */
const ATTRIBUTES_AT = 22

const order = (value: string) => ({ topic: 'orders', value })

interface Produced {
  readonly topicData: readonly { readonly partitionData: readonly { readonly records: Uint8Array }[] }[]
}

/** The Produce requests that the brokers see from now on, each as the sizes of its batches. */
function watchRequests({ cluster }: Kit): number[][] {
  const seen: number[][] = []
  const where = (request: Readonly<Record<string, unknown>>) => {
    const { topicData } = request as unknown as Produced
    seen.push(topicData.flatMap(({ partitionData }) => partitionData.map(({ records }) => records.length)))
    return false
  }
  cluster.faults.on({ api: 'Produce', where }, 'close')
  return seen
}

test('lingerMs: a batch waits that long for others, and no longer', async () => {
  await withProducer({ producer: { lingerMs: 100 } }, async (kit) => {
    const { producer, during, values, clock } = kit
    await during(producer.send(order('before')))
    const requests = watchRequests(kit)
    const first = producer.send(order('a'))
    await clock.advance(60)
    const second = producer.send(order('b'))
    await clock.advance(35)
    assert.deepEqual(values('orders'), ['before'], 'it is younger than the linger')
    await clock.advance(10)
    assert.deepEqual(values('orders'), ['before', 'a', 'b'], 'its age counts from its first record')
    await during(Promise.all([first, second]))
    assert.equal(requests.length, 1)
  })
})

for (const [option, bound] of [
  ['lingerRecords', { lingerRecords: 3 }],
  ['lingerBytes', { lingerBytes: 300 }],
] as const) {
  test(`${option}: a batch that has so much waits no longer`, async () => {
    await withProducer({ producer: { lingerMs: 60_000, ...bound } }, async (kit) => {
      const { producer, during, values, clock } = kit
      const began = clock.monotonic()
      const sent = range(3).map((index) => producer.send(order(alone(`${index}`))))
      await during(Promise.all(sent))
      assert.ok(clock.monotonic() - began < 10_000)
      assert.deepEqual(
        values('orders'),
        range(3).map((index) => alone(`${index}`)),
      )
      void producer.send(order('waits')).catch(() => undefined)
      await clock.advance(1_000)
      assert.equal(values('orders').length, 3, 'one record alone is below the bound')
    })
  })
}

test('a batch that is due goes on filling while the window has no room', async () => {
  await withProducer({ producer: { maxInFlight: 1 } }, async (kit) => {
    const { cluster, producer, during, values, clock } = kit
    await during(producer.send(order('before')))
    const requests = watchRequests(kit)
    cluster.faults.on({ api: 'Produce', times: 1 }, { delayMs: 100 })
    const sent: Promise<unknown>[] = []
    for (const index of range(20)) {
      sent.push(producer.send(order(`${index}`)))
      await clock.advance(2)
    }
    await during(Promise.all(sent))
    assert.equal(requests.length, 2, 'the first, and all that came while it was on the wire')
    assert.deepEqual(values('orders'), ['before', ...range(20).map(String)])
  })
})

test('maxRequestBytes: batches for one broker are spread over requests, and one batch always fits', async () => {
  const options = { producer: { maxRequestBytes: 1_200, maxBatchBytes: 4_000 } }
  await withProducer(options, async (kit) => {
    const { producer, during } = kit
    const to = (partition: number, size: number) =>
      producer.send({ topic: 'many', partition, value: 'x'.repeat(size) })
    await during(Promise.all(range(4).map((partition) => to(partition, 1))))
    const requests = watchRequests(kit)
    await during(Promise.all(range(4).map((partition) => to(partition, 500))))
    assert.equal(requests.flat().length, 4)
    for (const sizes of requests) assert.ok(sizes.reduce((sum, size) => sum + size) <= 1_200, `${sizes}`)
    requests.length = 0
    await during(to(0, 3_000))
    assert.equal(requests.length, 1)
  })
})

test('a key decides the partition, whatever else is in the batch', async () => {
  await withProducer({}, async ({ producer, during }) => {
    const keys = range(40).map((index) => `key ${index}`)
    const receipts = await during(producer.send(keys.map((key) => ({ topic: 'many', key, value: '' }))))
    assert.deepEqual(
      receipts.map(({ partition }) => partition),
      keys.map((key) => partitionOf(key, 4)),
    )
    assert.equal(new Set(receipts.map(({ partition }) => partition)).size, 4)
  })
})

test('calls that wait for room are settled by stop and by abort', async () => {
  for (const [end, code] of [
    ['stop', 'PRODUCER_STOPPED'],
    ['abort', 'ABORTED'],
  ] as const) {
    await withProducer({ producer: { ...oneByOne, bufferBytes: 8_192 } }, async (kit) => {
      const { cluster, producer, during } = kit
      await during(producer.send(order('before')))
      cluster.faults.on({ api: 'Produce' }, 'swallow')
      const sent = range(6).map((index) => producer.send(order(alone(`${index}`))))
      const waiting = producer.stats.waitingCalls
      assert.ok(waiting >= 3, `${waiting} wait`)
      const codes = Promise.all(sent.map(codeOf))
      await during(end === 'stop' ? producer.stop({ timeoutMs: 10 }) : producer.abort())
      assert.deepEqual((await during(codes)).slice(-waiting), Array(waiting).fill(code))
      assert.equal(producer.stats.waitingCalls, 0)
    })
  }
})

test('a signal ends the waiting of a flush, and the records go on', async () => {
  await withProducer({}, async ({ cluster, producer, during, values }) => {
    await during(producer.send(order('before')))
    cluster.faults.on({ api: 'Produce', times: 1 }, { delayMs: 300 })
    const sent = producer.send(order('slow'))
    const giveUp = new AbortController()
    const flushed = codeOf(producer.flush({ signal: giveUp.signal }))
    giveUp.abort()
    assert.equal(await flushed, 'ABORTED')
    await during(sent)
    assert.deepEqual(values('orders'), ['before', 'slow'])
  })
})

for (const [compression, codec] of [
  ['none', 0],
  ['gzip', 1],
  ['snappy', 2],
  ['lz4', 3],
  ['zstd', 4],
] as const) {
  test(`compression ${compression}: what leaves says so, and is as small as that makes it`, async () => {
    await withProducer({ producer: { compression } }, async ({ cluster, producer, during, values }) => {
      const seen: Uint8Array[] = []
      const where = (request: Readonly<Record<string, unknown>>) => {
        const { topicData } = request as unknown as Produced
        for (const { partitionData } of topicData) seen.push(...partitionData.map(({ records }) => records))
        return false
      }
      cluster.faults.on({ api: 'Produce', where }, 'close')
      await during(producer.send(order('compressible '.repeat(500))))
      assert.deepEqual(values('orders'), ['compressible '.repeat(500)])
      const [batch] = seen as [Uint8Array]
      assert.equal(seen.length, 1)
      assert.equal((batch[ATTRIBUTES_AT] as number) & 7, codec)
      assert.equal(batch.length < 1_000, compression !== 'none')
    })
  })
}

for (const acks of [1, 'all'] as const) {
  test(`acks ${acks}: ${acks === 1 ? 'the leader alone answers' : 'the answer waits for the replicas'}`, async () => {
    const cluster = { brokers: 2, topics: { orders: { partitions: 1, replicas: 2 } } }
    await withProducer({ cluster, producer: { acks } }, async ({ cluster, producer, during, clock }) => {
      await during(producer.send(order('before')))
      const leader = cluster.leaderOf('orders', 0)
      const release = cluster.holdReplica(leader === 1 ? 2 : 1, 'orders', 0)
      let isSettled = false
      const sent = producer.send(order('a')).finally(() => {
        isSettled = true
      })
      await clock.advance(100)
      assert.equal(isSettled, acks === 1)
      release()
      await during(sent)
    })
  })
}

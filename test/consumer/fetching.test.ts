/** Reading from brokers that move, refuse, cut, and hold more than fits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Dial } from '../../src/client/dial.ts'
import type { Consumer, ConsumerRecord, ResetReport } from '../../src/consumer/consumer.ts'
import { type Compression, encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import { Bench, still, thenSkip, turn, until, values } from './kit.ts'

/** Runs a consumer that only collects offsets by partition. */
function collect(consumer: Consumer) {
  const seen = new Map<number, number[]>()
  const running = consumer.run(async ({ partition, offset }) => {
    const offsets = seen.get(partition)
    if (offsets === undefined) seen.set(partition, [offset])
    else offsets.push(offset)
  })
  const count = () => [...seen.values()].reduce((sum, offsets) => sum + offsets.length, 0)
  return { seen, running, count }
}

const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index)

test('leaders move again and again: every record once and in order', async () => {
  await using bench = await Bench.open({ brokers: 3, topics: { orders: 3 } })
  const consumer = bench.consumer({ topics: ['orders'] })
  const { seen, running, count } = collect(consumer)
  const epochs = new Set<number>()
  const noteEpochs = (request: Readonly<Record<string, unknown>>) => {
    const { topics } = request as unknown as { topics: { partitions: { committedLeaderEpoch: number }[] }[] }
    for (const { partitions } of topics) {
      for (const { committedLeaderEpoch } of partitions) epochs.add(committedLeaderEpoch)
    }
    return false
  }
  bench.broker.faults.on({ api: 'OffsetCommit', where: noteEpochs }, 'close')
  for (let round = 0; round < 6; round++) {
    await bench.fill('orders', 3, 20, 4)
    for (let partition = 0; partition < 3; partition++) {
      const to = (bench.broker.leaderOf('orders', partition) % 3) + 1
      await until(
        () => bench.broker.replicaOf(to, 'orders', partition).logEnd >= 20 * (round + 1),
        'replication',
      )
      bench.broker.moveLeader('orders', partition, to)
    }
    await until(() => count() === 60 * (round + 1), `round ${round}`)
  }
  for (const offsets of seen.values()) assert.deepEqual(offsets, upTo(120))
  await consumer.stop()
  await running
  // The last commits carry the epoch of the leader that took the last records.
  assert.equal(Math.max(...epochs), 5)
})

test('a broker goes away and comes back', async () => {
  await using bench = await Bench.open({ brokers: 3, topics: { orders: 6 } })
  await bench.fill('orders', 6, 10)
  const consumer = bench.consumer({ topics: ['orders'] })
  const { seen, running, count } = collect(consumer)
  await until(() => count() === 60, 'the first records')
  await bench.broker.stopNode(2, { kill: true })
  await bench.cluster.refresh({ topics: ['orders'], force: true })
  await bench.fill('orders', 6, 10)
  await until(() => count() === 120, 'with two brokers')
  await bench.broker.startNode(2)
  await bench.fill('orders', 6, 10)
  await until(() => count() === 180, 'with three again')
  for (const offsets of seen.values()) assert.deepEqual(offsets, upTo(30))
  await consumer.stop()
  await running
})

test('every error of a partition that passes is got over', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  await bench.fill('orders', 2, 5)
  for (const error of [
    'NOT_LEADER_OR_FOLLOWER',
    'FENCED_LEADER_EPOCH',
    'UNKNOWN_LEADER_EPOCH',
    'UNKNOWN_TOPIC_OR_PARTITION',
    'UNKNOWN_TOPIC_ID',
    'KAFKA_STORAGE_ERROR',
    'REPLICA_NOT_AVAILABLE',
    'OFFSET_NOT_AVAILABLE',
    'UNKNOWN_SERVER_ERROR',
  ]) {
    bench.broker.faults.on({ api: 'Fetch', topic: 'orders', times: 1 }, { error })
  }
  for (const error of ['FETCH_SESSION_ID_NOT_FOUND', 'INVALID_FETCH_SESSION_EPOCH']) {
    bench.broker.faults.on({ api: 'Fetch', times: 1 }, { error })
  }
  for (const action of ['close', 'reset', 'apply-then-drop', { truncateAt: 20 }] as const) {
    bench.broker.faults.on({ api: 'Fetch', times: 1 }, action)
  }
  for (const error of ['LEADER_NOT_AVAILABLE', 'OFFSET_NOT_AVAILABLE', 'UNKNOWN_SERVER_ERROR']) {
    bench.broker.faults.on({ api: 'ListOffsets', times: 1 }, { error })
  }
  bench.broker.faults.on({ api: 'OffsetFetch', times: 1 }, { error: 'UNSTABLE_OFFSET_COMMIT' })
  const consumer = bench.consumer({ topics: ['orders'] })
  const { seen, running, count } = collect(consumer)
  await until(() => count() === 10, 'all records')
  for (const offsets of seen.values()) assert.deepEqual(offsets, upTo(5))
  await consumer.stop()
  await running
})

test('an error that does not pass ends the consumer, by its name', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  bench.broker.faults.on({ api: 'Fetch', times: 1 }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
  const consumer = bench.consumer({ topics: ['orders'] })
  await assert.rejects(
    consumer.run(async () => undefined),
    (error: { code: string; topic?: string }) => {
      assert.deepEqual([error.code, error.topic], ['TOPIC_AUTHORIZATION_FAILED', 'orders'])
      return true
    },
  )
  assert.equal(consumer.state, 'failed')
})

test('damage on the way is fetched again; damage in the log ends the consumer and is never skipped', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(3))
  const once = bench.broker.faults.on({ api: 'Fetch', times: 1 }, { flipByteAt: -20 })
  const first = bench.consumer({ topics: ['orders'], groupId: 'first' })
  const { running, count } = collect(first)
  await until(() => count() === 3, 'the records after all')
  assert.equal(once.hits, 1)
  await first.stop()
  await running
  // Each answer with records in it is damaged; a request that names nothing asks for the same again.
  const fromTheStart = (request: Readonly<Record<string, unknown>>) => {
    const { topics } = request as unknown as { topics: { partitions: { fetchOffset: number }[] }[] }
    return topics.length === 0 || topics[0]?.partitions[0]?.fetchOffset === 0
  }
  bench.broker.faults.on({ api: 'Fetch', where: fromTheStart }, { flipByteAt: -20 })
  const second = bench.consumer({ topics: ['orders'], groupId: 'second' })
  const damaged = collect(second)
  await assert.rejects(damaged.running, (error: { code: string; offset?: number }) => {
    assert.deepEqual([error.code, error.offset], ['CORRUPT_BATCH', 0])
    return true
  })
  assert.equal(damaged.count(), 0)
})

test('damage in the middle of a response: what is before it is handled, and reading goes on at the damage', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 30, 10)
  const asked: number[] = []
  const note = (request: Readonly<Record<string, unknown>>) => {
    const { topics } = request as unknown as { topics: { partitions: { fetchOffset: number }[] }[] }
    for (const { partitions } of topics) for (const { fetchOffset } of partitions) asked.push(fetchOffset)
    return false
  }
  bench.broker.faults.on({ api: 'Fetch', where: note }, 'close')
  // The last of the three batches is shorter than that, so the byte is in the second.
  const damage = bench.broker.faults.on({ api: 'Fetch', times: 1 }, { flipByteAt: -250 })
  const consumer = bench.consumer({ topics: ['orders'] })
  const { seen, running, count } = collect(consumer)
  await until(() => count() >= 30, 'all records')
  assert.equal(damage.hits, 1)
  assert.deepEqual(seen.get(0), upTo(30))
  // The request for what comes behind was made before the checksums were looked at, and went with its connection.
  assert.deepEqual(asked.slice(0, 2), [0, 10])
  await consumer.stop()
  await running
})

test('the batch that came damaged is fetched again at once, not after the long poll that has left meanwhile', async () => {
  const { clock, bench, member } = await still(undefined, { topics: { orders: 1 } })
  await using _ = bench
  const consumer = member({ topics: ['orders'], fetchMaxWaitMs: 60_000 })
  const { seen, running } = collect(consumer)
  await clock.until(() => consumer.lag({ topic: 'orders', partition: 0 }) === 0)
  await clock.advance(1000)
  bench.broker.faults.on({ api: 'Fetch', times: 1 }, { flipByteAt: -20 })
  // After a large answer the next poll leaves before the checksums are looked at.
  const large = [{ value: Buffer.alloc(100_000) }]
  // The poll under way brings this one: the fault is for its successor.
  await bench.append('orders', 0, large)
  await clock.until(() => seen.get(0)?.length === 1)
  const began = clock.monotonic()
  await bench.append('orders', 0, large)
  await clock.until(() => seen.get(0)?.length === 2)
  assert.ok(clock.monotonic() - began < 1000, `after ${clock.monotonic() - began} ms`)
  await clock.during(consumer.stop())
  await running
})

test('damage in what a paused partition has given back at once is of no account', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  await bench.append('orders', 0, [{ value: Buffer.alloc(80_000, 1) }])
  await bench.append('orders', 1, [{ value: 'v0' }])
  // Room for one request only: what is held leaves none for the next.
  const consumer = bench.consumer({ topics: ['orders'], prefetchBytes: 131_072, fetchMinBytes: 80_000 })
  const first = [{ topic: 'orders', partition: 0 }]
  const pause = () => {
    consumer.pause(first)
    return false
  }
  bench.broker.faults.on({ api: 'Fetch', where: pause }, 'close')
  // In the records of the first partition, wherever in the answer it stands.
  const damage = bench.broker.faults.on({ api: 'Fetch', times: 1 }, { flipByteAt: 1_000 })
  const { seen, running, count } = collect(consumer)
  await until(() => count() === 1, 'the record of the other partition')
  assert.deepEqual([damage.hits, seen.get(1)], [1, [0]])
  bench.broker.faults.clear()
  consumer.resume(first)
  await until(() => count() === 2, 'the record of the partition that was paused')
  assert.deepEqual(seen.get(0), [0])
  await consumer.stop()
  await running
})

/** Of the fields behind the records in a response to Fetch, which are empty. */
const BEHIND_RECORDS = 3
/** Where the byte `at` of the last batch stands, from the end of a response that ends with it. */
const inLastBatch = (batch: Buffer, at: number) => at - batch.length - BEHIND_RECORDS

test('a batch that cannot be measured ends an answer as one with a wrong checksum does', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 10)
  const last = encodeRecordBatch(values(10, 10))
  await bench.append('orders', 0, last)
  const MAGIC_AT = 16
  const once = { api: 'Fetch', times: 1 }
  const damage = bench.broker.faults.on(once, { flipByteAt: inLastBatch(last, MAGIC_AT) })
  const consumer = bench.consumer({ topics: ['orders'] })
  const { seen, running, count } = collect(consumer)
  await until(() => count() >= 20, 'all records')
  assert.equal(damage.hits, 1)
  assert.deepEqual(seen.get(0), upTo(20))
  await consumer.stop()
  await running
})

test('a batch whose damage makes it end before the position is damage, not an answer without records', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  // The last byte of the offset delta, 245, becomes 10.
  const batch = encodeRecordBatch(values(246))
  await bench.append('orders', 0, batch)
  const DELTA_AT = 26
  bench.broker.faults.on({ api: 'Fetch' }, { flipByteAt: inLastBatch(batch, DELTA_AT) })
  const consumer = bench.consumer({ topics: ['orders'], startFrom: { offset: 200 } })
  const { running } = collect(consumer)
  const ended = running.catch((error: { code: string; offset?: number }) => [error.code, error.offset])
  assert.deepEqual(await Promise.race([ended, turn(5000)]), ['CORRUPT_BATCH', 200])
})

test('what is damaged and given back, because its partition is paused and room is short, is read again', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 }, configs: { 'message.max.bytes': 4_000_000 } })
  const consumer = bench.consumer({ topics: ['orders'], prefetchBytes: 1024 * 1024 })
  const { seen, running, count } = collect(consumer)
  await bench.fill('orders', 2, 1)
  await until(() => count() === 2, 'the first records')
  const afterThree = { api: 'Fetch', times: 1, where: () => count() === 3 }
  const damage = bench.broker.faults.on(afterThree, { flipByteAt: -20 })
  await bench.append('orders', 0, values(1))
  await until(() => count() === 3 && damage.hits === 1, 'the long poll whose answer will be damaged')
  const paused = [{ topic: 'orders', partition: 1 }]
  consumer.pause(paused)
  // With it there is no room for another request.
  await bench.append('orders', 1, [{ value: Buffer.alloc(600_000) }])
  await bench.append('orders', 0, values(1))
  await until(() => seen.get(0)?.length === 3, 'the other partition')
  consumer.resume(paused)
  await until(() => seen.get(1)?.length === 2, 'the record that was damaged')
  assert.deepEqual([...seen].sort(), [
    [0, [0, 1, 2]],
    [1, [0, 1]],
  ])
  await consumer.stop()
  await running
})

for (const [size, valueBytes, order] of [
  ['large', 100_000, ['request', 'handler']],
  ['small', 100, ['handler', 'request']],
] as const) {
  test(`after a ${size} response the ${order[0]} comes before the ${order[1]}`, async () => {
    await using bench = await Bench.open({ topics: { orders: 1 } })
    await bench.append('orders', 0, [{ value: Buffer.alloc(valueBytes, 1) }])
    const events: string[] = []
    const dial: Dial = async (address, options) => {
      const stream = await bench.broker.dial(address, options)
      const write = stream.write.bind(stream) as (...given: unknown[]) => boolean
      stream.write = (...given: unknown[]) => {
        // Behind the length of the frame stands the key of the API: 1 is Fetch.
        if ((given[0] as Buffer).readInt16BE(4) === 1) events.push('request')
        return write(...given)
      }
      return stream
    }
    const consumer = bench.consumer({ topics: ['orders'] }, { dial })
    const running = consumer.run(() => void events.push('handler'))
    await until(() => events.length >= 3, 'the record and the request after it')
    assert.deepEqual(events.slice(0, 3), ['request', ...order])
    await consumer.stop()
    await running
  })
}

for (const [onOutOfRange, expected] of [
  ['earliest', upTo(6, 4)],
  ['latest', []],
] as const) {
  test(`out of range: ${onOutOfRange}`, async () => {
    await using bench = await Bench.open({ topics: { orders: 1 } })
    await bench.fill('orders', 1, 10, 2)
    await bench.admin.deleteRecords([{ topic: 'orders', partition: 0, beforeOffset: 4 }])
    const resets: ResetReport[] = []
    const consumer = bench.consumer({
      topics: ['orders'],
      startFrom: { offset: 1 },
      onOutOfRange,
      onReset: (report) => void resets.push(report),
    })
    const { seen, running } = collect(consumer)
    await until(() => resets.length === 1 && (seen.get(0)?.length ?? 0) === expected.length, 'the reset')
    const to = onOutOfRange === 'earliest' ? 4 : 10
    assert.deepEqual(resets, [{ topic: 'orders', partition: 0, reason: 'out-of-range', from: 1, to }])
    await bench.append('orders', 0, values(1))
    await until(() => seen.get(0)?.at(-1) === 10, 'what comes then')
    assert.deepEqual(seen.get(0), [...expected, 10])
    await consumer.stop()
    await running
    assert.deepEqual(await bench.committed('orders', 1), [11])
  })
}

test('out of range: stop', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  const consumer = bench.consumer({ topics: ['orders'], startFrom: { offset: 5 }, onOutOfRange: 'stop' })
  await assert.rejects(
    consumer.run(async () => undefined),
    (error: { code: string; offset?: number }) => {
      assert.deepEqual([error.code, error.offset], ['OUT_OF_RANGE', 5])
      return true
    },
  )
})

test('where reading begins: latest, a timestamp, an offset; none of them once something is committed', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  for (let index = 0; index < 5; index++) {
    await bench.append('orders', 0, values(2), { timestamp: 1000 + index * 100 })
  }
  const firstOf = async (startFrom: object | 'latest', groupId: string) => {
    const consumer = bench.consumer({ topics: ['orders'], startFrom: startFrom as 'latest', groupId })
    const { seen, running } = collect(consumer)
    await until(() => consumer.lag({ topic: 'orders', partition: 0 }) !== undefined, 'the first fetch')
    if (startFrom === 'latest') await bench.append('orders', 0, values(1), { timestamp: 1500 })
    await until(() => (seen.get(0)?.length ?? 0) > 0, 'a record')
    await consumer.stop()
    await running
    return seen.get(0)?.[0]
  }
  assert.equal(await firstOf({ timestamp: 1150 }, 'a'), 4)
  assert.equal(await firstOf({ offset: 7 }, 'b'), 7)
  assert.equal(await firstOf('latest', 'c'), 10)
  await bench.append('orders', 0, values(1))
  assert.equal(await firstOf({ offset: 0 }, 'c'), 11)
})

test('latest is committed at once: what comes while nobody reads is not lost', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 5)
  const first = bench.consumer({ topics: ['orders'], startFrom: 'latest' })
  const running = first.run(async () => undefined)
  await until(() => first.lag({ topic: 'orders', partition: 0 }) !== undefined, 'the first fetch')
  await first.stop()
  await running
  await bench.append('orders', 0, values(2))
  const second = bench.consumer({ topics: ['orders'], startFrom: 'latest' })
  const { seen, running: again } = collect(second)
  await until(() => seen.get(0)?.length === 2, 'the records between')
  await second.stop()
  await again
})

test('a batch larger than any response may be ends the consumer instead of being asked for for ever', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(3))
  await bench.append('orders', 0, [{ value: Buffer.alloc(300_000) }])
  const options = { topics: ['orders'], fetchMaxBytes: 100_000 }
  const consumer = bench.consumer(options, { maxResponseBytes: 200_000 })
  const { seen, running } = collect(consumer)
  await assert.rejects(running, { code: 'RESPONSE_TOO_LARGE' })
  assert.deepEqual(seen.get(0), upTo(3))
  assert.deepEqual(await bench.committed('orders', 1), [3])
})

test('no more is asked for than a response may be', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  for (let at = 0; at < 40; at++) await bench.append('orders', 0, [{ value: Buffer.alloc(10_000, 1) }])
  const consumer = bench.consumer({ topics: ['orders'] }, { maxResponseBytes: 100_000 })
  const { seen, running, count } = collect(consumer)
  await Promise.race([until(() => count() === 40, 'all records'), running])
  assert.deepEqual(seen.get(0), upTo(40))
  await consumer.stop()
  await running
})

test('records larger than every fetch size come all the same', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  for (const partition of [0, 1]) {
    for (const size of [300_000, 10, 200_000]) {
      await bench.append('orders', partition, [{ value: Buffer.alloc(size, 1) }])
    }
  }
  const consumer = bench.consumer({
    topics: ['orders'],
    fetchMaxBytes: 1000,
    partitionFetchBytes: 500,
    partitionPrefetchBytes: 1000,
    prefetchBytes: 65_536,
  })
  const sizes: number[] = []
  const running = consumer.run(async ({ value }) => void sizes.push(value?.length ?? 0))
  await until(() => sizes.length === 6, 'all records')
  assert.deepEqual(sizes.sort(), [10, 10, 200_000, 200_000, 300_000, 300_000])
  await consumer.stop()
  await running
})

test('compressed batches of every kind, and a bound on what they become', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  const kinds: Compression[] = ['gzip', 'snappy', 'lz4', 'zstd']
  for (const compression of kinds) await bench.append('orders', 0, values(5), { compression })
  const big = [{ value: Buffer.alloc(200_000) }]
  await bench.append('orders', 0, big, { compression: 'gzip' })
  await bench.append('orders', 0, values(1))
  const consumer = bench.consumer({ topics: ['orders'], maxDecompressedBytes: 100_000 })
  const { seen, running } = collect(consumer)
  await assert.rejects(running, (error: { code: string; offset?: number }) => {
    assert.deepEqual([error.code, error.offset], ['DECOMPRESSED_TOO_LARGE', 20])
    return true
  })
  assert.deepEqual(seen.get(0), upTo(20))
  const skipped: object[] = []
  const second = bench.consumer({
    topics: ['orders'],
    maxDecompressedBytes: 100_000,
    failure: thenSkip(0),
    onSkip: ({ offset, lastOffset, error }) => void skipped.push({ offset, lastOffset, code: error.code }),
  })
  const rest = collect(second)
  await until(() => rest.seen.get(0)?.at(-1) === 21, 'the record behind it')
  assert.deepEqual(skipped, [{ offset: 20, lastOffset: 20, code: 'DECOMPRESSED_TOO_LARGE' }])
  await second.stop()
  await rest.running
})

test('a partition whose handler stands still does not keep the others from being read', async () => {
  await using bench = await Bench.open({ topics: { orders: 4 } })
  const value = Buffer.alloc(4000, 1)
  const put = async (partition: number, count: number) => {
    for (let index = 0; index < count; index++) {
      await bench.append(
        'orders',
        partition,
        Array.from({ length: 5 }, () => ({ value })),
      )
    }
  }
  for (let partition = 0; partition < 4; partition++) await put(partition, 20)
  const consumer = bench.consumer({ topics: ['orders'], prefetchBytes: 300_000, partitionFetchBytes: 40_000 })
  const gate = Promise.withResolvers<void>()
  const seen = [0, 0, 0, 0]
  let most = 0
  const running = consumer.run(async ({ partition }) => {
    seen[partition] = (seen[partition] ?? 0) + 1
    most = Math.max(most, consumer.heldBytes)
    if (partition === 0) await gate.promise
  })
  await until(() => seen.slice(1).every((count) => count === 100), 'the others')
  for (let partition = 1; partition < 4; partition++) await put(partition, 20)
  await until(() => seen.slice(1).every((count) => count === 200), 'the others again')
  assert.equal(seen[0], 1)
  assert.ok(most <= 300_000 + 25_000, `${most} bytes held`)
  gate.resolve()
  await until(() => seen[0] === 100, 'the slow one')
  await consumer.stop()
  await running
})

test('small parts that wait do not pin the responses that they came in', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  const consumer = bench.consumer({ topics: ['orders'], prefetchBytes: 512 * 1024, fetchMaxWaitMs: 20 })
  const both = [0, 1].map((partition) => ({ topic: 'orders', partition }))
  const gate = Promise.withResolvers<void>()
  const seen = [0, 0]
  const running = consumer.run(async ({ partition }) => {
    seen[partition] = (seen[partition] ?? 0) + 1
    if (partition === 0) await gate.promise
  })
  for (let round = 1; round <= 20; round++) {
    // Read on together, so that both parts come in one response.
    consumer.pause(both)
    await turn(25)
    await bench.append('orders', 0, values(1))
    await bench.append('orders', 1, [{ value: Buffer.alloc(50_000) }])
    consumer.resume(both)
    await until(() => seen[1] === round, `round ${round}`)
  }
  assert.equal(seen[0], 1)
  assert.ok(consumer.heldBytes < 512 * 1024)
  gate.resolve()
  await until(() => seen[0] === 20, 'the slow one')
  await consumer.stop()
  await running
})

test('records of 1 MiB: what is held stays within the bound, also while handlers stand still', async () => {
  const configs = { 'message.max.bytes': 4_000_000 }
  const { clock, bench, member } = await still(undefined, { topics: { orders: 2 }, configs })
  await using _ = bench
  const value = Buffer.alloc(1024 * 1024, 7)
  for (let index = 0; index < 20; index++) await bench.append('orders', index % 2, [{ value }])
  const consumer = member({ topics: ['orders'], prefetchBytes: 4 * 1024 * 1024 })
  const stands = Promise.withResolvers<void>()
  let most = 0
  let begun = 0
  let ended = 0
  const running = consumer.run(async (record: ConsumerRecord) => {
    begun++
    most = Math.max(most, consumer.heldBytes)
    assert.equal(record.value?.length, 1024 * 1024)
    await stands.promise
    ended++
  })
  await clock.until(() => begun === 2)
  // Enough to fetch all of them, were there room.
  await clock.advance(2_000)
  most = Math.max(most, consumer.heldBytes)
  stands.resolve()
  await clock.until(() => ended === 20)
  await clock.during(consumer.stop())
  await running
  // A first batch comes whole even where less was asked for: one per response.
  assert.ok(most <= 6 * 1024 * 1024, `${most} bytes held`)
  assert.equal(consumer.heldBytes, 0)
})

test('a log that was cut by a fail-over: the position goes back to where it was cut, and it is told', async () => {
  await using bench = await Bench.open({
    brokers: 2,
    topics: { orders: { partitions: 1, replicas: 2, configs: { 'unclean.leader.election.enable': true } } },
  })
  const leader = bench.broker.leaderOf('orders', 0)
  const other = 3 - leader
  await bench.append('orders', 0, values(5))
  const resets: ResetReport[] = []
  const consumer = bench.consumer({ topics: ['orders'], onReset: (report) => void resets.push(report) })
  const seen: string[] = []
  const running = consumer.run(async ({ value }) => void seen.push(`${value}`))
  await until(() => seen.length === 5, 'the first records')
  await until(() => bench.broker.replicaOf(other, 'orders', 0).logEnd === 5, 'replication')
  // The follower goes; what comes then only the leader has.
  await bench.broker.stopNode(other)
  await bench.append('orders', 0, values(3, 5))
  await until(() => seen.length === 8, 'records that only one replica has')
  await bench.broker.stopNode(leader, { kill: true })
  await bench.broker.startNode(other)
  await until(() => bench.broker.leaderOf('orders', 0) === other, 'an unclean election')
  await bench.cluster.refresh({ topics: ['orders'], force: true })
  await bench.append('orders', 0, [{ value: 'other' }])
  await until(() => seen.at(-1) === 'other', 'what the new leader has')
  assert.deepEqual(resets, [{ topic: 'orders', partition: 0, reason: 'truncated', from: 8, to: 5 }])
  // The group's offsets are with the old leader alone.
  await bench.broker.startNode(leader)
  await until(async () => (await bench.committed('orders', 1))[0] === 6, 'the commit goes back too')
  await consumer.stop()
  await running
})

test('a topic that is deleted and created anew is read from its beginning', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 }, autoCreateTopics: false })
  await bench.fill('orders', 1, 5)
  const resets: string[] = []
  const consumer = bench.consumer({ topics: ['orders'], onReset: ({ reason }) => void resets.push(reason) })
  const { seen, running } = collect(consumer)
  await until(() => seen.get(0)?.length === 5, 'the old records')
  bench.broker.deleteTopic('orders')
  bench.broker.createTopic('orders', 1)
  await bench.cluster.refresh({ topics: ['orders'], force: true })
  await bench.fill('orders', 1, 8)
  await until(() => (seen.get(0)?.length ?? 0) >= 13, 'the new ones')
  assert.deepEqual(seen.get(0)?.slice(-8), upTo(8))
  assert.deepEqual(resets, ['recreated'])
  await consumer.stop()
  await running
})

test('a consumer in a rack reads from the replica there, and from the leader when that one goes', async () => {
  await using bench = await Bench.open({
    brokers: 2,
    racks: ['a', 'b'],
    topics: { orders: { partitions: 1, replicas: 2 } },
    configs: {
      'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
    },
  })
  const leader = bench.broker.leaderOf('orders', 0)
  const follower = 3 - leader
  const fromFollower = bench.broker.faults.on(
    { api: 'Fetch', node: follower, clientId: 'reader' },
    { delayMs: 0 },
  )
  const consumer = bench.consumer(
    { topics: ['orders'] },
    { rack: follower === 1 ? 'a' : 'b', clientId: 'reader' },
  )
  const { seen, running } = collect(consumer)
  await bench.append('orders', 0, values(5))
  await until(() => seen.get(0)?.length === 5 && fromFollower.hits > 1, 'records from the follower')
  await bench.broker.stopNode(follower)
  await bench.append('orders', 0, values(5))
  await until(() => seen.get(0)?.length === 10, 'records from the leader')
  assert.deepEqual(seen.get(0), upTo(10))
  await consumer.stop()
  await running
})

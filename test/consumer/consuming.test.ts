/** The three ways of consuming, and what becomes of it in the group's offsets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CommitReport, ConsumerRecord } from '../../src/consumer/consumer.ts'
import { Bench, until, values } from './kit.ts'

test('run: every record once, in the order of its partition, and committed', async () => {
  await using bench = await Bench.open({ topics: { orders: 3 } })
  await bench.fill('orders', 3, 200, 7)
  const consumer = bench.consumer({ topics: ['orders'] })
  const seen: number[][] = [[], [], []]
  const running = consumer.run(async ({ partition, offset, value }) => {
    assert.equal(`${value}`, `v${offset}`)
    seen[partition]?.push(offset)
  })
  await until(() => seen.every((offsets) => offsets.length === 200), 'all records')
  for (const offsets of seen)
    assert.deepEqual(
      offsets,
      Array.from({ length: 200 }, (_, index) => index),
    )
  await until(
    async () => (await bench.committed('orders', 3)).every((offset) => offset === 200),
    'commits by time',
  )
  assert.deepEqual(await consumer.stop(), { unfinished: [] })
  await running
  assert.equal(consumer.state, 'stopped')
})

test('a record has all that was produced, and copy() detaches it', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  const headers = [
    ['a', '1'],
    ['a', null],
    ['ü', ''],
  ] as const
  await bench.append('orders', 0, [{ key: 'k', value: 'v', headers }, { value: null }], { timestamp: 1234 })
  const consumer = bench.consumer({ topics: ['orders'] })
  const kept: ConsumerRecord[] = []
  for await (const record of consumer) {
    if (kept.push(record.copy()) === 2) break
  }
  const [first, second] = kept
  assert.deepEqual([first?.topic, first?.partition, first?.offset], ['orders', 0, 0])
  assert.deepEqual([first?.timestamp, first?.timestampType, first?.leaderEpoch], [1234, 'create', 0])
  assert.deepEqual([first?.key?.toString(), first?.value?.toString()], ['k', 'v'])
  assert.deepEqual(
    first?.headers.map(([name, value]) => [name, value === null ? null : `${value}`]),
    headers.map((header) => [...header]),
  )
  assert.deepEqual([second?.key, second?.value, second?.headers], [null, null, []])
  // Its bytes lie in memory of their own: a view would be inside the response.
  assert.ok((first?.value?.buffer.byteLength ?? 0) < 40)
})

test('runBatches: what one fetch brought; maxBatchRecords cuts it', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 100, 30)
  const consumer = bench.consumer({ topics: ['orders'], maxBatchRecords: 40 })
  const batches: [number, number, number][] = []
  const read: string[] = []
  const running = consumer.runBatches(async (batch) => {
    batches.push([batch.firstOffset, batch.lastOffset, batch.length])
    assert.equal(batch.highWatermark, 100)
    const once = [...batch].map(({ value }) => `${value}`)
    assert.deepEqual(
      [...batch].map(({ value }) => `${value}`),
      once,
    )
    read.push(...once)
  })
  await until(() => read.length >= 100, 'all records')
  await consumer.stop()
  await running
  assert.deepEqual(batches, [
    [0, 39, 40],
    [40, 79, 40],
    [80, 99, 20],
  ])
  assert.deepEqual(
    read,
    values(100).map(({ value }) => value),
  )
  assert.deepEqual(await bench.committed('orders', 1), [100])
})

test('iteration: a record is finished when the next is asked for, and not when the loop is left', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 10)
  const consumer = bench.consumer({ topics: ['orders'] })
  const seen: number[] = []
  for await (const record of consumer) {
    seen.push(record.offset)
    if (seen.length === 4) break
  }
  assert.deepEqual(seen, [0, 1, 2, 3])
  assert.equal(consumer.state, 'stopped')
  assert.deepEqual(await bench.committed('orders', 1), [3])
  const next = bench.consumer({ topics: ['orders'] })
  for await (const record of next) {
    assert.equal(record.offset, 3)
    break
  }
})

test('iteration: records of all partitions, those that come later too, until the consumer stops', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  await bench.fill('orders', 2, 50, 9)
  const consumer = bench.consumer({ topics: ['orders'] })
  let count = 0
  const expected: number[] = [0, 0]
  for await (const { partition, offset } of consumer) {
    assert.equal(offset, expected[partition])
    expected[partition] = offset + 1
    count++
    if (count === 100) await bench.fill('orders', 2, 5)
    if (count === 110) void consumer.stop()
  }
  assert.deepEqual(expected, [55, 55])
  assert.deepEqual(await bench.committed('orders', 2), [55, 55])
})

test('what an earlier member committed is where the next one begins', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 20)
  const first = bench.consumer({ topics: ['orders'] })
  let handled = 0
  const running = first.run(async () => {
    if (++handled === 5) void first.stop()
  })
  await running
  const offsets: number[] = []
  const second = bench.consumer({ topics: ['orders'] })
  const again = second.run(async ({ offset }) => void offsets.push(offset))
  await until(() => offsets.at(-1) === 19, 'the rest')
  await second.stop()
  await again
  assert.equal(offsets[0], ((await bench.committed('orders', 1))[0] as number) - offsets.length)
  assert.equal(offsets.length + handled, 20)
})

test('a crash without a commit: everything since is handled again', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 10)
  const first = bench.consumer({ topics: ['orders'], commitIntervalMs: 60_000, sessionTimeoutMs: 300 })
  let handled = 0
  const running = first.run(async () => void handled++)
  await until(() => handled === 10, 'all records')
  first.abort(new Error('crash'))
  await assert.rejects(running, { code: 'ABORTED' })
  assert.deepEqual(await bench.committed('orders', 1), [-1])
  const second = bench.consumer({ topics: ['orders'] })
  let again = 0
  const rerun = second.run(async () => void again++)
  await until(() => again === 10, 'all records again')
  await second.stop()
  await rerun
})

test('commits by count', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 25)
  const reports: CommitReport[] = []
  const consumer = bench.consumer({
    topics: ['orders'],
    commitIntervalMs: 60_000,
    commitEveryRecords: 10,
    onCommit: (report) => void reports.push(report),
  })
  bench.broker.faults.on({ api: 'OffsetCommit', times: 1 }, { error: 'NOT_COORDINATOR' })
  const running = consumer.run(async ({ offset }, { generation }) => {
    assert.equal(generation, 1)
    if (offset === 24) await new Promise(() => undefined)
  })
  await until(async () => ((await bench.committed('orders', 1))[0] ?? 0) >= 20, 'the second commit')
  consumer.abort()
  await assert.rejects(running, { code: 'ABORTED' })
  assert.equal(reports[0]?.error?.code, 'NOT_COORDINATOR')
  assert.equal(reports.at(-1)?.error, undefined)
  const [last] = reports.at(-1)?.offsets ?? []
  assert.deepEqual([last?.topic, last?.partition, reports.at(-1)?.generation], ['orders', 0, 1])
  assert.ok((last?.offset ?? 0) >= 20)
})

test('handlers that return no promise are not waited for, and heartbeats leave all the same', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 500)
  let lost = 0
  const consumer = bench.consumer({
    topics: ['orders'],
    sessionTimeoutMs: 1000,
    onRebalance: ({ type }) => void (type === 'lost' && lost++),
  })
  let handled = 0
  const beats = bench.broker.faults.on({ api: 'Heartbeat' }, { delayMs: 0 })
  const running = consumer.run(() => {
    // Three times as long as the session in all, without ever giving the loop a turn.
    const until = performance.now() + 6
    while (performance.now() < until);
    handled++
  })
  await until(() => handled === 500, 'all records')
  assert.ok(beats.hits > 3, `${beats.hits} heartbeats`)
  assert.equal(lost, 0)
  await consumer.stop()
  await running
})

test('at most `concurrency` handlers at a time, one per partition', async () => {
  await using bench = await Bench.open({ topics: { orders: 6 } })
  await bench.fill('orders', 6, 20)
  const consumer = bench.consumer({ topics: ['orders'], concurrency: 2 })
  const busy = new Set<number>()
  let most = 0
  let handled = 0
  const running = consumer.run(async ({ partition }) => {
    assert.ok(!busy.has(partition), 'two handlers for one partition')
    busy.add(partition)
    most = Math.max(most, busy.size)
    await new Promise((resolve) => setTimeout(resolve, 1))
    busy.delete(partition)
    handled++
  })
  await until(() => handled === 120, 'all records')
  assert.equal(most, 2)
  await consumer.stop()
  await running
})

test('pause and resume of a partition', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  await bench.fill('orders', 2, 10)
  const consumer = bench.consumer({ topics: ['orders'] })
  consumer.pause([{ topic: 'orders', partition: 1 }])
  const seen = [0, 0]
  const running = consumer.run(async ({ partition }) => {
    seen[partition] = (seen[partition] ?? 0) + 1
  })
  await until(() => seen[0] === 10, 'the other partition')
  await bench.fill('orders', 2, 10)
  await until(() => seen[0] === 20, 'the other partition again')
  assert.equal(seen[1], 0)
  consumer.resume([{ topic: 'orders', partition: 1 }])
  await until(() => seen[1] === 20, 'the paused partition')
  await consumer.stop()
  await running
})

test('one way of consuming per consumer, and not after it was stopped', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  const consumer = bench.consumer({ topics: ['orders'] })
  const running = consumer.run(async () => undefined)
  await assert.rejects(
    consumer.run(async () => undefined),
    { code: 'INVALID_STATE' },
  )
  assert.throws(() => consumer[Symbol.asyncIterator](), { code: 'INVALID_STATE' })
  assert.equal(consumer.stop(), consumer.stop())
  await consumer.stop()
  await running
  await assert.rejects(
    consumer.runBatches(async () => undefined),
    { code: 'INVALID_STATE' },
  )
  await assert.rejects(consumer.start(), { code: 'INVALID_STATE' })
  const idle = bench.consumer({ topics: ['orders'] })
  await idle[Symbol.asyncDispose]()
  assert.equal(idle.state, 'stopped')
})

test('start() finds the coordinator, and says early that there is none', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  const consumer = bench.consumer({ topics: ['orders'] })
  await consumer.start()
  assert.equal(consumer.state, 'idle')
  const lost = bench.consumer(
    { topics: ['orders'] },
    { brokers: '127.0.0.1:1', connectTimeoutMs: 200, dial: () => Promise.reject(new Error('nobody there')) },
  )
  await assert.rejects(lost.start(), { code: 'CONNECTION_FAILED' })
  assert.equal(lost.state, 'idle')
})

/** Handlers that throw: what is tried again, what is given up, what is told; and how a consumer ends. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type ConsumerBatch, FailedAtError, type SkipReport } from '../../src/consumer/consumer.ts'
import type { OttlaError } from '../../src/errors.ts'
import { Bench, thenSkip, turn, until, values } from './kit.ts'

test('a handler that fails for a while is called again with the same record, before the next one', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(4))
  const consumer = bench.consumer({ topics: ['orders'] })
  const calls: string[] = []
  const running = consumer.run(async ({ offset }, { attempt }) => {
    calls.push(`${offset}.${attempt}`)
    if (offset === 1 && attempt < 3) throw new Error('not yet')
  })
  await until(() => calls.at(-1) === '3.1', 'all records')
  assert.deepEqual(calls, ['0.1', '1.1', '1.2', '1.3', '2.1', '3.1'])
  await consumer.stop()
  await running
})

test('poison, stop: run() rejects with what the handler threw, the record is not committed and comes again', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  await bench.fill('orders', 2, 6)
  const consumer = bench.consumer({ topics: ['orders'] })
  let slowEnded = false
  const running = consumer.run(({ partition, offset }) => {
    if (partition === 0 && offset === 3) throw new TypeError('poison')
    if (partition === 1 && offset === 5) return turn(80).then(() => void (slowEnded = true))
    return undefined
  })
  await assert.rejects(running, (error: OttlaError) => {
    assert.deepEqual(
      [error.code, error.topic, error.partition, error.offset],
      ['HANDLER_FAILED', 'orders', 0, 3],
    )
    assert.ok(error.cause instanceof TypeError)
    return true
  })
  assert.equal(consumer.state, 'failed')
  // The other partition was drained before the consumer ended.
  assert.ok(slowEnded)
  assert.deepEqual(await bench.committed('orders', 2), [3, 6])
  assert.deepEqual(await consumer.stop(), { unfinished: [] })
  const next = bench.consumer({ topics: ['orders'] })
  const seen: number[] = []
  const again = next.run(async ({ offset }) => void seen.push(offset))
  await until(() => seen.length === 3, 'the rest')
  assert.deepEqual(seen, [3, 4, 5])
  await next.stop()
  await again
})

test('poison, skip: reported, awaited, and only then finished', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(4))
  const reports: SkipReport[] = []
  const gate = Promise.withResolvers<void>()
  const consumer = bench.consumer({
    topics: ['orders'],
    failure: thenSkip(1),
    onSkip: async (report) => {
      reports.push(report)
      await gate.promise
    },
  })
  const seen: number[] = []
  const running = consumer.run(async ({ offset }) => {
    if (offset === 2) throw new Error('poison')
    seen.push(offset)
  })
  await until(() => reports.length === 1, 'the report')
  await turn(60)
  assert.deepEqual(await bench.committed('orders', 1), [2])
  assert.deepEqual(seen, [0, 1])
  gate.resolve()
  await until(() => seen.length === 3, 'the record behind it')
  const [report] = reports
  assert.deepEqual([report?.offset, report?.lastOffset, report?.attempts], [2, 2, 2])
  assert.equal(report?.error.code, 'HANDLER_FAILED')
  assert.equal(`${report?.records[0]?.value}`, 'v2')
  await consumer.stop()
  await running
  assert.deepEqual(await bench.committed('orders', 1), [4])
})

test('a report that is not taken is no report: the consumer stops, nothing is skipped', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(2))
  const consumer = bench.consumer({
    topics: ['orders'],
    failure: thenSkip(0),
    onSkip: () => Promise.reject(new Error('the dead-letter store is away')),
  })
  const running = consumer.run(async () => Promise.reject(new Error('poison')))
  await assert.rejects(running, { code: 'HANDLER_FAILED' })
  assert.deepEqual(await bench.committed('orders', 1), [0])
})

test('a batch that fails is called again whole, or from the record that the handler names', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(6))
  const calls: string[] = []
  const reports: SkipReport[] = []
  const consumer = bench.consumer({
    topics: ['orders'],
    failure: thenSkip(1),
    onSkip: (report) => void reports.push(report),
  })
  const name = (batch: ConsumerBatch, attempt: number) =>
    calls.push(`${batch.firstOffset}-${batch.lastOffset}.${attempt}`)
  const running = consumer.runBatches(async (batch, { attempt }) => {
    name(batch, attempt)
    if (calls.length === 1) throw new Error('all of it')
    for (const { offset } of batch) if (offset === 3) throw new FailedAtError(3, new Error('this one'))
  })
  await until(() => calls.at(-1)?.startsWith('4-') === true, 'the rest')
  assert.deepEqual(
    calls,
    ['0-5.1', '0-5.2', '3-5.1', '3-5.2', '4-5.1'].filter((call) => call !== '3-5.1'),
  )
  assert.deepEqual(
    reports.map(({ offset, lastOffset, records }) => [offset, lastOffset, records.length]),
    [[3, 3, 1]],
  )
  await consumer.stop()
  await running
  assert.deepEqual(await bench.committed('orders', 1), [6])
})

test('a batch that names no record is given up whole', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(3))
  const reports: SkipReport[] = []
  const consumer = bench.consumer({
    topics: ['orders'],
    failure: thenSkip(0),
    onSkip: (report) => void reports.push(report),
  })
  const running = consumer.runBatches(() => {
    throw new FailedAtError(99, new Error('of another batch'))
  })
  await until(() => reports.length === 1, 'the report')
  assert.deepEqual([reports[0]?.offset, reports[0]?.lastOffset, reports[0]?.records.length], [0, 2, 3])
  await consumer.stop()
  await running
})

test('stop() ends the waiting between retries; the record is not finished', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(2))
  const consumer = bench.consumer({
    topics: ['orders'],
    failure: { retries: 9, minBackoffMs: 60_000, maxBackoffMs: 60_000 },
  })
  let calls = 0
  const running = consumer.run(async ({ offset }) => {
    calls++
    if (offset === 1) throw new Error('no')
  })
  await until(() => calls === 2, 'the failure')
  assert.deepEqual(await consumer.stop(), { unfinished: [{ topic: 'orders', partition: 0 }] })
  await running
  assert.equal(calls, 2)
  assert.deepEqual(await bench.committed('orders', 1), [1])
})

test('stop() with a deadline: what does not end is told, and named', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(3))
  const consumer = bench.consumer({ topics: ['orders'] })
  const stuck = Promise.withResolvers<void>()
  let told: unknown
  const running = consumer.run(async ({ offset }, { signal }) => {
    if (offset !== 1) return
    signal.addEventListener('abort', () => void (told = signal.reason))
    await stuck.promise
  })
  await until(async () => (await bench.committed('orders', 1))[0] === 1, 'the first record')
  const { unfinished } = await consumer.stop({ timeoutMs: 50 })
  await running
  assert.deepEqual(unfinished, [{ topic: 'orders', partition: 0 }])
  assert.equal((told as OttlaError).code, 'DRAIN_TIMEOUT')
  stuck.resolve()
  await turn(20)
  assert.deepEqual(await bench.committed('orders', 1), [1])
})

test('stop() with a deadline: what gives up because it is told to is named as well', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  await bench.fill('orders', 2, 1)
  const consumer = bench.consumer({ topics: ['orders'] })
  let count = 0
  const running = consumer.run(({ partition }, { signal }) => {
    count++
    return partition === 0 ? untilTold(signal) : undefined
  })
  await until(() => count === 2, 'both')
  const { unfinished } = await consumer.stop({ timeoutMs: 20 })
  await running
  assert.deepEqual(unfinished, [{ topic: 'orders', partition: 0 }])
  assert.deepEqual(await bench.committed('orders', 2), [0, 1])
})

const untilTold = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })

test('FailedAtError takes the offset of a record, and what it tells in the end is the cause', async () => {
  for (const wrong of [-1, 1.5, Number.NaN, { offset: 3 } as unknown as number]) {
    assert.throws(() => new FailedAtError(wrong, new Error('no')), {
      code: 'INVALID_ARGUMENT',
      message: /^FailedAtError: offset must be that of a record, not /,
    })
  }
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(3))
  const poison = new Error('poison')
  const reports: SkipReport[] = []
  const onSkip = (report: SkipReport) => void reports.push(report)
  const consumer = bench.consumer({ topics: ['orders'], failure: thenSkip(0), onSkip })
  const running = consumer.runBatches((batch) => {
    for (const { offset } of batch) if (offset === 1) throw new FailedAtError(offset, poison)
  })
  await until(() => reports.length === 1, 'the report')
  assert.equal(reports[0]?.error.cause, poison)
  assert.equal(reports[0]?.error.message, 'orders/0 at offset 1: the handler failed 1 times: poison')
  await consumer.stop()
  await running
})

test('stop() ends also when no broker answers any more', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(1))
  const consumer = bench.consumer({ topics: ['orders'], commitIntervalMs: 60_000 })
  let count = 0
  const running = consumer.run(() => void count++)
  await until(() => count === 1, 'the record')
  await bench.broker.stop()
  assert.deepEqual(await consumer.stop({ timeoutMs: 100 }), { unfinished: [] })
  await running
})

test('iteration: what ends the consumer is thrown into the loop', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.append('orders', 0, values(2))
  const consumer = bench.consumer({ topics: ['orders'] })
  const seen: number[] = []
  await assert.rejects(
    async () => {
      for await (const { offset } of consumer) {
        seen.push(offset)
        if (offset === 1) bench.broker.faults.on({ api: 'Fetch' }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
      }
    },
    { code: 'TOPIC_AUTHORIZATION_FAILED' },
  )
  assert.deepEqual(seen, [0, 1])
  assert.deepEqual(await bench.committed('orders', 1), [2])
})

test('SIGTERM: the consumer drains, commits and leaves, and its listeners are gone', async () => {
  const path = fileURLToPath(new URL('sigterm-child.ts', import.meta.url))
  const child = spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trim().split('\n')))
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  try {
    await until(() => lines.includes('working'), 'the handler')
    child.kill('SIGTERM')
    assert.equal(await ended, 0)
    assert.deepEqual(lines, ['working', 'handled', 'stopped', 'committed 1', 'listeners 0', 'left'])
  } finally {
    child.kill('SIGKILL')
  }
})

/** Stop, abort, flush, start, signals, and what listeners may do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka } from '../../src/kafka.ts'
import { PartialDeliveryError } from '../../src/producer/receipts.ts'
import { alone, codeOf, oneByOne, range, withProducer } from './support/kit.ts'

const order = (value: string) => ({ topic: 'orders', value })

test('stop delivers what is open, lingering, queued and on the wire', async () => {
  const producer = { lingerMs: 10_000, ...oneByOne }
  await withProducer({ producer }, async ({ producer, during, values, clock }) => {
    const wanted = range(12).map((index) => alone(`${index}`))
    const sent = wanted.map((value) => producer.send(order(value)))
    const enqueued = producer.enqueue(order('last'))
    await during(producer.stop())
    assert.ok(clock.monotonic() < 10_000, 'stop does not wait for the linger')
    await Promise.all([...sent, enqueued])
    assert.deepEqual(values('orders'), [...wanted, 'last'])
  })
})

test('stop settles at its deadline what remains, each with a reason, and joins when called again', async () => {
  await withProducer({ producer: oneByOne }, async ({ cluster, producer, during, reports, values }) => {
    await during(producer.send(order('before')))
    cluster.faults.on({ api: 'Produce' }, 'swallow')
    const sent = range(8).map((index) => producer.send(order(alone(`${index}`))))
    const codes = Promise.all(sent.map(codeOf))
    const stopped = producer.stop({ timeoutMs: 50 })
    assert.equal(producer.stop({ timeoutMs: 10_000 }), stopped)
    await during(stopped)
    assert.deepEqual(await codes, [
      ...Array(5).fill('DELIVERY_UNKNOWN'),
      ...Array(3).fill('PRODUCER_STOPPED'),
    ])
    assert.equal(reports.length, 9)
    assert.deepEqual(values('orders'), ['before'])
    assert.equal(producer.stats.unsettledCalls, 0)
  })
})

test('after stop a call rejects, and nothing is accepted', async () => {
  await withProducer({}, async ({ producer, during, reports }) => {
    await during(producer.stop())
    assert.equal(await codeOf(producer.send(order('a'))), 'PRODUCER_STOPPED')
    assert.equal(await codeOf(producer.send([order('a'), order('b')])), 'PRODUCER_STOPPED')
    assert.equal(await codeOf(producer.enqueue(order('a'))), 'PRODUCER_STOPPED')
    assert.equal(await codeOf(producer.start()), 'PRODUCER_STOPPED')
    assert.equal(await codeOf(producer.ready()), 'PRODUCER_STOPPED')
    assert.deepEqual(reports, [])
  })
})

test('abort settles everything at once', async () => {
  await withProducer({ producer: oneByOne }, async ({ cluster, producer, during, reports }) => {
    await during(producer.send(order('before')))
    cluster.faults.on({ api: 'Produce' }, 'swallow')
    const sent = range(7).map((index) => producer.send(order(alone(`${index}`))))
    await during(producer.flush({ timeoutMs: 20 }).catch(() => undefined))
    const codes = Promise.all(sent.map(codeOf))
    void producer.abort(new Error('enough'))
    assert.deepEqual(await codes, [...Array(5).fill('DELIVERY_UNKNOWN'), 'ABORTED', 'ABORTED'])
    await during(producer.stop())
    assert.equal(reports.length, 8)
  })
})

test('abort ends a stop that drains', async () => {
  await withProducer({}, async ({ cluster, producer, during, clock }) => {
    await during(producer.send(order('before')))
    cluster.faults.on({ api: 'Produce' }, 'swallow')
    const sent = codeOf(producer.send(order('a')))
    const began = clock.monotonic()
    const stopped = producer.stop({ timeoutMs: 100_000 })
    await clock.advance(20)
    void producer.abort('enough')
    await during(stopped)
    assert.equal(await sent, 'DELIVERY_UNKNOWN')
    assert.ok(clock.monotonic() - began < 1_000)
  })
})

test('flush waits for everything before it, and not for what comes after', async () => {
  await withProducer(
    { producer: { lingerMs: 5_000 } },
    async ({ cluster, producer, during, values, clock }) => {
      await during(producer.start())
      const before = producer.send(range(5).map((index) => order(`${index}`)))
      void producer.enqueue(order('quiet'))
      const began = clock.monotonic()
      await during(producer.flush())
      assert.ok(clock.monotonic() - began < 5_000, 'flush ends the linger')
      await before
      assert.deepEqual(values('orders'), ['0', '1', '2', '3', '4', 'quiet'])
      cluster.faults.on({ api: 'Produce', times: 1 }, { delayMs: 400 })
      const after = codeOf(producer.send(order('after')))
      assert.equal(await during(codeOf(producer.flush({ timeoutMs: 100 }))), 'TIMEOUT')
      assert.equal(await during(after), 'fulfilled')
    },
  )
})

test('flush resolves too when records fail', async () => {
  await withProducer({}, async ({ cluster, producer, during }) => {
    cluster.faults.on({ api: 'Produce', times: 1 }, { error: 'POLICY_VIOLATION' })
    const sent = codeOf(producer.send(order('a')))
    await during(producer.flush())
    assert.equal(await sent, 'POLICY_VIOLATION')
  })
})

test('start connects and gets a producer id, or says early why not', async () => {
  await withProducer({}, async ({ cluster, producer, during, producerWith }) => {
    await during(producer.start())
    await cluster.stopNode(1, { kill: true })
    const other = producerWith({})
    assert.equal(await during(codeOf(other.start({ timeoutMs: 2_000 }))), 'CONNECTION_FAILED')
    const controller = new AbortController()
    const aborted = codeOf(other.start({ signal: controller.signal }))
    controller.abort()
    assert.equal(await aborted, 'ABORTED')
    await cluster.startNode(1)
    await during(other.start({ timeoutMs: 30_000 }))
  })
})

test('a signal ends the waiting, and the record is settled nevertheless', async () => {
  await withProducer({}, async ({ producer, during, reports, values }) => {
    await during(producer.start())
    const controller = new AbortController()
    const sent = codeOf(producer.send(order('a'), { signal: controller.signal }))
    controller.abort()
    assert.equal(await sent, 'ABORTED')
    await during(producer.flush())
    assert.deepEqual(values('orders'), ['a'])
    assert.deepEqual(
      reports.map(({ status }) => status),
      ['delivered'],
    )
    assert.equal(await codeOf(producer.send(order('b'), { signal: AbortSignal.abort() })), 'ABORTED')
    await during(producer.flush())
    assert.deepEqual(values('orders'), ['a'])
  })
})

test('a start whose signal had fired leaves nothing behind that rejects later', async () => {
  const kafka = new Kafka({ brokers: ['nowhere:9092'], dial: () => new Promise(() => undefined) })
  const producer = kafka.producer()
  assert.equal(await codeOf(producer.start({ signal: AbortSignal.abort() })), 'ABORTED')
  await producer.stop({ timeoutMs: 0 })
  await kafka.stop()
  // Where a rejection that nobody handles would be told.
  await new Promise(setImmediate)
})

test('a listener that throws, rejects or sends again stops nothing', async () => {
  await withProducer({}, async ({ producer, during, reports, values, logged }) => {
    let again = 0
    producer.onDelivery(() => {
      throw new Error('a listener’s own bug')
    })
    producer.onDelivery(async () => {
      throw new Error('an async one')
    })
    const end = producer.onDelivery(() => {
      if (again++ < 2) void producer.send(order(`again ${again}`))
    })
    await during(producer.send([order('a'), order('b')]))
    await during(producer.flush())
    await during(producer.flush())
    assert.deepEqual(values('orders'), ['a', 'b', 'again 1', 'again 2'])
    assert.equal(reports.length, 4)
    assert.equal(logged.filter((line) => line.startsWith('a delivery listener threw')).length, 8)
    end()
    await during(producer.send(order('c')))
    assert.equal(again, 4)
  })
})

test('a report of a failure carries the record', async () => {
  await withProducer({}, async ({ cluster, producer, during, reports }) => {
    cluster.faults.on({ api: 'Produce', times: 1 }, { error: 'POLICY_VIOLATION' })
    const record = {
      topic: 'orders',
      key: 'k',
      value: Buffer.from('v'),
      headers: { h: 'x', n: null },
      timestamp: 5,
    }
    await during(codeOf(producer.send(record)))
    const [report] = reports
    assert.equal(report?.status, 'failed')
    const { key, value, headers, timestamp, error } = report as Extract<typeof report, { status: 'failed' }>
    assert.deepEqual([key?.toString(), value?.toString(), timestamp], ['k', 'v', 5])
    assert.deepEqual(headers, [
      ['h', Buffer.from('x')],
      ['n', null],
    ])
    assert.equal(error.code, 'POLICY_VIOLATION')
  })
})

test('without a listener a failed enqueue is logged', async () => {
  await withProducer({}, async ({ cluster, during, producerWith, logged }) => {
    const quiet = producerWith({})
    cluster.faults.on({ api: 'Produce', times: 1 }, { error: 'POLICY_VIOLATION' })
    await quiet.enqueue([order('a'), order('b')])
    await during(quiet.flush())
    assert.match(logged.join('\n'), /records were not delivered .*"records":2,"code":"POLICY_VIOLATION"/)
  })
})

test('bytes are copied before send returns, also while the topic is unknown', async () => {
  await withProducer({}, async ({ producer, during, values }) => {
    const value = Buffer.from('first')
    const spooled = producer.send({ topic: 'orders', key: value, value, headers: { h: value } })
    value.write('later')
    await during(spooled)
    const sent = producer.send({ topic: 'orders', value })
    value.write('never')
    await during(sent)
    assert.deepEqual(values('orders'), ['first', 'later'])
  })
})

test('several records are one call: receipts in order, or the outcome of each', async () => {
  await withProducer({ producer: oneByOne }, async ({ cluster, producer, during }) => {
    assert.deepEqual(await producer.send([]), [])
    const receipts = await during(producer.send(range(6).map((index) => order(alone(`${index}`)))))
    assert.deepEqual(
      receipts.map(({ offset, topic, partition }) => [topic, partition, offset]),
      range(6).map((index) => ['orders', 0, index]),
    )
    cluster.faults.on({ api: 'Produce', times: 1 }, { error: 'POLICY_VIOLATION' })
    const error = await during(
      producer.send([order(alone('a')), order(alone('b'))]).catch((reason) => reason),
    )
    assert.ok(error instanceof PartialDeliveryError)
    assert.equal(error.code, 'PARTIAL_DELIVERY')
    assert.deepEqual(
      error.results.map((result) => (result.status === 'delivered' ? result.offset : result.error.code)),
      ['POLICY_VIOLATION', 6],
    )
  })
})

test('a record that is none rejects the whole call before anything is accepted', async () => {
  await withProducer({}, async ({ producer, during, reports }) => {
    const wrong = { topic: 'orders', value: 5 } as never
    assert.equal(await codeOf(producer.send(wrong)), 'INVALID_ARGUMENT')
    assert.equal(await codeOf(producer.send([order('a'), wrong])), 'INVALID_ARGUMENT')
    assert.equal(await codeOf(producer.enqueue(wrong)), 'INVALID_ARGUMENT')
    await during(producer.flush())
    assert.deepEqual(reports, [])
  })
})

test('await using stops', async () => {
  await withProducer({}, async ({ producer, during, values }) => {
    const sent = producer.send(order('a'))
    await during(producer[Symbol.asyncDispose]())
    await sent
    assert.deepEqual(values('orders'), ['a'])
  })
})

const narrow = { topics: { orders: { partitions: 1, configs: { 'max.message.bytes': 300 } } } }
for (const [how, isKnown, cluster, options] of [
  ['whose topic was not known yet', false, {}, {}],
  ['that waited for room', true, {}, { maxBatchBytes: 200, bufferBytes: 5 * 4096 }],
  ['whose batch was cut in pieces', true, narrow, {}],
] as const) {
  test(`who waits for a record ${how} is told before the flush and the stop are over`, async () => {
    await withProducer({ cluster, producer: options }, async ({ producer, during }) => {
      if (isKnown) await during(producer.send({ topic: 'orders', value: 'before' }))
      for (const end of ['flush', 'stop'] as const) {
        let told = 0
        const value = 'x'.repeat(40)
        for (const _ of range(40)) void producer.send({ topic: 'orders', value }).then(() => told++)
        await during(producer[end]().then(() => assert.equal(told, 40)))
      }
    })
  })
}

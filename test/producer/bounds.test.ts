/** What a producer does when it holds as much as it may, and when records become too old. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alone, codeOf, type Kit, oneByOne, range, withProducer } from './support/kit.ts'

const order = (value: string) => ({ topic: 'orders', value })
/** Room for five calls: 1,024 bytes of buffer and 3,072 for the call each. */
const small = { ...oneByOne, bufferBytes: 5 * 4096 }

/** A producer that knows its topic, at a broker that swallows. */
async function silent({ cluster, producer, during }: Kit) {
  await during(producer.send(order('before')))
  return cluster.faults.on({ api: 'Produce' }, 'swallow')
}

test('wait: calls wait for room in their order, uncopied, and go on as it comes', async () => {
  await withProducer({ producer: small }, async (kit) => {
    const { producer, during, values, clock } = kit
    const fault = await silent(kit)
    const wanted = range(20).map((index) => alone(`${index}`))
    const sent = wanted.map((value) => producer.send(order(value)))
    assert.equal(producer.stats.waitingCalls, 15)
    assert.equal(producer.stats.unsettledCalls, 5)
    assert.ok(producer.stats.heldBytes <= small.bufferBytes)
    let isReady = false
    void producer.ready().then(() => {
      isReady = true
    })
    await clock.advance(100)
    assert.equal(isReady, false)
    fault.remove()
    await during(Promise.all(sent))
    await clock.advance(1)
    assert.equal(isReady, true)
    assert.deepEqual(values('orders'), ['before', ...wanted])
    assert.equal(producer.stats.heldBytes, 0)
  })
})

test('wait: room comes also of a batch whose only record could not be encoded', async () => {
  await withProducer({ producer: { ...oneByOne, bufferBytes: 1_600 } }, async (kit) => {
    const { producer, during, values } = kit
    const to = (partition: number, value: string) => ({ topic: 'many', partition, value })
    await during(producer.send(to(1, 'before')))
    let reads = 0
    const header = Object.defineProperty(['name', ''] as [string, string], 1, {
      get() {
        // It is checked, measured and counted before it is written: by then its batch has memory.
        if (++reads === 4) throw new Error('gone')
        return ''
      },
    })
    const refused = assert.rejects(producer.send({ ...to(0, 'x'), headers: [header] }), /gone/)
    const behind = producer.send(to(1, alone('behind')))
    assert.equal(producer.stats.waitingCalls, 1)
    await refused
    await during(behind, 1_000)
    assert.deepEqual(values('many', 1), ['before', alone('behind')])
    assert.equal(producer.stats.heldBytes, 0)
  })
})

test('wait: a call for several goes on from where it stopped', async () => {
  await withProducer({ producer: small }, async (kit) => {
    const { producer, during, values } = kit
    const fault = await silent(kit)
    const wanted = range(20).map((index) => alone(`${index}`))
    const many = producer.send(wanted.map(order))
    const behind = producer.send(order('behind'))
    assert.equal(producer.stats.waitingCalls, 2)
    fault.remove()
    await during(Promise.all([many, behind]))
    assert.deepEqual(values('orders'), ['before', ...wanted, 'behind'])
  })
})

test('reject: ready waits for memory where a call was refused, however little it takes to be enough', async () => {
  // A batch of 100,000 bytes and more has 131,072: the eighth finds no room for that, and an eighth of the buffer is free.
  const options = { bufferBytes: 1024 * 1024, onFull: 'reject', maxBatchBytes: 110_000 } as const
  await withProducer({ producer: options }, async (kit) => {
    const { producer, clock, during, values } = kit
    const fault = await silent(kit)
    const large = () => producer.send({ topic: 'orders', value: Buffer.alloc(100_000) })
    const sent = range(7).map(large)
    assert.equal(await codeOf(large()), 'QUEUE_FULL')
    let isReady = false
    const ready = producer.ready().then(() => {
      isReady = true
    })
    await clock.advance(100)
    assert.equal(isReady, false, 'nothing has come free')
    fault.remove()
    await during(Promise.all([...sent, ready]))
    await during(large())
    assert.equal(values('orders').length, 9)
  })
})

test('wait: more than maxWaitingCalls is too many', async () => {
  await withProducer({ producer: { ...small, maxWaitingCalls: 2 } }, async (kit) => {
    const { producer } = kit
    await silent(kit)
    const codes = range(8).map((index) => codeOf(producer.send(order(alone(`${index}`)))))
    assert.equal(await codes[7], 'QUEUE_FULL')
    assert.equal(producer.stats.waitingCalls, 2)
  })
})

test('wait: a signal ends the waiting, and the record is never sent', async () => {
  await withProducer({ producer: small }, async (kit) => {
    const { producer, during, values } = kit
    const fault = await silent(kit)
    const sent = range(5).map((index) => producer.send(order(alone(`${index}`))))
    const controller = new AbortController()
    const waiting = codeOf(producer.send(order(alone('waiting')), { signal: controller.signal }))
    const behind = producer.send(order(alone('behind')))
    controller.abort()
    assert.equal(await waiting, 'ABORTED')
    fault.remove()
    await during(Promise.all([...sent, behind]))
    assert.equal(values('orders').length, 7)
    assert.ok(!values('orders').includes(alone('waiting')))
  })
})

test('wait: who stood behind a call that was withdrawn goes on at once where there is room', async () => {
  await withProducer({ producer: { maxBatchBytes: 8_192, bufferBytes: 8_192 } }, async (kit) => {
    const { producer, clock } = kit
    await silent(kit)
    void producer.send(order(alone('on the wire'))).catch(() => undefined)
    const controller = new AbortController()
    const large = codeOf(producer.send(order('x'.repeat(8_000)), { signal: controller.signal }))
    void producer.send(order(alone('small'))).catch(() => undefined)
    let isReady = false
    void producer.ready().then(() => {
      isReady = true
    })
    assert.equal(producer.stats.waitingCalls, 2)
    controller.abort()
    assert.equal(await large, 'ABORTED')
    await clock.advance(1)
    assert.deepEqual([producer.stats.waitingCalls, isReady], [0, true])
  })
})

test('reject: QUEUE_FULL at once, and ready tells when there is room again', async () => {
  await withProducer({ producer: { ...small, onFull: 'reject' } }, async (kit) => {
    const { producer, during, values } = kit
    const fault = await silent(kit)
    const codes = range(7).map((index) => codeOf(producer.send(order(alone(`${index}`)))))
    assert.equal(await codes[5], 'QUEUE_FULL')
    assert.equal(await codes[6], 'QUEUE_FULL')
    assert.equal(producer.stats.waitingCalls, 0)
    fault.remove()
    await during(producer.ready())
    assert.equal(await during(codeOf(producer.send(order('after')))), 'fulfilled')
    assert.equal(values('orders').length, 7)
  })
})

test('drop-oldest: the oldest that was never on the wire gives way, and is told', async () => {
  const options = { ...small, bufferBytes: 8 * 4096, onFull: 'drop-oldest' } as const
  await withProducer({ producer: options }, async (kit) => {
    const { producer, during, values, clock } = kit
    const fault = await silent(kit)
    const first = range(5).map((index) => codeOf(producer.send(order(alone(`wire ${index}`)))))
    await clock.advance(1)
    const codes = range(8).map((index) => codeOf(producer.send(order(alone(`${index}`)))))
    fault.remove()
    assert.deepEqual(await during(Promise.all(codes)), [
      ...Array(5).fill('DROPPED'),
      ...Array(3).fill('fulfilled'),
    ])
    await during(Promise.all(first))
    assert.deepEqual(values('orders'), [
      'before',
      ...range(5).map((index) => alone(`wire ${index}`)),
      ...['5', '6', '7'].map(alone),
    ])
  })
})

test('drop-oldest: when everything is on the wire there is nothing to drop', async () => {
  await withProducer({ producer: { ...small, onFull: 'drop-oldest' } }, async (kit) => {
    const { producer, clock } = kit
    await silent(kit)
    const codes = range(5).map((index) => codeOf(producer.send(order(alone(`${index}`)))))
    await clock.advance(1)
    assert.equal(await codeOf(producer.send(order(alone('more')))), 'QUEUE_FULL')
    assert.equal(codes.length, 5)
  })
})

test('a record larger than the whole buffer goes alone', async () => {
  await withProducer({ producer: { bufferBytes: 2_000 } }, async ({ producer, during, values }) => {
    const large = 'x'.repeat(10_000)
    await during(
      Promise.all([producer.send(order('a')), producer.send(order(large)), producer.send(order('b'))]),
    )
    assert.deepEqual(
      values('orders').map((value) => value?.length),
      [1, 10_000, 1],
    )
  })
})

test('a record larger than maxBatchBytes is refused, and only that one', async () => {
  await withProducer({ producer: oneByOne }, async ({ producer, during, values }) => {
    await during(producer.send(order('before')))
    assert.equal(await codeOf(producer.send(order('x'.repeat(300)))), 'RECORD_TOO_LARGE')
    const error = await during(
      producer.send([order('a'), order('x'.repeat(300)), order('b')]).catch((one) => one),
    )
    assert.deepEqual(
      error.results.map((result: { status: string }) => result.status),
      ['delivered', 'failed', 'delivered'],
    )
    assert.deepEqual(values('orders'), ['before', 'a', 'b'])
  })
})

test('what a spool holds counts too', async () => {
  const options = { bufferBytes: 10_500, onFull: 'reject', unknownTopicTimeoutMs: 600 } as const
  const cluster = { autoCreateTopics: false }
  await withProducer({ cluster, producer: options }, async ({ producer, during, reports }) => {
    const codes = range(5).map((index) => codeOf(producer.send({ topic: 'nowhere', value: `${index}` })))
    assert.ok(producer.stats.heldBytes > 9_500)
    assert.deepEqual(await during(Promise.all(codes)), [
      ...Array(3).fill('UNKNOWN_TOPIC_OR_PARTITION'),
      ...Array(2).fill('QUEUE_FULL'),
    ])
    assert.equal(producer.stats.heldBytes, 0)
    assert.equal(reports.length, 3)
  })
})

test('at the deadline: unknown on the wire, timed out when never sent, and the partition goes on', async () => {
  await withProducer(
    { producer: { ...oneByOne, deliveryTimeoutMs: 400, requestTimeoutMs: 500 } },
    async (kit) => {
      const { producer, during, values, clock } = kit
      const fault = await silent(kit)
      const codes = Promise.all(range(8).map((index) => codeOf(producer.send(order(alone(`${index}`))))))
      const began = clock.monotonic()
      assert.deepEqual(await during(codes), [
        ...Array(5).fill('DELIVERY_UNKNOWN'),
        ...Array(3).fill('DELIVERY_TIMEOUT'),
      ])
      assert.ok(clock.monotonic() - began < 900)
      fault.remove()
      const after = await during(producer.send(order('after')))
      assert.equal(after.offset, 1)
      assert.deepEqual(values('orders'), ['before', 'after'])
    },
  )
})

test('at the deadline: what a socket may still read makes room when its request ends, and who waits goes on', async () => {
  // Each of these records has a buffer of 4,096 bytes to itself, and there is room for three calls.
  const large = (name: string) => order(name.padEnd(3_900))
  const options = {
    maxBatchBytes: 4_096,
    bufferBytes: 3 * 7_168,
    deliveryTimeoutMs: 400,
    requestTimeoutMs: 500,
  }
  await withProducer({ producer: options }, async (kit) => {
    const { producer, during, values } = kit
    const fault = await silent(kit)
    const onTheWire = Promise.all(range(3).map((index) => codeOf(producer.send(large(`${index}`)))))
    const waiting = producer.send(large('waiting'))
    const ready = producer.ready()
    assert.deepEqual(await during(onTheWire), Array(3).fill('DELIVERY_UNKNOWN'))
    fault.remove()
    assert.equal(producer.stats.waitingCalls, 1)
    await during(Promise.all([waiting, ready]))
    assert.deepEqual(
      values('orders').map((value) => value?.trimEnd()),
      ['before', 'waiting'],
    )
  })
})

test('at the deadline: a batch whose last answer said that it is not in the log timed out, and is not unknown', async () => {
  await withProducer({ producer: { deliveryTimeoutMs: 400 } }, async ({ cluster, producer, during }) => {
    await during(producer.send(order('before')))
    cluster.faults.on({ api: 'Produce' }, { error: 'NOT_ENOUGH_REPLICAS' })
    const error = await during(producer.send(order('a')).catch((reason) => reason))
    assert.equal(error.code, 'DELIVERY_TIMEOUT')
    assert.equal(error.cause.code, 'NOT_ENOUGH_REPLICAS')
  })
})

test('at the deadline: the cause is what the cluster could not be reached for, also when it never was', async () => {
  const options = { cluster: { autoCreateTopics: false }, producer: { deliveryTimeoutMs: 3_000 } }
  await withProducer(options, async ({ cluster, kafka, producer, during }) => {
    const timeoutOf = (topic: string) =>
      during(producer.send({ topic, value: 'a' }).catch((reason) => reason))
    await cluster.stopNode(1, { kill: true })
    const never = await timeoutOf('orders')
    assert.equal(never.code, 'DELIVERY_TIMEOUT')
    assert.equal(never.cause.code, 'CONNECTION_FAILED')
    assert.ok(never.message.endsWith(never.cause.message), never.message)
    await cluster.startNode(1)
    // What is over is no reason any more: of this topic nothing is known but that it is not there.
    await during(kafka.admin().listTopics())
    await during(producer.send(order('before')))
    const missing = await timeoutOf('nowhere')
    assert.equal(missing.code, 'DELIVERY_TIMEOUT')
    assert.equal(missing.cause.code, 'UNKNOWN_TOPIC_OR_PARTITION')
  })
})

test('at the deadline: the cause is that the partition has no leader, where the brokers say so', async () => {
  const cluster = { brokers: 2, topics: { many: { partitions: 2, replicas: 1 } } }
  const options = { cluster, producer: { deliveryTimeoutMs: 3_000 } }
  await withProducer(options, async ({ cluster, producer, during }) => {
    await cluster.stopNode(cluster.leaderOf('many', 1), { kill: true })
    const error = await during(
      producer.send({ topic: 'many', partition: 1, value: 'a' }).catch((reason) => reason),
    )
    assert.equal(error.code, 'DELIVERY_TIMEOUT')
    assert.equal(error.cause.code, 'LEADER_NOT_AVAILABLE')
    assert.match(error.message, /many\/1.*no leader/)
  })
})

test('while no broker is there records wait, and tell why they failed', async () => {
  await withProducer(
    { producer: { deliveryTimeoutMs: 3_000 } },
    async ({ cluster, producer, during, values }) => {
      await during(producer.send(order('before')))
      await cluster.stopNode(1, { kill: true })
      const early = producer.send(order('early')).catch((reason) => reason)
      const error = await during(early)
      assert.equal(error.code, 'DELIVERY_TIMEOUT')
      assert.match(error.message, /ECONNREFUSED|CONNECTION|nothing listens|refused|reached/)
      const waiting = producer.send(order('waiting'))
      await cluster.startNode(1)
      await during(waiting)
      assert.deepEqual(values('orders'), ['before', 'waiting'])
    },
  )
})

/** What a caller hands in: records, headers, options, partitioners. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { OttlaError } from '../../src/errors.ts'
import { askPartitioner, partitionOf, StickyChoice } from '../../src/producer/partitioners.ts'
import { type ProducerOptions, resolveProducerOptions } from '../../src/producer/producer-options.ts'
import { checkRecord, headersOf, measuredSizeOf, type ProducerRecord } from '../../src/producer/record.ts'
import { murmur2 } from '../../src/protocol/murmur2.ts'
import { BATCH_OVERHEAD, BatchBuilder } from '../../src/protocol/record-batch.ts'
import { seededRandom } from '../../src/util/random.ts'
import { rounds } from '../support/seed.ts'
import { codeOf, withProducer } from './support/kit.ts'

const refusal = (path: string) => (error: unknown) =>
  error instanceof OttlaError && error.code === 'INVALID_ARGUMENT' && error.path === path

const wrong: readonly [part: string, record: unknown][] = [
  ['', null],
  ['', 'text'],
  ['.topic', { value: 'v' }],
  ['.topic', { topic: '', value: 'v' }],
  ['.value', { topic: 't' }],
  ['.value', { topic: 't', value: 5 }],
  ['.key', { topic: 't', value: 'v', key: {} }],
  ['.partition', { topic: 't', value: 'v', partition: -1 }],
  ['.partition', { topic: 't', value: 'v', partition: 1.5 }],
  ['.timestamp', { topic: 't', value: 'v', timestamp: Number.NaN }],
  ['.timestamp', { topic: 't', value: 'v', timestamp: 1.5 }],
]

test('a record is checked, and the error names the place', () => {
  for (const [part, record] of wrong) {
    assert.throws(() => checkRecord(record as ProducerRecord, 3), refusal(`records[3]${part}`), part)
  }
  checkRecord({ topic: 't', value: null, key: Buffer.of(), partition: 0, timestamp: 0 }, -1)
})

test('a field that no record has is refused with the one that was meant', () => {
  const good = { topic: 't', value: 'v' }
  const told: readonly [name: string, words: string][] = [
    ['Key', 'did you mean key?'],
    ['headrs', 'did you mean headers?'],
    ['timestmp', 'did you mean timestamp?'],
    ['messages', 'give the records themselves, send([{ topic, key, value }, …])'],
    ['zebra', 'the fields are topic, partition, key, value, headers, timestamp'],
  ]
  for (const [name, words] of told) {
    const message = `records[3].${name} is no field of a record: ${words}`
    const error = { code: 'INVALID_ARGUMENT', path: `records[3].${name}`, message }
    assert.throws(() => checkRecord({ ...good, [name]: 1 } as ProducerRecord, 3), error)
    // Nothing is said where nothing is given.
    checkRecord({ ...good, [name]: undefined } as ProducerRecord, 3)
  }
  checkRecord({ topic: 't', value: null, key: undefined, headers: undefined, partition: undefined }, -1)
  checkRecord(Object.assign(Object.create({ inherited: 1 }), good), -1)
})

test('a consumed record and a report of a failure can be sent as they are', async () => {
  await withProducer({ cluster: { topics: { orders: 1, dead: 1 } } }, async (kit) => {
    const { kafka, cluster, producer, reports, during, values, clock } = kit
    cluster.faults.on({ api: 'Produce', topic: 'orders', times: 1 }, { error: 'INVALID_RECORD' })
    const record = { topic: 'orders', key: 'k', value: 'v', headers: { a: 'b' } }
    assert.equal(await during(codeOf(producer.send(record))), 'INVALID_RECORD')
    const [report] = reports
    assert.ok(report?.status === 'failed')
    await during(producer.send({ ...report, topic: 'dead' }))
    const consumer = kafka.consumer({ groupId: 'g', topics: ['dead'] })
    const sent: Promise<unknown>[] = []
    const running = consumer.run((consumed) => {
      if (sent.length === 0)
        sent.push(producer.send(consumed), producer.send({ ...consumed, topic: 'orders', value: 'w' }))
    })
    await clock.until(() => sent.length === 2)
    await during(Promise.all(sent))
    assert.deepEqual([values('orders'), values('dead')], [['w'], ['v', 'v']])
    await during(consumer.stop())
    await during(running)
  })
})

test('what is missing is told with the field that was meant, and how a tombstone is said', async () => {
  const told: readonly [record: object, words: RegExp][] = [
    [
      { topic: 't', vlaue: 'x' },
      /^records\[1\]\.value .* missing; vlaue is no field .*did you mean value\?; for a tombstone give value: null$/,
    ],
    [
      { Topic: 't', value: 'x' },
      /^records\[1\]\.topic .* missing; Topic is no field .*did you mean topic\?$/,
    ],
    [{ topic: 't', key: 'k' }, /^records\[1\]\.value .* missing; for a tombstone give value: null$/],
    [{ topic: 't', value: undefined }, /for a tombstone give value: null/],
    [{ topic: 't', zebra: 'x' }, /zebra is no field of a record: the fields are topic, .*, timestamp/],
    [
      { topic: 't', messages: [{ value: 'x' }] },
      /messages is no field of a record: give the records themselves/,
    ],
    [{ messages: [{ topic: 't', value: 'x' }] }, /^records\[1\]\.topic .*give the records themselves/],
  ]
  const secret = { topic: 't', vlaue: 'hunter2' }
  await withProducer({}, async ({ producer, values, during }) => {
    for (const [record, words] of told) {
      const good = { topic: 'orders', value: 'x' }
      const records = [good, record as ProducerRecord]
      for (const call of [() => producer.send(records), () => producer.enqueue(records)]) {
        const error = await during(call().catch((reason: unknown) => reason))
        assert.ok(error instanceof OttlaError)
        assert.equal(error.code, 'INVALID_ARGUMENT')
        assert.match(error.message, words)
      }
    }
    const alone: unknown = await during(producer.send(secret as never).catch((reason) => reason))
    assert.ok(alone instanceof OttlaError)
    assert.match(alone.message, /^record\.value .*did you mean value\?; for a tombstone/)
    assert.doesNotMatch(alone.message, /hunter2/)
    assert.deepEqual(values('orders'), [], 'nothing of such a call is sent')
  })
})

test('headers are a list or an object', () => {
  const of = (headers: unknown) => headersOf({ topic: 't', value: '', headers: headers as never }, 'record')
  assert.deepEqual(of(undefined), [])
  assert.deepEqual(of({ a: '1', b: null }), [
    ['a', '1'],
    ['b', null],
  ])
  const list = [
    ['a', '1'],
    ['a', Buffer.of(2)],
  ]
  assert.equal(of(list), list)
  assert.deepEqual(of(Object.assign(Object.create(null), { a: '1' })), [['a', '1']])
  assert.deepEqual(of(runInNewContext("({ a: '1' })")), [['a', '1']])
  const notPlain = [new Map([['a', 'b']]), new Headers({ a: 'b' }), Buffer.from('a'), new Date(0)]
  for (const bad of [5, null, ['a'], [[1, 'x']], [['a', 'b', 'c']], ...notPlain])
    assert.throws(() => of(bad), refusal('record.headers'))
  assert.throws(() => of({ a: 5 }), refusal('record.headers.a'))
})

test('the measured size of a record is never less than what it takes', () => {
  rounds(300, (random) => {
    const text = () => 'aé€😀'.slice(0, random.below(6)).repeat(random.below(40))
    const record = { topic: 't', key: random.below(2) ? text() : null, value: text() }
    const headers = Array.from({ length: random.below(4) }, () => [text(), text()] as const)
    const builder = new BatchBuilder()
    builder.append(record.key, record.value, headers, 1e12)
    const taken = builder.append(record.key, record.value, headers, 2e12)
    assert.ok(measuredSizeOf(record, headers) >= taken)
    assert.ok(measuredSizeOf(record, headers) < taken + 60 + 10 * headers.length)
  })
})

test('keys go where Java’s client puts them', () => {
  // From Apache Kafka's own UtilsTest.
  const vectors: readonly [key: string, hash: number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  for (const [key, hash] of vectors) {
    assert.equal(murmur2(Buffer.from(key)), hash)
    for (const count of [1, 3, 12, 100]) {
      assert.equal(partitionOf(key, count), (hash & 0x7fff_ffff) % count)
      assert.equal(partitionOf(Buffer.from(key), count), (hash & 0x7fff_ffff) % count)
    }
  }
})

test('a text key is hashed as its UTF-8, of whatever length', () => {
  for (const key of [
    '',
    'é',
    'aé',
    '€uro',
    '😀',
    '\ud800',
    'x'.repeat(341),
    'x'.repeat(342),
    'é'.repeat(2_000),
  ]) {
    assert.equal(partitionOf(key, 1_000_003), partitionOf(Buffer.from(key), 1_000_003), key.slice(0, 5))
  }
})

test('the choice for records without a key stays until its batch closes, is even, and avoids the leaderless', () => {
  const choice = new StickyChoice(seededRandom(1))
  const context = { partitionCount: 4, available: [0, 2, 3] }
  const counts = [0, 0, 0, 0]
  for (let batch = 0; batch < 3_000; batch++) {
    const partition = choice.partition(context)
    assert.equal(choice.partition(context), partition)
    choice.leave((partition + 1) % 4)
    assert.equal(choice.partition(context), partition)
    counts[partition] = (counts[partition] as number) + 1
    choice.leave(partition)
  }
  assert.equal(counts[1], 0)
  for (const index of [0, 2, 3]) assert.ok(Math.abs((counts[index] as number) - 1_000) < 150, `${counts}`)
  const before = choice.partition(context)
  choice.refresh({ partitionCount: 4, available: [(before + 1) % 4] })
  assert.equal(choice.partition({ partitionCount: 4, available: [(before + 1) % 4] }), (before + 1) % 4)
  const none = new StickyChoice(seededRandom(2)).partition({ partitionCount: 4, available: [] })
  assert.ok(none >= 0 && none < 4)
})

test('what a custom partitioner says is checked', () => {
  const record = { topic: 't', value: '' }
  const context = { partitionCount: 3, available: [] }
  assert.equal(
    askPartitioner(() => 2, record, context),
    2,
  )
  for (const bad of [3, -1, 1.5, Number.NaN, '1' as never, undefined as never]) {
    assert.throws(() => askPartitioner(() => bad, record, context), /the partitioner gave .* which has 3/)
  }
})

const optionError = (options: object) => {
  try {
    resolveProducerOptions(options as ProducerOptions)
    return 'none'
  } catch (error) {
    return error instanceof OttlaError && error.code === 'INVALID_OPTION' ? error.path : error
  }
}

test('options: defaults', () => {
  const { lingerRecords, ...options } = resolveProducerOptions(undefined)
  assert.equal(lingerRecords, Number.POSITIVE_INFINITY)
  assert.deepEqual(
    { ...options },
    {
      acks: 'all',
      idempotent: true,
      lingerMs: 0,
      lingerBytes: 1_000_000,
      maxBatchBytes: 1_000_000,
      maxRequestBytes: 4 * 1024 * 1024,
      maxInFlight: 5,
      compression: 'none',
      compressionLevel: undefined,
      bufferBytes: 64 * 1024 * 1024,
      onFull: 'wait',
      maxWaitingCalls: 10_000,
      requestTimeoutMs: 30_000,
      deliveryTimeoutMs: 120_000,
      unknownTopicTimeoutMs: 30_000,
      retryBackoffMs: 100,
      retryBackoffMaxMs: 1_000,
      onUncertain: 'resend',
      partitioner: undefined,
      onDelivery: undefined,
    },
  )
  assert.ok(Object.isFrozen(resolveProducerOptions({})))
})

test('options: other acks turn idempotence off, and then one batch is in flight unless more is said', () => {
  for (const acks of [1, 0] as const) {
    const { idempotent, maxInFlight } = resolveProducerOptions({ acks })
    assert.deepEqual([idempotent, maxInFlight], [false, 1])
  }
  assert.equal(resolveProducerOptions({ acks: 1, maxInFlight: 20 }).maxInFlight, 20)
  assert.equal(resolveProducerOptions({ idempotent: false }).maxInFlight, 1)
})

test('options: what does not go is refused by name', () => {
  assert.equal(optionError({ acks: 1, idempotent: true }), 'producer.idempotent')
  assert.equal(optionError({ acks: 2 }), 'producer.acks')
  assert.equal(optionError({ maxInFlight: 6 }), 'producer.maxInFlight')
  assert.equal(optionError({ lingerMS: 5 }), 'producer.lingerMS')
  assert.equal(optionError({ lingerMs: -1 }), 'producer.lingerMs')
  assert.equal(optionError({ lingerMs: 300, deliveryTimeoutMs: 300 }), 'producer.lingerMs')
  const both = /lingerMs must be below deliveryTimeoutMs \(300\), .*, not 5000$/
  assert.throws(() => resolveProducerOptions({ lingerMs: 5000, deliveryTimeoutMs: 300 }), both)
  assert.equal(optionError({ lingerMs: 299, deliveryTimeoutMs: 300 }), 'none')
  assert.equal(optionError({ lingerBytes: 501, maxBatchBytes: 500 }), 'producer.lingerBytes')
  assert.equal(optionError({ lingerBytes: 500, maxBatchBytes: 500 }), 'none')
  assert.equal(optionError({ compression: 'lzma' }), 'producer.compression')
  assert.equal(optionError({ compression: 'lz4', compressionLevel: 3 }), 'producer.compressionLevel')
  assert.equal(optionError({ compression: 'gzip', compressionLevel: 12 }), 'producer.compressionLevel')
  assert.equal(optionError({ compression: 'zstd', compressionLevel: 12 }), 'none')
  assert.equal(optionError({ retryBackoffMs: 500, retryBackoffMaxMs: 100 }), 'producer.retryBackoffMaxMs')
  assert.equal(optionError({ onFull: 'block' }), 'producer.onFull')
  assert.equal(optionError({ maxBatchBytes: BATCH_OVERHEAD }), 'producer.maxBatchBytes')
  assert.equal(optionError({ onDelivery: 5 }), 'producer.onDelivery')
})

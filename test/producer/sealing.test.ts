/** A codec that throws fails the records of its batch, and nothing else. */
import assert from 'node:assert/strict'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { type TestContext, test } from 'node:test'
import zlib from 'node:zlib'
import { OttlaError } from '../../src/errors.ts'
import { PartialDeliveryError } from '../../src/producer/receipts.ts'
import { codeOf, range, withProducer } from './support/kit.ts'

type Codec = 'gzip' | 'zstd' | 'snappy' | 'lz4'

/** What zlib throws when it gets no memory. */
const noMemory = () => Object.assign(new Error('insufficient memory'), { code: 'Z_MEM_ERROR', errno: -4 })

/** One of zlib's functions throws where `fails` says so. */
function outOfMemory(
  context: TestContext,
  name: 'gzipSync' | 'gunzipSync' | 'zstdCompressSync',
  fails: (bytes: Buffer) => boolean,
): void {
  const real = zlib[name] as (...given: unknown[]) => Buffer
  const mocked = context.mock.method(zlib, name, (bytes: Buffer, ...rest: unknown[]) => {
    if (fails(bytes)) throw noMemory()
    return real(bytes, ...rest)
  })
  syncBuiltinESMExports()
  context.after(() => {
    mocked.mock.restore()
    syncBuiltinESMExports()
  })
}

const isPoison = (bytes: Buffer) => bytes.includes('poison')

interface Snappy {
  readonly snappyCompress: (bytes: Buffer) => Buffer
}

/** Before it is first used: its functions cannot be replaced, only all of it. */
const require = createRequire(import.meta.url)
const snappy = require('@platformatic/wasm-utils') as Snappy
const entry = require.cache[require.resolve('@platformatic/wasm-utils')]
assert.ok(entry !== undefined)
entry.exports = {
  ...snappy,
  snappyCompress: (bytes: Buffer) => {
    if (isPoison(bytes)) throw noMemory()
    return snappy.snappyCompress(bytes)
  },
}

const { WebAssembly } = globalThis as unknown as { WebAssembly: { Memory: { prototype: WasmMemory } } }
const PAGE_BYTES = 65_536
/** Enough for the small batches of these tests, and for no large one. */
const WASM_BYTES = 1_200_000

/** The codec runs out of memory over a batch with `poison` in it; for lz4 that has to be a large one. */
const breaks: Readonly<Record<Codec, (context: TestContext) => void>> = {
  gzip: (context) => outOfMemory(context, 'gzipSync', isPoison),
  zstd: (context) => outOfMemory(context, 'zstdCompressSync', isPoison),
  snappy: () => undefined,
  lz4: (context) => {
    const { prototype } = WebAssembly.Memory
    const real = prototype.grow
    context.mock.method(prototype, 'grow', function (this: WasmMemory, pages: number) {
      if (this.buffer.byteLength + pages * PAGE_BYTES > WASM_BYTES) {
        throw new RangeError('WebAssembly.Memory.grow(): Maximum memory size exceeded')
      }
      return real.call(this, pages)
    })
  },
}

interface WasmMemory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

const small = (text: string) => text.padEnd(400_000, '.')
const large = (text: string) => text.padEnd(700_000, '.')

for (const compression of ['gzip', 'zstd', 'snappy', 'lz4'] as const) {
  for (const isLast of [false, true]) {
    const how = isLast ? 'sealed when it is due' : 'sealed for the next record'
    test(`a batch that cannot be compressed fails alone (${compression}, ${how})`, async (context) => {
      breaks[compression](context)
      const options = { producer: { compression, maxBatchBytes: 750_000 } }
      await withProducer(options, async ({ cluster, producer, reports, during, values }) => {
        const send = (topic: string, value: string) =>
          producer.send({ topic, key: 'k', value, headers: { h: 'x' } })
        // Numbers exist, and several batches may be on the wire.
        await during(send('orders', 'first'))
        const before = send('orders', small('before'))
        const poison = send('orders', large('poison')).catch((error: unknown) => error)
        const queued = producer.enqueue({ topic: 'orders', key: 'q', value: 'poison too' })
        const behind = isLast ? undefined : send('orders', small('behind'))
        const other = send('many', 'other')
        const flushed = producer.flush()

        const error = await during(poison)
        assert.ok(error instanceof OttlaError)
        const { code, topic, partition, retriable, cause } = error
        assert.deepEqual([code, topic, partition, retriable], ['COMPRESSION_FAILED', 'orders', 0, true])
        assert.match(`${cause}`, /memory/)
        await during(Promise.all([queued, before, behind, other, flushed]))

        const after = await during(send('orders', 'after'))
        const wanted = ['first', small('before'), ...(isLast ? [] : [small('behind')]), 'after']
        assert.deepEqual(values('orders'), wanted)
        assert.equal(after.offset, wanted.length - 1)
        assert.deepEqual(
          cluster.records('orders', 0).map(({ producerEpoch, sequence }) => [producerEpoch, sequence]),
          wanted.map((_, sequence) => [0, sequence]),
          'no sequence is left out or given twice, and numbers need not begin anew',
        )
        const failed = reports.filter((report) => report.status === 'failed')
        assert.deepEqual(
          failed.map((report) => [
            `${report.key}`,
            `${report.value}`,
            report.headers.length,
            report.error.code,
          ]),
          [
            ['k', large('poison'), 1, 'COMPRESSION_FAILED'],
            ['q', 'poison too', 0, 'COMPRESSION_FAILED'],
          ],
        )
        assert.equal(reports.length, wanted.length + 1 + failed.length)
        assert.deepEqual([producer.stats.failed, producer.stats.heldBytes], [2, 0])
        await during(producer.stop())
      })
    })
  }
}

test('what is given up settles although it cannot be compressed', async (context) => {
  breaks.gzip(context)
  await withProducer({ producer: { compression: 'gzip', lingerMs: 1_000 } }, async ({ producer, during }) => {
    await during(producer.start())
    await during(producer.send({ topic: 'orders', value: 'first' }))
    const codes = [codeOf(producer.send({ topic: 'orders', value: 'poison' }))]
    codes.push(codeOf(producer.send({ topic: 'many', value: 'other', partition: 1 })))
    await during(producer.abort())
    assert.deepEqual(await Promise.all(codes), ['COMPRESSION_FAILED', 'ABORTED'])
    assert.deepEqual([producer.state, producer.stats.heldBytes], ['stopped', 0])
  })
})

test('drop-oldest: a batch that cannot be compressed makes room as well', async (context) => {
  breaks.gzip(context)
  const producer = {
    compression: 'gzip',
    lingerMs: 1_000,
    onFull: 'drop-oldest',
    bufferBytes: 200_000,
  } as const
  await withProducer({ producer }, async ({ producer, during, values }) => {
    await during(producer.send({ topic: 'orders', value: 'first' }))
    const oldest = codeOf(producer.send({ topic: 'orders', value: 'poison'.padEnd(120_000, '.') }))
    const newest = codeOf(producer.send({ topic: 'orders', value: 'x'.repeat(100_000) }))
    assert.deepEqual(await during(Promise.all([oldest, newest])), ['COMPRESSION_FAILED', 'fulfilled'])
    assert.deepEqual(values('orders'), ['first', 'x'.repeat(100_000)])
  })
})

for (const name of ['gzipSync', 'gunzipSync'] as const) {
  test(`a batch that is too large and cannot be cut fails alone (${name})`, async (context) => {
    let isBroken = false
    outOfMemory(context, name, () => isBroken)
    const producer = { compression: 'gzip' } as const
    await withProducer({ producer }, async ({ cluster, producer, reports, during, logged }) => {
      await during(producer.send({ topic: 'orders', value: 'first' }))
      const rule = { api: 'Produce', topic: 'orders', times: 1 } as const
      cluster.faults.on(rule, { error: 'MESSAGE_TOO_LARGE' })
      const records = range(4).map((index) => ({ topic: 'orders', key: `${index}`, value: 'v'.repeat(100) }))
      const poison = producer.send(records).catch((error: unknown) => error)
      const other = producer.send({ topic: 'many', value: 'other' })
      const { promise: refused, resolve } = Promise.withResolvers<void>()
      producer.onDelivery(() => resolve())
      await new Promise(setImmediate)
      isBroken = true
      await during(refused)
      isBroken = false
      const error = await during(poison)
      assert.ok(error instanceof PartialDeliveryError)
      assert.deepEqual(
        error.results.map((result) => result.status === 'failed' && result.error.code),
        range(4).map(() => 'COMPRESSION_FAILED'),
      )
      await during(other)
      const after = await during(producer.send({ topic: 'orders', value: 'after' }))
      assert.equal(after.offset, 1)
      const failed = reports.filter((report) => report.status === 'failed')
      // The content is told where it can be had.
      const keys = range(4).map((index) => (name === 'gzipSync' ? `${index}` : 'null'))
      assert.deepEqual(
        failed.map(({ key, timestamp }) => [`${key}`, timestamp > 0]),
        keys.map((key) => [key, true]),
      )
      assert.equal(
        logged.some((line) => line.includes('lack the content')),
        name === 'gunzipSync',
      )
      assert.equal(producer.stats.heldBytes, 0)
      await during(producer.flush())
      await during(producer.stop())
    })
  })
}

test('a batch of which records are refused, and whose rest cannot be compressed, fails alone', async (context) => {
  let calls = 0
  // The first two seal batches, the third makes what is left of the second.
  outOfMemory(context, 'gzipSync', () => ++calls === 3)
  const cluster = { topics: { orders: { partitions: 1, configs: { 'cleanup.policy': 'compact' } } } }
  const options = { cluster, producer: { compression: 'gzip', lingerMs: 5 } } as const
  await withProducer(options, async ({ producer, reports, during }) => {
    await during(producer.send({ topic: 'orders', key: 'k', value: 'first' }))
    const value = 'v'.repeat(100)
    const codes = [
      // Neighbours, of which one is refused by itself.
      ...['a', null, 'b'].map((key) => codeOf(producer.send({ topic: 'orders', key, value }))),
      codeOf(producer.send([null, 'c'].map((key) => ({ topic: 'orders', key, value })))),
    ]
    const failed = range(5).map(() => 'COMPRESSION_FAILED')
    assert.deepEqual(await during(Promise.all(codes)), [...failed.slice(0, 3), 'PARTIAL_DELIVERY'])
    const after = await during(producer.send({ topic: 'orders', key: 'k', value: 'after' }))
    assert.equal(after.offset, 1)
    assert.deepEqual(
      reports.map((report) => (report.status === 'failed' ? report.error.code : report.offset)),
      [0, ...failed, 1],
    )
    assert.equal(producer.stats.heldBytes, 0)
    await during(producer.stop())
  })
})

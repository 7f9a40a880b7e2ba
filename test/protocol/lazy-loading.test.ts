/**
 * Importing the protocol loads no native code and no WebAssembly: a program that never compresses does not pay for
 * it, and `import 'ottla'` stays quick. Each case runs in a process of its own, with every module request noted.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { encodeRecordBatch } from '../../src/protocol/record-batch.ts'

const source = (name: string) => JSON.stringify(join(import.meta.dirname, '../../src/protocol', name))

/** The packages asked for by this code, which runs as a module. Without packages none of them is found. */
function packagesLoadedBy(code: string, { packages = true } = {}): string[] {
  const program = `
    import { registerHooks } from 'node:module'
    const asked = new Set()
    registerHooks({ resolve(specifier, context, next) {
      if (!specifier.startsWith('@')) return next(specifier, context)
      asked.add(specifier)
      if (!${packages}) throw Object.assign(new Error('none here'), { code: 'MODULE_NOT_FOUND' })
      return next(specifier, context)
    } })
    const batches = await import(${source('record-batch.ts')})
    await import(${source('frame.ts')})
    await import(${source('messages/index.ts')})
    ${code}
    console.log(JSON.stringify([...asked]))`
  const done = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' })
  assert.equal(done.status, 0, done.stderr)
  return JSON.parse(done.stdout) as string[]
}

test('importing the protocol, and small uncompressed batches, load nothing', () => {
  const code = `for (const batch of batches.readBatches(batches.encodeRecordBatch([{ value: 'v' }]))) batch.count`
  assert.deepEqual(packagesLoadedBy(code), [])
})

test('of the codecs, only writing snappy loads a package', () => {
  const packed = (codec: string) =>
    packagesLoadedBy(`batches.encodeRecordBatch([{ value: 'v'.repeat(100) }], { compression: '${codec}' })`)
  assert.deepEqual(packed('lz4'), [])
  assert.ok(packed('snappy').includes('@platformatic/wasm-utils'))
})

test('a large batch asks for the native checksum', () => {
  const loaded = packagesLoadedBy(`batches.encodeRecordBatch([{ value: 'v'.repeat(1000) }])`)
  assert.ok(loaded.includes('@node-rs/crc32'), loaded.join())
})

test('a consumer asks for the native checksum before its first answer, if it checks any', () => {
  const loadedBy = (checkCrc: boolean) =>
    packagesLoadedBy(`
      const { Kafka } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/index.ts'))})
      const kafka = new Kafka({ brokers: ['127.0.0.1:1'] })
      const consumer = kafka.consumer({ groupId: 'g', topics: ['t'], checkCrc: ${checkCrc} })
      consumer.run(() => undefined).catch(() => undefined)
      consumer.abort()
      await kafka.stop()`)
  assert.ok(loadedBy(true).includes('@node-rs/crc32'))
  assert.deepEqual(loadedBy(false), [])
})

test('where the native checksum is not installed a large batch has the same one', () => {
  const records = `[{ value: 'v'.repeat(1000), timestamp: 7 }]`
  const here = encodeRecordBatch([{ value: 'v'.repeat(1000), timestamp: 7 }]).toString('hex')
  const code = `
    const batch = batches.encodeRecordBatch(${records})
    if (batch.toString('hex') !== '${here}') throw new Error('another batch')
    if ([...batches.readBatches(batch)].length !== 1) throw new Error('not read')`
  assert.ok(packagesLoadedBy(code, { packages: false }).includes('@node-rs/crc32'))
})

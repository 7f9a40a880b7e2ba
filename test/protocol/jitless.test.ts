/**
 * `node --jitless` has no WebAssembly, and so strips no types either: the sources are stripped beforehand, and a process of
 * its own imports them.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'

const root = join(import.meta.dirname, '../..')

/** The package as JavaScript. */
function stripped(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'ottla-jitless-'))
  t.after(() => rmSync(folder, { recursive: true }))
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  for (const path of globSync('src/**/*.ts', { cwd: root })) {
    const code = stripTypeScriptTypes(readFileSync(join(root, path), 'utf8'))
    const target = join(folder, path.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, code.replaceAll(/(from|import)( ?\(?'\.[^']+)\.ts'/g, "$1$2.js'"))
  }
  return folder
}

test('without WebAssembly everything but writing lz4 and snappy works, and that is refused at once', (t) => {
  const folder = stripped(t)
  const program = `
    import { Kafka } from './src/index.js'
    import { startCluster } from './src/broker/index.js'
    const cluster = await startCluster({ topics: { t: 1 } })
    const kafka = new Kafka({ brokers: cluster.brokers })
    const told = { wasm: typeof WebAssembly }
    for (const compression of ['none', 'gzip', 'zstd', 'lz4', 'snappy']) {
      try {
        const producer = kafka.producer({ compression })
        told[compression] = (await producer.send({ topic: 't', value: 'v'.repeat(5000) })).offset
      } catch ({ code, path, message }) {
        told[compression] = { code, path, message }
      }
    }
    await kafka.stop()
    await cluster.stop()
    console.log(JSON.stringify(told))`
  const args = ['--jitless', '--input-type=module', '--eval', program]
  const done = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', timeout: 60_000 })
  assert.equal(done.status, 0, done.stderr)
  const { lz4: writing, snappy, ...others } = JSON.parse(done.stdout)
  assert.deepEqual(others, { wasm: 'undefined', none: 0, gzip: 1, zstd: 2 })
  for (const [kind, refusal] of Object.entries({ lz4: writing, snappy })) {
    const message = `producer: option compression must be 'none', 'gzip' or 'zstd' where there is no WebAssembly (node --jitless), not "${kind}"`
    assert.deepEqual(refusal, { code: 'INVALID_OPTION', path: 'producer.compression', message })
  }
})

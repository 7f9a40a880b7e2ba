import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { digestOf, HistoryWriter, idOf, readHistory, toRanges, valueFor } from '../support/history/index.ts'

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'ottla-history-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

test('what several writers noted is read back in the order of time', (t) => {
  const dir = folder(t)
  const first = new HistoryWriter(dir, 'first')
  const second = new HistoryWriter(dir, 'second')
  first.write({ op: 'info', message: 'one' })
  second.write({ op: 'info', message: 'two' })
  first.write({ op: 'info', message: 'three' })
  first.close()
  second.close()
  const told = readHistory(dir).map((event) => (event.op === 'info' ? `${event.proc} ${event.message}` : ''))
  assert.deepEqual(told, ['first one', 'second two', 'first three'])
})

test('two processes cannot write one history', (t) => {
  const dir = folder(t)
  const writer = new HistoryWriter(dir, 'only')
  t.after(() => writer.close())
  assert.throws(() => new HistoryWriter(dir, 'only'), { code: 'EEXIST' })
})

test('a last line that was cut off is left out, any other damage stops the reading', (t) => {
  const dir = folder(t)
  const writer = new HistoryWriter(dir, 'cut')
  writer.write({ op: 'info', message: 'whole' })
  writer.close()
  const path = join(dir, 'cut.jsonl')
  appendFileSync(path, '{"t":1,"proc":"cut","op":"in')
  assert.equal(readHistory(dir).length, 1)
  appendFileSync(path, '\n{"t":2,"proc":"cut","op":"info","message":""}\n')
  assert.throws(() => readHistory(dir), /cut\.jsonl:2 is not JSON/)
})

test('an event of an unknown kind stops the reading', (t) => {
  const dir = folder(t)
  appendFileSync(join(dir, 'odd.jsonl'), '{"t":1,"proc":"odd","op":"shrug"}\n')
  assert.throws(() => readHistory(dir), /odd\.jsonl:1 has no known op/)
})

test('what a process noted before SIGKILL is there', async (t) => {
  const dir = folder(t)
  const source = `
    import { HistoryWriter } from ${JSON.stringify(new URL('../support/history/index.ts', import.meta.url).href)}
    const writer = new HistoryWriter(${JSON.stringify(dir)}, 'victim')
    for (let n = 0; n < 100; n++) writer.write({ op: 'info', message: String(n) })
    process.kill(process.pid, 'SIGKILL')`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: 'inherit' })
  const [, signal] = await once(child, 'exit')
  assert.equal(signal, 'SIGKILL')
  assert.equal(readHistory(dir).length, 100)
})

test('a value carries its id, and one changed byte changes its digest', () => {
  const value = Buffer.from(valueFor('writer.17', 100))
  assert.equal(value.length, 100)
  assert.equal(idOf(value), 'writer.17')
  const digest = digestOf('key', value)
  assert.equal(digest, digestOf(Buffer.from('key'), value.toString()))
  value[60]! ^= 1
  assert.notEqual(digestOf('key', value), digest)
  assert.equal(valueFor('long-id.1', 3), 'long-id.1 ')
  assert.equal(idOf(null), '(null)')
})

test('offsets become ranges', () => {
  assert.deepEqual(toRanges([]), [])
  assert.deepEqual(toRanges([3, 4, 5, 9, 11, 12]), [
    [3, 5],
    [9, 9],
    [11, 12],
  ])
})

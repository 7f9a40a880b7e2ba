/** The demo's last words and its exit code; `demo.chaos.ts` runs the whole of it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { report } from '../../demo/report.ts'
import { change, goodHistory } from '../history/sample-history.ts'
import { checkHistory } from '../support/history/index.ts'

const reader = { name: 'kafkajs', foreign: true }

function told(verdict: ReturnType<typeof checkHistory>) {
  const lines: string[] = []
  const exitCode = report(verdict, reader, (line) => lines.push(line))
  return { exitCode, text: lines.join('\n') }
}

test('a run in which everything was kept ends with 0', () => {
  const { exitCode, text } = told(checkHistory(goodHistory()))
  assert.equal(exitCode, 0)
  for (const nothing of ['lost', 'duplicated in the log', 'out of order', 'not handled']) {
    assert.match(text, new RegExp(`^ +0  ${nothing}$`, 'm'))
  }
  assert.doesNotMatch(text, /breaks/)
})

test('a run in which one record was lost ends with 1, and tells which', () => {
  const lose = change('log', (event) =>
    event.partition === 0 ? { ...event, records: event.records.toSpliced(3, 1) } : event,
  )
  const { exitCode, text } = told(checkHistory(lose(goodHistory())))
  assert.equal(exitCode, 1)
  assert.match(text, /^ +1 {2}lost$/m)
  assert.match(text, /The history breaks its promises:\n.*H1 lost/)
})

test('what stops the demo is told in one line, and the exit code is 1', () => {
  const main = fileURLToPath(new URL('../../demo/main.ts', import.meta.url))
  const done = spawnSync(process.execPath, [main, '--records', '5'], { encoding: 'utf8' })
  assert.equal(done.status, 1)
  assert.match(done.stderr, /^demo: --records is a whole number from 1000$/m)
})

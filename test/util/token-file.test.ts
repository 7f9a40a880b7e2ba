/** A token that lies in a file, or comes out of a pipe. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { kafkaOptions } from '../../src/cli/connection.ts'
import { tokenFromFile } from '../../src/util/token-file.ts'

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'ottla-token-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return join(folder, 'token')
}

/** A pipe with a name, out of which the token comes once. */
function pipe(t: TestContext, token: string): string {
  const path = place(t)
  execFileSync('mkfifo', [path])
  const writer = spawn('sh', ['-c', `printf '%s\\n' "$1" > "$2"`, 'sh', token, path])
  t.after(() => writer.kill())
  return path
}

test('a file is read anew for each token', async (t) => {
  const path = place(t)
  const token = tokenFromFile(path)
  await assert.rejects(token(), { code: 'ENOENT' })
  for (const each of ['one', 'two']) {
    writeFileSync(path, `${each}\n`)
    assert.equal(await token(), each)
  }
})

test('a pipe is read once, by whoever comes first, and its token is kept', { timeout: 20_000 }, async (t) => {
  const token = tokenFromFile(pipe(t, 'piped'))
  assert.deepEqual(await Promise.all([token(), token()]), ['piped', 'piped'])
  assert.equal(await token(), 'piped')
})

test('the command line does not read the pipe away from the client', { timeout: 20_000 }, async (t) => {
  const flags = { brokers: ['a:1'], clientId: 'c', timeoutMs: 1, saslMechanism: 'OAUTHBEARER' } as const
  const { sasl } = kafkaOptions({ ...flags, brokers: ['a:1'], saslTokenFile: pipe(t, 'piped') }, {})
  assert.ok(sasl?.mechanism === 'OAUTHBEARER')
  assert.equal(await sasl.token({ host: 'a', port: 1 }), 'piped')
})

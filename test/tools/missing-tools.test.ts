/** Where Java or Maven is missing, a program that wants a real Kafka ends with 3 and one paragraph that says what to do. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const start = fileURLToPath(new URL('../../tools/kafka/start.ts', import.meta.url))
const skip = process.platform === 'win32' ? 'the stand-in for Java is a shell script' : false

/** Runs it with nothing on its PATH but a `java` that says this version, if any. */
function startWith(java: string | undefined, args: readonly string[] = []) {
  const bin = mkdtempSync(join(tmpdir(), 'ottla-path-'))
  try {
    if (java !== undefined) {
      const file = join(bin, 'java')
      writeFileSync(file, `#!/bin/sh\necho 'openjdk version "${java}"' >&2\n`)
      chmodSync(file, 0o755)
    }
    const { JAVA_HOME: _, ...inherited } = process.env
    const env = { ...inherited, PATH: bin }
    const flags = ['--disable-warning=ExperimentalWarning', start, ...args]
    const { status, stdout, stderr } = spawnSync(process.execPath, flags, { env, encoding: 'utf8' })
    return { status, stdout, stderr }
  } finally {
    rmSync(bin, { recursive: true })
  }
}

for (const [what, java, found] of [
  ['no Java', undefined, 'none was found'],
  ['an old Java', '11.0.2', 'java is Java 11'],
] as const) {
  test(`${what}: which one is needed, what was found, how to install it`, { skip }, () => {
    const { status, stdout, stderr } = startWith(java)
    assert.equal(status, 3)
    assert.equal(stdout, '')
    assert.match(
      stderr,
      /^ottla: A real Apache Kafka needs Java 17 or newer, and .*apt-get install .*JAVA_HOME.*\n$/,
    )
    assert.ok(stderr.includes(found), stderr)
  })
}

test('no Maven, and the version not fetched yet: what it is for, how to install it', { skip }, () => {
  const { status, stdout, stderr } = startWith('17.0.1', ['--version', '0.0.0'])
  assert.equal(status, 3)
  assert.equal(stdout, '')
  assert.match(
    stderr,
    /^ottla: The jars of Apache Kafka 0\.0\.0 are fetched with Maven, .*apt-get install maven.*\n$/,
  )
})

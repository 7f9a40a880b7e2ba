/**
 * `npm run examples [-- NAME …]`: runs every numbered example as a process of its own and fails when one fails.
 *
 * An example that wants a broker reads KAFKA_BROKERS. Here that names a fresh embedded cluster for each example;
 * with KAFKA_BROKERS set by the caller, all run against those brokers instead.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { basename } from 'node:path'

const exampleTimeoutMs = 60_000

interface Outcome {
  readonly name: string
  readonly seconds: number
  readonly failure: string | undefined
}

async function run(file: string): Promise<Outcome> {
  const started = performance.now()
  const given = process.env['KAFKA_BROKERS']
  const cluster = given ? undefined : await startEmbedded()
  try {
    const env = { ...process.env, KAFKA_BROKERS: given ?? cluster?.brokers.join(',') }
    const child = spawn(process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const output: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
    const timer = setTimeout(() => child.kill('SIGKILL'), exampleTimeoutMs)
    const [code, signal] = await once(child, 'close')
    clearTimeout(timer)
    const ending = signal ? `ended by ${signal} after ${exampleTimeoutMs} ms at most` : `exit code ${code}`
    const failure = code === 0 ? undefined : `${ending}\n${Buffer.concat(output).toString()}`
    return { name: basename(file), seconds: (performance.now() - started) / 1000, failure }
  } finally {
    await cluster?.stop()
  }
}

async function startEmbedded() {
  const { startCluster } = await import('../src/broker/index.ts')
  return startCluster({ brokers: 3, autoCreateTopics: true })
}

async function main(wanted: readonly string[]): Promise<number> {
  const all = globSync('examples/[0-9]*.ts').sort()
  const files = wanted.length === 0 ? all : all.filter((file) => wanted.some((name) => file.includes(name)))
  if (files.length === 0) throw new Error(`no example ${wanted.join(', ')} in examples/`)
  let failed = 0
  for (const file of files) {
    const { name, seconds, failure } = await run(file)
    if (failure !== undefined) failed++
    const verdict = failure === undefined ? 'ok    ' : 'FAILED'
    process.stdout.write(`${verdict} ${name} ${seconds.toFixed(1)} s${failure ? `\n${failure}` : ''}\n`)
  }
  process.stdout.write(`${files.length - failed} examples ran, ${failed} failed\n`)
  return failed === 0 ? 0 : 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`ottla: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

/**
 * `npm run examples [-- NAME …]`: builds the package and runs every numbered example as a process of its own, on the
 * oldest and the newest Node; fails when one fails.
 *
 * The examples import `ottla` by its name, as a reader does, so they run on what was built. One that wants a broker
 * reads KAFKA_BROKERS: a fresh embedded cluster for each run, or what the caller has set.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { ensureNode, root } from './node.mjs'

const exampleTimeoutMs = 60_000

interface Outcome {
  readonly seconds: number
  readonly failure: string | undefined
}

/** Node 22 runs a file without compiling it only when the file keeps to what it knows. */
const majorsOf = (file: string): readonly (22 | 24)[] =>
  readFileSync(file, 'utf8').includes('await using') ? [24] : [22, 24]

async function run(file: string, node: string): Promise<Outcome> {
  const started = performance.now()
  const given = process.env['KAFKA_BROKERS']
  const cluster = given ? undefined : await startEmbedded()
  try {
    const env = { ...process.env, KAFKA_BROKERS: given ?? cluster?.brokers.join(',') }
    const child = spawn(node, [file], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const output: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
    const timer = setTimeout(() => child.kill('SIGKILL'), exampleTimeoutMs)
    const [code, signal] = await once(child, 'close')
    clearTimeout(timer)
    const ending = signal ? `ended by ${signal}; ${exampleTimeoutMs} ms is the limit` : `exit code ${code}`
    const failure = code === 0 ? undefined : `${ending}\n${Buffer.concat(output).toString()}`
    return { seconds: (performance.now() - started) / 1000, failure }
  } finally {
    await cluster?.stop()
  }
}

async function startEmbedded() {
  const { startCluster } = await import('../src/broker/index.ts')
  return startCluster({ brokers: 3, autoCreateTopics: true })
}

async function main(wanted: readonly string[]): Promise<number> {
  const all = globSync(join(root, 'examples', '[0-9]*.ts')).sort()
  const files = wanted.length === 0 ? all : all.filter((file) => wanted.some((name) => file.includes(name)))
  if (files.length === 0) throw new Error(`no example ${wanted.join(', ')} in examples/`)
  const built = spawnSync(process.execPath, [join(root, 'tools', 'build.mjs')], { stdio: 'inherit' })
  if (built.status !== 0) return 1
  let ran = 0
  let failed = 0
  for (const file of files) {
    for (const major of majorsOf(file)) {
      const { seconds, failure } = await run(file, ensureNode(major))
      ran++
      if (failure !== undefined) failed++
      const verdict = failure === undefined ? 'ok    ' : 'FAILED'
      const line = `${verdict} ${basename(file)} on Node ${major}, ${seconds.toFixed(1)} s`
      process.stdout.write(failure === undefined ? `${line}\n` : `${line}\n${failure}\n`)
    }
  }
  process.stdout.write(`${ran - failed} runs of ${files.length} examples went well, ${failed} failed\n`)
  return failed === 0 ? 0 : 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`ottla: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

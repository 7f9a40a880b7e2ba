/**
 * `npm run bench [-- --brokers host:port] [--only P100,C100] [--clients ottla,kafkajs] [--runs 3] [--quick] [--native]
 * [--json] [--write]`
 *
 * Runs every client's driver on a real Kafka, each run a process of its own, the clients in turn, and prints a table
 * for each work. Without --brokers it starts one node of Kafka itself. --quick is a tenth of the records, once.
 * --native builds the drivers in C and Go first. --json prints the figures as JSON; they are always in bench/out/.
 * --write renders bench/RESULTS.md. Exit code 1 when a target is missed, 3 without Java or Maven.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { kafkaVersion, MissingToolError, startKafka } from '../tools/kafka/index.ts'
import type { Report } from './harness.ts'
import {
  brokerAway,
  largeRecords,
  type MemoryOptions,
  type MemoryResult,
  memoryLine,
  memoryMet,
} from './memory.ts'
import { buildNative } from './native/build.ts'
import { writeValues } from './payloads.ts'
import { type RowResult, tableOf, titleOf, type WorkResult } from './report.ts'
import { driverOf, here, runDriver } from './runner.ts'
import { Topics } from './topics.ts'
import { verdictsOf } from './verdicts.ts'
import { type Row, type Work, works } from './works.ts'

const memoryId = 'MEM'

interface Options {
  readonly brokers: string | undefined
  readonly works: readonly Work[]
  readonly memory: boolean
  readonly clients: readonly string[] | undefined
  readonly runs: number
  readonly quick: boolean
  readonly native: boolean
  readonly json: boolean
  readonly write: boolean
}

interface Bench {
  readonly brokers: readonly string[]
  readonly brokerPid: number | undefined
  readonly topics: Topics
  readonly folder: string
  readonly options: Options
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      brokers: { type: 'string' },
      only: { type: 'string' },
      clients: { type: 'string' },
      runs: { type: 'string' },
      quick: { type: 'boolean', default: false },
      native: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
    },
  })
  const only = values.only?.toUpperCase().split(',')
  const known = [...works.map(({ id }) => id), memoryId]
  const unknown = only?.filter((id) => !known.includes(id)) ?? []
  if (unknown.length > 0) throw new Error(`no work ${unknown.join(', ')}; there are ${known.join(', ')}`)
  const runs = Number(values.runs ?? (values.quick ? 1 : 3))
  if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs is a number from 1')
  return {
    ...values,
    brokers: values.brokers,
    works: works.filter(({ id }) => only?.includes(id) ?? true),
    memory: only?.includes(memoryId) ?? true,
    clients: values.clients?.split(','),
    runs,
  }
}

const say = (text: string) => process.stderr.write(`${text}\n`)

/** The peers live in bench/node_modules, so that the library's own tree stays free of them. */
function installPeers(): void {
  const installed = join(here, 'node_modules', '.package-lock.json')
  const lock = join(here, 'package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  say('bench: installing the peers')
  const done = spawnSync('npm', ['ci', '--ignore-scripts', '--loglevel=error'], {
    cwd: here,
    stdio: ['ignore', 2, 2],
  })
  if (done.status !== 0) throw new Error('the peers could not be installed: see above')
}

async function runOnce(bench: Bench, work: Work, row: Row, topic: string, records: number): Promise<Report> {
  const driver = driverOf(row.client)
  if ('missing' in driver) throw new Error(driver.missing)
  return runDriver(driver.command, {
    mode: row.mode,
    brokers: bench.brokers.join(','),
    topic,
    group: `${topic}-${row.client}-${row.mode}-${Math.round(performance.now())}`,
    records,
    warmup: work.warmup,
    values: writeValues(work.values, bench.folder),
    keys: work.keys,
    compression: work.compression,
    rate: work.rate,
    'broker-pid': bench.brokerPid,
  })
}

/** A producing run gets a topic of its own, and the log is counted after it. */
async function runOnFreshTopic(bench: Bench, work: Work, row: Row, records: number): Promise<Report> {
  const topic = await bench.topics.create()
  try {
    const report = await runOnce(bench, work, row, topic, records)
    const inLog = await bench.topics.count(topic)
    const probes = work.kind === 'e2e' ? 1 : 0
    if (inLog !== report.sent + probes) throw new Error(`sent ${report.sent + probes}, in the log ${inLog}`)
    return report
  } finally {
    await bench.topics.delete(topic)
  }
}

const filler: Row = { name: 'filler', client: 'platformatic', mode: 'produce' }

/** What consumers read: written once, in sends of 1,000, and the same for all of them. */
async function filledTopic(bench: Bench, work: Work, records: number): Promise<string> {
  const topic = await bench.topics.create()
  await runOnce(bench, { ...work, warmup: 0 }, filler, topic, records)
  return topic
}

async function measure(bench: Bench, work: Work): Promise<WorkResult> {
  const { options } = bench
  // One send at a time takes a second or two in any case, and fewer would be all start-up.
  const shorter = options.quick && work.kind !== 'latency'
  const records = shorter ? Math.round(work.records / 10) : work.records
  const rows = work.rows.filter(({ client }) => options.clients?.includes(client) ?? true)
  const topic = work.kind === 'consume' ? await filledTopic(bench, work, records) : undefined
  const reports = new Map<Row, Report[]>(rows.map((row) => [row, []]))
  const failures = new Map<Row, string[]>(rows.map((row) => [row, []]))
  const rounds = options.runs * (work.rounds ?? 1)
  for (let run = 0; run < rounds; run++) {
    // Each round starts with another client, so that none is always the one after the slowest.
    for (let turn = 0; turn < rows.length; turn++) {
      const row = rows[(turn + run) % rows.length]!
      if ('missing' in driverOf(row.client)) continue
      const label = `${work.id} run ${run + 1}/${rounds} ${row.name}`
      try {
        const report = topic
          ? await runOnce(bench, work, row, topic, records)
          : await runOnFreshTopic(bench, work, row, records)
        reports.get(row)?.push(report)
        say(`${label}: ${progressOf(report)}`)
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        failures.get(row)?.push(message)
        say(`${label}: failed: ${message}`)
      }
    }
  }
  if (topic) await bench.topics.delete(topic)
  const results = rows.map((row): RowResult => {
    const driver = driverOf(row.client)
    const missing = 'missing' in driver ? { missing: driver.missing } : {}
    return { row, reports: reports.get(row) ?? [], failures: failures.get(row) ?? [], ...missing }
  })
  return { work, records, rows: results }
}

function progressOf({ records, seconds, cpuSeconds, p50Ms, p99Ms }: Report): string {
  if (p50Ms !== undefined && p99Ms !== undefined)
    return `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`
  const perSecond = Math.round(records / seconds / 1_000)
  return `${perSecond}k records/s, ${((cpuSeconds / records) * 1e6).toFixed(2)} CPU s per million`
}

interface Outcome {
  readonly environment: readonly string[]
  readonly works: readonly WorkResult[]
  readonly memory: readonly MemoryResult[]
}

async function measureAll(options: Options, folder: string): Promise<Outcome> {
  // Segments go at once: the disk is to be quiet when the next run begins.
  const properties = { 'log.segment.delete.delay.ms': 1_000 }
  await using kafka = options.brokers ? undefined : await startKafka({ properties })
  const brokers = options.brokers?.split(',') ?? kafka?.brokers ?? []
  const topics = await Topics.connect(brokers)
  const bench: Bench = { brokers, brokerPid: kafka?.nodes[0]?.pid, topics, folder, options }
  // A broker that has just started compiles its own hot paths first; nobody's run is to pay for that.
  const [any] = works
  if (!options.brokers && any)
    await topics.delete(await filledTopic(bench, any, options.quick ? 100_000 : 1_000_000))
  const results: WorkResult[] = []
  for (const work of options.works) results.push(await measure(bench, work))
  const memory: MemoryResult[] = []
  const amounts: MemoryOptions = {
    folder,
    awaySeconds: options.quick ? 10 : 60,
    largeRecords: options.quick ? 100 : 400,
  }
  if (options.memory) memory.push(...(await largeRecords(brokers, amounts)))
  await topics.stop()
  if (options.memory && !options.brokers) {
    await kafka?.stop()
    memory.push(await brokerAway(amounts))
  }
  return { environment: environment(options), works: results, memory }
}

function environment({ brokers, runs, quick }: Options): string[] {
  const peers = JSON.parse(readFileSync(join(here, 'node_modules', '.package-lock.json'), 'utf8')).packages
  const version = (name: string) => `${name} ${peers[`node_modules/${name}`]?.version}`
  const git = spawnSync('git', ['describe', '--always', '--dirty'], { cwd: here, encoding: 'utf8' })
  return [
    `${cpus().length} × ${cpus()[0]?.model.trim()}, Linux ${release()}`.replace('Linux', process.platform),
    `Node ${process.versions.node}, Kafka ${brokers ? `at ${brokers}` : `${kafkaVersion()}, one node, on the same machine`}`,
    `${version('@platformatic/kafka')}, ${version('kafkajs')}`,
    `commit ${git.stdout?.trim() || 'unknown'}, ${new Date().toISOString().slice(0, 10)}, ${runs} runs${quick ? ', a tenth of the records: start-up weighs ten times as much, so this is an indication only' : ''}`,
    '4 partitions, replication 1, acks all; medians [lowest–highest]; CPU is user and system of the client inside the timed window',
  ]
}

function verdictLines({ works: results, memory }: Outcome): { lines: string[]; missed: number } {
  const verdicts = results.flatMap((result) =>
    verdictsOf(result, cpus().length).map((verdict) => ({ ...verdict, result })),
  )
  const missed =
    verdicts.filter(({ met }) => met === false).length + memory.filter((result) => !memoryMet(result)).length
  const lines = [
    ...verdicts.map(({ text, result }) => `${text}  (${result.work.id})`),
    ...memory.map(memoryLine),
  ]
  return { lines, missed }
}

function render(outcome: Outcome, lines: readonly string[]): string {
  const tables = outcome.works.map((result) => `## ${titleOf(result)}\n\n${tableOf(result)}\n`)
  const facts = outcome.environment.map((line) => `- ${line}`).join('\n')
  const targets = lines.length === 0 ? '' : `## Targets\n\n\`\`\`\n${lines.join('\n')}\n\`\`\`\n`
  return ['# What the clients do on a real Kafka\n', `${facts}\n`, ...tables, targets].join('\n')
}

async function main(): Promise<number> {
  const options = readOptions()
  installPeers()
  if (options.native) await buildNative(say)
  const folder = mkdtempSync(join(tmpdir(), 'ottla-bench-'))
  try {
    const outcome = await measureAll(options, folder)
    const { lines, missed } = verdictLines(outcome)
    const text = render(outcome, lines)
    const json = JSON.stringify(outcome, undefined, 2)
    mkdirSync(join(here, 'out'), { recursive: true })
    writeFileSync(join(here, 'out', `${new Date().toISOString().replaceAll(':', '-')}.json`), `${json}\n`)
    if (options.write) writeFileSync(join(here, 'RESULTS.md'), text)
    process.stdout.write(options.json ? `${json}\n` : text)
    return missed === 0 ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof MissingToolError ? error.exitCode : 1
}

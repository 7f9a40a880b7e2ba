import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Report } from '../../bench/harness.ts'
import { type RowResult, spread, tableOf, type WorkResult } from '../../bench/report.ts'
import { machineFactor, verdictsOf } from '../../bench/verdicts.ts'
import type { Target, Work } from '../../bench/works.ts'

const mebi = 1024 * 1024

const report = (perSecond: number, cpuPerMillion: number, more: Partial<Report> = {}): Report => ({
  records: perSecond,
  sent: perSecond,
  seconds: 1,
  cpuSeconds: (cpuPerMillion * perSecond) / 1e6,
  brokerCpuSeconds: 0.5,
  idleRssBytes: 50 * mebi,
  peakRssBytes: 90 * mebi,
  ...more,
})

const ours = { name: 'ours', client: 'ottla', mode: 'produce' } as const
const theirs = { name: 'theirs', client: 'platformatic', mode: 'produce' } as const

function result(own: readonly Report[], peer: readonly Report[], target: Omit<Target, 'row'>): WorkResult {
  const rows: RowResult[] = [
    { row: ours, reports: own, failures: [] },
    { row: theirs, reports: peer, failures: [] },
  ]
  const work: Work = {
    id: 'X',
    title: 'a work',
    kind: 'produce',
    records: 1,
    warmup: 0,
    values: 'bytes-100',
    keys: 0,
    compression: 'none',
    rate: 0,
    rows: [ours, theirs],
    targets: [{ row: 'ours', ...target }],
    referenceCpu: { theirs: 1 },
    referenceMs: { theirs: { p50Ms: 0.3, p99Ms: 1 } },
  }
  return { work, records: 1, rows }
}

const met = (measured: WorkResult, cores = 2) => verdictsOf(measured, cores).map((verdict) => verdict.met)

test('a median is the middle of the runs, or between the two in the middle', () => {
  const runs = (...rates: number[]) => ({
    row: ours,
    reports: rates.map((rate) => report(rate, 1)),
    failures: [],
  })
  assert.deepEqual(spread(runs(3_000, 1_000, 9_000), 'perSecond'), {
    median: 3_000,
    lowest: 1_000,
    highest: 9_000,
  })
  assert.equal(spread(runs(1_000, 3_000), 'perSecond')?.median, 2_000)
  assert.equal(spread(runs(9_000, 2_000, 1_000, 8_000, 4_000), 'perSecond')?.median, 4_000)
  assert.equal(spread(runs(), 'perSecond'), undefined)
})

test('records per second are judged as a multiple of the best peer named', () => {
  const times = { factor: 2, of: ['theirs'] }
  assert.deepEqual(met(result([report(2_000, 0.1)], [report(1_000, 1)], { times })), [true])
  assert.deepEqual(met(result([report(1_999, 0.1)], [report(1_000, 1)], { times })), [false])
  assert.deepEqual(met(result([report(2_000, 0.1)], [], { times })), [undefined])
  // Half the records in half a second are as fast.
  assert.deepEqual(met(result([report(1_000, 0.1, { seconds: 0.5 })], [report(1_000, 1)], { times })), [true])
  const another = { row: { ...theirs, name: 'another' }, reports: [report(1_500, 1)], failures: [] }
  const three = result([report(2_000, 0.1)], [report(1_000, 1)], {
    times: { ...times, of: ['theirs', 'another'] },
  })
  assert.deepEqual(met({ ...three, rows: [...three.rows, another] }), [false])
})

test('where all cores are busy, CPU per million decides about records per second', () => {
  const times = { factor: 2, of: ['theirs'] }
  const asked = { times, cpuSecondsPerMillion: 0.5 }
  const busy = report(1_000_000, 0.5, { brokerCpuSeconds: 1.5 })
  const idle = report(1_000_000, 0.5, { brokerCpuSeconds: 0.2 })
  const greedy = report(1_000_000, 0.6, { brokerCpuSeconds: 1.5 })
  const peer = report(800_000, 1)
  assert.deepEqual(met(result([busy], [peer], asked)), [true, true])
  assert.deepEqual(met(result([idle], [peer], asked)), [false, true])
  assert.deepEqual(met(result([greedy], [peer], asked)), [false, false])
})

test('and so is a limit on a latency, each percentile by its own', () => {
  const slow = result(
    [report(1_000, 1, { p50Ms: 0.8, p99Ms: 4 })],
    [report(1_000, 1, { p50Ms: 0.6, p99Ms: 1.5 })],
    { p50Ms: 0.5, p99Ms: 2 },
  )
  assert.deepEqual([machineFactor(slow, 'p50Ms'), machineFactor(slow, 'p99Ms')], [2, 1.5])
  assert.deepEqual(met(slow), [true, false])
  assert.match(verdictsOf(slow, 2)[0]?.text ?? '', /at most 0\.50 ms p50: 0\.80 here, 0\.40 at the reference/)
})

test('a limit on CPU is judged at the speed of the machine that it was written on', () => {
  const slow = result([report(1_000, 0.9)], [report(1_000, 2)], { cpuSecondsPerMillion: 0.5 })
  assert.equal(machineFactor(slow), 2)
  assert.deepEqual(met(slow), [true])
  assert.match(verdictsOf(slow, 2)[0]?.text ?? '', /0\.90 here, 0\.45 at the reference machine's speed/)
  // A faster machine is no excuse to ask for more, and none to ask for less.
  assert.deepEqual(met(result([report(1_000, 0.9)], [report(1_000, 0.5)], { cpuSecondsPerMillion: 0.5 })), [
    false,
  ])
})

test('memory is what came on top of the idle process', () => {
  assert.deepEqual(met(result([report(1, 1)], [], { memoryMiB: 40 })), [true])
  assert.deepEqual(met(result([report(1, 1)], [], { memoryMiB: 39 })), [false])
})

test('latency is judged by its limit and as a multiple of a peer', () => {
  const own = report(1, 1, { p50Ms: 0.4, p99Ms: 2.1 })
  const peer = report(1, 1, { p50Ms: 0.3, p99Ms: 1 })
  assert.deepEqual(met(result([own], [peer], { p50Ms: 0.5, p99Ms: 2 })), [true, false])
  assert.deepEqual(met(result([own], [peer], { latencyTimes: { p50: 1.2, p99: 2.5, of: 'theirs' } })), [
    false,
    true,
  ])
})

test('a table shows what failed and what was not measured', () => {
  const measured = result([report(2_000_000, 0.5)], [], {})
  const [own, peer] = measured.rows
  assert.ok(own && peer)
  const rows = [own, { ...peer, failures: ['ended with 1'] }, { ...peer, missing: 'not measured' }]
  const table = tableOf({ ...measured, rows })
  assert.match(table, /ours +\| 2\.00M .*\| 0\.50 .*\| 40 /)
  assert.match(table, /theirs +\| failed: ended with 1/)
  assert.match(table, /theirs +\| not measured/)
  const runs = [report(900_000, 1), report(1_000_000, 1), report(1_200_000, 1)]
  assert.match(
    tableOf(result([report(2_000_000, 0.5)], runs, {})),
    /theirs +\| 1\.00M \[900k–1\.20M\] +\| 0\.50 ×/,
  )
})

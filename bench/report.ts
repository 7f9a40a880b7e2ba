/** From the runs' reports to tables: medians with their range, and ratios. */
import type { Report } from './harness.ts'
import type { Row, Work } from './works.ts'

export interface RowResult {
  readonly row: Row
  readonly reports: readonly Report[]
  /** Why a run gave no report, or a log that does not hold what was sent. */
  readonly failures: readonly string[]
  readonly missing?: string
}

export interface WorkResult {
  readonly work: Work
  readonly records: number
  readonly rows: readonly RowResult[]
}

const mebi = 1024 * 1024
interface Spread {
  readonly median: number
  readonly lowest: number
  readonly highest: number
}

const measures = {
  perSecond: (report: Report) => report.records / report.seconds,
  cpuPerMillion: (report: Report) => (report.cpuSeconds / report.records) * 1e6,
  memoryMiB: (report: Report) => (report.peakRssBytes - report.idleRssBytes) / mebi,
  peakMiB: (report: Report) => report.peakRssBytes / mebi,
  clientBusy: (report: Report) => report.cpuSeconds / report.seconds,
  brokerBusy: (report: Report) => (report.brokerCpuSeconds ?? Number.NaN) / report.seconds,
  p50Ms: (report: Report) => report.p50Ms ?? Number.NaN,
  p99Ms: (report: Report) => report.p99Ms ?? Number.NaN,
} as const

export type Measure = keyof typeof measures

export function spread(result: RowResult | undefined, measure: Measure): Spread | undefined {
  const values = (result?.reports ?? []).map(measures[measure]).filter((value) => !Number.isNaN(value))
  if (values.length === 0) return undefined
  return { median: medianOf(values), lowest: Math.min(...values), highest: Math.max(...values) }
}

export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const short = (value: number) => {
  if (value >= 999_500) return `${(value / 1e6).toFixed(2)}M`
  return value >= 1_000 ? `${Math.round(value / 1_000)}k` : String(Math.round(value))
}

const shown = (value: Spread | undefined, format: (value: number) => string): string => {
  if (!value) return '-'
  const { median, lowest, highest } = value
  return lowest === highest ? format(median) : `${format(median)} [${format(lowest)}–${format(highest)}]`
}

export const two = (value: number) => value.toFixed(2)
const whole = (value: number) => value.toFixed(0)

function cells(result: RowResult, { kind }: Work, base: number | undefined): string[] {
  const { row, missing, failures } = result
  if (missing) return [row.name, missing]
  if (result.reports.length === 0) return [row.name, `failed: ${failures[0] ?? 'no run'}`]
  const failed = failures.length > 0 ? ` (failed: ${failures.join('; ')})` : ''
  if (kind === 'latency' || kind === 'e2e') {
    return [row.name + failed, shown(spread(result, 'p50Ms'), two), shown(spread(result, 'p99Ms'), two)]
  }
  const perSecond = spread(result, 'perSecond')
  return [
    row.name + failed,
    shown(perSecond, short),
    perSecond && base ? `${two(perSecond.median / base)} ×` : '-',
    shown(spread(result, 'cpuPerMillion'), two),
    shown(spread(result, 'memoryMiB'), whole),
    whole(spread(result, 'peakMiB')?.median ?? Number.NaN),
    `${two(spread(result, 'clientBusy')?.median ?? Number.NaN)} + ${two(spread(result, 'brokerBusy')?.median ?? Number.NaN)}`,
  ]
}

const throughputHeader = [
  'client',
  'records/s',
  'to Ottla',
  'CPU s per million',
  'memory MiB over idle',
  'peak MiB',
  'busy cores, client + broker',
]

/** A table in Markdown, its columns aligned so that it reads well on a terminal too. */
export function tableOf({ work, rows }: WorkResult): string {
  const header =
    work.kind === 'latency' || work.kind === 'e2e' ? ['client', 'p50 ms', 'p99 ms'] : throughputHeader
  const own = rows.find(({ row }) => row.client === 'ottla')
  const base = spread(own, 'perSecond')?.median
  const body = rows.map((result) => {
    const row = cells(result, work, base)
    return [...row, ...header.slice(row.length).map(() => '')]
  })
  const widths = header.map((title, column) =>
    Math.max(...[header, ...body].map((row) => row[column]?.length ?? 0), title.length),
  )
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n')
}

export const titleOf = ({ work, records }: WorkResult): string =>
  `${work.id}: ${work.title} (${records.toLocaleString('en')} records)`

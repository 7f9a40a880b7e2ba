/**
 * Whether each target is met.
 *
 * Ratios travel from machine to machine; CPU seconds and milliseconds do not. A limit on them is therefore judged at
 * the speed of the machine that the targets were written on, when this one is slower: what the reference clients take
 * here against what they took there gives the factor. The line says both figures.
 */
import { medianOf, type RowResult, spread, two, type WorkResult } from './report.ts'
import type { Target } from './works.ts'

export interface Verdict {
  readonly text: string
  /** Undefined: not measured. */
  readonly met: boolean | undefined
}

/** Cores that are this busy have nothing left: the broker beside the client is then the limit. */
const allCoresBusy = 0.9

/** How many times what they took on the other machine the reference clients of this work take here: the median. */
export function machineFactor(
  { work, rows }: WorkResult,
  measure: 'cpuPerMillion' | 'p50Ms' | 'p99Ms' = 'cpuPerMillion',
): number | undefined {
  const factors = rows.flatMap((result) => {
    const { name } = result.row
    const reference =
      measure === 'cpuPerMillion' ? work.referenceCpu?.[name] : work.referenceMs?.[name]?.[measure]
    const here = spread(result, measure)?.median
    return reference && here !== undefined ? [here / reference] : []
  })
  return factors.length === 0 ? undefined : medianOf(factors)
}

/** One line for each thing asked: what was measured and whether that is enough. */
export function verdictsOf(result: WorkResult, cores: number): Verdict[] {
  return result.work.targets.flatMap((target) => {
    const own = find(result, target.row)
    return [
      ...timesVerdict(result, target, own, cores),
      ...cpuVerdict(result, target, own),
      ...memoryVerdict(target, own),
      ...scaledVerdict(result, own, { measure: 'p50Ms', limit: target.p50Ms, unit: 'ms p50', what: 'time' }),
      ...scaledVerdict(result, own, { measure: 'p99Ms', limit: target.p99Ms, unit: 'ms p99', what: 'time' }),
      ...latencyVerdicts(result, target, own),
    ]
  })
}

const find = ({ rows }: WorkResult, name: string) => rows.find(({ row }) => row.name === name)

function verdict(asked: string, value: number | undefined, met: boolean, note = ''): Verdict {
  if (value === undefined) return { text: `not measured  ${asked}`, met: undefined }
  return { text: `${met ? 'met   ' : 'MISSED'}  ${asked}: ${two(value)}${note}`, met }
}

function memoryVerdict({ row, memoryMiB }: Target, own: RowResult | undefined): Verdict[] {
  if (memoryMiB === undefined) return []
  const value = spread(own, 'memoryMiB')?.median
  return [
    verdict(`${row}: at most ${memoryMiB} MiB over idle`, value, value !== undefined && value <= memoryMiB),
  ]
}

const cpuVerdict = (result: WorkResult, target: Target, own: RowResult | undefined) =>
  scaledVerdict(result, own, {
    measure: 'cpuPerMillion',
    limit: target.cpuSecondsPerMillion,
    unit: 'CPU s per million',
    what: 'CPU',
  })

interface ScaledLimit {
  readonly measure: 'cpuPerMillion' | 'p50Ms' | 'p99Ms'
  readonly limit: number | undefined
  readonly unit: string
  readonly what: string
}

/** A limit in what a slower machine takes more of. */
function scaledVerdict(
  result: WorkResult,
  own: RowResult | undefined,
  { measure, limit, unit, what }: ScaledLimit,
): Verdict[] {
  if (limit === undefined) return []
  const asked = `${own?.row.name}: at most ${two(limit)} ${unit}`
  const value = spread(own, measure)?.median
  if (value === undefined || value <= limit) return [verdict(asked, value, true)]
  const factor = machineFactor(result, measure)
  if (factor === undefined || factor <= 1) return [verdict(asked, value, false)]
  const scaled = value / factor
  const note = ` here, ${two(scaled)} at the reference machine's speed (this one takes ${two(factor)} times the ${what})`
  return [verdict(asked, value, scaled <= limit, note)]
}

function timesVerdict(
  result: WorkResult,
  target: Target,
  own: RowResult | undefined,
  cores: number,
): Verdict[] {
  if (!target.times) return []
  const { factor, of } = target.times
  const rates = of.flatMap((name) => spread(find(result, name), 'perSecond')?.median ?? [])
  const ours = spread(own, 'perSecond')?.median
  const ratio = ours !== undefined && rates.length > 0 ? ours / Math.max(...rates) : undefined
  const asked = `${target.row}: records/s at least ${factor} × ${of.length === 1 ? of[0] : 'the best npm client'}`
  if (ratio === undefined || ratio >= factor) return [verdict(asked, ratio, true)]
  const busy = (spread(own, 'clientBusy')?.median ?? 0) + (spread(own, 'brokerBusy')?.median ?? 0)
  const cpuMet = cpuVerdict(result, target, own).every(({ met }) => met === true)
  if (busy < cores * allCoresBusy || !cpuMet) return [verdict(asked, ratio, false)]
  return [verdict(asked, ratio, true, ' (all cores are busy, so CPU per million decides)')]
}

function latencyVerdicts(result: WorkResult, target: Target, own: RowResult | undefined): Verdict[] {
  if (!target.latencyTimes) return []
  const { p50, p99, of } = target.latencyTimes
  const peer = find(result, of)
  return (
    [
      ['p50Ms', p50],
      ['p99Ms', p99],
    ] as const
  ).map(([measure, factor]) => {
    const ours = spread(own, measure)?.median
    const theirs = spread(peer, measure)?.median
    const ratio = ours !== undefined && theirs !== undefined ? ours / theirs : undefined
    const asked = `${target.row}: ${measure.slice(0, 3)} at most ${factor} × ${of}`
    return verdict(asked, ratio, ratio !== undefined && ratio <= factor)
  })
}

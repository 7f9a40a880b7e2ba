/**
 * `npm run demo`: records survive a broker that is stopped, a leader that moves and a member that is killed; then every
 * one of them is counted.
 *
 *     npm run demo                                  on an embedded cluster of three brokers
 *     npm run demo -- --records 1000000             with more records
 *     npm run demo -- --brokers 127.0.0.1:9092      on a Kafka of yours; only the member is killed there
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../src/util/clock.ts'
import { systemRandom } from '../src/util/random.ts'
import { checkHistory, readHistory } from '../test/support/history/index.ts'
import { Course } from './course.ts'
import { report } from './report.ts'
import { embeddedStage, existingStage } from './stage.ts'

interface DemoOptions {
  readonly brokers: readonly string[] | undefined
  readonly records: number
  /** Leaves the history behind. */
  readonly keep: boolean
}

const PARTITIONS = 6

function options(): DemoOptions {
  const { values } = parseArgs({
    options: {
      brokers: { type: 'string' },
      records: { type: 'string', default: '300000' },
      keep: { type: 'boolean', default: false },
    },
  })
  const records = Number(values.records)
  if (!Number.isSafeInteger(records) || records < 1000)
    throw new Error('--records is a whole number from 1000')
  return { brokers: values.brokers?.split(','), records, keep: values.keep }
}

/** Resolves to the exit code. */
async function main({ brokers, records, keep }: DemoOptions): Promise<number> {
  const startedAt = systemClock.monotonic()
  const suffix = systemRandom.bytes(4).toString('hex')
  const names = { topic: `ottla-demo-${suffix}`, group: `ottla-demo-${suffix}` }
  const historyDir = mkdtempSync(join(tmpdir(), 'ottla-demo-'))
  const interrupted = Promise.withResolvers<never>()
  // Also when nobody waits for it at the moment.
  interrupted.promise.catch(() => undefined)
  const giveUp = new AbortController()
  const interrupt = () => {
    interrupted.reject(new Interrupted())
    giveUp.abort()
  }
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  const plan = { ...names, partitions: PARTITIONS, records, historyDir }
  const ending: (() => Promise<void>)[] = []
  try {
    const stage =
      brokers === undefined
        ? await embeddedStage(plan.topic)
        : await Promise.race([existingStage(brokers, { signal: giveUp.signal }), interrupted.promise])
    ending.push(() => stage.stop())
    console.log(
      brokers === undefined
        ? `three embedded brokers at ${stage.brokers.join(', ')}`
        : `Kafka at ${stage.brokers.join(', ')}, topic ${plan.topic}`,
    )
    const course = new Course(stage, plan)
    ending.push(() => course.stop())
    const reader = await Promise.race([course.run(), interrupted.promise])
    const verdict = checkHistory(readHistory(historyDir), { groups: [plan.group] })
    const exitCode = report(verdict, reader, console.log)
    console.log(`\n${((systemClock.monotonic() - startedAt) / 1000).toFixed(0)} s`)
    return exitCode
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
    for (const end of ending.reverse()) await end()
    if (keep) console.log(`the history is in ${historyDir}`)
    else rmSync(historyDir, { recursive: true, force: true })
  }
}

class Interrupted extends Error {}

try {
  process.exitCode = await main(options())
} catch (error) {
  if (error instanceof Interrupted) process.exitCode = 130
  else {
    console.error(`demo: ${(error as Error).message}`)
    process.exitCode = 1
  }
}

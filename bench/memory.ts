/**
 * The two works about memory: a producer whose broker is away for a minute while it is given all it can hold, and a
 * consumer of records of a megabyte. Both are to stay within the bytes configured plus 64 MiB.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { startKafka } from '../tools/kafka/index.ts'
import { peakRssBytes, type Report } from './harness.ts'
import { writeValues } from './payloads.ts'
import { driverOf, type Orders, runDriver, startDriver } from './runner.ts'
import { Topics } from './topics.ts'
import type { Client } from './works.ts'

const mebi = 1024 * 1024
const slackBytes = 64 * mebi
const bufferBytes = 64 * mebi
const prefetchBytes = 32 * mebi
const largeRecordBytes = 1_000_000

export interface MemoryResult {
  readonly title: string
  readonly client: Client
  readonly overIdleBytes: number
  /** Up to the broker's return, where it was away. */
  readonly awayOverIdleBytes?: number
  readonly boundBytes: number
  readonly failure?: string
}

export interface MemoryOptions {
  readonly folder: string
  readonly awaySeconds: number
  readonly largeRecords: number
}

const commandOf = (client: Client): string[] => {
  const driver = driverOf(client)
  if ('missing' in driver) throw new Error(driver.missing)
  return driver.command
}

/** Needs control over the broker, so it always starts its own. */
export async function brokerAway(options: MemoryOptions): Promise<MemoryResult> {
  const title = `producer, broker away for ${options.awaySeconds} s under full load, bufferBytes ${bufferBytes / mebi} MiB`
  const result = { title, client: 'ottla', boundBytes: bufferBytes + slackBytes } as const
  try {
    const { report, inLog, awayPeakBytes } = await sendWhileAway(options)
    const figures = {
      overIdleBytes: overIdle(report),
      awayOverIdleBytes: awayPeakBytes - report.idleRssBytes,
    }
    if (report.sent === inLog) return { ...result, ...figures }
    const failure = `sent ${report.sent}, delivered ${report.records + 1}, in the log ${inLog}`
    return { ...result, ...figures, failure }
  } catch (error) {
    return { ...result, overIdleBytes: Number.NaN, failure: String(error) }
  }
}

async function sendWhileAway({
  folder,
  awaySeconds,
}: MemoryOptions): Promise<{ report: Report; inLog: number; awayPeakBytes: number }> {
  await using kafka = await startKafka()
  const [node] = kafka.nodes
  if (!node) throw new Error('no node')
  const topics = await Topics.connect(kafka.brokers)
  const topic = await topics.create()
  await topics.stop()
  const { child, report } = startDriver(commandOf('ottla'), {
    mode: 'away',
    brokers: kafka.brokers.join(','),
    topic,
    values: writeValues('bytes-100', folder),
    buffer: bufferBytes,
  })
  // A driver that fails ends the waiting at once.
  const pass = (seconds: number) => Promise.race([sleep(seconds * 1_000), report])
  await pass(3)
  await node.kill()
  await pass(awaySeconds)
  const awayPeakBytes = peakRssBytes(child.pid ?? Number.NaN)
  await node.restart()
  await pass(5)
  child.stdin?.end()
  const done = await report
  const after = await Topics.connect(kafka.brokers)
  const inLog = await after.count(topic)
  await after.stop()
  return { report: done, inLog, awayPeakBytes }
}

export async function largeRecords(
  brokers: readonly string[],
  { folder, largeRecords: records }: MemoryOptions,
): Promise<MemoryResult[]> {
  const topics = await Topics.connect(brokers)
  const topic = await topics.create(4, 4 * mebi)
  const common: Orders = { brokers: brokers.join(','), topic, records }
  const values = writeValues('bytes-1000000', folder)
  await runDriver(commandOf('kafkajs'), { ...common, mode: 'produce-one', values, outstanding: 4 })
  const results: MemoryResult[] = []
  for (const client of ['ottla', 'kafkajs', 'platformatic'] as const) {
    const orders = { ...common, mode: 'consume-each', group: `memory-${client}-${process.pid}` }
    const result = { title: `consumer of ${records} records of ${largeRecordBytes} B`, client }
    const boundBytes = prefetchBytes + slackBytes
    try {
      results.push({
        ...result,
        boundBytes,
        overIdleBytes: overIdle(await runDriver(commandOf(client), orders)),
      })
    } catch (error) {
      results.push({ ...result, boundBytes, overIdleBytes: Number.NaN, failure: String(error) })
    }
  }
  await topics.delete(topic)
  await topics.stop()
  return results
}

const overIdle = (report: Report) => report.peakRssBytes - report.idleRssBytes

export const memoryMet = ({ client, overIdleBytes, boundBytes, failure }: MemoryResult): boolean =>
  client !== 'ottla' || (failure === undefined && overIdleBytes <= boundBytes)

export function memoryLine(result: MemoryResult): string {
  const { title, client, overIdleBytes, awayOverIdleBytes, boundBytes, failure } = result
  const verdict = client === 'ottla' ? (memoryMet(result) ? 'met   ' : 'MISSED') : '      '
  const mib = (bytes: number) => (bytes / mebi).toFixed(0)
  const away = awayOverIdleBytes === undefined ? '' : `, ${mib(awayOverIdleBytes)} until the broker's return`
  const figures = `${mib(overIdleBytes)} MiB over idle${away} (Ottla's bound ${boundBytes / mebi})`
  return `${verdict}  ${client}: ${title}: ${figures}${failure ? `; ${failure}` : ''}`
}

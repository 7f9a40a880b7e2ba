/**
 * `ottla produce TOPIC`: lines, or JSON objects, from stdin into a topic.
 *
 * The producer's own bound is the only buffer: while it is full nothing is read. Every line is accounted for, and one
 * that was not delivered makes the exit code 1.
 */
import { fstatSync } from 'node:fs'
import type { DeliveryReport, ProducerOptions, ProducerRecord } from '../index.ts'
import { systemClock } from '../util/clock.ts'
import { integer, option, present } from './command.ts'
import { type ConnectionFlags, connected, withKafka } from './connection.ts'
import { exitCode, failureOf, failureText, UsageError } from './failure.ts'
import { linesOf } from './lines.ts'
import { count, plural } from './output.ts'
import { bar, ProgressLine } from './progress.ts'
import { recordFromJson } from './record-json.ts'

/** Kafka's requests are bounded at 100 MiB where nobody changed that; a longer line is no record. */
const MAX_LINE_BYTES = 128 * 1024 * 1024

interface ProduceFlags extends ConnectionFlags {
  readonly keySeparator?: string | undefined
  readonly partition?: number | undefined
  readonly acks: 'all' | '1' | '0'
  readonly compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  readonly lingerMs: number
  readonly deliveryTimeoutMs?: number | undefined
  readonly progress: boolean
}

export const produceCommand = () =>
  connected('produce')
    .summary('send lines, or JSON, from stdin')
    .description(
      'Sends every line of stdin to a topic as one record. With --json a line is an object as `ottla consume --json` prints it: {"key", "value", "headers", "partition", "timestamp"}, bytes that are not text as {"base64": "…"}. Exits with 1 when a record was not delivered.',
    )
    .argument('<topic>', 'where the records go')
    .addOption(option('-k, --key-separator <text>', 'what stands between key and value in a line'))
    .addOption(option('-p, --partition <n>', 'send all to this partition').argParser(integer(0, 0x7fff_ffff)))
    .addOption(option('--json', 'read JSON objects, and print the summary as one'))
    .addOption(
      option('--acks <which>', 'who must have a record before it counts')
        .choices(['all', '1', '0'])
        .default('all'),
    )
    .addOption(
      option('--compression <kind>', 'of the batches')
        .choices(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
        .default('none'),
    )
    .addOption(
      option('--linger-ms <n>', 'how long a batch waits for more records')
        .argParser(integer(0, 60_000))
        .default(5),
    )
    .addOption(
      option('--delivery-timeout-ms <n>', 'when a record that cannot be sent is given up').argParser(
        integer(1, 0x7fff_ffff),
      ),
    )
    .addOption(option('--auto-create', 'ask for the topic, where brokers create what is asked for'))
    .addOption(option('--no-progress', 'no progress on a terminal'))
    .action(produce)

/** What became of the lines. */
class Tally {
  read = 0
  readBytes = 0
  delivered = 0
  failed = 0
  /** Lines that were no record at all. */
  invalid = 0
  readonly startedAt = systemClock.monotonic()

  get seconds(): number {
    return Math.max(0.001, (systemClock.monotonic() - this.startedAt) / 1000)
  }

  get rate(): number {
    return Math.round(this.delivered / this.seconds)
  }
}

async function produce(topic: string, flags: ProduceFlags): Promise<void> {
  const tally = new Tally()
  const total = inputBytes()
  const progress = new ProgressLine(process.stderr, systemClock, () => describe(tally, total))
  const told = new Set<string>()
  const complain = (what: string, error: unknown) => {
    const { code, message } = failureOf(error)
    // The first of a kind says enough; the summary counts them all.
    if (told.size === 20 || told.has(message)) return
    told.add(message)
    progress.log(failureText({ code, message: `${what}: ${message}` }, flags.json === true))
  }
  const onDelivery = (report: DeliveryReport) => {
    if (report.status === 'delivered') tally.delivered++
    else {
      tally.failed++
      complain('not delivered', report.error)
    }
  }
  if (flags.progress) progress.start()
  try {
    await withKafka(flags, async (kafka) => {
      // Said now, in a word, rather than by every record when its time is over.
      if (!flags.autoCreate) await kafka.admin().describeTopics([topic])
      const producer = kafka.producer({ ...producerOptions(flags), onDelivery })
      await producer.start()
      for await (const line of untilInterrupted(process.stdin)) {
        tally.read++
        tally.readBytes += line.length + 1
        if (flags.json && line.length === 0) continue
        try {
          await producer.enqueue(recordOf(line, topic, flags))
        } catch (error) {
          // No record, or refused at once (too large, no such topic): no report of it will come.
          if (error instanceof UsageError) tally.invalid++
          else tally.failed++
          complain(`line ${tally.read}`, error)
        }
      }
      await producer.stop()
    })
  } finally {
    progress.stop()
  }
  tell(tally, flags.json === true)
  if (tally.failed + tally.invalid > 0) process.exitCode ??= exitCode.failed
}

const producerOptions = (flags: ProduceFlags): ProducerOptions => ({
  acks: flags.acks === 'all' ? 'all' : (Number(flags.acks) as 0 | 1),
  compression: flags.compression,
  lingerMs: flags.lingerMs,
  ...(flags.deliveryTimeoutMs === undefined ? {} : { deliveryTimeoutMs: flags.deliveryTimeoutMs }),
})

/** The record that a line means. @throws UsageError */
function recordOf(
  line: Buffer,
  topic: string,
  { json, keySeparator, partition }: ProduceFlags,
): ProducerRecord {
  const fixed = present({ partition })
  if (json) return { ...recordFromJson(line.toString(), topic), ...fixed }
  if (keySeparator === undefined) return { topic, value: line, ...fixed }
  const at = line.indexOf(keySeparator)
  if (at === -1) throw new UsageError(`there is no ${JSON.stringify(keySeparator)} between a key and a value`)
  return {
    topic,
    key: line.subarray(0, at),
    value: line.subarray(at + Buffer.byteLength(keySeparator)),
    ...fixed,
  }
}

/** At the first SIGINT reading ends, and what was read is delivered; a second one ends the process. */
async function* untilInterrupted(input: NodeJS.ReadStream): AsyncGenerator<Buffer> {
  let interrupted = false
  const stop = () => {
    interrupted = true
    process.exitCode = exitCode.interrupted
    input.destroy()
  }
  process.once('SIGINT', stop)
  try {
    yield* linesOf(input, { maxBytes: MAX_LINE_BYTES })
  } catch (error) {
    // A stream that is destroyed ends its iteration with an error, which is ours here.
    if (!interrupted) throw error
  } finally {
    process.off('SIGINT', stop)
  }
}

/** The size of stdin, when it is a file. */
function inputBytes(): number | undefined {
  const stats = fstatSync(0)
  return stats.isFile() && stats.size > 0 ? stats.size : undefined
}

function describe(tally: Tally, total: number | undefined): string {
  const share = total === undefined ? '' : `${bar(tally.readBytes / total)}  `
  const failed = tally.failed + tally.invalid
  return `${share}${count(tally.delivered)} delivered, ${count(failed)} failed, ${count(tally.rate)}/s`
}

function tell(tally: Tally, json: boolean): void {
  const { delivered, failed, invalid, seconds, rate } = tally
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ delivered, failed, invalid, seconds: Number(seconds.toFixed(3)) })}\n`,
    )
    return
  }
  const parts = [`${plural(delivered, 'record')} delivered`, `${count(failed)} failed`]
  if (invalid > 0) parts.push(`${plural(invalid, 'line')} not understood`)
  process.stderr.write(`${parts.join(', ')} in ${seconds.toFixed(1)} s (${count(rate)}/s)\n`)
}

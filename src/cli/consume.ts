/**
 * `ottla consume TOPIC`: records of a topic to stdout.
 *
 * With a group the offsets of what was written are committed, and of nothing else. Without one the topic is read by a
 * group of its own, which is deleted at the end, so that nothing is left behind. A slow reader of stdout slows the reading; one that
 * is gone ends it.
 */
import { InvalidArgumentError } from 'commander'
import {
  type Admin,
  type Consumer,
  type ConsumerBatch,
  type ConsumerOptions,
  type Kafka,
  OttlaError,
  type StartFrom,
} from '../index.ts'
import { sleep, systemClock } from '../util/clock.ts'
import { systemRandom } from '../util/random.ts'
import { integer, list, option } from './command.ts'
import { type ConnectionFlags, connected, withKafka } from './connection.ts'
import { exitCode, UsageError } from './failure.ts'
import { Output, plural } from './output.ts'
import { type Pending, PendingEnds } from './pending-ends.ts'
import { recordToJson } from './record-json.ts'

interface ConsumeFlags extends ConnectionFlags {
  readonly group?: string | undefined
  readonly from: StartFrom
  readonly partition?: readonly number[] | undefined
  readonly untilEnd?: true | undefined
  readonly max?: number | undefined
  readonly keySeparator?: string | undefined
  readonly isolation: 'read_committed' | 'read_uncommitted'
}

export const consumeCommand = () =>
  connected('consume')
    .summary('print the records of a topic')
    .description(
      'Prints the values of a topic, one per line, until it is stopped. With --json a line is an object: {"topic", "partition", "offset", "timestamp", "key", "value", "headers"}, bytes that are not text as {"base64": "…"}. Without --group it reads all partitions and commits nothing.',
    )
    .argument('<topic>', 'what to read')
    .addOption(option('-g, --group <id>', 'read as a member of this group, and commit what was written'))
    .addOption(
      option(
        '-f, --from <where>',
        'earliest, latest, an offset, or a time (2026-01-31T12:00:00Z, or @ and milliseconds); with a group only where it has committed nothing',
      )
        .argParser(startFrom)
        .default('earliest' as StartFrom, 'earliest'),
    )
    .addOption(
      option('-p, --partition <n,…>', 'only these partitions; not with --group').argParser(partitionNumbers),
    )
    .addOption(option('-e, --until-end', 'end when everything is read that was there at the start'))
    .addOption(option('-m, --max <n>', 'end after so many records').argParser(integer(1)))
    .addOption(option('-k, --key-separator <text>', 'print the key too, and this between key and value'))
    .addOption(
      option('--isolation <level>', 'whether records of transactions that are not committed are read')
        .choices(['read_committed', 'read_uncommitted'])
        .default('read_committed'),
    )
    .addOption(option('--json', 'print JSON objects'))
    .action(consume)

/** `earliest`, `latest`, `42`, `@1700000000000`, `2026-01-31T12:00:00Z`. */
export function startFrom(text: string): StartFrom {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d+$/.test(text)) return { offset: integer(0)(text) }
  // Without the pattern Date.parse takes much that nobody means: -5 is a month.
  const isDate = /^\d{4}-\d{2}-\d{2}(T.*)?$/.test(text)
  const timestamp = text.startsWith('@') ? Number(text.slice(1)) : isDate ? Date.parse(text) : Number.NaN
  if (!Number.isSafeInteger(timestamp) || timestamp < 0) {
    throw new InvalidArgumentError('It must be earliest, latest, an offset, or a time.')
  }
  return { timestamp }
}

const partitionNumbers = (text: string): number[] => list(text).map(integer(0, 0x7fff_ffff))

/** How the reading ended. */
type Ending = 'done' | 'reader-gone' | 'interrupted' | 'terminated'

async function consume(topic: string, flags: ConsumeFlags): Promise<void> {
  const output = new Output(process.stdout)
  const ending = Promise.withResolvers<Ending>()
  const onInterrupt = () => ending.resolve('interrupted')
  const onTerminate = () => ending.resolve('terminated')
  process.once('SIGINT', onInterrupt)
  process.once('SIGTERM', onTerminate)
  output.gone.addEventListener('abort', () => ending.resolve('reader-gone'))
  try {
    const reading = new Reading(topic, flags, output)
    await withKafka(flags, (kafka) => reading.run(kafka, ending))
    if ((await ending.promise) === 'interrupted') process.exitCode = exitCode.interrupted
    if (output.gone.aborted && !output.closedByReader) throw output.gone.reason
    if (process.stderr.isTTY) process.stderr.write(`${plural(reading.written, 'record')}\n`)
  } finally {
    process.off('SIGINT', onInterrupt)
    process.off('SIGTERM', onTerminate)
  }
}

/** How long the good-bye to a group of our own may take. */
const GOODBYE_MS = 2000

/**
 * Ends a consumer that is alone in a group of its own, and takes the group away. What is left to do without a coordinator Kafka
 * does by itself, so nobody waits for it.
 */
async function leave(consumer: Consumer, admin: Admin): Promise<void> {
  const left = consumer.stop({ timeoutMs: 0 }).then(() => forget(admin, consumer.groupId))
  const isLeft = new AbortController()
  const late = sleep(systemClock, GOODBYE_MS, isLeft.signal).catch(() => undefined)
  await Promise.race([left, late]).finally(() => isLeft.abort())
  consumer.abort()
}

/** Takes the group away again, with what the consumer committed as it left. */
async function forget(admin: Admin, groupId: string): Promise<void> {
  // Without the right to it, or without a coordinator, Kafka itself forgets it in the end (offsets.retention.minutes).
  await admin.deleteGroups([groupId], { timeoutMs: GOODBYE_MS }).catch(() => undefined)
}

class Reading {
  written = 0
  readonly #topic: string
  readonly #flags: ConsumeFlags
  readonly #output: Output
  #pending: PendingEnds | undefined

  constructor(topic: string, flags: ConsumeFlags, output: Output) {
    this.#topic = topic
    this.#flags = flags
    this.#output = output
  }

  /** Reads until `ending` is resolved, by us or by somebody else. */
  async run(kafka: Kafka, ending: PromiseWithResolvers<Ending>): Promise<void> {
    const { group, untilEnd } = this.#flags
    const admin = kafka.admin()
    const looked = await Promise.race([this.#look(admin), ending.promise])
    if (typeof looked === 'string') return
    if (untilEnd && this.#pending?.isOver) return ending.resolve('done')
    const consumer = kafka.consumer(this.#options())
    consumer.pause(looked.others.map((partition) => ({ topic: this.#topic, partition })))
    const stopWatching = this.#pending?.watch(() => ending.resolve('done'), this.#caughtUp(admin, consumer))
    const running = consumer.runBatches((batch) => this.#write(batch, ending))
    running.then(() => ending.resolve('done'), ending.reject)
    try {
      await ending.promise
    } finally {
      stopWatching?.()
      // A group commits what was written: so much time is given to what is being written.
      await (group === undefined ? leave(consumer, admin) : consumer.stop({ timeoutMs: 5000 }))
      await running.catch(() => undefined)
      if (!this.#output.gone.aborted) await this.#output.flush()
    }
  }

  /** Looks at what there is to read; the other partitions of the topic are not read. */
  async #look(admin: Admin): Promise<{ others: number[] }> {
    const { group, partition: wanted, untilEnd } = this.#flags
    if (group !== undefined && wanted !== undefined) {
      throw new UsageError('--partition and --group do not go together: a group shares out the partitions.')
    }
    const topic = this.#topic
    const [described] = await admin.describeTopics([topic])
    const all = (described?.partitions ?? []).map(({ partition }) => partition)
    const absent = wanted?.find((partition) => !all.includes(partition))
    if (absent !== undefined) {
      const message = `${topic} has ${plural(all.length, 'partition')}`
      throw new OttlaError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic, partition: absent })
    }
    const chosen = all.filter((partition) => this.#isWanted(partition))
    if (untilEnd) this.#pending = await this.#findEnds(admin, chosen)
    return { others: all.filter((partition) => !this.#isWanted(partition)) }
  }

  #isWanted(partition: number): boolean {
    return this.#flags.partition?.includes(partition) ?? true
  }

  #options(): ConsumerOptions {
    const { group, from, isolation, max } = this.#flags
    const alone = {
      groupId: `ottla-cli-${systemRandom.bytes(8).toString('hex')}`,
      // Killed before it can say good-bye, it has committed nothing and is soon seen to be gone.
      sessionTimeoutMs: 6000,
      heartbeatIntervalMs: 2000,
      commitIntervalMs: 0x7fff_ffff,
    }
    return {
      ...(group === undefined ? alone : { groupId: group }),
      ...{ topics: [this.#topic], startFrom: from, isolation },
      // A write that fails fails again.
      failure: { retries: 0 },
      // With a limit a record is committed or not: none is finished beside others.
      ...(max === undefined ? { maxBatchRecords: 1000 } : { maxBatchRecords: 1, concurrency: 1 }),
    }
  }

  async #write(batch: ConsumerBatch, ending: PromiseWithResolvers<Ending>): Promise<void> {
    const { max } = this.#flags
    // Enough is written and the end is on its way: what comes now stays unfinished.
    if (this.written === max) throw new Error('enough records are written')
    // One that was added to the topic meanwhile.
    if (!this.#isWanted(batch.partition)) return
    const { json, keySeparator } = this.#flags
    const parts: (string | Uint8Array)[] = []
    for (const record of batch) {
      if (json) parts.push(recordToJson(record))
      else if (keySeparator === undefined) parts.push(record.value ?? '')
      else parts.push(record.key ?? '', keySeparator, record.value ?? '')
      parts.push('\n')
      this.written++
    }
    await this.#output.write(Buffer.concat(parts.map((part) => Buffer.from(part as string))))
    if (this.written === max) ending.resolve('done')
    this.#pending?.reached(batch.partition, batch.lastOffset + 1)
  }

  // ----------------------------------------------------------------------------------------------- the end

  /** What is to be read until the end as it is now. */
  async #findEnds(admin: Admin, partitions: readonly number[]): Promise<PendingEnds> {
    const { group, from, isolation } = this.#flags
    const at = (position: 'earliest' | 'latest' | { readonly timestamp: number }) =>
      admin.listOffsets(
        partitions.map((partition) => ({ topic: this.#topic, partition, position })),
        { isolation },
      )
    const ends = await at('latest')
    const begin = typeof from === 'object' && 'offset' in from ? ('earliest' as const) : from
    const starts = begin === 'latest' ? ends : await at(begin)
    const committed = new Map<number, number>()
    for (const { topic, partition, offset } of group === undefined ? [] : await admin.groupOffsets(group)) {
      if (topic === this.#topic) committed.set(partition, offset)
    }
    const pending = partitions.map((partition, index): Pending => {
      const end = ends[index]?.offset ?? 0
      const first = starts[index]?.offset ?? -1
      // No record is as late as the time asked for: reading begins at the end.
      const begins =
        first < 0 ? end : typeof from === 'object' && 'offset' in from ? Math.max(first, from.offset) : first
      return { partition, position: committed.get(partition) ?? begins, end }
    })
    return new PendingEnds(pending)
  }

  /**
   * Partitions that need no more reading though no record at their end was seen: what stands there is a transaction's
   * end mark, or another member of the group has them.
   */
  #caughtUp(admin: Admin, consumer: Consumer): (partitions: readonly number[]) => Promise<number[]> {
    const { group } = this.#flags
    return async (partitions) => {
      const behind = partitions.filter((partition) => consumer.lag({ topic: this.#topic, partition }) !== 0)
      const done = partitions.filter((partition) => !behind.includes(partition))
      if (group !== undefined && behind.length > 0) {
        for (const { topic, partition, offset } of await admin.groupOffsets(group)) {
          if (topic === this.#topic) this.#pending?.reached(partition, offset)
        }
      }
      return done
    }
  }
}

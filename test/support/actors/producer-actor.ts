/**
 * Plays a producer: sends records with ids at a given pace, and notes what it gave to the producer and what the producer
 * answered.
 */
import { Kafka, type KafkaOptions, type ProducerOptions } from '../../../src/index.ts'
import { systemClock } from '../../../src/util/clock.ts'
import { digestOf, HistoryWriter, valueFor } from '../history/index.ts'
import { actorConfig, serve, tell } from './actor.ts'
import { outcomesOf } from './outcomes.ts'

export interface ProducerConfig {
  readonly proc: string
  readonly historyDir: string
  readonly kafka: KafkaOptions
  readonly topic: string
  readonly records: number
  readonly keys: number
  readonly valueBytes: number
  /** As evenly as the machine can. Default: as fast as it goes. */
  readonly recordsPerSecond?: number
  /** Records of one `send`. Default 250. */
  readonly chunkRecords?: number
  /** Records that may be unanswered. Default 10,000. */
  readonly maxOutstanding?: number
  readonly producer?: ProducerOptions
}

export interface ProducerProgress {
  readonly sent: number
  readonly acknowledged: number
  readonly failed: number
}

export type ProducerEvents = {
  readonly ready: null
  readonly progress: ProducerProgress
  /** Everything was sent and answered, and the producer has stopped. */
  readonly done: ProducerProgress
}

const config = actorConfig<ProducerConfig>()
const { topic, keys, valueBytes, chunkRecords = 250, maxOutstanding = 10_000 } = config
const clock = systemClock
const history = new HistoryWriter(config.historyDir, config.proc)
const kafka = new Kafka(config.kafka)
const producer = kafka.producer(config.producer)

const progress = { sent: 0, acknowledged: 0, failed: 0 }
const settled: (() => void)[] = []

/** One `send` of many records, noted before and after. */
async function sendChunk(from: number, to: number): Promise<void> {
  const records = Array.from({ length: to - from }, (_, index) => {
    const number = from + index
    const id = `${config.proc}.${number}`
    return {
      id,
      key: `key-${number % keys}`,
      seq: Math.floor(number / keys),
      value: valueFor(id, valueBytes),
    }
  })
  history.write({
    ...{ op: 'enqueue', topic },
    records: records.map(({ id, key, seq, value }) => [id, key, seq, digestOf(key, value)]),
  })
  progress.sent += records.length
  const outcomes = await outcomesOf(() =>
    producer.send(records.map(({ key, value }) => ({ topic, key, value }))),
  )
  const acknowledged: [id: string, partition: number, offset: number][] = []
  for (const [index, { id }] of records.entries()) {
    const outcome = outcomes(index)
    if (outcome.status === 'delivered') acknowledged.push([id, outcome.partition, outcome.offset])
    else history.write({ op: 'fail', ids: [id], code: outcome.code, outcome: outcome.status })
  }
  if (acknowledged.length > 0) history.write({ op: 'ack', topic, records: acknowledged })
  progress.acknowledged += acknowledged.length
  progress.failed += records.length - acknowledged.length
  settled.shift()?.()
}

const outstanding = () => progress.sent - progress.acknowledged - progress.failed

async function produceAll(): Promise<void> {
  const startedAt = clock.monotonic()
  const perMs = (config.recordsPerSecond ?? Number.POSITIVE_INFINITY) / 1000
  for (let from = 0; from < config.records; from += chunkRecords) {
    const dueAt = startedAt + from / perMs
    const earlyMs = dueAt - clock.monotonic()
    if (earlyMs > 1) await new Promise<void>((resolve) => void clock.setTimeout(resolve, earlyMs))
    while (outstanding() >= maxOutstanding) await new Promise<void>((resolve) => settled.push(resolve))
    void sendChunk(from, Math.min(config.records, from + chunkRecords))
  }
  while (outstanding() > 0) await new Promise<void>((resolve) => settled.push(resolve))
}

async function run(): Promise<void> {
  const timer = setInterval(() => tell('progress', progress), 100)
  await producer.start()
  await produceAll()
  await producer.stop()
  await kafka.stop()
  clearInterval(timer)
  history.close()
  tell('done', progress)
}

serve({
  /** Begins; `done` is told when all is over. */
  start: () => void run(),
  exit: () => process.exit(0),
})

export type ProducerCalls = { start: () => void; exit: () => never }

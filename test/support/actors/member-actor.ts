/**
 * Plays a member of a consumer group: notes what it was given, what it finished, and what it owns. Its commits are
 * noted by the tap on its connections.
 */
import { type ConsumerOptions, Kafka, type KafkaOptions } from '../../../src/index.ts'
import { systemClock } from '../../../src/util/clock.ts'
import { digestOf, HistoryWriter, idOf, toRanges } from '../history/index.ts'
import { actorConfig, serve, tell } from './actor.ts'
import { CommitTap } from './commit-tap.ts'

export interface MemberConfig {
  readonly proc: string
  readonly historyDir: string
  readonly kafka: KafkaOptions
  readonly topic: string
  readonly group: string
  readonly consumer?: Partial<ConsumerOptions>
  /** How long the handler works on a batch. Default 0. */
  readonly workMs?: number
}

export interface MemberProgress {
  /** Records finished, those finished again included. */
  readonly finished: number
  readonly owned: number
}

export type MemberEvents = {
  readonly ready: null
  readonly progress: MemberProgress
  /** The consumer gave up. */
  readonly failed: string
}

export type MemberCalls = { start: () => Promise<void>; stop: () => Promise<void>; exit: () => never }

const config = actorConfig<MemberConfig>()
const { topic, group, workMs = 0 } = config
const history = new HistoryWriter(config.historyDir, config.proc)
const tap = new CommitTap(history, topic)
const kafka = new Kafka({ ...config.kafka, dial: tap.dial })
const owned = new Set<number>()
let finished = 0

const consumer = kafka.consumer({
  ...{ groupId: group, topics: [topic] },
  ...config.consumer,
  onRebalance: ({ type, generation, partitions }) => {
    const ids = partitions.map(({ partition }) => partition)
    if (type === 'assigned') {
      for (const id of ids) owned.add(id)
      history.write({ op: 'assign', group, generation, partitions: [...owned].map((id) => [topic, id]) })
    } else {
      for (const id of ids) owned.delete(id)
      const pairs = ids.map((id) => [topic, id] as const)
      history.write({ op: 'revoke', group, generation, partitions: pairs, lost: type === 'lost' })
    }
  },
})

function run(): Promise<void> {
  return consumer.runBatches(async (batch) => {
    const { partition } = batch
    const generation = tap.generation
    const records = [...batch].map(
      ({ offset, key, value }) => [offset, idOf(value), digestOf(key, value)] as const,
    )
    const ranges = toRanges(records.map(([offset]) => offset))
    history.write({ op: 'poll', group, generation, topic, partition, ranges })
    if (workMs > 0) await new Promise<void>((resolve) => void systemClock.setTimeout(resolve, workMs))
    history.write({ op: 'process', group, generation, topic, partition, records })
    finished += records.length
  })
}

let running: Promise<void> | undefined
const timer = setInterval(() => tell('progress', { finished, owned: owned.size }), 100)

serve({
  start: () => {
    running = run().catch((error: Error) => tell('failed', `${error.message}\n${error.stack}`))
  },
  stop: async () => {
    await consumer.stop()
    await running
    await kafka.stop()
    clearInterval(timer)
    tell('progress', { finished, owned: 0 })
    history.close()
  },
  exit: () => process.exit(0),
})

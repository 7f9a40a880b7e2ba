/**
 * Reads a topic back from its beginning to its end, with a client that is not ours where there is one: kcat
 * (librdkafka), else kafkajs. Otherwise our own reads it, and says so.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import type { Kafka } from '../../../src/index.ts'
import { digestOf, type HistoryWriter, idOf } from '../history/index.ts'

export interface Topic {
  readonly topic: string
  /** First and next offset of each partition. */
  readonly ends: readonly { readonly partition: number; readonly logStart: number; readonly logEnd: number }[]
}

/** Takes what is read, as it is read. */
export type Sink = (partition: number, offset: number, key: Buffer | null, value: Buffer | null) => void

export interface LogReader {
  readonly name: string
  /** Whether it shares no code with Ottla. */
  readonly foreign: boolean
  read(brokers: readonly string[], topic: Topic, sink: Sink): Promise<void>
}

/** The best reader there is. */
export function findReader(kafka: Kafka): LogReader {
  if (spawnSync('kcat', ['-V']).status === 0) return kcat
  try {
    createRequire(import.meta.url).resolve('kafkajs')
    return kafkajs
  } catch {
    return ownReader(kafka)
  }
}

/** Reads everything into the history. */
export async function readLog(
  reader: LogReader,
  { brokers, topic, history }: { brokers: readonly string[]; topic: Topic; history: HistoryWriter },
): Promise<void> {
  const found = new Map<number, [offset: number, id: string, digest: number][]>()
  const flush = (partition: number) => {
    const records = found.get(partition) ?? []
    found.set(partition, [])
    if (records.length === 0) return
    history.write({ op: 'log', reader: reader.name, topic: topic.topic, partition, records })
  }
  await reader.read(brokers, topic, (partition, offset, key, value) => {
    const records = found.get(partition)
    const entry = [offset, idOf(value), digestOf(key, value)] as [number, string, number]
    if (records === undefined) found.set(partition, [entry])
    else if (records.push(entry) >= 1000) flush(partition)
  })
  for (const partition of found.keys()) flush(partition)
}

const kcat: LogReader = {
  name: 'kcat',
  foreign: true,
  async read(brokers, { topic }, sink) {
    const args = ['-C', '-b', brokers.join(','), '-t', topic, '-o', 'beginning', '-e', '-q', '-J']
    const child = spawn('kcat', [...args, '-X', 'check.crcs=true'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(child, 'exit')
    for await (const line of createInterface({ input: child.stdout })) {
      const { partition, offset, key, payload } = JSON.parse(line) as KcatLine
      sink(partition, offset, bytesOf(key), bytesOf(payload))
    }
    const [code] = await exited
    if (code !== 0) throw new Error(`kcat ended with exit code ${code}`)
  },
}

interface KcatLine {
  readonly partition: number
  readonly offset: number
  readonly key: string | null
  readonly payload: string | null
}

const bytesOf = (text: string | null) => (text === null ? null : Buffer.from(text))

const kafkajs: LogReader = {
  name: 'kafkajs',
  foreign: true,
  async read(brokers, { topic, ends }, sink) {
    const { default: kafkajs } = await import('kafkajs')
    const client = new kafkajs.Kafka({
      clientId: 'log-reader',
      brokers: [...brokers],
      logLevel: kafkajs.logLevel.NOTHING,
    })
    const groupId = `log-reader-${process.pid}-${process.hrtime.bigint()}`
    const consumer = client.consumer({ groupId, maxWaitTimeInMs: 100 })
    const missing = new Set(ends.filter((end) => end.logEnd > end.logStart).map(({ partition }) => partition))
    if (missing.size === 0) return
    const logEnds = new Map(ends.map(({ partition, logEnd }) => [partition, logEnd]))
    const done = Promise.withResolvers<void>()
    consumer.on(consumer.events.CRASH, ({ payload }) => done.reject(payload.error))
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: true,
        eachBatch: async ({ batch }) => {
          for (const { offset, key, value } of batch.messages)
            sink(batch.partition, Number(offset), key, value)
          if (Number(batch.lastOffset()) + 1 >= (logEnds.get(batch.partition) ?? 0)) {
            missing.delete(batch.partition)
            if (missing.size === 0) done.resolve()
          }
        },
      })
      await done.promise
    } finally {
      await consumer.disconnect()
      const admin = client.admin()
      await admin.connect()
      await admin.deleteGroups([groupId])
      await admin.disconnect()
    }
  },
}

const ownReader = (kafka: Kafka): LogReader => ({
  name: 'ottla',
  foreign: false,
  async read(_brokers, { topic, ends }, sink) {
    const missing = new Map(
      ends.filter((end) => end.logEnd > end.logStart).map((end) => [end.partition, end.logEnd]),
    )
    const groupId = `log-reader-${process.pid}-${process.hrtime.bigint()}`
    const consumer = kafka.consumer({ groupId, topics: [topic], startFrom: 'earliest' })
    for await (const { partition, offset, key, value } of missing.size === 0 ? [] : consumer) {
      sink(partition, offset, key, value)
      if (offset + 1 >= (missing.get(partition) ?? 0)) missing.delete(partition)
      if (missing.size === 0) break
    }
    await consumer.stop()
  },
})

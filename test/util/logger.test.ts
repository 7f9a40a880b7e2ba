/** The example of docs/connecting.md with pino itself, where that is installed: it is no dependency. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka, type Logger } from '../../src/index.ts'
import { rejection } from '../client/support.ts'

type Pino = (options: { level: string }, stream: { write(line: string): void }) => Logger

const name = 'pino'
const pino: Pino | undefined = await import(name).then(
  (loaded) => loaded.default,
  () => undefined,
)

test('pino prints an error with its code, its stack and its cause', {
  skip: pino === undefined,
}, async () => {
  const lines: string[] = []
  const logger = (pino as Pino)({ level: 'warn' }, { write: (line) => void lines.push(line) })
  const dial = () => Promise.reject(new Error('connect ECONNREFUSED'))
  const backoff = { minBackoffMs: 1, maxBackoffMs: 1, metadataMinIntervalMs: 0 }
  const kafka = new Kafka({ brokers: 'kafka-1:9092', logger, dial, ...backoff })
  await rejection(kafka.admin().listTopics({ timeoutMs: 100 }), 'CONNECTION_FAILED')
  await kafka.stop()
  const { level, err, msg } = JSON.parse(lines[0] as string)
  assert.deepEqual([level, msg], [40, 'no broker can be used so far; the client goes on trying'])
  assert.deepEqual([err.type, err.code], ['OttlaError', 'CONNECTION_FAILED'])
  assert.match(err.stack, /no broker of kafka-1:9092 can be reached[\s\S]*caused by[\s\S]*ECONNREFUSED/)
})

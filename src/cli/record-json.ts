/**
 * Records as JSON, one per line, both ways: what `consume --json` prints, `produce --json` takes.
 *
 * Bytes that are UTF-8 are a string; others are `{ "base64": "…" }`. Nothing is lost on the way.
 */
import { isUtf8 } from 'node:buffer'
import type { ConsumerRecord, ProducerRecord } from '../index.ts'
import { nearest } from '../util/options.ts'
import { UsageError } from './failure.ts'

type JsonBytes = string | null | { readonly base64: string }

/** One record as one line, without the line feed. */
export function recordToJson(record: ConsumerRecord): string {
  const { topic, partition, offset, timestamp } = record
  const headers = record.headers.map(([name, value]) => [name, bytesToJson(value)])
  const [key, value] = [bytesToJson(record.key), bytesToJson(record.value)]
  return JSON.stringify({ topic, partition, offset, timestamp, key, value, headers })
}

const bytesToJson = (bytes: Buffer | null): JsonBytes =>
  bytes === null ? null : isUtf8(bytes) ? bytes.toString() : { base64: bytes.toString('base64') }

// The last two are what `consume` prints besides; they are read and left alone.
const known = ['key', 'value', 'headers', 'partition', 'timestamp', 'topic', 'offset']

/** One line as a record for `topic`. Throws UsageError. */
export function recordFromJson(line: string, topic: string): ProducerRecord {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch (error) {
    throw new UsageError(`it is not JSON: ${(error as Error).message}`)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new UsageError('it is not a JSON object')
  }
  const fields = parsed as Readonly<Record<string, unknown>>
  for (const name of Object.keys(fields)) {
    if (known.includes(name)) continue
    const near = nearest(name, known)
    throw new UsageError(`unknown field ${name}${near === undefined ? '' : `; did you mean ${near}?`}`)
  }
  const { key, value, headers, partition, timestamp } = fields
  if (value === undefined) throw new UsageError('there is no value; null makes a tombstone')
  return {
    topic,
    key: bytesFromJson('key', key ?? null),
    value: bytesFromJson('value', value),
    ...(headers === undefined ? {} : { headers: headersFromJson(headers) }),
    ...(partition === undefined ? {} : { partition: wholeNumber('partition', partition) }),
    ...(timestamp === undefined ? {} : { timestamp: wholeNumber('timestamp', timestamp) }),
  }
}

function bytesFromJson(name: string, value: unknown): string | Uint8Array | null {
  if (value === null || typeof value === 'string') return value
  if (typeof value === 'object' && 'base64' in value && typeof value.base64 === 'string') {
    return Buffer.from(value.base64, 'base64')
  }
  throw new UsageError(`${name} must be a string, null or {"base64": "…"}`)
}

function headersFromJson(headers: unknown): [string, string | Uint8Array | null][] {
  if (typeof headers !== 'object' || headers === null) {
    throw new UsageError('headers must be an object, or a list of [name, value]')
  }
  const pairs: readonly unknown[] = Array.isArray(headers) ? headers : Object.entries(headers)
  return pairs.map((pair) => {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string') {
      throw new UsageError('headers must be an object, or a list of [name, value]')
    }
    return [pair[0], bytesFromJson(`header ${pair[0]}`, pair[1])]
  })
}

function wholeNumber(name: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
  throw new UsageError(`${name} must be a whole number from 0`)
}

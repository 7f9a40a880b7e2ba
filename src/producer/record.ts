/**
 * What a caller hands to a producer: its shape, its checks and the two forms of its headers.
 *
 * Checks are done before a record is accepted, so that nothing is refused later for what could be seen here.
 */
import { OttlaError } from '../errors.ts'
import type { HeaderList } from '../protocol/record-batch.ts'
import { nearest } from '../util/options.ts'

/** Headers as an object: one value per name, in the order of the object's keys. */
export interface HeaderObject {
  readonly [name: string]: string | Uint8Array | null
}

/** One record to send. Strings are written as UTF-8. */
export interface ProducerRecord {
  readonly topic: string
  /** Where it goes. Default: the partitioner decides. */
  readonly partition?: number | undefined
  /** Records of one key stay in order, in one partition. Default null: no key. */
  readonly key?: string | Uint8Array | null | undefined
  /** `null` is a tombstone in a compacted topic. It must be given: `undefined` is INVALID_ARGUMENT. */
  readonly value: string | Uint8Array | null
  /** An ordered list, in which names may repeat, or a plain object (no Map). Default none. */
  readonly headers?: HeaderList | HeaderObject | undefined
  /** Milliseconds since 1970. Default the time of the call. */
  readonly timestamp?: number | undefined
}

const NO_HEADERS: HeaderList = Object.freeze([])

/** Throws INVALID_ARGUMENT when the record is not one. `index`: its place in the call's list; -1 when it came alone. */
export function checkRecord(record: ProducerRecord, index: number): void {
  if (typeof record !== 'object' || record === null) throw invalid(pathOf(index), 'a record', record)
  const { topic, key, value, partition, timestamp } = record
  if (typeof topic !== 'string' || topic === '') {
    throw refused(record, { index, field: 'topic', expected: 'a string that is not empty' })
  }
  if (key !== undefined && !isPayload(key)) throw refused(record, { index, field: 'key', expected: PAYLOAD })
  if (!isPayload(value)) throw refused(record, { index, field: 'value', expected: PAYLOAD })
  if (partition !== undefined && !(Number.isInteger(partition) && partition >= 0)) {
    throw refused(record, { index, field: 'partition', expected: 'a whole number from 0' })
  }
  if (timestamp !== undefined && !(Number.isSafeInteger(timestamp) && timestamp >= 0)) {
    throw refused(record, { index, field: 'timestamp', expected: 'milliseconds since 1970' })
  }
  // Allocates nothing, and costs a few nanoseconds: names are compared by their address.
  for (const name in record) if (!isField(name)) refuseUnknown(record, index, name)
}

const isField = (name: string): boolean =>
  name === 'topic' ||
  name === 'value' ||
  name === 'key' ||
  name === 'headers' ||
  name === 'partition' ||
  name === 'timestamp'

/** What a consumed record and a report have besides: both may be sent on as they are. */
const CARRIED: readonly string[] = [
  'offset',
  'leaderEpoch',
  'timestampType',
  'copy',
  'status',
  'replayed',
  'uncertain',
  'error',
]

function refuseUnknown(record: ProducerRecord, index: number, name: string): void {
  // What an object only inherits is not what was said of the record.
  if (CARRIED.includes(name) || !Object.hasOwn(record, name)) return
  if ((record as unknown as Record<string, unknown>)[name] === undefined) return
  const path = `${pathOf(index)}.${name}`
  const message = `${path} is no field of a record: ${adviceFor(name)}`
  throw new OttlaError('INVALID_ARGUMENT', message, { path })
}

/** How a message names a record of a call. */
const pathOf = (index: number): string => (index < 0 ? 'record' : `records[${index}]`)

interface Refusal {
  readonly index: number
  readonly field: keyof ProducerRecord
  readonly expected: string
}

function refused(record: ProducerRecord, { index, field, expected }: Refusal): OttlaError {
  const path = `${pathOf(index)}.${field}`
  if (record[field] !== undefined) return invalid(path, expected, record[field])
  const advice = Object.keys(record)
    .filter((name) => !fields.includes(name))
    .map((name) => `; ${name} is no field of a record: ${adviceFor(name)}`)
  const tombstone = field === 'value' ? '; for a tombstone give value: null' : ''
  const message = `${path} must be ${expected}, and it is missing${advice.join('')}${tombstone}`
  return new OttlaError('INVALID_ARGUMENT', message, { path })
}

const fields: readonly string[] = ['topic', 'partition', 'key', 'value', 'headers', 'timestamp']

function adviceFor(name: string): string {
  // As other clients take them.
  if (name === 'messages') return 'give the records themselves, send([{ topic, key, value }, …])'
  const near = nearest(name, fields)
  return near === undefined ? `the fields are ${fields.join(', ')}` : `did you mean ${near}?`
}

const PAYLOAD = 'a string, a Uint8Array or null'

const isPayload = (value: unknown): boolean =>
  typeof value === 'string' || value === null || value instanceof Uint8Array

/** The headers as a list. A list that is given as one is checked, not copied. */
export function headersOf(record: ProducerRecord, path: string): HeaderList {
  const { headers } = record
  if (headers === undefined) return NO_HEADERS
  if (!Array.isArray(headers) && !isHeaderObject(headers)) {
    throw invalid(`${path}.headers`, 'a list of [name, value] or a plain object', headers)
  }
  const list: HeaderList = Array.isArray(headers) ? headers : Object.entries(headers as HeaderObject)
  for (const header of list) {
    if (!Array.isArray(header) || header.length !== 2 || typeof header[0] !== 'string') {
      throw invalid(`${path}.headers`, 'a list of [name, value] with names that are strings', header)
    }
    if (!isPayload(header[1])) throw invalid(`${path}.headers.${header[0]}`, PAYLOAD, header[1])
  }
  return list
}

/** Not what has its entries elsewhere than in its fields (a Map, a Headers, bytes), nor what has none and is not `{}`. */
function isHeaderObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Symbol.iterator in value || ArrayBuffer.isView(value)) return false
  return isPlain(value) || Object.keys(value).length > 0
}

/** Made by `{ … }`, in whatever realm, or without a prototype: the entries of a Map would be missed, and those of others none. */
function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** At most what the record takes in a batch. Strings are measured, unlike in `BatchBuilder.maxSizeOf`. */
export function measuredSizeOf(record: ProducerRecord, headers: HeaderList): number {
  let size = 36 + lengthOf(record.key) + lengthOf(record.value)
  for (const [name, value] of headers) size += 10 + Buffer.byteLength(name) + lengthOf(value)
  return size
}

const lengthOf = (payload: string | Uint8Array | null | undefined): number =>
  payload === null || payload === undefined
    ? 0
    : typeof payload === 'string'
      ? Buffer.byteLength(payload)
      : payload.length

/** A record whose bytes belong to the producer: the caller may change its own afterwards. */
export function copyOf(record: ProducerRecord, headers: HeaderList, timestamp: number): ProducerRecord {
  return {
    topic: record.topic,
    partition: record.partition,
    key: copyPayload(record.key ?? null),
    value: copyPayload(record.value),
    headers: headers.map(([name, value]) => [name, copyPayload(value)] as const),
    timestamp,
  }
}

const copyPayload = (payload: string | Uint8Array | null): string | Uint8Array | null =>
  payload instanceof Uint8Array ? Buffer.from(payload) : payload

function invalid(path: string, expected: string, given: unknown): OttlaError {
  const kind =
    given === null
      ? 'null'
      : Array.isArray(given)
        ? 'an array'
        : typeof given === 'object'
          ? isPlain(given)
            ? 'an object'
            : `a ${given.constructor?.name ?? 'object'}`
          : `a ${typeof given}`
  const shown = typeof given === 'number' ? String(given) : given === undefined ? 'missing' : kind
  return new OttlaError('INVALID_ARGUMENT', `${path} must be ${expected}, not ${shown}`, { path })
}

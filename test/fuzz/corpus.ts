/**
 * What the fuzzer starts from: valid bytes for every decoder. The same each time, so that a seed and a number give
 * the same mutated frame on every machine.
 */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { compress } from '../../src/protocol/compression.ts'
import { encodeRequest, encodeResponse } from '../../src/protocol/frame.ts'
import {
  assignment,
  encodeConsumerProtocol,
  subscription,
} from '../../src/protocol/messages/consumer-protocol.ts'
import { apiOfKey, apis } from '../../src/protocol/messages/index.ts'
import {
  type Compression,
  compressions,
  encodeControlBatch,
  encodeRecordBatch,
} from '../../src/protocol/record-batch.ts'
import type { Api, RequestOf, SentResponseOf } from '../../src/protocol/schema.ts'
import { type Random, seededRandom } from '../../src/util/random.ts'
import { type GoldenFile, goldenFrames } from '../golden/format.ts'
import { randomMessage } from '../support/random-message.ts'

/** Valid bytes and the decoder that they are for. Frames are without their size in front. */
export type Seed =
  | {
      readonly kind: 'request' | 'response'
      readonly api: Api
      readonly version: number
      readonly bytes: Buffer
    }
  | { readonly kind: 'batches' | 'subscription' | 'assignment'; readonly bytes: Buffer }
  | { readonly kind: 'packed'; readonly codec: Compression; readonly bytes: Buffer }

const PER_MESSAGE = 3
const FIXED_SEED = 20_171_101

export function makeCorpus(): readonly Seed[] {
  const random = seededRandom(FIXED_SEED)
  return [
    ...apis.flatMap((api) => [...messageSeeds(api, random)]),
    ...batchSeeds(random),
    ...packedSeeds(random),
    ...protocolSeeds(random),
    ...goldenSeeds(),
  ]
}

function* messageSeeds(api: Api, random: Random): Generator<Seed> {
  for (let version = api.versions[0]; version <= api.versions[1]; version++) {
    for (let copy = 0; copy < PER_MESSAGE; copy++) {
      const request = withBatches(api, randomMessage(api.request, version, random), random)
      const header = { apiVersion: version, correlationId: copy, clientId: copy === 0 ? null : 'fuzz' }
      yield {
        kind: 'request',
        api,
        version,
        bytes: Buffer.concat(encodeRequest(api, header, request as RequestOf<Api>)).subarray(4),
      }
      const response = withBatches(api, randomMessage(api.response, version, random), random)
      const answer = { correlationId: copy, body: response as SentResponseOf<Api> }
      const bytes = Buffer.concat(encodeResponse(api, version, answer)).subarray(4)
      yield { kind: 'response', api, version, bytes }
    }
  }
}

/** Puts real batches where a message has records, so that mutations get past the header of the first one. */
function withBatches(api: Api, message: Record<string, unknown>, random: Random): Record<string, unknown> {
  if (api.name !== 'Produce' && api.name !== 'Fetch') return message
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit)
    if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, part]) => [
        name,
        name === 'records' ? someBatches(random) : visit(part),
      ]),
    )
  }
  return visit(message) as Record<string, unknown>
}

function someBatches(random: Random): Buffer {
  const batches = Array.from({ length: 1 + random.below(3) }, (_, index) => {
    const compression = compressions[random.below(compressions.length)] as Compression
    const records = Array.from({ length: 1 + random.below(6) }, (_unused, at) => ({
      key: random.below(2) === 0 ? null : `key-${at}`,
      value: random.below(5) === 0 ? null : 'value '.repeat(random.below(12)),
      headers: random.below(3) === 0 ? ([['name', random.below(2) === 0 ? null : 'content']] as const) : [],
      timestamp: 1.7e12 + random.below(1e6),
    }))
    return encodeRecordBatch(records, {
      baseOffset: index * 10,
      compression,
      transactional: random.below(2) === 0,
      producerId: 7,
    })
  })
  batches.push(
    encodeControlBatch({ baseOffset: 99, producerId: 7, producerEpoch: 0, type: 'abort', timestamp: 1 }),
  )
  return Buffer.concat(batches)
}

const batchSeeds = (random: Random): Seed[] =>
  Array.from({ length: 300 }, () => ({ kind: 'batches', bytes: someBatches(random) }))

function packedSeeds(random: Random): Seed[] {
  return compressions.slice(1).flatMap((codec) =>
    Array.from({ length: 10 }, (): Seed => {
      const text = Array.from({ length: random.below(80) }, () => `word${random.below(20)} `).join('')
      return { kind: 'packed', codec, bytes: compress(codec, Buffer.from(`${text}.`)) }
    }),
  )
}

function protocolSeeds(random: Random): Seed[] {
  return Array.from({ length: 40 }, (_, index): Seed => {
    const kind = index % 2 === 0 ? 'subscription' : 'assignment'
    const fields = kind === 'subscription' ? subscription : assignment
    return { kind, bytes: encodeConsumerProtocol(fields, randomMessage(fields, 3, random) as never) }
  })
}

/** What real clients and brokers said to each other. */
function goldenSeeds(): Seed[] {
  const folder = join(import.meta.dirname, '../golden')
  return globSync('*.json', { cwd: folder })
    .sort()
    .flatMap((name) => goldenFrames(JSON.parse(readFileSync(join(folder, name), 'utf8')) as GoldenFile))
    .flatMap(({ direction, apiKey, version, bytes }): Seed[] => {
      const api = apiOfKey(apiKey)
      return api === undefined ? [] : [{ kind: direction, api, version, bytes: bytes.subarray(4) }]
    })
}

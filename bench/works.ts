/**
 * What is measured: the works, who takes part in each and how, and what Ottla is to reach.
 *
 * A row is one client used in one way; a target is for a row of Ottla's and names the row that it is compared with.
 */

export type Client = 'ottla' | 'platformatic' | 'kafkajs' | 'librdkafka' | 'franz'

export interface Row {
  /** As printed; unique in its work. */
  readonly name: string
  readonly client: Client
  readonly mode: string
}

export interface Target {
  readonly row: string
  /** At least so many times the records per second of the best of these rows. */
  readonly times?: { readonly factor: number; readonly of: readonly string[] }
  readonly cpuSecondsPerMillion?: number
  /** Peak over the idle connected process. */
  readonly memoryMiB?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
  /** At most so many times the latency of that row. */
  readonly latencyTimes?: { readonly p50: number; readonly p99: number; readonly of: string }
}

export interface Work {
  readonly id: string
  readonly title: string
  readonly kind: 'produce' | 'consume' | 'latency' | 'e2e'
  readonly records: number
  readonly warmup: number
  readonly values: 'bytes-100' | 'bytes-1024' | 'json-1024'
  readonly keys: number
  readonly compression: 'none' | 'lz4'
  /** Records a second, of `e2e`. */
  readonly rate: number
  /** Rounds for each run that is asked for: more where one is over in a second and differs much from the next. Default 1. */
  readonly rounds?: number
  readonly rows: readonly Row[]
  readonly targets: readonly Target[]
  /** CPU seconds per million that rows took on the machine on which the targets were written down. */
  readonly referenceCpu?: Readonly<Record<string, number>>
  /** The same of latencies, in milliseconds. */
  readonly referenceMs?: Readonly<Record<string, { readonly p50Ms: number; readonly p99Ms: number }>>
}

const row = (name: string, client: Client, mode: string): Row => ({ name, client, mode })

const thousands = row('ottla, send([1000])', 'ottla', 'produce')
const ones = row('ottla, one send per record', 'ottla', 'produce-one')
const platformatic = row('platformatic, send of 1000', 'platformatic', 'produce')
const kafkajs = row('kafkajs, send of 1000', 'kafkajs', 'produce')
const librdkafka = row('librdkafka in C', 'librdkafka', 'produce')
const franz = row('franz-go', 'franz', 'produce')
const producers = [platformatic, kafkajs, librdkafka, franz]

const each = row('ottla, run', 'ottla', 'consume-each')
const batches = row('ottla, runBatches', 'ottla', 'consume-batch')
const dataEvents = row('platformatic, data events', 'platformatic', 'consume-each')
const eachMessage = row('kafkajs, eachMessage', 'kafkajs', 'consume-each')
const eachBatch = row('kafkajs, eachBatch', 'kafkajs', 'consume-batch')
const nativeConsumers = [row('librdkafka in C', 'librdkafka', 'consume'), row('franz-go', 'franz', 'consume')]
const consumers = [each, batches, eachMessage, eachBatch, dataEvents, ...nativeConsumers]

const everyone = (mode: string): Row[] => [
  row('ottla', 'ottla', mode),
  row('platformatic', 'platformatic', mode),
  row('kafkajs', 'kafkajs', mode),
  row('librdkafka in C', 'librdkafka', mode),
  row('franz-go', 'franz', mode),
]

const plain = { keys: 0, compression: 'none', rate: 0 } as const
const producing = { kind: 'produce', warmup: 1_000, ...plain } as const
const consuming = { kind: 'consume', warmup: 0, ...plain } as const

export const works: readonly Work[] = [
  {
    ...producing,
    id: 'P100',
    referenceCpu: { [platformatic.name]: 1.12, [kafkajs.name]: 3.13, [franz.name]: 0.39 },
    title: 'produce 100 B',
    records: 2_000_000,
    values: 'bytes-100',
    rows: [ones, thousands, ...producers],
    targets: [
      {
        row: ones.name,
        times: { factor: 1.6, of: [platformatic.name] },
        cpuSecondsPerMillion: 0.6,
        memoryMiB: 150,
      },
      {
        row: thousands.name,
        times: { factor: 2.2, of: [platformatic.name] },
        cpuSecondsPerMillion: 0.45,
        memoryMiB: 150,
      },
    ],
  },
  {
    ...producing,
    id: 'P1K',
    referenceCpu: { [platformatic.name]: 2.39, [kafkajs.name]: 9.54, [franz.name]: 0.67 },
    title: 'produce 1 KiB',
    records: 400_000,
    values: 'bytes-1024',
    rows: [thousands, ...producers],
    targets: [
      {
        row: thousands.name,
        times: { factor: 1.2, of: [platformatic.name] },
        cpuSecondsPerMillion: 1.5,
        memoryMiB: 200,
      },
    ],
  },
  {
    ...producing,
    id: 'PKEY',
    referenceCpu: { [platformatic.name]: 1.87, [kafkajs.name]: 4.33, [franz.name]: 0.6 },
    title: 'produce 100 B with 8-byte keys, 10,000 distinct',
    records: 2_000_000,
    values: 'bytes-100',
    keys: 10_000,
    rows: [thousands, ...producers],
    targets: [
      { row: thousands.name, times: { factor: 2, of: [platformatic.name] }, cpuSecondsPerMillion: 0.8 },
    ],
  },
  {
    ...producing,
    id: 'PLZ4',
    referenceCpu: { [franz.name]: 1.54, [librdkafka.name]: 1.7 },
    title: 'produce 1 KiB of JSON, lz4',
    records: 400_000,
    values: 'json-1024',
    compression: 'lz4',
    rows: [thousands, platformatic, librdkafka, franz],
    targets: [
      { row: thousands.name, times: { factor: 1.3, of: [platformatic.name] }, cpuSecondsPerMillion: 2.2 },
    ],
  },
  {
    ...consuming,
    id: 'C100',
    referenceCpu: {
      [dataEvents.name]: 4.06,
      [eachMessage.name]: 1.79,
      [eachBatch.name]: 0.89,
      ['franz-go']: 0.18,
    },
    title: 'consume 100 B, fresh group',
    records: 2_000_000,
    values: 'bytes-100',
    rows: consumers,
    targets: [
      {
        row: each.name,
        times: { factor: 2.5, of: [eachMessage.name] },
        cpuSecondsPerMillion: 0.65,
        memoryMiB: 120,
      },
      {
        row: batches.name,
        times: { factor: 3, of: [eachBatch.name] },
        cpuSecondsPerMillion: 0.4,
        memoryMiB: 120,
      },
    ],
  },
  {
    ...consuming,
    id: 'C1K',
    rounds: 3,
    referenceCpu: {
      [dataEvents.name]: 5.69,
      [eachMessage.name]: 3.9,
      [eachBatch.name]: 2.8,
      ['franz-go']: 0.52,
    },
    title: 'consume 1 KiB, fresh group',
    records: 400_000,
    values: 'bytes-1024',
    rows: consumers.filter(({ name }) => name !== each.name),
    targets: [
      {
        row: batches.name,
        times: { factor: 4, of: [dataEvents.name, eachMessage.name, eachBatch.name] },
        cpuSecondsPerMillion: 1,
        memoryMiB: 120,
      },
    ],
  },
  {
    ...plain,
    kind: 'latency',
    rounds: 3,
    id: 'L1',
    title: 'one awaited send of 100 B at a time',
    records: 3_000,
    warmup: 2_000,
    values: 'bytes-100',
    rows: everyone('latency'),
    targets: [{ row: 'ottla', latencyTimes: { p50: 1.2, p99: 2.5, of: 'librdkafka in C' } }],
  },
  {
    ...plain,
    kind: 'e2e',
    id: 'E2E',
    title: 'produce to handler, 200 records a second',
    records: 3_000,
    warmup: 0,
    rate: 200,
    values: 'bytes-100',
    referenceMs: {
      platformatic: { p50Ms: 0.34, p99Ms: 1.77 },
      'librdkafka in C': { p50Ms: 0.29, p99Ms: 0.8 },
      'franz-go': { p50Ms: 0.36, p99Ms: 1.23 },
    },
    rows: everyone('e2e'),
    targets: [{ row: 'ottla', p50Ms: 0.5, p99Ms: 2 }],
  },
]

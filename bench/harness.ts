/**
 * What every driver in JavaScript does the same way: reads its orders, measures, reports.
 *
 * A driver is a process that runs one work with one client. Its orders are `name=value` arguments; its report is one
 * line of JSON on stdout after `RESULT `. The drivers in other languages keep to the same form.
 *
 * The timed window is opened when the client is connected and idle, and holds all of the work and nothing else: CPU
 * is what this process burned inside it, memory its peak inside it over what it was when connected and idle.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Orders {
  /** The way of using the client: `produce`, `produce-one`, `consume-each`, `consume-batch`, `latency`, `e2e`, … */
  readonly mode: string
  readonly brokers: readonly string[]
  readonly topic: string
  readonly groupId: string
  readonly records: number
  /** Sent before the window. */
  readonly warmup: number
  /** Records that may be unanswered at any time. */
  readonly outstanding: number
  /** Values to send in turn. */
  readonly values: readonly Buffer[]
  /** Keys to send in turn, or none. */
  readonly keys: readonly Buffer[]
  readonly compression: 'none' | 'lz4'
  /** Records a second, for `e2e`. */
  readonly rate: number
  /** The bound on the client's buffers, for the works about memory. */
  readonly bufferBytes: number
  /** The broker's process, when it is on this machine. */
  readonly brokerPid: number | undefined
}

export interface Report {
  /** Records inside the window, and all that were sent to the topic. */
  readonly records: number
  readonly sent: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly brokerCpuSeconds: number | undefined
  readonly idleRssBytes: number
  readonly peakRssBytes: number
  readonly p50Ms?: number
  readonly p99Ms?: number
}

export type Mode = (orders: Orders, meter: Meter) => Promise<void>

const sendSize = 1_000
const idleMs = 300
const clockTicks = 100

/** Runs the mode that the arguments name and prints its report. Call it once, as the whole of a driver. */
export async function drive(modes: Readonly<Record<string, Mode>>): Promise<void> {
  const orders = readOrders(process.argv.slice(2))
  const mode = modes[orders.mode]
  if (!mode) throw new Error(`this driver has no mode ${orders.mode}`)
  const meter = new Meter(orders)
  await mode(orders, meter)
  if (!meter.report) throw new Error(`mode ${orders.mode} ended without a report`)
  process.stdout.write(`RESULT ${JSON.stringify(meter.report)}\n`, () => process.exit(0))
}

function readOrders(args: readonly string[]): Orders {
  const given = new Map(args.map((arg) => [arg.slice(0, arg.indexOf('=')), arg.slice(arg.indexOf('=') + 1)]))
  const number = (name: string, otherwise: number) => Number(given.get(name) ?? otherwise)
  return {
    mode: given.get('mode') ?? '',
    brokers: (given.get('brokers') ?? '').split(','),
    topic: given.get('topic') ?? '',
    groupId: given.get('group') ?? '',
    records: number('records', 0),
    warmup: number('warmup', 0),
    outstanding: number('outstanding', 10_000),
    values: given.has('values') ? readValues(given.get('values') ?? '') : [],
    keys: Array.from({ length: number('keys', 0) }, (_, index) =>
      Buffer.from(`k${String(index).padStart(7, '0')}`),
    ),
    compression: given.get('compression') === 'lz4' ? 'lz4' : 'none',
    rate: number('rate', 0),
    bufferBytes: number('buffer', 0),
    brokerPid: given.has('broker-pid') ? number('broker-pid', 0) : undefined,
  }
}

/** The file that `payloads.ts` writes: values, each after its length in four bytes, little endian. */
function readValues(path: string): Buffer[] {
  const file = readFileSync(path)
  const values: Buffer[] = []
  for (let at = 0; at < file.length; ) {
    const length = file.readUInt32LE(at)
    values.push(file.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return values
}

export class Meter {
  report: Report | undefined
  readonly #brokerPid: number | undefined
  #idleRssBytes = 0
  #started = 0
  #cpu: NodeJS.CpuUsage | undefined
  #brokerCpu: number | undefined

  constructor(orders: Orders) {
    this.#brokerPid = orders.brokerPid
  }

  /** Call it when the client is connected and has nothing to do. */
  async idle(): Promise<void> {
    await sleep(idleMs)
    this.#idleRssBytes = process.memoryUsage.rss()
    forgetPeak()
  }

  start(): void {
    this.#brokerCpu = cpuOf(this.#brokerPid)
    this.#cpu = process.cpuUsage()
    this.#started = performance.now()
  }

  get started(): boolean {
    return this.#started !== 0
  }

  stop(records: number, more: { sent?: number; p50Ms?: number; p99Ms?: number } = {}): void {
    const seconds = (performance.now() - this.#started) / 1_000
    const { user, system } = process.cpuUsage(this.#cpu)
    const brokerCpu = cpuOf(this.#brokerPid)
    this.report = {
      records,
      sent: records,
      seconds,
      cpuSeconds: (user + system) / 1e6,
      brokerCpuSeconds:
        brokerCpu === undefined || this.#brokerCpu === undefined ? undefined : brokerCpu - this.#brokerCpu,
      idleRssBytes: this.#idleRssBytes,
      peakRssBytes: peakRssBytes(),
      ...more,
    }
  }
}

/** Linux forgets the peak so far on request; elsewhere the peak is that of the whole life of the process. */
function forgetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5')
  } catch {
    return
  }
}

/** The peak of this process, or of another one where the system tells. */
export function peakRssBytes(pid: number | 'self' = 'self'): number {
  try {
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
  } catch {
    return pid === 'self' ? process.resourceUsage().maxRSS * 1024 : Number.NaN
  }
}

/** CPU seconds of another process so far, where the system tells. */
function cpuOf(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / clockTicks
  } catch {
    return undefined
  }
}

export interface Outgoing {
  readonly topic: string
  readonly key?: Buffer
  readonly value: Buffer
}

/** Builds record `index` anew, as an application does: the values and the keys take turns. */
export function recordMaker({ topic, keys, values }: Orders): (index: number) => Outgoing {
  if (keys.length === 0) return (index) => ({ topic, value: values[index % values.length]! })
  // 7,919 is prime to the number of keys, so that neighbours differ and all come up equally often.
  return (index) => ({
    topic,
    key: keys[(index * 7_919) % keys.length]!,
    value: values[index % values.length]!,
  })
}

type SendMany = (records: Outgoing[]) => Promise<unknown>

async function sendInThousands(orders: Orders, count: number, send: SendMany): Promise<void> {
  const make = recordMaker(orders)
  let next = 0
  const lane = async () => {
    while (next < count) {
      const from = next
      next = Math.min(count, from + sendSize)
      const records: Outgoing[] = []
      for (let index = from; index < next; index++) records.push(make(index))
      await send(records)
    }
  }
  const lanes = Math.max(1, Math.floor(orders.outstanding / sendSize))
  await Promise.all(Array.from({ length: lanes }, lane))
}

/** Produces with calls of 1,000 records, as many at once as `outstanding` allows. */
export async function produceMany(orders: Orders, meter: Meter, send: SendMany): Promise<void> {
  await sendInThousands({ ...orders, outstanding: sendSize }, orders.warmup, send)
  await meter.idle()
  meter.start()
  await sendInThousands(orders, orders.records, send)
  meter.stop(orders.records, { sent: orders.records + orders.warmup })
}

/** Produces with a call and a promise for every record, at most `outstanding` of them unanswered. */
export async function produceOne(
  orders: Orders,
  meter: Meter,
  send: (record: Outgoing) => Promise<unknown>,
): Promise<void> {
  const make = recordMaker(orders)
  for (let index = 0; index < orders.warmup; index++) await send(make(index))
  await meter.idle()
  meter.start()
  await sendOneByOne(orders, make, send)
  meter.stop(orders.records, { sent: orders.records + orders.warmup })
}

function sendOneByOne(
  { records, outstanding }: Orders,
  make: (index: number) => Outgoing,
  send: (record: Outgoing) => Promise<unknown>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let next = 0
    let settled = 0
    const onSettled = () => {
      settled++
      if (settled === records) resolve()
      // Refilled when half has come back: an application answers a burst with a burst.
      else if (next < records && next - settled <= outstanding / 2) fill()
    }
    const fill = () => {
      while (next < records && next - settled < outstanding) send(make(next++)).then(onSettled, reject)
    }
    fill()
  })
}

/**
 * Counts what arrives. The window opens when the group has given the partitions to this member (`assigned`), so that
 * reading ahead of the first handler is inside it and joining is not, and closes with the last record. `bytes` are
 * those of the values, so that every driver has to look at each of them.
 */
export function consumption(
  orders: Orders,
  meter: Meter,
): { assigned: () => void; took: (records: number, bytes: number) => void; done: Promise<void> } {
  let seen = 0
  let seenBytes = 0
  let finish: (() => void) | undefined
  const done = new Promise<void>((resolve) => {
    finish = resolve
  })
  const assigned = () => {
    if (!meter.started) meter.start()
  }
  const took = (records: number, bytes: number) => {
    if (!meter.started) throw new Error('a record came before the assignment')
    seen += records
    seenBytes += bytes
    if (seen < orders.records || meter.report) return
    meter.stop(seen)
    if (seenBytes === 0) throw new Error('the values were not read')
    finish?.()
  }
  return { assigned, took, done }
}

const percentile = (sorted: readonly number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

const percentiles = (times: readonly number[]) => {
  const sorted = times.toSorted((a, b) => a - b)
  return { p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99) }
}

/** One awaited send at a time. */
export async function latency(
  orders: Orders,
  meter: Meter,
  send: (record: Outgoing) => Promise<unknown>,
): Promise<void> {
  const make = recordMaker(orders)
  for (let index = 0; index < orders.warmup; index++) await send(make(index))
  await meter.idle()
  const times: number[] = []
  meter.start()
  for (let index = 0; index < orders.records; index++) {
    const from = performance.now()
    await send(make(index))
    times.push(performance.now() - from)
  }
  meter.stop(orders.records, { sent: orders.records + orders.warmup, ...percentiles(times) })
}

/**
 * Sends at a steady rate; the value holds the record's number, and `arrived` is to be called with it by the consumer
 * of the same process. A first second is not counted.
 */
export async function endToEnd(
  orders: Orders,
  meter: Meter,
  send: (record: Outgoing) => Promise<unknown>,
): Promise<{ arrived: (value: Buffer) => void; run: () => Promise<void> }> {
  const total = orders.rate + orders.records
  const sentAt = new Float64Array(total)
  const times: number[] = []
  let seen = 0
  let finish: (() => void) | undefined
  const all = new Promise<void>((resolve) => {
    finish = resolve
  })
  const arrived = (value: Buffer) => {
    const index = value.readUInt32LE(0)
    if (index === 0xffff_ffff) return
    if (index >= orders.rate) times.push(performance.now() - sentAt[index]!)
    seen++
    if (seen === total) finish?.()
  }
  const run = async () => {
    await meter.idle()
    const begun = performance.now()
    const results: Promise<unknown>[] = []
    for (let index = 0; index < total; index++) {
      const waitMs = begun + (index * 1_000) / orders.rate - performance.now()
      if (waitMs > 0) await sleep(waitMs)
      if (index === orders.rate) meter.start()
      const value = Buffer.from(orders.values[index % orders.values.length]!)
      value.writeUInt32LE(index, 0)
      sentAt[index] = performance.now()
      results.push(send({ topic: orders.topic, value }))
    }
    await Promise.all(results)
    await all
    meter.stop(times.length, { sent: total, ...percentiles(times) })
  }
  return { arrived, run }
}

/** The value of a record that `endToEnd` does not count: it proves that the consumer is there. */
export const probeValue = (): Buffer => Buffer.alloc(100, 0xff)

/** Ends a client in good order, but does not wait for ever: the report is already made. */
export async function closing(work: Promise<unknown>): Promise<void> {
  await Promise.race([work.catch(() => undefined), sleep(3_000, undefined, { ref: false })])
}

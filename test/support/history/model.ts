/**
 * A history turned into what the checks ask for: records by id, the log by partition, the work of each group.
 *
 * The model judges nothing. It keeps every observation, also those that contradict each other.
 */
import type { HistoryEvent } from './events.ts'

/** A record as its producer was given it, with every answer that the producer gave. */
export interface SentRecord {
  readonly id: string
  readonly topic: string
  readonly key: string | null
  readonly seq: number
  readonly digest: number
  /** The process that enqueued it. */
  readonly proc: string
  readonly settlements: Settlement[]
}

export interface Settlement {
  readonly outcome: 'acked' | 'failed' | 'unknown'
  readonly proc: string
  readonly replayed: boolean
  readonly detail: string
}

export interface LogRecord {
  readonly offset: number
  readonly id: string
  readonly digest: number
}

/** One partition as the first of its readers found it. */
export interface PartitionLog {
  readonly topic: string
  readonly partition: number
  /** By offset, each offset once. */
  readonly records: readonly LogRecord[]
}

/** One record, finished once. */
export interface Processed {
  readonly offset: number
  readonly id: string
  readonly proc: string
  readonly generation: number
  readonly t: number
}

export type EventOf<Op extends HistoryEvent['op']> = Extract<HistoryEvent, { op: Op }>

export interface Model {
  readonly events: readonly HistoryEvent[]
  readonly sent: ReadonlyMap<string, SentRecord>
  /** Records enqueued twice under one id: a mistake of the history's maker, which would blind the checks. */
  readonly reused: readonly string[]
  /** By topic-partition. */
  readonly logs: ReadonlyMap<string, PartitionLog>
  /** By group, then by topic-partition; in the order of time. */
  readonly processed: ReadonlyMap<string, ReadonlyMap<string, readonly Processed[]>>
  readonly held: ReadonlySet<string>
  readonly quarantined: ReadonlySet<string>
  /** Processes that a fault killed. */
  readonly killed: ReadonlySet<string>
}

export const partitionKey = (topic: string, partition: number): string => `${topic}-${partition}`

export function buildModel(events: readonly HistoryEvent[]): Model {
  const { sent, reused, held, quarantined } = collectSent(events)
  return {
    events,
    sent,
    reused,
    held,
    quarantined,
    logs: collectLogs(events),
    processed: collectProcessed(events),
    killed: collectKilled(events),
  }
}

/** The events of one kind, in the order of time. */
export function* eventsOf<Op extends HistoryEvent['op']>(model: Model, op: Op): Generator<EventOf<Op>> {
  for (const event of model.events) if (event.op === op) yield event as EventOf<Op>
}

function collectSent(events: readonly HistoryEvent[]) {
  const sent = new Map<string, SentRecord>()
  const reused: string[] = []
  const held = new Set<string>()
  const quarantined = new Set<string>()
  for (const event of events) {
    if (event.op === 'enqueue') {
      for (const [id, key, seq, digest] of event.records) {
        if (sent.has(id)) reused.push(id)
        sent.set(id, { id, topic: event.topic, key, seq, digest, proc: event.proc, settlements: [] })
      }
    } else if (event.op === 'held') for (const id of event.ids) held.add(id)
    else if (event.op === 'quarantined') for (const id of event.ids) quarantined.add(id)
  }
  // Apart, because two processes' clocks may place an answer in the same microsecond as its question.
  for (const event of events) {
    if (event.op !== 'ack' && event.op !== 'fail') continue
    const { proc, replayed = false } = event
    if (event.op === 'ack') {
      for (const [id, partition, offset] of event.records) {
        const detail = `at ${partitionKey(event.topic, partition)}@${offset}`
        sent.get(id)?.settlements.push({ outcome: 'acked', proc, replayed, detail })
      }
    } else {
      const settlement = { outcome: event.outcome, proc, replayed, detail: event.code }
      for (const id of event.ids) sent.get(id)?.settlements.push(settlement)
    }
  }
  return { sent, reused, held, quarantined }
}

function collectLogs(events: readonly HistoryEvent[]): Map<string, PartitionLog> {
  const logs = new Map<string, EventOf<'log'>[]>()
  for (const event of events) {
    if (event.op !== 'log') continue
    const where = partitionKey(event.topic, event.partition)
    const parts = logs.get(where)
    if (parts === undefined) logs.set(where, [event])
    else if (parts[0]!.reader === event.reader) parts.push(event)
  }
  return new Map([...logs].map(([where, parts]) => [where, joinLog(parts)]))
}

function joinLog(parts: readonly EventOf<'log'>[]): PartitionLog {
  const { topic, partition } = parts[0]!
  const read = parts
    .flatMap(({ records }) => records.map(([offset, id, digest]) => ({ offset, id, digest })))
    .sort((a, b) => a.offset - b.offset)
  const records = read.filter(({ offset }, index) => offset !== read[index - 1]?.offset)
  return { topic, partition, records }
}

function collectProcessed(events: readonly HistoryEvent[]): Map<string, Map<string, Processed[]>> {
  const groups = new Map<string, Map<string, Processed[]>>()
  for (const event of events) {
    if (event.op !== 'process') continue
    const { proc, generation, t } = event
    let group = groups.get(event.group)
    if (group === undefined) groups.set(event.group, (group = new Map()))
    const where = partitionKey(event.topic, event.partition)
    let list = group.get(where)
    if (list === undefined) group.set(where, (list = []))
    for (const [offset, id] of event.records) list.push({ offset, id, proc, generation, t })
  }
  return groups
}

function collectKilled(events: readonly HistoryEvent[]): Set<string> {
  const killed = new Set<string>()
  for (const event of events) {
    if (event.op === 'fault' && event.fault === 'kill' && event.target !== undefined) killed.add(event.target)
  }
  return killed
}

/** The records of a log with `from` <= offset < `to`. */
export function recordsBetween(log: PartitionLog | undefined, from: number, to: number): number {
  return log === undefined ? 0 : Math.max(0, indexOfOffset(log, to) - indexOfOffset(log, from))
}

/** How many records of the log lie before this offset. */
export function indexOfOffset(log: PartitionLog, offset: number): number {
  let low = 0
  let high = log.records.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (log.records[middle]!.offset < offset) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * What a history holds: one JSON object per line, written by processes that may be killed at any moment.
 *
 * Every record that is produced carries an id in its value, `<writer>.<number>`. `t` is the machine's monotonic
 * clock in milliseconds, which all processes of one machine share, so that events of different processes compare.
 * Partitions, offsets and generations are Kafka's. Events carry many records each: a history of some hundred
 * thousand records stays readable in a second.
 */

/** On every event: when, and who wrote it. A process name is never used twice: a replacement has its own. */
export interface Stamp {
  readonly t: number
  readonly proc: string
}

/** A producer was given records: `send` or `enqueue` was called. */
export interface EnqueueEvent {
  readonly op: 'enqueue'
  readonly topic: string
  readonly records: readonly (readonly [id: string, key: string | null, seq: number, digest: number])[]
}

/** The producer said: delivered. */
export interface AckEvent {
  readonly op: 'ack'
  readonly topic: string
  readonly records: readonly (readonly [id: string, partition: number, offset: number])[]
  /** A later process of the same durable queue said it. */
  readonly replayed?: boolean
}

/** The producer said: not delivered. `unknown`: it may be in the log all the same. */
export interface FailEvent {
  readonly op: 'fail'
  readonly ids: readonly string[]
  readonly code: string
  readonly outcome: 'failed' | 'unknown'
  readonly replayed?: boolean
}

/** What a durable queue still holds at the end, or has set aside because it was damaged. */
export interface QueueEvent {
  readonly op: 'held' | 'quarantined'
  readonly ids: readonly string[]
}

/** The records between these offsets were given to the application for the first time in this assignment. */
export interface PollEvent {
  readonly op: 'poll'
  readonly group: string
  readonly generation: number
  readonly topic: string
  readonly partition: number
  /** Ascending, both ends included. */
  readonly ranges: readonly (readonly [first: number, last: number])[]
}

/** The application finished these records. */
export interface ProcessEvent {
  readonly op: 'process'
  readonly group: string
  readonly generation: number
  readonly topic: string
  readonly partition: number
  readonly records: readonly (readonly [offset: number, id: string, digest: number])[]
}

/**
 * Offsets were committed, or with `error`: the commit was refused, or (`UNANSWERED`) has just been sent, so that it is
 * known also when its sender does not live to hear the answer.
 */
export interface CommitEvent {
  readonly op: 'commit'
  readonly group: string
  readonly generation: number
  readonly offsets: readonly (readonly [topic: string, partition: number, offset: number])[]
  /** When the request left; `t` is when the answer came. Absent: the same moment. */
  readonly since?: number
  readonly error?: string
}

/** A generation began for this member, with all that it owns: what is new and what it kept. */
export interface AssignEvent {
  readonly op: 'assign'
  readonly group: string
  readonly generation: number
  readonly partitions: readonly (readonly [topic: string, partition: number])[]
}

/** The member gave these up, or (`lost`) found them taken away. */
export interface RevokeEvent {
  readonly op: 'revoke'
  readonly group: string
  readonly generation: number
  readonly partitions: readonly (readonly [topic: string, partition: number])[]
  readonly lost?: boolean
}

/** Something was broken (`begin`, or `once`), or is whole again (`end`). `kill` names the process in `target`. */
export interface FaultEvent {
  readonly op: 'fault'
  readonly fault: string
  readonly phase: 'begin' | 'end' | 'once'
  readonly target?: string
}

/** What a reader found in the log, in the order of the log. */
export interface LogEvent {
  readonly op: 'log'
  readonly reader: string
  readonly topic: string
  readonly partition: number
  readonly records: readonly (readonly [offset: number, id: string, digest: number])[]
}

/** How far the log goes, and how far the group has committed, at the very end. */
export interface LagEvent {
  readonly op: 'lag'
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly committed: number
  readonly logEnd: number
}

/** For people; no check reads it. */
export interface InfoEvent {
  readonly op: 'info'
  readonly message: string
}

export type HistoryFact =
  | EnqueueEvent
  | AckEvent
  | FailEvent
  | QueueEvent
  | PollEvent
  | ProcessEvent
  | CommitEvent
  | AssignEvent
  | RevokeEvent
  | FaultEvent
  | LogEvent
  | LagEvent
  | InfoEvent

export type HistoryEvent = HistoryFact & Stamp

const operations: ReadonlySet<string> = new Set<HistoryFact['op']>([
  'enqueue',
  'ack',
  'fail',
  'held',
  'quarantined',
  'poll',
  'process',
  'commit',
  'assign',
  'revoke',
  'fault',
  'log',
  'lag',
  'info',
])

/** One line. Throws when it is none of ours: a history that cannot be read proves nothing. */
export function parseEvent(line: string, where: string): HistoryEvent {
  let event: unknown
  try {
    event = JSON.parse(line)
  } catch (cause) {
    throw new Error(`${where} is not JSON`, { cause })
  }
  if (typeof event !== 'object' || event === null) throw new Error(`${where} is not an object`)
  const { op, t, proc } = event as Partial<HistoryEvent>
  if (typeof op !== 'string' || !operations.has(op)) throw new Error(`${where} has no known op`)
  if (typeof t !== 'number' || typeof proc !== 'string') throw new Error(`${where} has no t or no proc`)
  return event as HistoryEvent
}

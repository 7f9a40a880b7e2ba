/**
 * A small history in which everything went well: three keys over two partitions, one producer, two members of one
 * group, of which the first is killed and leaves two records to be handled again. Tests spoil one thing in it.
 */
import { digestOf, type HistoryEvent, type HistoryFact, valueFor } from '../support/history/index.ts'

export type Edit = (events: HistoryEvent[]) => HistoryEvent[]

const topic = 'orders'
const group = 'billing'
/** Ids with their key, its count, and where they landed. */
export const plan = [
  ['p.0', 'a', 0, 0, 0],
  ['p.1', 'b', 0, 1, 0],
  ['p.2', 'a', 1, 0, 1],
  ['p.3', 'c', 0, 1, 1],
  ['p.4', 'a', 2, 0, 2],
  ['p.5', 'b', 1, 1, 2],
  ['p.6', 'a', 3, 0, 3],
  ['p.7', 'c', 1, 1, 3],
] as const

export const digestFor = (id: string, key: string) => digestOf(key, valueFor(id, 40))

const both: [string, number][] = [
  [topic, 0],
  [topic, 1],
]

export function goodHistory(): HistoryEvent[] {
  const events: HistoryEvent[] = []
  const at = (t: number, proc: string, fact: HistoryFact) => events.push({ t, proc, ...fact })
  const work = (partition: number, from: number, to: number) =>
    plan
      .filter((line) => line[3] === partition && line[4] >= from && line[4] <= to)
      .map(([id, key, , , offset]) => [offset, id, digestFor(id, key)] as const)
  const handle = (t: number, proc: string, generation: number, place: [number, number, number]) => {
    const [partition, from, to] = place
    at(t, proc, { op: 'poll', group, generation, topic, partition, ranges: [[from, to]] })
    at(t + 1, proc, {
      op: 'process',
      group,
      generation,
      topic,
      partition,
      records: work(partition, from, to),
    })
  }
  const commit = (t: number, proc: string, generation: number, place: [number, number]) =>
    at(t, proc, { op: 'commit', group, generation, since: t - 1, offsets: [[topic, ...place]] })

  for (const [index, [id, key, seq, partition, offset]] of plan.entries()) {
    at(index, 'p', { op: 'enqueue', topic, records: [[id, key, seq, digestFor(id, key)]] })
    at(index + 20, 'p', { op: 'ack', topic, records: [[id, partition, offset]] })
  }
  at(30, 'm1', { op: 'assign', group, generation: 1, partitions: both })
  handle(40, 'm1', 1, [0, 0, 1])
  handle(42, 'm1', 1, [1, 0, 3])
  commit(50, 'm1', 1, [0, 2])
  commit(50, 'm1', 1, [1, 2])
  at(60, 'm1', { op: 'revoke', group, generation: 1, partitions: [[topic, 1]] })
  at(61, 'm1', { op: 'assign', group, generation: 2, partitions: [[topic, 0]] })
  at(61, 'm2', { op: 'assign', group, generation: 2, partitions: [[topic, 1]] })
  handle(62, 'm1', 2, [0, 2, 2])
  // Offsets 2 and 3 of partition 1 were handled by m1 and not committed: m2 handles them again.
  handle(64, 'm2', 2, [1, 2, 3])
  commit(70, 'm2', 2, [1, 4])
  at(80, 'main', { op: 'fault', fault: 'kill', phase: 'once', target: 'm1' })
  at(90, 'm2', { op: 'assign', group, generation: 3, partitions: both })
  handle(92, 'm2', 3, [0, 2, 3])
  commit(99, 'm2', 3, [0, 4])
  for (const partition of [0, 1]) {
    at(200, 'main', { op: 'log', reader: 'ours', topic, partition, records: work(partition, 0, 3) })
    at(201, 'main', { op: 'lag', group, topic, partition, committed: 4, logEnd: 4 })
  }
  return events
}

/** Changes the events that are of this kind and match; fails when none does, so that no test is empty. */
export function change<Op extends HistoryEvent['op']>(
  op: Op,
  edit: (event: Extract<HistoryEvent, { op: Op }>) => HistoryEvent | HistoryEvent[] | undefined,
): Edit {
  return (events) => {
    let edited = 0
    const result = events.flatMap((event) => {
      if (event.op !== op) return [event]
      const changed = edit(event as Extract<HistoryEvent, { op: Op }>)
      if (changed !== event) edited++
      return changed ?? []
    })
    if (edited === 0) throw new Error(`no ${op} was changed`)
    return result
  }
}

/** Adds events; where they go follows from their time. */
export const add =
  (...added: HistoryEvent[]): Edit =>
  (events) =>
    [...events, ...added].sort((a, b) => a.t - b.t)

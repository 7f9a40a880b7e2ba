import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkHistory, type HistoryEvent, type Rules, tellFindings } from '../support/history/index.ts'
import { add, change, digestFor, type Edit, goodHistory } from './sample-history.ts'

const topic = 'orders'
const group = 'billing'

const verdictOf = (edits: readonly Edit[], rules?: Rules) =>
  checkHistory(
    edits.reduce((events, edit) => edit(events), goodHistory()),
    rules,
  )

/** The records of one event with one of them taken out, or put in the place of another. */
const without = <T extends readonly unknown[]>(records: readonly T[], index: number) =>
  records.filter((_, at) => at !== index)

const atLog = (partition: number, edit: (records: Log['records']) => Log['records']): Edit =>
  change('log', (event) =>
    event.partition === partition ? { ...event, records: edit(event.records) } : event,
  )
type Log = Extract<HistoryEvent, { op: 'log' }>

/** What was spoiled, how, and exactly which findings must come of it. */
const bad: [name: string, edits: Edit[], found: string[], rules?: Rules][] = [
  ['an acknowledged record is missing in the log', [atLog(0, (all) => without(all, 3))], ['H1 lost']],
  [
    'nobody handled a record',
    [
      change('process', (event) =>
        event.t === 93 ? { ...event, records: without(event.records, 1) } : event,
      ),
    ],
    ['H1 unhandled', 'H6 committed-early'],
  ],
  [
    'a group that should have handled everything did not even exist',
    [],
    ['H1 unhandled', 'H9 lag-unknown'],
    { groups: ['audit'] },
  ],
  [
    'a retry wrote a record a second time',
    [
      atLog(0, (all) => [...all, [4, 'p.6', digestFor('p.6', 'a')]]),
      add({ t: 94, proc: 'm2', op: 'poll', group, generation: 3, topic, partition: 0, ranges: [[4, 4]] }),
      add({
        ...{ t: 95, proc: 'm2', op: 'process', group, generation: 3, topic, partition: 0 },
        records: [[4, 'p.6', digestFor('p.6', 'a')]],
      }),
    ],
    ['H2 duplicated'],
  ],
  [
    'a record that was refused is in the log',
    [
      change('ack', (event) =>
        event.records[0]?.[0] === 'p.6'
          ? { t: event.t, proc: 'p', op: 'fail', ids: ['p.6'], code: 'RECORD_TOO_LARGE', outcome: 'failed' }
          : event,
      ),
    ],
    ['H2 refused'],
  ],
  [
    'a record that nobody sent is in the log',
    [change('enqueue', (event) => (event.records[0]?.[0] === 'p.7' ? undefined : event))],
    ['H2 phantom'],
  ],
  [
    'two records of a key changed places',
    [
      change('enqueue', (event) => {
        const [id, key, seq, digest] = event.records[0]!
        const other = { 'p.2': 2, 'p.4': 1 }[id]
        return other === undefined ? event : { ...event, records: [[id, key, other ?? seq, digest]] }
      }),
    ],
    ['H3 out-of-order'],
  ],
  [
    'a key is in two partitions',
    [
      change('enqueue', (event) =>
        event.records[0]?.[0] === 'p.7'
          ? { ...event, records: [['p.7', 'a', 4, digestFor('p.7', 'c')]] }
          : event,
      ),
    ],
    ['H3 key-moved'],
  ],
  [
    'a member handled a partition against its order',
    [
      change('process', (event) =>
        event.t === 93 ? { ...event, records: [...event.records].reverse() } : event,
      ),
    ],
    ['H3 handled-out-of-order'],
  ],
  [
    'the bytes of a record are not the ones sent',
    [atLog(1, (all) => all.map(([offset, id, digest]) => [offset, id, id === 'p.5' ? digest ^ 1 : digest]))],
    ['H4 value-changed', 'H4 value-differs'],
  ],
  [
    'an offset held one record for the handler and later another',
    [
      atLog(1, (all) =>
        all.map(([offset, id, digest], index) => {
          const swapped = { 1: 3, 3: 1 }[index]
          return swapped === undefined ? [offset, id, digest] : [offset, all[swapped]![1], all[swapped]![2]]
        }),
      ),
    ],
    ['H3 out-of-order', 'H4 value-differs'],
  ],
  [
    'two readers find different logs',
    [
      (events) =>
        events.flatMap((event) =>
          event.op === 'log' && event.partition === 0
            ? [event, { ...event, reader: 'kcat', records: event.records.slice(0, -1) }]
            : [event],
        ),
    ],
    ['H4 reader-missed'],
  ],
  [
    'a poll leaves a record out',
    [
      change('poll', (event) =>
        event.t !== 42
          ? event
          : {
              ...event,
              ranges: [
                [0, 1],
                [3, 3],
              ],
            },
      ),
    ],
    ['H5 skipped'],
  ],
  [
    'a poll gives a record again to the owner who had it',
    [add({ t: 65.5, proc: 'm2', op: 'poll', group, generation: 2, topic, partition: 1, ranges: [[3, 3]] })],
    ['H5 backward'],
  ],
  [
    'an offset is committed before its records are handled',
    [
      change('commit', (event) =>
        event.t === 50 && event.offsets[0]?.[1] === 0 ? { ...event, since: 40.5 } : event,
      ),
    ],
    ['H6 committed-early'],
  ],
  [
    'a commit is beyond the log',
    [change('commit', (event) => (event.t === 99 ? { ...event, offsets: [[topic, 0, 40]] } : event))],
    ['H6 committed-beyond-log'],
  ],
  [
    'a later generation takes the mark back',
    [change('commit', (event) => (event.t === 70 ? { ...event, offsets: [[topic, 1, 1]] } : event))],
    ['H6 commit-went-back'],
  ],
  [
    'a new owner begins behind what is committed',
    [change('poll', (event) => (event.t === 92 ? { ...event, ranges: [[1, 3]] } : event))],
    ['H6 started-behind'],
  ],
  [
    'a new owner begins ahead of what is committed',
    [
      change('commit', (event) =>
        event.t === 50 && event.offsets[0]?.[1] === 1 ? { ...event, offsets: [[topic, 1, 1]] } : event,
      ),
    ],
    ['H6 started-ahead'],
  ],
  [
    'two members own a partition in one generation',
    [
      change('assign', (event) =>
        event.t === 61 && event.proc === 'm2'
          ? {
              ...event,
              partitions: [
                [topic, 0],
                [topic, 1],
              ],
            }
          : event,
      ),
    ],
    ['H7 two-owners'],
  ],
  [
    'a member works on what it gave up',
    [add({ t: 66, proc: 'm1', op: 'poll', group, generation: 2, topic, partition: 1, ranges: [[2, 3]] })],
    ['H7 not-owned'],
  ],
  [
    'a replaced member commits with success',
    [add({ t: 97, proc: 'm1', op: 'commit', group, generation: 2, offsets: [[topic, 0, 3]] })],
    ['H7 zombie-committed'],
  ],
  [
    'a record was accepted and never answered',
    [change('ack', (event) => (event.records[0]?.[0] === 'p.4' ? undefined : event))],
    ['H8 unexplained'],
  ],
  [
    'a record was answered twice',
    [add({ t: 30, proc: 'p', op: 'fail', ids: ['p.3'], code: 'DELIVERY_UNKNOWN', outcome: 'unknown' })],
    ['H8 answered-twice'],
  ],
  [
    'two records have one id',
    [add({ t: 8, proc: 'p', op: 'enqueue', topic, records: [['p.7', 'c', 1, digestFor('p.7', 'c')]] })],
    ['H8 id-reused'],
  ],
  ['the group is behind at the end', [change('lag', (event) => ({ ...event, logEnd: 5 }))], ['H9 lag']],
  ['nobody looked at the lag', [change('lag', () => undefined)], ['H9 lag-unknown']],
  ['the backlog took too long', [], ['H9 late'], { drainWithinMs: 10 }],
]

for (const [name, edits, found, rules] of bad) {
  test(`flagged: ${name}`, () => {
    const verdict = verdictOf(edits, rules)
    assert.equal(verdict.ok, false)
    const kinds = verdict.findings.map(({ check, kind }) => `${check} ${kind}`)
    assert.deepEqual(kinds.toSorted(), found.toSorted(), tellFindings(verdict.findings))
  })
}

test('every check is shown to flag something', () => {
  const flagged = new Set(bad.flatMap(([, , found]) => found.map((kind) => kind.slice(0, 2))))
  assert.deepEqual([...flagged].sort(), ['H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'H7', 'H8', 'H9'])
})

const passes = (edits: readonly Edit[], rules?: Rules) => {
  const verdict = verdictOf(edits, rules)
  assert.equal(verdict.ok, true, tellFindings(verdict.findings))
  return verdict.figures
}

test('passed: a killed member whose records are handled again', () => {
  assert.deepEqual(passes([]), {
    sent: 8,
    acknowledged: 8,
    failed: 0,
    unknown: 0,
    inLog: 8,
    lost: 0,
    duplicated: 0,
    outOfOrder: 0,
    handled: 8,
    unhandled: 0,
    redelivered: 3,
  })
})

test('passed: unknown outcomes, a refusal, a refused commit of a replaced member, control records in the log', () => {
  const digest = digestFor('p.9', 'z')
  const figures = passes([
    change('ack', (event) =>
      event.records[0]?.[0] === 'p.6'
        ? { t: event.t, proc: 'p', op: 'fail', ids: ['p.6'], code: 'DELIVERY_UNKNOWN', outcome: 'unknown' }
        : event,
    ),
    add(
      {
        ...{ t: 9, proc: 'p', op: 'enqueue', topic },
        records: [
          ['p.8', 'z', 0, digest],
          ['p.9', 'z', 1, digest],
        ],
      },
      { t: 29, proc: 'p', op: 'fail', ids: ['p.8'], code: 'DELIVERY_UNKNOWN', outcome: 'unknown' },
      { t: 29, proc: 'p', op: 'fail', ids: ['p.9'], code: 'RECORD_TOO_LARGE', outcome: 'failed' },
      {
        ...{ t: 97, proc: 'm1', op: 'commit', group, generation: 2, offsets: [[topic, 0, 3]] },
        error: 'ILLEGAL_GENERATION',
      },
    ),
    change('commit', (event) => (event.t === 99 ? { ...event, offsets: [[topic, 0, 5]] } : event)),
    change('lag', (event) => (event.partition === 0 ? { ...event, committed: 5, logEnd: 5 } : event)),
  ])
  assert.deepEqual([figures.unknown, figures.failed, figures.lost, figures.handled], [2, 1, 0, 8])
})

test('passed: a durable queue whose process was killed and whose successor answers, holds and sets aside', () => {
  const kill = { t: 24.5, proc: 'main', op: 'fault', fault: 'kill', phase: 'once', target: 'p' } as const
  const line = (id: string) => [id, 'z', Number(id.slice(2)), digestFor(id, 'z')] as const
  const figures = passes(
    [
      // p.4 was answered before the kill and is answered again; p.5 to p.7 only by the successor.
      change('ack', (event) => (event.t > kill.t ? { ...event, proc: 'p-2', replayed: true } : event)),
      add(
        kill,
        { t: 26, proc: 'p-2', op: 'ack', topic, records: [['p.4', 0, 2]], replayed: true },
        { t: 10, proc: 'p', op: 'enqueue', topic, records: [line('p.8'), line('p.9')] },
        { t: 99, proc: 'p-2', op: 'held', ids: ['p.8'] },
        { t: 99, proc: 'p-2', op: 'quarantined', ids: ['p.9'] },
      ),
    ],
    { durable: true },
  )
  assert.deepEqual([figures.sent, figures.acknowledged], [10, 8])
})

test('passed: a producer that is not idempotent may repeat as often as it is allowed to', () => {
  const again = [4, 'p.6', digestFor('p.6', 'a')] as const
  const edits = [
    atLog(0, (all) => [...all, again]),
    add(
      { t: 94, proc: 'm2', op: 'poll', group, generation: 3, topic, partition: 0, ranges: [[4, 4]] },
      { t: 95, proc: 'm2', op: 'process', group, generation: 3, topic, partition: 0, records: [again] },
    ),
  ]
  assert.equal(passes(edits, { allowedDuplicates: 1 }).duplicated, 1)
})

test('passed: partitions lost with their coordinator and assigned again under the same generation number', () => {
  const again = { group, generation: 3, topic, partition: 0 }
  const handledAgain = add(
    { t: 96, proc: 'm2', op: 'poll', ...again, ranges: [[2, 3]] },
    {
      ...{ t: 97, proc: 'm2', op: 'process', ...again },
      records: [
        [2, 'p.4', digestFor('p.4', 'a')],
        [3, 'p.6', digestFor('p.6', 'a')],
      ],
    },
  )
  const lostAndBack = add(
    { t: 94, proc: 'm2', op: 'revoke', group, generation: 3, partitions: [[topic, 0]], lost: true },
    {
      t: 95,
      proc: 'm2',
      op: 'assign',
      group,
      generation: 3,
      partitions: [
        [topic, 0],
        [topic, 1],
      ],
    },
  )
  const found = verdictOf([handledAgain]).findings.map(({ check, kind }) => `${check} ${kind}`)
  assert.ok(found.includes('H3 handled-out-of-order'), found.join())
  const verdict = verdictOf([lostAndBack, handledAgain]).findings.filter(({ check }) => check === 'H3')
  assert.deepEqual(verdict, [])
})

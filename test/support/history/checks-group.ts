/** H5 to H7: what a consumer group may do with its partitions. */
import type { AssignEvent, CommitEvent, PollEvent } from './events.ts'
import type { Findings } from './findings.ts'
import { type EventOf, eventsOf, indexOfOffset, type Model, partitionKey, recordsBetween } from './model.ts'

interface Commit {
  readonly generation: number
  readonly offset: number
  readonly since: number
  readonly t: number
  readonly proc: string
  readonly refused: boolean
}

interface Assigned {
  readonly t: number
  readonly generation: number
  readonly proc: string
}

interface GroupView {
  readonly group: string
  /** By topic-partition, in the order of the answers. */
  readonly commits: ReadonlyMap<string, readonly Commit[]>
  readonly assigned: ReadonlyMap<string, readonly Assigned[]>
}

export function checkGroups(model: Model, findings: Findings): void {
  const groups = new Set<string>()
  for (const event of model.events) if ('group' in event) groups.add(event.group)
  for (const group of groups) {
    const view = viewOf(model, group)
    checkPolls(model, findings, view)
    checkCommits(model, findings, view)
    checkOwners(model, findings, view)
    checkZombies(findings, view)
  }
}

function viewOf(model: Model, group: string): GroupView {
  const commits = new Map<string, Commit[]>()
  for (const event of eventsOf(model, 'commit')) {
    if (event.group === group) for (const [where, commit] of commitsIn(event)) push(commits, where, commit)
  }
  const assigned = new Map<string, Assigned[]>()
  for (const event of eventsOf(model, 'assign')) {
    if (event.group !== group) continue
    const { t, generation, proc } = event
    for (const [topic, partition] of event.partitions) {
      push(assigned, partitionKey(topic, partition), { t, generation, proc })
    }
  }
  return { group, commits, assigned }
}

function commitsIn(event: EventOf<'commit'>): [where: string, commit: Commit][] {
  const { t, proc, generation, since = t, error }: CommitEvent & { t: number; proc: string } = event
  return event.offsets.map(([topic, partition, offset]) => [
    partitionKey(topic, partition),
    { generation, offset, since, t, proc, refused: error !== undefined },
  ])
}

function push<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}

/** What one member holds: the next offset of each of its partitions, or that none was given yet. */
type Positions = Map<string, { next: number | undefined; assignedAt: number }>

/** H5, polls: nothing skipped, nothing twice in one assignment; and where a new owner begins (H6). */
function checkPolls(model: Model, findings: Findings, view: GroupView): void {
  const members = new Map<string, Positions>()
  for (const event of model.events) {
    if (event.op !== 'assign' && event.op !== 'revoke' && event.op !== 'poll') continue
    if (event.group !== view.group) continue
    let positions = members.get(event.proc)
    if (positions === undefined) members.set(event.proc, (positions = new Map()))
    if (event.op === 'assign') applyAssignment(positions, event)
    else if (event.op === 'revoke') {
      for (const [topic, partition] of event.partitions) positions.delete(partitionKey(topic, partition))
    } else checkPoll({ model, findings, view }, event, positions)
  }
}

function applyAssignment(positions: Positions, event: AssignEvent & { t: number }): void {
  const owned = new Set(event.partitions.map(([topic, partition]) => partitionKey(topic, partition)))
  for (const where of positions.keys()) if (!owned.has(where)) positions.delete(where)
  // A partition that was kept goes on where it was: that is what the cooperative protocol promises.
  for (const where of owned) {
    if (!positions.has(where)) positions.set(where, { next: undefined, assignedAt: event.t })
  }
}

function checkPoll(
  { model, findings, view }: { model: Model; findings: Findings; view: GroupView },
  event: PollEvent & { t: number; proc: string },
  positions: Positions,
): void {
  const where = partitionKey(event.topic, event.partition)
  const position = positions.get(where)
  if (position === undefined) {
    findings.add('H7', 'not-owned', () => `${event.proc} was given ${where}, which it does not own`)
    return
  }
  const log = model.logs.get(where)
  for (const [first, last] of event.ranges) {
    const { next } = position
    if (next === undefined)
      checkStart({ model, findings, view }, event, { where, first, assignedAt: position.assignedAt })
    else if (first < next) {
      findings.add('H5', 'backward', () => `${event.proc}: ${where} went back from ${next} to ${first}`)
    } else if (recordsBetween(log, next, first) > 0) {
      findings.add(
        'H5',
        'skipped',
        () => `${event.proc}: ${where} went from ${next} to ${first} and left records out`,
      )
    }
    position.next = last + 1
  }
}

/** H6: a new owner begins at what was committed: not behind the last commit known, not ahead of any. */
function checkStart(
  { model, findings, view }: { model: Model; findings: Findings; view: GroupView },
  event: PollEvent & { t: number; proc: string },
  { where, first, assignedAt }: { where: string; first: number; assignedAt: number },
): void {
  const commits = view.commits.get(where) ?? []
  let least = 0
  let most = 0
  for (const { offset, since, t, refused } of commits) {
    if (!refused && t < assignedAt) least = Math.max(least, offset)
    if (since <= event.t) most = Math.max(most, offset)
  }
  if (first < least) {
    findings.add(
      'H6',
      'started-behind',
      () => `${event.proc} began ${where} at ${first}; ${least} was committed`,
    )
  } else if (recordsBetween(model.logs.get(where), most, first) > 0) {
    findings.add(
      'H6',
      'started-ahead',
      () => `${event.proc} began ${where} at ${first}; only ${most} was committed`,
    )
  }
}

/** H6, commits: never beyond what is finished, never back in a later generation. */
function checkCommits(model: Model, findings: Findings, view: GroupView): void {
  for (const [where, commits] of view.commits) {
    const log = model.logs.get(where)
    const finishedBy = finishedTimes(model, view.group, where)
    const end = log?.records.at(-1)?.offset
    for (const { offset, since, proc } of commits) {
      const before = log === undefined ? 0 : indexOfOffset(log, offset)
      if (before > 0 && finishedBy[before - 1]! > since) {
        findings.add(
          'H6',
          'committed-early',
          () => `${proc} committed ${where}@${offset} before all before it was handled`,
        )
      }
      // One control record, a transaction's end, may stand behind the last record.
      if (end !== undefined && offset > end + 2) {
        findings.add(
          'H6',
          'committed-beyond-log',
          () => `${proc} committed ${where}@${offset}; the log ends after ${end}`,
        )
      }
    }
    checkMarkMovesOn(findings, where, commits)
  }
}

/** For each record of the log: when it and all before it had been handled for the first time. */
function finishedTimes(model: Model, group: string, where: string): number[] {
  const first = new Map<number, number>()
  for (const { offset, t } of model.processed.get(group)?.get(where) ?? []) {
    if (!first.has(offset)) first.set(offset, t)
  }
  let latest = 0
  return (model.logs.get(where)?.records ?? []).map(({ offset }) => {
    latest = Math.max(latest, first.get(offset) ?? Number.POSITIVE_INFINITY)
    return latest
  })
}

function checkMarkMovesOn(findings: Findings, where: string, commits: readonly Commit[]): void {
  const accepted = commits
    .filter(({ refused }) => !refused)
    .sort((a, b) => a.generation - b.generation || a.since - b.since)
  let mark = 0
  for (const { offset, proc, generation } of accepted) {
    if (offset < mark) {
      const tell = () => `${proc} committed ${where}@${offset} in generation ${generation} after ${mark}`
      findings.add('H6', 'commit-went-back', tell)
    }
    mark = Math.max(mark, offset)
  }
}

/** H7, ownership: one partition, one owner in a generation. */
function checkOwners(model: Model, findings: Findings, view: GroupView): void {
  const owners = new Map<string, string>()
  const claim = (where: string, generation: number, proc: string) => {
    const owner = owners.get(`${where}\n${generation}`)
    if (owner === undefined) owners.set(`${where}\n${generation}`, proc)
    else if (owner !== proc) {
      findings.add(
        'H7',
        'two-owners',
        () => `${where} belongs to ${owner} and ${proc} in generation ${generation}`,
      )
    }
  }
  for (const [where, list] of view.assigned) {
    for (const { generation, proc } of list) claim(where, generation, proc)
  }
  for (const [where, list] of model.processed.get(view.group) ?? []) {
    for (const { generation, proc } of list) claim(where, generation, proc)
  }
}

/** H7: who has been replaced in a generation that has begun cannot commit any more. */
function checkZombies(findings: Findings, view: GroupView): void {
  for (const [where, commits] of view.commits) {
    const later = view.assigned.get(where) ?? []
    for (const { proc, generation, since, refused, offset } of commits) {
      if (refused) continue
      const successor = later.find(
        (next) => next.proc !== proc && next.generation > generation && next.t < since,
      )
      if (successor === undefined) continue
      const tell = () =>
        `${proc} (generation ${generation}) committed ${where}@${offset}, which ${successor.proc} owned`
      findings.add('H7', 'zombie-committed', tell)
    }
  }
}

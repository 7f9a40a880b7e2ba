/** H8 and H9: what must be true when all is over: every record accounted for, nothing left to do. */
import type { Findings } from './findings.ts'
import { eventsOf, type Model, partitionKey, type SentRecord } from './model.ts'

/** H8, accounting: every record given to a producer has one answer, or is still held, or was set aside. */
export function checkAccounts(model: Model, findings: Findings, rules: { durable: boolean }): void {
  for (const id of model.reused) findings.add('H8', 'id-reused', () => `${id} was enqueued twice`)
  for (const record of model.sent.values()) {
    const { id, proc } = record
    const answers = answersOf(record, model.killed)
    if (answers > 1) {
      const told = record.settlements.map(({ outcome, detail }) => `${outcome} ${detail}`).join(', ')
      findings.add('H8', 'answered-twice', () => `${id} was answered ${answers} times: ${told}`)
    }
    if (answers > 0 || model.held.has(id) || model.quarantined.has(id)) continue
    // Without a durable queue a killed process takes its unanswered records with it.
    if (!rules.durable && model.killed.has(proc)) continue
    findings.add('H8', 'unexplained', () => `${id} of ${proc} was accepted and never answered`)
  }
}

/** A replayed answer repeats, for whoever takes over, what a killed process may have been told already. */
function answersOf({ settlements }: SentRecord, killed: ReadonlySet<string>): number {
  const last = settlements.at(-1)
  if (last === undefined) return 0
  const counted = settlements.filter(({ proc }) => !(last.replayed && proc !== last.proc && killed.has(proc)))
  return counted.length
}

/** H9, liveness: after the last fault, or the last record sent if that is later, the rest is done within the limit. */
export function checkLiveness(
  model: Model,
  findings: Findings,
  rules: { groups: readonly string[]; drainWithinMs: number },
): void {
  const quietAt = quietTime(model)
  for (const group of rules.groups) {
    const done = model.processed.get(group)
    for (const [where, list] of done ?? []) {
      const first = new Set<number>()
      for (const { offset, t } of list) {
        if (first.has(offset)) continue
        first.add(offset)
        if (t > quietAt + rules.drainWithinMs) {
          const lateMs = Math.round(t - quietAt)
          findings.add('H9', 'late', () => `${where}@${offset} was handled ${lateMs} ms after all was quiet`)
        }
      }
    }
    checkLag(model, findings, group)
  }
}

function quietTime(model: Model): number {
  let quiet = Number.NEGATIVE_INFINITY
  for (const event of model.events) {
    if (event.op === 'fault' || event.op === 'enqueue') quiet = Math.max(quiet, event.t)
  }
  return quiet
}

function checkLag(model: Model, findings: Findings, group: string): void {
  const seen = new Set<string>()
  for (const event of eventsOf(model, 'lag')) {
    if (event.group !== group) continue
    const where = partitionKey(event.topic, event.partition)
    seen.add(where)
    const { committed, logEnd } = event
    if (committed >= logEnd) continue
    findings.add('H9', 'lag', () => `${group} committed ${committed} of ${logEnd} in ${where}`)
  }
  for (const [where, log] of model.logs) {
    if (log.records.length > 0 && !seen.has(where)) {
      findings.add('H9', 'lag-unknown', () => `nobody looked how far ${group} is behind in ${where}`)
    }
  }
}

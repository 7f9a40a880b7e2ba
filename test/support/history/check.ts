/**
 * Checks a history: nine promises, each a pure function of what several processes wrote down.
 *
 *   H1  no loss: what was acknowledged is in the log; what is in the log was handled by every group
 *   H2  once: a record stands in the log once, a refused one nowhere, and nothing that nobody sent
 *   H3  order: per key in the log as sent; in the handling as in the log
 *   H4  one value: everybody who saw an offset saw the same bytes, the ones that were sent
 *   H5  polls: within one assignment no record is skipped and none comes back
 *   H6  commits: never beyond what was handled, never back; a new owner begins at what is committed
 *   H7  ownership: a partition has one owner in a generation; a replaced one cannot commit
 *   H8  accounts: every record accepted was answered once, or is held, or was set aside
 *   H9  liveness: once the last fault is over the backlog drains in time, and lag is zero
 */
import { checkAccounts, checkLiveness } from './checks-end.ts'
import { checkGroups } from './checks-group.ts'
import { checkLoss, checkOnce, checkOrder, checkValues } from './checks-log.ts'
import type { HistoryEvent } from './events.ts'
import { type Finding, Findings } from './findings.ts'
import { buildModel, type Model } from './model.ts'

export interface Rules {
  /** The groups that must have handled everything. Default: those that the history knows. */
  readonly groups?: readonly string[]
  /** Duplicates in the log that are allowed: 0, unless the producer is not idempotent. */
  readonly allowedDuplicates?: number
  /** In what order the consumer promised to handle. Default `partition`. */
  readonly order?: 'partition' | 'key' | 'none'
  /** Whether a key stays in its partition: not when partitions were added. Default true. */
  readonly keysStay?: boolean
  /** Whether the producer's queue outlives its process. Default false. */
  readonly durable?: boolean
  /** H9's limit, from the last fault or the last record sent. Default 30,000. */
  readonly drainWithinMs?: number
}

/** Counted, never assumed. */
export interface Figures {
  readonly sent: number
  readonly acknowledged: number
  readonly failed: number
  /** Neither delivered nor refused, as far as the producer knows. */
  readonly unknown: number
  readonly inLog: number
  readonly lost: number
  readonly duplicated: number
  readonly outOfOrder: number
  /** Records of the log that a handler finished at least once. */
  readonly handled: number
  readonly unhandled: number
  /** Finished again, after a member ended without committing. */
  readonly redelivered: number
}

export interface Verdict {
  readonly ok: boolean
  readonly figures: Figures
  readonly findings: readonly Finding[]
}

export function checkHistory(events: readonly HistoryEvent[], rules: Rules = {}): Verdict {
  const model = buildModel(events)
  const findings = new Findings()
  const { order = 'partition', keysStay = true, durable = false, drainWithinMs = 30_000 } = rules
  const groups = rules.groups ?? [...model.processed.keys()]
  checkLoss(model, findings, groups)
  const duplicated = checkOnce(model, findings, rules.allowedDuplicates ?? 0)
  checkOrder(model, findings, { order, keysStay })
  checkValues(model, findings)
  checkGroups(model, findings)
  checkAccounts(model, findings, { durable })
  checkLiveness(model, findings, { groups, drainWithinMs })
  const list = findings.list()
  return { ok: list.length === 0, figures: figuresOf(model, findings, duplicated), findings: list }
}

function figuresOf(model: Model, findings: Findings, duplicated: number): Figures {
  const outcomes = { acked: 0, failed: 0, unknown: 0 }
  for (const { settlements } of model.sent.values()) {
    const last = settlements.at(-1)
    if (last !== undefined) outcomes[last.outcome]++
  }
  let inLog = 0
  for (const log of model.logs.values()) inLog += log.records.length
  let handled = 0
  let deliveries = 0
  for (const work of model.processed.values()) {
    for (const list of work.values()) {
      handled += new Set(list.map(({ offset }) => offset)).size
      deliveries += list.length
    }
  }
  return {
    sent: model.sent.size,
    acknowledged: outcomes.acked,
    failed: outcomes.failed,
    unknown: outcomes.unknown,
    inLog,
    lost: findings.count('lost'),
    duplicated,
    outOfOrder: findings.count('out-of-order') + findings.count('handled-out-of-order'),
    handled,
    unhandled: findings.count('unhandled'),
    redelivered: deliveries - handled,
  }
}

/** The findings as lines for a person. */
export function tellFindings(findings: readonly Finding[]): string {
  return findings
    .map(({ check, kind, count, samples }) =>
      [`${check} ${kind}: ${count}`, ...samples.map((sample) => `    ${sample}`)].join('\n'),
    )
    .join('\n')
}

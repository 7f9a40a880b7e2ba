/**
 * One chaos run: an embedded cluster, a producer and group members, each a process; a course of faults that a seed fixes;
 * then the history of all of them, which must keep every promise from H1 to H9.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Random, seededRandom } from '../../src/util/random.ts'
import { Actor } from '../support/actors/actor.ts'
import type { ClusterCalls, ClusterConfig } from '../support/actors/cluster-actor.ts'
import { type MemberPart, type Part, Troupe } from '../support/actors/troupe.ts'
import { checkHistory, type HistoryEvent, readHistory, tellFindings } from '../support/history/index.ts'
import { seed } from '../support/seed.ts'

export interface Play {
  readonly troupe: Troupe
  readonly cluster: Actor<ClusterCalls>
  readonly random: Random
  readonly topic: string
  readonly group: string
  readonly partitions: number
  readonly nodes: number
  /** Resolves when this share of the records is acknowledged. */
  share(share: number): Promise<void>
}

export interface Scenario {
  readonly partitions: number
  readonly produce: Part
  readonly members: number
  readonly member: MemberPart
  /** What happens while the records stream. */
  readonly course: (play: Play) => Promise<void>
  /** What must be in the history besides kept promises, so that the run is not empty. */
  readonly expect?: (events: readonly HistoryEvent[]) => void
}

const NODES = 3
const DRAIN_LIMIT_MS = 30_000
const clusterScript = new URL('../support/actors/cluster-actor.ts', import.meta.url)

/** Members that are missed after a second instead of 45, so that minutes of chaos fit into seconds. */
export const impatient: MemberPart = {
  consumer: {
    ...{ sessionTimeoutMs: 1500, heartbeatIntervalMs: 300, rebalanceTimeoutMs: 6000, drainTimeoutMs: 2000 },
    ...{ commitIntervalMs: 200, maxBatchRecords: 200 },
  },
}

export function chaos(name: string, scenario: Scenario): void {
  test(name, { timeout: 120_000 }, async (t) => {
    const events = await play(t, scenario)
    const verdict = checkHistory(events, { groups: ['workers'], drainWithinMs: DRAIN_LIMIT_MS })
    assert.ok(verdict.ok, `OTTLA_SEED=${seed}\n${tellFindings(verdict.findings)}`)
    const { sent, acknowledged, inLog, handled, redelivered } = verdict.figures
    assert.deepEqual([sent, acknowledged, inLog, handled], Array(4).fill(scenario.produce.records))
    scenario.expect?.(events)
    t.diagnostic(`seed ${seed}: ${sent} records, ${redelivered} handled again`)
  })
}

async function play(t: TestContext, scenario: Scenario): Promise<HistoryEvent[]> {
  const { partitions, members, member, produce, course } = scenario
  const [topic, group] = ['jobs', 'workers']
  const historyDir = mkdtempSync(join(tmpdir(), 'ottla-chaos-'))
  t.after(() => rmSync(historyDir, { recursive: true, force: true }))
  const config: ClusterConfig = {
    brokers: NODES,
    configs: { 'group.initial.rebalance.delay.ms': 0, 'group.min.session.timeout.ms': 500 },
  }
  const cluster = new Actor<ClusterCalls>(clusterScript, 'cluster', config)
  t.after(() => cluster.kill())
  const troupe = new Troupe({
    brokers: await cluster.call('addresses'),
    topic,
    partitions,
    group,
    historyDir,
  })
  t.after(() => troupe.stop())
  await troupe.createTopic()
  for (let n = 1; n <= members; n++) troupe.startMember(`member-${n}`, member)
  const share = (wanted: number) =>
    troupe.until(() => troupe.produced.acknowledged >= wanted * produce.records)
  const random = seededRandom(seed)
  const given = { troupe, cluster, random, topic, group, partitions, nodes: NODES, share }
  await Promise.all([troupe.produce(produce), course(given)])
  await troupe.finish({ limitMs: DRAIN_LIMIT_MS })
  return readHistory(historyDir)
}

/** One of them. */
export const pick = <T>(random: Random, items: readonly T[]): T => items[random.below(items.length)] as T

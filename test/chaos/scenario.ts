/**
 * One chaos run: a cluster, a producer and group members, each a process; a course of faults that a seed fixes; then the
 * history of all of them, which must keep every promise from H1 to H9. The cluster is embedded or a real Kafka.
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

/** A cluster of three nodes, and how to break it. */
export interface Stage<Cluster> {
  readonly brokers: readonly string[]
  readonly cluster: Cluster
}

export interface Play<Cluster = EmbeddedStage> {
  readonly troupe: Troupe
  readonly cluster: Cluster
  readonly random: Random
  readonly topic: string
  readonly group: string
  readonly partitions: number
  readonly nodes: number
  /** Resolves when this share of the records is acknowledged. */
  share(share: number): Promise<void>
}

export interface Scenario<Cluster = EmbeddedStage> {
  readonly partitions: number
  readonly produce: Part
  readonly members: number
  readonly member: MemberPart
  /** What happens while the records stream. */
  readonly course: (play: Play<Cluster>) => Promise<void>
  /** What must be in the history besides kept promises, so that the run is not empty. */
  readonly expect?: (events: readonly HistoryEvent[]) => void
}

export type EmbeddedStage = Actor<ClusterCalls>

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

/** On the embedded cluster. */
export const chaos = (name: string, scenario: Scenario): void =>
  chaosOn(name, scenario, async (t) => {
    const config: ClusterConfig = {
      brokers: NODES,
      configs: { 'group.initial.rebalance.delay.ms': 0, 'group.min.session.timeout.ms': 500 },
    }
    const cluster: EmbeddedStage = new Actor(clusterScript, 'cluster', config)
    t.after(() => cluster.kill())
    return { brokers: await cluster.call('addresses'), cluster }
  })

/** On a cluster that `open` starts, and stops after the test. */
export function chaosOn<Cluster>(
  name: string,
  scenario: Scenario<Cluster>,
  open: (t: TestContext) => Promise<Stage<Cluster>>,
): void {
  test(name, { timeout: 240_000 }, async (t) => {
    const events = await play(t, scenario, await open(t))
    const verdict = checkHistory(events, { groups: ['workers'], drainWithinMs: DRAIN_LIMIT_MS })
    assert.ok(verdict.ok, `OTTLA_SEED=${seed}\n${tellFindings(verdict.findings)}`)
    const { sent, acknowledged, inLog, handled, redelivered } = verdict.figures
    assert.deepEqual([sent, acknowledged, inLog, handled], Array(4).fill(scenario.produce.records))
    scenario.expect?.(events)
    t.diagnostic(`seed ${seed}: ${sent} records, ${redelivered} handled again`)
  })
}

async function play<Cluster>(
  t: TestContext,
  { partitions, members, member, produce, course }: Scenario<Cluster>,
  { brokers, cluster }: Stage<Cluster>,
): Promise<HistoryEvent[]> {
  const [topic, group] = ['jobs', 'workers']
  const historyDir = mkdtempSync(join(tmpdir(), 'ottla-chaos-'))
  t.after(() => rmSync(historyDir, { recursive: true, force: true }))
  const troupe = new Troupe({ brokers, topic, partitions, group, historyDir })
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

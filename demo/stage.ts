/**
 * Where the demo plays: on an embedded cluster in a process of its own, which can be broken on demand, or on a Kafka
 * that is there already, of which nothing is broken.
 */
import { Kafka } from '../src/index.ts'
import { Actor } from '../test/support/actors/actor.ts'
import type { ClusterCalls, ClusterConfig } from '../test/support/actors/cluster-actor.ts'

export interface Stage {
  readonly brokers: readonly string[]
  /** How to break it; undefined where it is not ours to break. */
  readonly faults: Faults | undefined
  stop(): Promise<void>
}

export interface Faults {
  leaderOf(partition: number): Promise<number>
  stopBroker(node: number): Promise<void>
  startBroker(node: number): Promise<void>
  moveLeader(partition: number, node: number): Promise<void>
}

const clusterScript = new URL('../test/support/actors/cluster-actor.ts', import.meta.url)

export async function embeddedStage(topic: string): Promise<Stage> {
  // As of production, but for a group that need not wait for members that start by hand.
  const config: ClusterConfig = { brokers: 3, configs: { 'group.initial.rebalance.delay.ms': 500 } }
  const cluster = new Actor<ClusterCalls>(clusterScript, 'cluster', config)
  return {
    brokers: await cluster.call('addresses'),
    faults: {
      leaderOf: (partition) => cluster.call('leaderOf', { topic, partition }),
      stopBroker: async (node) => void (await cluster.call('stopNode', { node, kill: true })),
      startBroker: async (node) => void (await cluster.call('startNode', { node })),
      moveLeader: async (partition, node) =>
        void (await cluster.call('moveLeader', { topic, partition, node })),
    },
    stop: () => cluster.kill(),
  }
}

const ANSWER_LIMIT_MS = 10_000

/** @throws CONNECTION_FAILED or TIMEOUT when nobody answers there within `limitMs` */
export async function existingStage(
  brokers: readonly string[],
  { limitMs = ANSWER_LIMIT_MS, signal }: { readonly limitMs?: number; readonly signal?: AbortSignal } = {},
): Promise<Stage> {
  // A connection that hangs is given up in time to say so.
  const kafka = new Kafka({ brokers, connectTimeoutMs: limitMs / 2 })
  try {
    await kafka.admin().describeCluster({ timeoutMs: limitMs, ...(signal === undefined ? {} : { signal }) })
  } finally {
    await kafka.stop()
  }
  return { brokers, faults: undefined, stop: () => Promise.resolve() }
}

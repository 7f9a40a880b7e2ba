/** Plays the cluster: embedded brokers in a process of their own, broken on demand. */
import { type EmbeddedCluster, type StartClusterOptions, startCluster } from '../../../src/broker/index.ts'
import { actorConfig, serve } from './actor.ts'

export type ClusterConfig = Pick<StartClusterOptions, 'brokers' | 'topics' | 'configs'>

type At<T = object> = (params: { readonly topic: string; readonly partition: number } & T) => unknown

const config = actorConfig<ClusterConfig>()
const starting: Promise<EmbeddedCluster> = startCluster({ ...config, listen: { host: '127.0.0.1', port: 0 } })

const handlers = {
  addresses: async () => [...(await starting).brokers],
  stopNode: async ({ node, kill }: { node: number; kill: boolean }) =>
    (await starting).stopNode(node, { kill }),
  startNode: async ({ node }: { node: number }) => (await starting).startNode(node),
  leaderOf: async ({ topic, partition }: { topic: string; partition: number }) =>
    (await starting).leaderOf(topic, partition),
  moveLeader: async ({ topic, partition, node }: Parameters<At<{ readonly node: number }>>[0]) =>
    (await starting).moveLeader(topic, partition, node),
  /** The broker does what the next `times` requests ask for, and the answers never arrive. */
  dropAnswers: async ({ api, times }: { api: string; times: number }) => {
    ;(await starting).faults.on({ api, times }, 'apply-then-drop')
  },
  moveCoordinator: async ({ group, node }: { group: string; node: number }) =>
    (await starting).moveCoordinator(group, node),
  /** The next `times` requests are answered with this error, and nothing is done. */
  refuse: async ({ api, times, error }: { api: string; times: number; error: string }) => {
    ;(await starting).faults.on({ api, times }, { error })
  },
  stop: async () => (await starting).stop(),
  exit: () => process.exit(0),
}

export type ClusterCalls = typeof handlers

serve(handlers)

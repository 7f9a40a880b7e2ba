/** Which topics and partitions a request is about, whatever its API calls the fields: for faults that name a topic. */
import type { Api } from '../protocol/schema.ts'
import type { BrokerNode } from './broker-node.ts'
import type { ClusterState } from './cluster-state.ts'
import type { Target } from './faults.ts'

type Body = Readonly<Record<string, unknown>>

const FETCH = 1
const listsOfTopics = ['topics', 'topicData', 'topicNames', 'topicPartitions'] as const
const listsOfPartitions = ['partitions', 'partitionData', 'partitionIndexes'] as const

export function targetsOf(
  api: Api,
  request: Body,
  { cluster, node }: { cluster: ClusterState; node: BrokerNode },
): Target[] {
  const targets: Target[] = []
  addTopics(targets, request, cluster)
  // OffsetFetch asks for several groups at once, each with its topics.
  const groups = request['groups']
  for (const group of Array.isArray(groups) ? (groups as (Body | string)[]) : []) {
    if (typeof group === 'object') addTopics(targets, group, cluster)
  }
  if (api.key === FETCH) addSession(targets, node, request['sessionId'])
  return targets
}

function addTopics(targets: Target[], body: Body, cluster: ClusterState): void {
  for (const list of listsOfTopics) {
    const topics = body[list]
    if (!Array.isArray(topics)) continue
    for (const topic of topics as (Body | string)[]) {
      const name = nameOf(topic, cluster)
      if (name !== undefined) addPartitions(targets, name, topic)
    }
  }
}

function nameOf(topic: Body | string, cluster: ClusterState): string | undefined {
  if (typeof topic === 'string') return topic
  const name = topic['name'] || topic['topic']
  if (typeof name === 'string') return name
  return typeof topic['topicId'] === 'string' ? cluster.topicById(topic['topicId'])?.name : undefined
}

function addPartitions(targets: Target[], topic: string, entry: Body | string): void {
  let found = false
  for (const list of typeof entry === 'string' ? [] : listsOfPartitions) {
    const partitions = (entry as Body)[list]
    if (!Array.isArray(partitions)) continue
    found = true
    for (const one of partitions as (Body | number)[]) {
      const index =
        typeof one === 'number' ? one : (one['index'] ?? one['partition'] ?? one['partitionIndex'])
      if (typeof index === 'number') targets.push({ topic, partition: index })
    }
  }
  if (!found) targets.push({ topic, partition: -1 })
}

/** A fetch within a session names only what changed. */
function addSession(targets: Target[], node: BrokerNode, sessionId: unknown): void {
  const session = typeof sessionId === 'number' ? node.fetchSessions.get(sessionId) : undefined
  if (session === undefined) return
  for (const { topic, partition } of session.partitions.values()) targets.push({ topic, partition })
}

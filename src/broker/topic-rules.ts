/** What Kafka asks of a topic before it is made: its name, layout and configs. */
import { errorCode } from '../protocol/error-codes.ts'
import { type Configs, refusedTopicConfig } from './topic-settings.ts'

/** Partitions of one topic at most: a request for more would exhaust the process. */
export const MAX_PARTITIONS = 10_000
/** Of all topics together. */
const MAX_CLUSTER_PARTITIONS = 50_000
const MAX_NAME_LENGTH = 249

export interface TopicSpec {
  readonly name: string
  /** -1: the cluster's default. */
  readonly partitions: number
  /** -1: the cluster's default. */
  readonly replicationFactor: number
  /** Replicas of each partition, by hand. */
  readonly assignments?: readonly (readonly number[])[]
  readonly configs?: Configs
}

/** Why something is not done. */
export interface Problem {
  readonly errorCode: number
  readonly message: string
}

const problem = (code: number, message: string): Problem => ({ errorCode: code, message })

export function checkTopicName(name: string): Problem | undefined {
  const refuse = (why: string) => problem(errorCode.INVALID_TOPIC_EXCEPTION, `Topic name is invalid: ${why}`)
  if (name === '') return refuse('the empty string is not allowed')
  if (name === '.' || name === '..') return refuse("'.' or '..'")
  if (name.length > MAX_NAME_LENGTH) return refuse(`the length is longer than ${MAX_NAME_LENGTH}`)
  if (/^[a-zA-Z0-9._-]+$/.test(name)) return undefined
  return refuse(`'${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`)
}

/** Names that differ only in '.' and '_' would be one name among Kafka's metrics. */
export function checkCollision(name: string, existing: Iterable<string>): Problem | undefined {
  if (!/[._]/.test(name)) return undefined
  const plain = name.replaceAll('.', '_')
  for (const other of existing) {
    if (other.replaceAll('.', '_') !== plain) continue
    const message = `Topic '${name}' collides with existing topic: ${other}`
    return problem(errorCode.INVALID_TOPIC_EXCEPTION, message)
  }
  return undefined
}

export function checkPartitionCount(partitions: number): Problem | undefined {
  if (partitions >= 1 && partitions <= MAX_PARTITIONS) return undefined
  const message = `Number of partitions was set to ${partitions}: it must be from 1 to ${MAX_PARTITIONS}`
  return problem(errorCode.INVALID_PARTITIONS, message)
}

/** Whether the cluster has room for so many partitions in all. */
export function checkClusterPartitions(partitions: number): Problem | undefined {
  if (partitions <= MAX_CLUSTER_PARTITIONS) return undefined
  const message = `a cluster holds at most ${MAX_CLUSTER_PARTITIONS} partitions, and would have ${partitions}`
  return problem(errorCode.POLICY_VIOLATION, message)
}

export function checkReplicationFactor(factor: number, nodes: number): Problem | undefined {
  if (factor >= 1 && factor <= nodes) return undefined
  const message = `Unable to replicate the partition ${factor} time(s): there are ${nodes} nodes`
  return problem(errorCode.INVALID_REPLICATION_FACTOR, message)
}

/** Replicas by hand must be distinct nodes of this cluster. */
export function checkReplicas(
  replicas: readonly number[],
  isNode: (id: number) => boolean,
): Problem | undefined {
  const isValid = replicas.length > 0 && new Set(replicas).size === replicas.length && replicas.every(isNode)
  if (isValid) return undefined
  return problem(errorCode.INVALID_REPLICA_ASSIGNMENT, `[${replicas}] are not distinct nodes of this cluster`)
}

export function checkAssignments(spec: TopicSpec, isNode: (id: number) => boolean): Problem | undefined {
  const assignments = spec.assignments ?? []
  if (spec.partitions !== -1 || spec.replicationFactor !== -1) {
    const message = 'partitions and replication factor must be -1 when replicas are assigned by hand'
    return problem(errorCode.INVALID_REQUEST, message)
  }
  const bad = checkPartitionCount(assignments.length)
  if (bad !== undefined) return bad
  for (const replicas of assignments) {
    const wrong = checkReplicas(replicas, isNode)
    if (wrong !== undefined) return wrong
    if (replicas.length !== assignments[0]?.length) {
      const message = 'all partitions must have the same number of replicas'
      return problem(errorCode.INVALID_REPLICA_ASSIGNMENT, message)
    }
  }
  return undefined
}

export function checkTopicConfigs(configs: Configs): Problem | undefined {
  for (const [name, value] of Object.entries(configs)) {
    const why = refusedTopicConfig(name, value)
    if (why !== undefined) return problem(errorCode.INVALID_CONFIG, why)
  }
  return undefined
}

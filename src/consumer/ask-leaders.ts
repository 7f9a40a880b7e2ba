/**
 * Puts one question per partition to whoever leads it, many partitions to one broker in one request, and asks again
 * where the leader has moved, is unknown, or cannot be reached, until every question has its answer.
 */
import type { Cluster } from '../client/cluster.ts'
import type { Connection } from '../client/connection.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'
import { codeMayPass, mayPass, pauseBefore } from './retry.ts'
import { partitionKey, type TopicPartition } from './topic-partition.ts'

export interface Answer<T> extends TopicPartition {
  readonly errorCode: number
  readonly value: T
}

export interface Inquiry<Q extends TopicPartition, T> {
  /** For errors: `the offsets of`. */
  readonly doing: string
  readonly questions: readonly Q[]
  readonly ask: (connection: Connection, questions: readonly Q[]) => Promise<readonly Answer<T>[]>
  readonly signal: AbortSignal
}

/** Answers by partitionKey. @throws a BrokerError that does not pass; the signal's reason */
export async function askLeaders<Q extends TopicPartition, T>(
  cluster: Cluster,
  inquiry: Inquiry<Q, T>,
): Promise<Map<string, T>> {
  const answers = new Map<string, T>()
  let open = [...inquiry.questions]
  for (let attempt = 0; ; attempt++) {
    const groups = byLeader(cluster, open)
    await Promise.all(
      [...groups].map(([nodeId, questions]) =>
        askOne(cluster, { ...inquiry, questions }, { nodeId, answers }),
      ),
    )
    open = open.filter((question) => !answers.has(partitionKey(question)))
    if (open.length === 0) return answers
    await pauseBefore(attempt, cluster.options, inquiry.signal)
    await refreshQuietly(cluster, open, inquiry.signal)
  }
}

function byLeader<Q extends TopicPartition>(cluster: Cluster, questions: readonly Q[]): Map<number, Q[]> {
  const groups = new Map<number, Q[]>()
  for (const question of questions) {
    const leaderId = cluster.topic(question.topic)?.partitions[question.partition]?.leaderId ?? -1
    if (leaderId < 0) continue
    const group = groups.get(leaderId)
    if (group === undefined) groups.set(leaderId, [question])
    else group.push(question)
  }
  return groups
}

async function askOne<Q extends TopicPartition, T>(
  cluster: Cluster,
  { doing, questions, ask, signal }: Inquiry<Q, T>,
  { nodeId, answers }: { readonly nodeId: number; readonly answers: Map<string, T> },
): Promise<void> {
  let given: readonly Answer<T>[]
  try {
    given = await ask(await cluster.connection(nodeId, { signal }), questions)
  } catch (error) {
    signal.throwIfAborted()
    if (!mayPass(error)) throw error
    cluster.options.logger.warn({ error, nodeId }, `asking for ${doing} partitions failed`)
    return
  }
  for (const { topic, partition, errorCode: code, value } of given) {
    if (code === errorCode.NONE) answers.set(partitionKey({ topic, partition }), value)
    else if (!codeMayPass(code)) {
      throw new BrokerError(code, `${doing} ${topic}/${partition}`, { topic, partition })
    }
  }
}

/** A refresh that fails is one more reason to wait, and no other. */
export async function refreshQuietly(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  signal: AbortSignal,
): Promise<void> {
  const topics = [...new Set(partitions.map(({ topic }) => topic))]
  try {
    await cluster.refresh({ topics, signal })
  } catch (error) {
    signal.throwIfAborted()
    if (!mayPass(error)) throw error
    cluster.options.logger.warn({ error }, 'refreshing the metadata failed')
  }
}

/**
 * Puts one question per partition to whoever leads it, many partitions to one broker in one request, and asks again
 * where the leader has moved, is unknown, or cannot be reached, until every question has its answer or is dropped.
 */
import type { Cluster } from '../client/cluster.ts'
import type { Connection } from '../client/connection.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'
import { codeMayPass, mayPass, pauseBefore } from './retry.ts'
import { partitionKey, type TopicPartition } from './topic-partition.ts'

/** What is asked about a partition. */
export interface Question extends TopicPartition {
  /** The partition is being given up: nobody waits for the answer any more. */
  readonly isDraining: boolean
}

/** As a broker gives it. */
export interface Answer<T> extends TopicPartition {
  readonly errorCode: number
  readonly value: T
}

export interface Answered<Q, T> {
  readonly partition: Q
  readonly value: T
}

export interface Inquiry<Q extends Question, T> {
  /** For errors: `the offsets of`. */
  readonly doing: string
  readonly questions: readonly Q[]
  readonly ask: (connection: Connection, questions: readonly Q[]) => Promise<readonly Answer<T>[]>
  /** Told of the answers of one broker when they come: they do not wait for those of others. */
  readonly onAnswers: (answers: readonly Answered<Q, T>[]) => void | Promise<void>
  readonly signal: AbortSignal
}

/** @throws a BrokerError that does not pass; the signal's reason */
export async function askLeaders<Q extends Question, T>(
  cluster: Cluster,
  inquiry: Inquiry<Q, T>,
): Promise<void> {
  let open = [...inquiry.questions]
  for (let attempt = 0; ; attempt++) {
    const answered = new Set<Q>()
    const groups = byLeader(cluster, open)
    await Promise.all(
      [...groups].map(([nodeId, questions]) =>
        askOne(cluster, { ...inquiry, questions }, { nodeId, answered }),
      ),
    )
    open = open.filter((question) => !answered.has(question))
    if (open.length > 0) await pauseBefore(attempt, cluster.options, inquiry.signal)
    open = open.filter(({ isDraining }) => !isDraining)
    if (open.length === 0) return
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

async function askOne<Q extends Question, T>(
  cluster: Cluster,
  { doing, questions, ask, onAnswers, signal }: Inquiry<Q, T>,
  { nodeId, answered }: { readonly nodeId: number; readonly answered: Set<Q> },
): Promise<void> {
  let given: readonly Answer<T>[]
  try {
    given = await ask(await cluster.connection(nodeId, { signal }), questions)
  } catch (error) {
    signal.throwIfAborted()
    if (!mayPass(error)) throw error
    cluster.options.logger.warn({ err: error, nodeId }, `asking for ${doing} partitions failed`)
    return
  }
  const asked = new Map(questions.map((question) => [partitionKey(question), question]))
  const answers: Answered<Q, T>[] = []
  for (const { topic, partition, errorCode: code, value } of given) {
    const question = asked.get(partitionKey({ topic, partition }))
    if (code !== errorCode.NONE && !codeMayPass(code)) {
      throw new BrokerError(code, `${doing} ${topic}/${partition}`, { topic, partition })
    }
    if (code === errorCode.NONE && question !== undefined) answers.push({ partition: question, value })
  }
  for (const { partition } of answers) answered.add(partition)
  if (answers.length > 0) await onAnswers(answers)
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
    cluster.options.logger.warn({ err: error }, 'refreshing the metadata failed')
  }
}

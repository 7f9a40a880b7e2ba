/** Which broker an admin request has to go to. */
import { OttlaError } from '../../errors.ts'
import { BrokerError, errorCode } from '../../protocol/error-codes.ts'
import type { Cluster } from '../cluster.ts'
import type { Outcome } from './items.ts'

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** A broker's refusal, with what it is about in the message. */
export function refused(
  code: number,
  doing: string,
  fields: ConstructorParameters<typeof BrokerError>[2] = {},
): BrokerError {
  const { topic, partition, groupId } = fields
  const names = [
    ...(topic === undefined ? [] : [partition === undefined ? topic : `${topic}-${partition}`]),
    ...(groupId === undefined ? [] : [`group ${groupId}`]),
  ]
  return new BrokerError(code, names.length === 0 ? doing : `${doing} of ${names.join(' of ')}`, fields)
}

export const partitionName = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`

/** By topic, then by partition. */
export const byPlace = (a: TopicPartition, b: TopicPartition): number =>
  a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1

/** The controller. With KRaft any broker passes the request on, and each names some broker as the controller. */
export const toController =
  (cluster: Cluster) =>
  async (_item: unknown, attempt: number): Promise<number> => {
    if (attempt > 0 || cluster.controllerId < 0) await cluster.refresh()
    return cluster.controllerId
  }

export const toLeader =
  (cluster: Cluster, doing: string) =>
  async ({ topic, partition }: TopicPartition, attempt: number): Promise<number> => {
    const known = attempt === 0 ? cluster.topic(topic)?.partitions[partition] : undefined
    if (known !== undefined && known.leaderId >= 0) return known.leaderId
    await cluster.refresh({ topics: [topic] })
    const metadata = cluster.topic(topic)
    const code = metadata?.errorCode ?? errorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (metadata === undefined || code !== 0) throw refused(code, doing, { topic, partition })
    const found = metadata.partitions[partition]
    if (found === undefined) {
      throw refused(errorCode.UNKNOWN_TOPIC_OR_PARTITION, doing, { topic, partition })
    }
    if (found.leaderId < 0) throw refused(errorCode.LEADER_NOT_AVAILABLE, doing, { topic, partition })
    return found.leaderId
  }

export const toCoordinator =
  (cluster: Cluster) =>
  (groupId: string, attempt: number): Promise<number> =>
    cluster.coordinator('group', groupId, { refresh: attempt > 0 })

/** Things grouped by topic, as most requests want them. */
export function byTopic<T extends { readonly topic: string }>(
  items: readonly T[],
): [topic: string, items: T[]][] {
  const topics = new Map<string, T[]>()
  for (const item of items) {
    const known = topics.get(item.topic)
    if (known === undefined) topics.set(item.topic, [item])
    else known.push(item)
  }
  return [...topics]
}

/** The outcome of each item from answers that may come in any order; one that is missing is an error. */
export function outcomesOf<T, A, R>(
  items: readonly T[],
  answers: ReadonlyMap<string, A>,
  how: { readonly subject: (item: T) => string; readonly outcome: (item: T, answer: A) => Outcome<R> },
): Outcome<R>[] {
  return items.map((item) => {
    const subject = how.subject(item)
    const answer = answers.get(subject)
    if (answer !== undefined) return how.outcome(item, answer)
    return {
      error: new OttlaError('MALFORMED_FRAME', `the response does not speak of ${subject}`),
    }
  })
}

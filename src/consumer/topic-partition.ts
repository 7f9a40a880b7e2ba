/** A partition by its name, and sets of them. */

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** One text per partition, for maps. No topic name holds a slash. */
export const partitionKey = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`

export function comparePartitions(a: TopicPartition, b: TopicPartition): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  return a.partition - b.partition
}

/** Grouped as the protocol wants them. */
export function byTopic(
  partitions: Iterable<TopicPartition>,
): { readonly topic: string; readonly partitions: number[] }[] {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    const known = topics.get(topic)
    if (known === undefined) topics.set(topic, [partition])
    else known.push(partition)
  }
  return [...topics].map(([topic, numbers]) => ({ topic, partitions: numbers }))
}

/** What `after` has and `before` has not. */
export function addedTo(
  before: readonly TopicPartition[],
  after: readonly TopicPartition[],
): TopicPartition[] {
  const known = new Set(before.map(partitionKey))
  return after.filter((topicPartition) => !known.has(partitionKey(topicPartition)))
}

/** For messages: `orders/0, orders/3`. */
export const listPartitions = (partitions: readonly TopicPartition[]): string =>
  partitions.map(partitionKey).join(', ')

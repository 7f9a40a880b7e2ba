/**
 * One Produce request (API key 0): at most one batch of each of its partitions, and the answer taken apart again.
 *
 * A topic goes by its id where the broker knows ids (version 13): a late request then cannot reach another topic
 * of the same name.
 */
import type { Connection } from '../client/connection.ts'
import { produce } from '../protocol/messages/index.ts'
import { type RequestOf, type ResponseOf, zeroUuid } from '../protocol/schema.ts'
import type { Batch } from './batch.ts'
import type { ProducerPartition, ProducerTopic } from './topic.ts'

export interface Part {
  readonly partition: ProducerPartition
  readonly batch: Batch
  /** The topic's id when the request was made: the topic may be made anew before the answer comes. */
  readonly topicId: string
}

export type ProduceAnswer = ResponseOf<typeof produce>
export type PartAnswer = ProduceAnswer['responses'][number]['partitionResponses'][number]

type PartitionData = { index: number; records: Buffer }

const IDS_SINCE = 13

export class ProduceRequest {
  readonly connection: Connection
  readonly parts: Part[] = []
  bytes = 0

  constructor(connection: Connection) {
    this.connection = connection
  }

  add(partition: ProducerPartition, batch: Batch): void {
    this.parts.push({ partition, batch, topicId: partition.topic.topicId })
    this.bytes += batch.bytes.length
  }

  /** By name only if some topic has no known id. */
  version(): number {
    const highest = this.connection.versionOf(produce)
    if (highest < IDS_SINCE) return highest
    return this.parts.every(({ topicId }) => topicId !== zeroUuid) ? highest : IDS_SINCE - 1
  }

  body(acks: number, timeoutMs: number): RequestOf<typeof produce> {
    const topics = new Map<ProducerTopic, PartitionData[]>()
    for (const { partition, batch } of this.parts) {
      const data = { index: partition.index, records: batch.bytes }
      const list = topics.get(partition.topic)
      if (list === undefined) topics.set(partition.topic, [data])
      else list.push(data)
    }
    const topicData = Array.from(topics, ([{ name, topicId }, partitionData]) => ({
      name,
      topicId,
      partitionData,
    }))
    return { transactionalId: null, acks, timeoutMs, topicData }
  }
}

/** The answer for each part, in their order; undefined where the broker left one out. */
export function answersOf(
  request: ProduceRequest,
  version: number,
  answer: ProduceAnswer,
): (PartAnswer | undefined)[] {
  const byId = version >= IDS_SINCE
  const found = new Map<string, Map<number, PartAnswer>>()
  for (const topic of answer.responses) {
    const byIndex = new Map(topic.partitionResponses.map((part) => [part.index, part]))
    found.set(byId ? topic.topicId : topic.name, byIndex)
  }
  return request.parts.map(({ partition, topicId }) =>
    found.get(byId ? topicId : partition.topic.name)?.get(partition.index),
  )
}

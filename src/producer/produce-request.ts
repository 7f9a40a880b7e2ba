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

type TopicAnswer = ProduceAnswer['responses'][number]

interface TopicData {
  readonly name: string
  readonly topicId: string
  readonly partitionData: { readonly index: number; readonly records: Buffer }[]
}

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
    return { transactionalId: null, acks, timeoutMs, topicData: topicDataOf(this.parts) }
  }
}

const partitionDataOf = ({ partition, batch }: Part) => ({ index: partition.index, records: batch.bytes })

function topicDataOf(parts: readonly Part[]): TopicData[] {
  const [first] = parts
  // Who sends one record at a time should not pay for grouping.
  if (parts.length === 1 && first !== undefined) return [topicOf(first)]
  const byTopic = new Map<ProducerTopic, TopicData>()
  for (const part of parts) {
    const { topic } = part.partition
    const data = byTopic.get(topic)
    if (data === undefined) byTopic.set(topic, topicOf(part))
    else data.partitionData.push(partitionDataOf(part))
  }
  return [...byTopic.values()]
}

const topicOf = (part: Part): TopicData => ({
  name: part.partition.topic.name,
  topicId: part.partition.topic.topicId,
  partitionData: [partitionDataOf(part)],
})

/** The answer for each part, in their order; undefined where the broker left one out. */
export function answersOf(
  request: ProduceRequest,
  version: number,
  answer: ProduceAnswer,
): (PartAnswer | undefined)[] {
  const byId = version >= IDS_SINCE
  const nameOf = (part: Part) => (byId ? part.topicId : part.partition.topic.name)
  const answeredName = (topic: TopicAnswer) => (byId ? topic.topicId : topic.name)
  const { parts } = request
  const [first] = parts
  if (parts.length === 1 && first !== undefined) {
    const topic = answer.responses.find((each) => answeredName(each) === nameOf(first))
    return [topic?.partitionResponses.find(({ index }) => index === first.partition.index)]
  }
  const found = new Map<string, Map<number, PartAnswer>>()
  for (const topic of answer.responses) {
    found.set(answeredName(topic), new Map(topic.partitionResponses.map((part) => [part.index, part])))
  }
  return parts.map((part) => found.get(nameOf(part))?.get(part.partition.index))
}

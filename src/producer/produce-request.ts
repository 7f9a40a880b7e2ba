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
type TopicAnswer = ProduceAnswer['responses'][number]
export type PartAnswer = TopicAnswer['partitionResponses'][number]

interface TopicData {
  readonly name: string
  readonly topicId: string
  readonly partitionData: { readonly index: number; readonly records: Buffer }[]
}

const IDS_SINCE = 13

export class ProduceRequest {
  readonly connection: Connection
  readonly parts: Part[]
  bytes: number

  constructor(connection: Connection, partition: ProducerPartition, batch: Batch) {
    this.connection = connection
    this.parts = [partOf(partition, batch)]
    this.bytes = batch.bytes.length
  }

  add(partition: ProducerPartition, batch: Batch): void {
    this.parts.push(partOf(partition, batch))
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

const partOf = (partition: ProducerPartition, batch: Batch): Part => ({
  partition,
  batch,
  topicId: partition.topic.topicId,
})

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
  const { parts } = request
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return [answerOf(only, answer, byId)]
  const found = new Map<string, Map<number, PartAnswer>>()
  for (const topic of answer.responses) {
    const byIndex = new Map(topic.partitionResponses.map((part) => [part.index, part]))
    found.set(nameIn(topic, byId), byIndex)
  }
  return parts.map((part) => found.get(nameOf(part, byId))?.get(part.partition.index))
}

function answerOf(part: Part, { responses }: ProduceAnswer, byId: boolean): PartAnswer | undefined {
  const name = nameOf(part, byId)
  for (let at = 0; at < responses.length; at++) {
    const topic = responses[at] as TopicAnswer
    if (nameIn(topic, byId) !== name) continue
    const { index } = part.partition
    return topic.partitionResponses.find((each) => each.index === index)
  }
  return undefined
}

/** By which a topic goes in the answer. */
const nameIn = (topic: TopicAnswer, byId: boolean): string => (byId ? topic.topicId : topic.name)

const nameOf = (part: Part, byId: boolean): string => (byId ? part.topicId : part.partition.topic.name)

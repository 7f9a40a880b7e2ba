/** Topics: CreateTopics (API key 19), DeleteTopics (20), Metadata (3), CreatePartitions (37). */
import { OttlaError } from '../../errors.ts'
import { BrokerError, errorCode } from '../../protocol/error-codes.ts'
import { createPartitions, createTopics, deleteTopics, metadata } from '../../protocol/messages/index.ts'
import { zeroUuid } from '../../protocol/schema.ts'
import type { Cluster } from '../cluster.ts'
import { MetadataCache, type TopicMetadata } from '../metadata-cache.ts'
import { type AdminCallOptions, type Asking, callItems, type ItemCall, PartialFailureError } from './items.ts'
import { outcomesOf, toController } from './routes.ts'

export interface NewTopic {
  readonly name: string
  /** Default: the broker's `num.partitions`. */
  readonly partitions?: number
  /** Default: the broker's `default.replication.factor`. */
  readonly replicas?: number
  /** The nodes of each partition, instead of `partitions` and `replicas`; the first one leads. */
  readonly assignments?: readonly (readonly number[])[]
  readonly configs?: Readonly<Record<string, string>>
}

export interface CreatedTopic {
  readonly name: string
  /** Zeros when the broker is too old to tell. */
  readonly topicId: string
  /** -1 when the broker is too old to tell. */
  readonly partitions: number
  readonly replicas: number
}

export interface NewPartitions {
  readonly topic: string
  /** How many partitions there shall be in all. */
  readonly count: number
  /** The nodes of each partition that is added. */
  readonly assignments?: readonly (readonly number[])[]
}

interface ValidateOption {
  /** Only says what would happen. Default false. */
  readonly validateOnly?: boolean
}

/** From this version on -1 asks for the broker's defaults (KIP-464). */
const DEFAULTS_SINCE = 4

/** Room for the answer of a broker that takes all of the time that it was given. */
export const patience = (timeoutMs: number) => ({ timeoutMs: timeoutMs + 5_000 })

export async function createTopicsOn(
  cluster: Cluster,
  topics: readonly NewTopic[],
  options: AdminCallOptions & ValidateOption,
): Promise<CreatedTopic[]> {
  const { validateOnly = false } = options
  const deadline = cluster.options.clock.monotonic() + (options.timeoutMs ?? cluster.options.requestTimeoutMs)
  const made = (names: readonly string[]) =>
    validateOnly ? undefined : untilKnown(cluster, names, { ...options, deadline })
  const call: ItemCall<NewTopic, CreatedTopic> = {
    doing: 'CreateTopics',
    items: topics,
    subject: ({ name }) => name,
    route: toController(cluster),
    isIdempotent: false,
    ask: (asking, items) => askToCreate(asking, items, validateOnly),
  }
  try {
    const created = await callItems(cluster, call, options)
    await made(created.map(({ name }) => name))
    return created
  } catch (error) {
    // Those that were created are there, and are used, whatever became of the others.
    if (error instanceof PartialFailureError) await made(succeeded(error))
    throw error
  }
}

const succeeded = ({ results }: PartialFailureError) =>
  results.filter(({ error }) => error === undefined).map(({ subject }) => subject)

/** Created is not yet known everywhere: whoever asks next shall find them. */
async function untilKnown(
  cluster: Cluster,
  names: readonly string[],
  { deadline, signal }: { readonly deadline: number; readonly signal?: AbortSignal },
): Promise<void> {
  const timeoutMs = Math.max(1, deadline - cluster.options.clock.monotonic())
  const waiting = { timeoutMs, ...(signal === undefined ? {} : { signal }) }
  for (const name of names) cluster.recentTopics.add(name)
  await Promise.all(names.map((name) => cluster.ensureTopic(name, waiting).catch(() => undefined)))
}

async function askToCreate(
  { connection, timeoutMs }: Asking,
  items: readonly NewTopic[],
  validateOnly: boolean,
) {
  const fallback = connection.supports(createTopics, DEFAULTS_SINCE) ? -1 : 1
  const response = await connection.request(
    createTopics,
    {
      topics: items.map(({ name, partitions, replicas, assignments = [], configs = {} }) => ({
        name,
        numPartitions: assignments.length > 0 ? -1 : (partitions ?? fallback),
        replicationFactor: assignments.length > 0 ? -1 : (replicas ?? fallback),
        assignments: assignments.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
      })),
      timeoutMs,
      validateOnly,
    },
    patience(timeoutMs),
  )
  const answers = new Map(response.topics.map((topic) => [topic.name, topic]))
  return outcomesOf(items, answers, {
    subject: ({ name }) => name,
    outcome: ({ name }, answer) => {
      const { errorCode: code, errorMessage: brokerMessage, topicId } = answer
      if (code !== 0) return { error: new BrokerError(code, 'CreateTopics', { topic: name, brokerMessage }) }
      const { numPartitions: partitions, replicationFactor: replicas } = answer
      return { value: { name, topicId, partitions, replicas } }
    },
  })
}

export async function deleteTopicsOn(
  cluster: Cluster,
  names: readonly string[],
  options: AdminCallOptions,
): Promise<void> {
  for (const name of names) cluster.recentTopics.delete(name)
  await callItems(
    cluster,
    {
      doing: 'DeleteTopics',
      items: names,
      subject: (name) => name,
      route: toController(cluster),
      isIdempotent: false,
      ask: async ({ connection, timeoutMs }, items) => {
        const named = connection.supports(deleteTopics, 6)
          ? { topics: items.map((name) => ({ name, topicId: zeroUuid })) }
          : { topicNames: items }
        const response = await connection.request(deleteTopics, { ...named, timeoutMs }, patience(timeoutMs))
        const answers = new Map(response.responses.map((topic) => [topic.name ?? '', topic]))
        return outcomesOf(items, answers, {
          subject: (name) => name,
          outcome: (topic, { errorCode: code, errorMessage: brokerMessage }) =>
            code === 0
              ? { value: undefined }
              : { error: new BrokerError(code, 'DeleteTopics', { topic, brokerMessage }) },
        })
      },
    },
    options,
  )
}

export async function createPartitionsOn(
  cluster: Cluster,
  topics: readonly NewPartitions[],
  options: AdminCallOptions & ValidateOption,
): Promise<void> {
  const { validateOnly = false } = options
  await callItems(
    cluster,
    {
      doing: 'CreatePartitions',
      items: topics,
      subject: ({ topic }) => topic,
      route: toController(cluster),
      isIdempotent: false,
      ask: async ({ connection, timeoutMs }, items) => {
        const named = items.map(({ topic, count, assignments }) => ({
          name: topic,
          count,
          assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null,
        }))
        const body = { topics: named, timeoutMs, validateOnly }
        const response = await connection.request(createPartitions, body, patience(timeoutMs))
        const answers = new Map(response.results.map((result) => [result.name, result]))
        return outcomesOf(items, answers, {
          subject: ({ topic }) => topic,
          outcome: ({ topic }, { errorCode: code, errorMessage: brokerMessage }) =>
            code === 0
              ? { value: undefined }
              : { error: new BrokerError(code, 'CreatePartitions', { topic, brokerMessage }) },
        })
      },
    },
    options,
  )
}

/**
 * One request to any broker; topics that it does not know are errors of their own. Only what was created here a moment ago
 * is asked for again: another broker was seen to know it.
 */
export function describeTopicsOn(
  cluster: Cluster,
  names: readonly string[],
  options: AdminCallOptions,
): Promise<TopicMetadata[]> {
  return callItems(
    cluster,
    {
      doing: 'Metadata',
      items: names,
      subject: (name) => name,
      route: () => -1,
      isIdempotent: true,
      ask: async ({ connection, timeoutMs }, items) => {
        const topics = items.map((name) => ({ name }))
        const cache = await ask({ connection, timeoutMs }, topics)
        return items.map((topic) => {
          const known = cache.topic(topic)
          const code = known?.errorCode ?? errorCode.UNKNOWN_TOPIC_OR_PARTITION
          if (known !== undefined && code === 0) return { value: known }
          const error = new BrokerError(code, 'Metadata', { topic })
          return { error: cluster.recentTopics.has(topic) ? error : unknownAtOnce(error) }
        })
      },
    },
    options,
  )
}

export async function listTopicsOn(
  cluster: Cluster,
  options: AdminCallOptions & { readonly includeInternal?: boolean },
): Promise<TopicMetadata[]> {
  const [topics = []] = await callItems(
    cluster,
    {
      doing: 'Metadata',
      items: ['all topics'],
      subject: (all) => all,
      route: () => -1,
      isIdempotent: true,
      ask: async (asking) => [{ value: (await ask(asking, null)).topics() }],
    },
    options,
  )
  return topics.filter(({ isInternal }) => options.includeInternal === true || !isInternal)
}

async function ask(
  { connection, timeoutMs }: Asking,
  topics: readonly { readonly name: string }[] | null,
): Promise<MetadataCache> {
  const body = { topics, allowAutoTopicCreation: false }
  const response = await connection.request(metadata, body, { timeoutMs })
  const cache = new MetadataCache()
  cache.apply(response, 0)
  return cache
}

/** Who asks what there is wants to be told that there is nothing, not to wait until there is. */
function unknownAtOnce(error: BrokerError): OttlaError {
  if (error.errorCode !== errorCode.UNKNOWN_TOPIC_OR_PARTITION) return error
  return new OttlaError(error.code, error.message, { topic: error.topic as string, retriable: false })
}

/** Topics: CreateTopics (API key 19), DeleteTopics (20), Metadata (3), CreatePartitions (37). */
import { type BrokerError, errorCode } from '../../protocol/error-codes.ts'
import { createPartitions, createTopics, deleteTopics, metadata } from '../../protocol/messages/index.ts'
import { zeroUuid } from '../../protocol/schema.ts'
import type { Cluster } from '../cluster.ts'
import { MetadataCache, type TopicMetadata } from '../metadata-cache.ts'
import { type AdminCallOptions, shareOf } from './call-time.ts'
import type { ConfigValue } from './configs.ts'
import { type Asking, callItems, type ItemCall, type Outcome, PartialFailureError } from './items.ts'
import { outcomesOf, refused, toController } from './routes.ts'

export interface NewTopic {
  readonly name: string
  /** Default: the broker's `num.partitions`. */
  readonly partitions?: number
  /** Default: the broker's `default.replication.factor`. */
  readonly replicas?: number
  /** The nodes of each partition, instead of `partitions` and `replicas`; the first one leads. */
  readonly assignments?: readonly (readonly number[])[]
  /** Numbers and booleans go out as the text that Kafka reads: `{ 'retention.ms': 86_400_000 }`. */
  readonly configs?: Readonly<Record<string, ConfigValue>>
}

/** Of a topic that was there already (`ifNotExists`) what it has, whatever was asked for. */
export interface CreatedTopic {
  readonly name: string
  /** Zeros when the broker is too old to tell. */
  readonly topicId: string
  /** -1 when the broker is too old to tell. */
  readonly partitions: number
  readonly replicas: number
}

export interface NewPartitions {
  /** Of the topic. */
  readonly name: string
  /** How many there shall be in all. */
  readonly partitions: number
  /** The nodes of each partition that is added. */
  readonly assignments?: readonly (readonly number[])[]
}

export interface CreateTopicsOptions extends AdminCallOptions {
  /** Only says what would happen. Default false. */
  readonly validateOnly?: boolean
  /**
   * A topic that is there already is no error: it stays as it is, and the answer tells the partitions and replicas that it
   * has, which may be others than asked for. Default false: TOPIC_ALREADY_EXISTS.
   */
  readonly ifNotExists?: boolean
}

interface ValidateOption {
  /** Only says what would happen. Default false. */
  readonly validateOnly?: boolean
}

/** From this version on -1 asks for the broker's defaults (KIP-464). */
const DEFAULTS_SINCE = 4

export async function createTopicsOn(
  cluster: Cluster,
  topics: readonly NewTopic[],
  options: CreateTopicsOptions,
): Promise<CreatedTopic[]> {
  const { validateOnly = false, ifNotExists = false } = options
  const share = shareOf(cluster, 'admin.createTopics', options)
  /** Of those that were made now, which is not to be mistaken for an earlier topic of the same name. */
  const ids = new Map<string, string>()
  const made = (names: readonly string[]) =>
    validateOnly
      ? undefined
      : untilKnown(cluster, new Map(names.map((name) => [name, identityOf(ids.get(name))])), share())
  const call: ItemCall<NewTopic, CreatedTopic | undefined> = {
    doing: 'CreateTopics',
    items: topics,
    subject: ({ name }) => name,
    route: toController(cluster),
    // Where it may be there already it may also have been made by an answer that was lost.
    isIdempotent: ifNotExists,
    ask: async (asking, items) => {
      const outcomes = await askToCreate(asking, items, { validateOnly, ifNotExists })
      for (const outcome of outcomes) {
        if ('value' in outcome && outcome.value) ids.set(outcome.value.name, outcome.value.topicId)
      }
      return outcomes
    },
  }
  const names = topics.map(({ name }) => name)
  const created = await andKnown(callItems(cluster, call, share()), names, made)
  return withPresent(cluster, { topics, created, options: share() })
}

/** What was done is there, and is used, whatever became of the others: it is waited for in either case. */
async function andKnown<R>(
  done: Promise<R>,
  names: readonly string[],
  known: (names: readonly string[]) => Promise<void> | undefined,
): Promise<R> {
  try {
    const result = await done
    await known(names)
    return result
  } catch (error) {
    if (error instanceof PartialFailureError) await known(succeeded(error))
    throw error
  }
}

const succeeded = ({ results }: PartialFailureError) =>
  results.filter(({ error }) => error === undefined).map(({ subject }) => subject)

/** What tells a topic as it is now from what it was before the call. */
interface Novelty {
  readonly topicId?: string
  readonly partitions?: number
}

const identityOf = (topicId: string | undefined): Novelty => (topicId === undefined ? {} : { topicId })

/** What was done is not yet known everywhere: whoever asks next shall find it. */
async function untilKnown(
  cluster: Cluster,
  topics: ReadonlyMap<string, Novelty>,
  options: AdminCallOptions,
): Promise<void> {
  const known = async ([name, novelty]: [string, Novelty]) => {
    cluster.recentTopics.add(name)
    await cluster.ensureTopic(name, { ...options, ...novelty }).catch(() => undefined)
  }
  await Promise.all([...topics].map(known))
}

/** Fills in what was there already. */
async function withPresent(
  cluster: Cluster,
  given: {
    readonly topics: readonly NewTopic[]
    readonly created: readonly (CreatedTopic | undefined)[]
    readonly options: AdminCallOptions
  },
): Promise<CreatedTopic[]> {
  const { topics, created, options } = given
  const present = topics.filter((_, index) => created[index] === undefined).map(({ name }) => name)
  const described = present.length === 0 ? [] : await describeTopicsOn(cluster, present, options)
  const found = new Map(described.map((topic) => [topic.name, topic]))
  return topics.map(({ name }, index) => {
    const { topicId, partitions } = found.get(name) ?? { topicId: zeroUuid, partitions: [] }
    const replicas = partitions[0]?.replicas.length ?? -1
    return created[index] ?? { name, topicId, partitions: partitions.length, replicas }
  })
}

async function askToCreate(
  { connection, brokerTimeoutMs, timeoutMs }: Asking,
  items: readonly NewTopic[],
  { validateOnly, ifNotExists }: { readonly validateOnly: boolean; readonly ifNotExists: boolean },
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
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value: `${value}` })),
      })),
      timeoutMs: brokerTimeoutMs,
      validateOnly,
    },
    { timeoutMs },
  )
  const answers = new Map(response.topics.map((topic) => [topic.name, topic]))
  return outcomesOf(items, answers, {
    subject: ({ name }) => name,
    outcome: ({ name }, answer): Outcome<CreatedTopic | undefined> => {
      const { errorCode: code, errorMessage: brokerMessage, topicId } = answer
      if (ifNotExists && code === errorCode.TOPIC_ALREADY_EXISTS) return { value: undefined }
      if (code !== 0) return { error: refused(code, 'CreateTopics', { topic: name, brokerMessage }) }
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
      ask: async ({ connection, brokerTimeoutMs, timeoutMs }, items) => {
        const named = connection.supports(deleteTopics, 6)
          ? { topics: items.map((name) => ({ name, topicId: zeroUuid })) }
          : { topicNames: items }
        const body = { ...named, timeoutMs: brokerTimeoutMs }
        const response = await connection.request(deleteTopics, body, { timeoutMs })
        const answers = new Map(response.responses.map((topic) => [topic.name ?? '', topic]))
        return outcomesOf(items, answers, {
          subject: (name) => name,
          outcome: (topic, { errorCode: code, errorMessage: brokerMessage }) =>
            code === 0
              ? { value: undefined }
              : { error: refused(code, 'DeleteTopics', { topic, brokerMessage }) },
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
  const share = shareOf(cluster, 'admin.createPartitions', options)
  const counts = new Map(topics.map(({ name, partitions }) => [name, partitions]))
  const grown = (names: readonly string[]) =>
    validateOnly
      ? undefined
      : untilKnown(
          cluster,
          new Map(names.map((name) => [name, { partitions: counts.get(name) ?? 1 }])),
          share(),
        )
  await andKnown(
    callItems(cluster, partitionsCall(cluster, topics, validateOnly), share()),
    [...counts.keys()],
    grown,
  )
}

const partitionsCall = (
  cluster: Cluster,
  topics: readonly NewPartitions[],
  validateOnly: boolean,
): ItemCall<NewPartitions, undefined> => ({
  doing: 'CreatePartitions',
  items: topics,
  subject: ({ name }) => name,
  route: toController(cluster),
  isIdempotent: false,
  ask: async ({ connection, brokerTimeoutMs, timeoutMs }, items) => {
    const named = items.map(({ name, partitions: count, assignments }) => ({
      name,
      count,
      assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null,
    }))
    const body = { topics: named, timeoutMs: brokerTimeoutMs, validateOnly }
    const response = await connection.request(createPartitions, body, { timeoutMs })
    const answers = new Map(response.results.map((result) => [result.name, result]))
    return outcomesOf(items, answers, {
      subject: ({ name }) => name,
      outcome: ({ name: topic }, { errorCode: code, errorMessage: brokerMessage }) =>
        code === 0
          ? { value: undefined }
          : { error: refused(code, 'CreatePartitions', { topic, brokerMessage }) },
    })
  },
})

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
    topicsCall<never>(cluster, names, (error) => ({ error })),
    options,
  )
}

/** The same, with undefined for a topic that is not there. */
export function findTopicsOn(
  cluster: Cluster,
  names: readonly string[],
  options: AdminCallOptions,
): Promise<(TopicMetadata | undefined)[]> {
  const absent = () => ({ value: undefined })
  return callItems<string, TopicMetadata | undefined>(cluster, topicsCall(cluster, names, absent), options)
}

/** `unknown` says what becomes of a topic that the broker does not know. */
const topicsCall = <R>(
  cluster: Cluster,
  names: readonly string[],
  unknown: (error: BrokerError) => Outcome<R>,
): ItemCall<string, TopicMetadata | R> => ({
  doing: 'Metadata',
  items: names,
  subject: (name) => name,
  route: () => -1,
  isIdempotent: true,
  // Who asks what there is wants to be told that there is nothing, not to wait until there is.
  isFinal: ({ code, topic }) =>
    code === 'UNKNOWN_TOPIC_OR_PARTITION' && topic !== undefined && !cluster.recentTopics.has(topic),
  ask: async (asking, items) => {
    const topics = items.map((name) => ({ name }))
    const cache = await ask(asking, topics)
    return items.map((topic) => {
      const known = cache.topic(topic)
      const code = known?.errorCode ?? errorCode.UNKNOWN_TOPIC_OR_PARTITION
      if (known !== undefined && code === 0) return { value: known }
      const error = refused(code, 'Metadata', { topic })
      const isUnknown = code === errorCode.UNKNOWN_TOPIC_OR_PARTITION && !cluster.recentTopics.has(topic)
      return isUnknown ? unknown(error) : { error }
    })
  },
})

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

/** The resources that configs belong to: topics, and the brokers, which share one set of configs here. */
import { errorCode } from '../protocol/error-codes.ts'
import type { RequestContext } from './handler.ts'
import type { Topic } from './topic.ts'
import type { Problem } from './topic-rules.ts'
import {
  brokerConfigRow,
  type Configs,
  refusedBrokerConfig,
  refusedTopicConfig,
  topicConfigs,
} from './topic-settings.ts'

export const resourceType = { topic: 2, broker: 4 } as const

export interface ResourceName {
  readonly resourceType: number
  readonly resourceName: string
}

export interface ConfigResource {
  readonly configs: Configs
  readonly isList: (name: string) => boolean
  /** The default that appending and subtracting begin with. */
  readonly implied: (name: string) => string
  readonly refuse: (name: string, value: string) => string | undefined
  set(configs: Configs): void
}

export type Found = { readonly resource: ConfigResource; readonly topic?: Topic } | Problem

export function findResource(name: ResourceName, context: RequestContext): Found {
  const injected = context.injectedError(name.resourceName, -1)
  if (injected !== 0) return { errorCode: injected, message: '' }
  if (name.resourceType === resourceType.topic) return findTopic(name.resourceName, context)
  if (name.resourceType === resourceType.broker) return findBroker(name.resourceName, context)
  const message = `Unsupported resource type: ${name.resourceType}`
  return { errorCode: errorCode.INVALID_REQUEST, message }
}

function findTopic(name: string, { cluster }: RequestContext): Found {
  const topic = cluster.topicOrCreate(name, false)
  if ('errorCode' in topic) return topic
  return {
    topic,
    resource: {
      configs: topic.configs,
      isList: (config) => topicConfigs[config]?.type === 'list',
      implied: (config) => topicConfigs[config]?.default ?? '',
      refuse: refusedTopicConfig,
      set: (configs) => topic.configure(configs, cluster.configs),
    },
  }
}

/** The empty name means all brokers; the configs of one are those of all. */
function findBroker(name: string, { cluster, node }: RequestContext): Found {
  if (name !== '' && name !== String(node.id)) {
    const message = `Unexpected broker id, expected ${node.id} or empty string, but received ${name}`
    return { errorCode: errorCode.INVALID_REQUEST, message }
  }
  return {
    resource: {
      configs: cluster.configs,
      isList: (config) => brokerConfigRow(config)?.type === 'list',
      implied: (config) => brokerConfigRow(config)?.default ?? '',
      refuse: refusedBrokerConfig,
      set: (configs) => cluster.configure(configs),
    },
  }
}

/** The first config that is not taken. */
export function refusedConfig(resource: ConfigResource, configs: Configs): Problem | undefined {
  for (const [name, value] of Object.entries(configs)) {
    const message = resource.refuse(name, value)
    if (message !== undefined) return { errorCode: errorCode.INVALID_CONFIG, message }
  }
  return undefined
}

/** A request that names a resource twice has it refused. */
function isRepeated(all: readonly ResourceName[], one: ResourceName): boolean {
  const same = all.filter(
    (other) => other.resourceType === one.resourceType && other.resourceName === one.resourceName,
  )
  return same.length > 1
}

const repeatedResource: Problem = {
  errorCode: errorCode.INVALID_REQUEST,
  message: 'Each resource must appear at most once.',
}

/** Alters each resource by itself, and answers for each; one that is named twice is refused both times. */
export const alterEach = <R extends ResourceName>(
  resources: readonly R[],
  alter: (resource: R) => Problem | undefined,
) =>
  resources.map((resource) => {
    const problem = isRepeated(resources, resource) ? repeatedResource : alter(resource)
    return {
      errorCode: problem?.errorCode ?? errorCode.NONE,
      errorMessage: problem?.message ?? null,
      resourceType: resource.resourceType,
      resourceName: resource.resourceName,
    }
  })

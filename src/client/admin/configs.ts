/** Settings of topics and brokers: DescribeConfigs (API key 32), IncrementalAlterConfigs (44, KIP-339). */
import { BrokerError } from '../../protocol/error-codes.ts'
import { describeConfigs, incrementalAlterConfigs } from '../../protocol/messages/index.ts'
import type { Cluster } from '../cluster.ts'
import type { AdminCallOptions } from './call-time.ts'
import { callItems, type Outcome } from './items.ts'
import { outcomesOf, toController } from './routes.ts'

export interface ConfigResource {
  readonly type: 'topic' | 'broker' | 'group'
  /** A topic, a group, or a broker's node id; an empty name for the defaults of all brokers. */
  readonly name: string
}

export interface ConfigEntry {
  readonly name: string
  /** Null when it is sensitive or not set. */
  readonly value: string | null
  /** Whether it comes from a default rather than from the resource itself. */
  readonly isDefault: boolean
  readonly isReadOnly: boolean
  readonly isSensitive: boolean
}

export interface DescribedConfigs extends ConfigResource {
  readonly entries: readonly ConfigEntry[]
}

export interface DescribeConfigsOptions extends AdminCallOptions {
  /** Only these settings. Default all. */
  readonly names?: readonly string[]
}

/** A setting's value. Numbers and booleans go out as the text that Kafka reads. */
export type ConfigValue = string | number | boolean

/** A new value; null goes back to the default. Lists can be added to and taken from. */
export type ConfigChange = ConfigValue | null | { readonly append: string } | { readonly subtract: string }

export interface AlteredConfigs extends ConfigResource {
  readonly configs: Readonly<Record<string, ConfigChange>>
}

const resourceTypes = { topic: 2, broker: 4, group: 32 } as const
const sources = { defaultConfig: 5, dynamicDefaultBroker: 3, staticBroker: 4 } as const
const resourceName = ({ type, name }: ConfigResource) => `${type} ${name || '(default)'}`
const concerned = ({ type, name }: ConfigResource) =>
  type === 'topic' ? { topic: name } : type === 'group' ? { groupId: name } : {}
const answerName = ({ resourceType, resourceName: name }: { resourceType: number; resourceName: string }) => {
  const type = (Object.keys(resourceTypes) as ConfigResource['type'][]).find(
    (one) => resourceTypes[one] === resourceType,
  )
  return resourceName({ type: type ?? 'topic', name })
}

/** A broker tells and changes only its own settings. */
const toOwner = (cluster: Cluster) => {
  const other = toController(cluster)
  return async (item: ConfigResource, attempt: number): Promise<number> => {
    if (item.type !== 'broker' || item.name === '') return other(item, attempt)
    if (cluster.brokers().length === 0 || attempt > 0) await cluster.refresh()
    return Number(item.name)
  }
}

export function describeConfigsOn(
  cluster: Cluster,
  resources: readonly ConfigResource[],
  options: DescribeConfigsOptions,
): Promise<DescribedConfigs[]> {
  const configurationKeys = options.names ?? null
  return callItems(
    cluster,
    {
      doing: 'DescribeConfigs',
      items: resources,
      subject: resourceName,
      route: toOwner(cluster),
      isIdempotent: true,
      ask: async ({ connection, timeoutMs }, items) => {
        const body = {
          resources: items.map(({ type, name }) => ({
            resourceType: resourceTypes[type],
            resourceName: name,
            configurationKeys,
          })),
        }
        const response = await connection.request(describeConfigs, body, { timeoutMs })
        const answers = new Map(response.results.map((result) => [answerName(result), result]))
        return outcomesOf(items, answers, {
          subject: resourceName,
          outcome: ({ type, name }, answer): Outcome<DescribedConfigs> => {
            const { errorCode: code, errorMessage: brokerMessage } = answer
            const doing = `DescribeConfigs of ${resourceName({ type, name })}`
            if (code !== 0)
              return { error: new BrokerError(code, doing, { ...concerned({ type, name }), brokerMessage }) }
            return { value: { type, name, entries: answer.configs.map((one) => entryOf(type, one)) } }
          },
        })
      },
    },
    options,
  )
}

function entryOf(
  type: ConfigResource['type'],
  given: {
    name: string
    value: string | null
    readOnly: boolean
    isDefault: boolean
    configSource: number
    isSensitive: boolean
  },
): ConfigEntry {
  const { name, value, readOnly: isReadOnly, isSensitive, configSource } = given
  // Version 0 says it; later ones tell the source. What a broker's file says is a default to a topic.
  const inherited: number[] = [sources.defaultConfig]
  if (type !== 'broker') inherited.push(sources.staticBroker, sources.dynamicDefaultBroker, 2)
  return {
    name,
    value,
    isDefault: given.isDefault || inherited.includes(configSource),
    isReadOnly,
    isSensitive,
  }
}

const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const

function operationOf(change: ConfigChange): { configOperation: number; value: string | null } {
  if (change === null) return { configOperation: operations.delete, value: null }
  if (typeof change !== 'object') return { configOperation: operations.set, value: `${change}` }
  if ('append' in change) return { configOperation: operations.append, value: change.append }
  return { configOperation: operations.subtract, value: change.subtract }
}

/** Only what is named changes. Needs Kafka 2.3: the older AlterConfigs would reset everything else. */
export async function alterConfigsOn(
  cluster: Cluster,
  changes: readonly AlteredConfigs[],
  options: AdminCallOptions & { readonly validateOnly?: boolean },
): Promise<void> {
  const { validateOnly = false } = options
  const isIdempotent = changes.every(({ configs }) =>
    Object.values(configs).every((change) => change === null || typeof change !== 'object'),
  )
  await callItems(
    cluster,
    {
      doing: 'IncrementalAlterConfigs',
      items: changes,
      subject: resourceName,
      route: toOwner(cluster),
      isIdempotent,
      ask: async ({ connection, timeoutMs }, items) => {
        const resources = items.map(({ type, name, configs }) => ({
          resourceType: resourceTypes[type],
          resourceName: name,
          configs: Object.entries(configs).map(([key, change]) => ({ name: key, ...operationOf(change) })),
        }))
        const body = { resources, validateOnly }
        const response = await connection.request(incrementalAlterConfigs, body, { timeoutMs })
        const answers = new Map(response.responses.map((answer) => [answerName(answer), answer]))
        return outcomesOf(items, answers, {
          subject: resourceName,
          outcome: (item, { errorCode: code, errorMessage: brokerMessage }) => {
            const doing = `IncrementalAlterConfigs of ${resourceName(item)}`
            return code === 0
              ? { value: undefined }
              : { error: new BrokerError(code, doing, { ...concerned(item), brokerMessage }) }
          },
        })
      },
    },
    options,
  )
}

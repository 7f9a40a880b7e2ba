/** How a config is told to clients: its value, where that comes from, and what else would have given one. */
import {
  brokerConfigRow,
  type ConfigRow,
  type Configs,
  configType,
  topicConfig,
  topicConfigs,
} from './topic-settings.ts'

/** As DescribeConfigs numbers where a value comes from. */
export const configSource = {
  topic: 1,
  dynamicDefaultBroker: 3,
  staticBroker: 4,
  default: 5,
} as const

export interface Synonym {
  readonly name: string
  readonly value: string
  readonly source: number
}

export interface DescribedConfig {
  readonly name: string
  readonly value: string
  readonly readOnly: boolean
  readonly isDefault: boolean
  readonly configSource: number
  readonly isSensitive: boolean
  readonly configType: number
  readonly synonyms: readonly Synonym[]
}

export function describeTopicConfig(name: string, own: Configs, brokers: Configs): DescribedConfig {
  const row = topicConfigs[name] as ConfigRow
  const synonyms: Synonym[] = []
  const ownValue = own[name]
  if (ownValue !== undefined) synonyms.push({ name, value: ownValue, source: configSource.topic })
  if (row.broker !== undefined) synonyms.push(...brokerSynonyms(row.broker, row, brokers))
  return described({ name, value: topicConfig(name, own, brokers), synonyms }, row)
}

export function describeBrokerConfig(name: string, brokers: Configs): DescribedConfig {
  const row = brokerConfigRow(name) as ConfigRow
  const synonyms = brokerSynonyms(name, row, brokers)
  return described({ name, value: brokers[name] ?? row.default, synonyms }, row)
}

function brokerSynonyms(name: string, row: ConfigRow, brokers: Configs): Synonym[] {
  const given = brokers[name]
  const implied = { name, value: row.default, source: configSource.default }
  return given === undefined
    ? [implied]
    : [{ name, value: given, source: configSource.staticBroker }, implied]
}

interface Value {
  readonly name: string
  readonly value: string
  readonly synonyms: readonly Synonym[]
}

function described({ name, value, synonyms }: Value, row: ConfigRow): DescribedConfig {
  const source = synonyms[0]?.source ?? configSource.default
  return {
    name,
    value,
    readOnly: false,
    isDefault: source === configSource.default,
    configSource: source,
    isSensitive: false,
    configType: configType[row.type],
    synonyms,
  }
}

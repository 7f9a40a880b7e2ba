/**
 * Configs by Kafka's names: which there are, what a topic takes from its brokers, and what the broker itself reads
 * of them. A config that is stored and shown without any effect here says so in its row.
 */

/** As DescribeConfigs names them. */
export const configType = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
} as const

export interface ConfigRow {
  readonly type: keyof typeof configType
  readonly default: string
  /** The broker config that gives the default, where there is one. */
  readonly broker?: string
  readonly valid?: (value: string) => boolean
}

const number =
  (least: number, most = Number.MAX_SAFE_INTEGER) =>
  (value: string) =>
    /^[+-]?\d{1,19}$/.test(value) && Number(value) >= least && Number(value) <= most
const oneOf =
  (...choices: string[]) =>
  (value: string) =>
    choices.includes(value)
const LONG_MAX = '9223372036854775807'
const long = (least: number) => number(least, Number(LONG_MAX))
const boolean = oneOf('true', 'false')
const policies = (value: string) =>
  value.split(',').every((policy) => oneOf('delete', 'compact')(policy.trim()))

/**
 * Segment rolling and recompression do not happen here, and compaction only to `__consumer_offsets`: `compression.type`
 * and the like are only kept.
 */
export const topicConfigs: { readonly [name: string]: ConfigRow } = {
  'cleanup.policy': { type: 'list', default: 'delete', broker: 'log.cleanup.policy', valid: policies },
  'compression.type': {
    type: 'string',
    default: 'producer',
    broker: 'compression.type',
    valid: oneOf('producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'),
  },
  'delete.retention.ms': {
    type: 'long',
    default: '86400000',
    broker: 'log.cleaner.delete.retention.ms',
    valid: long(0),
  },
  'file.delete.delay.ms': {
    type: 'long',
    default: '60000',
    broker: 'log.segment.delete.delay.ms',
    valid: long(0),
  },
  'flush.messages': {
    type: 'long',
    default: LONG_MAX,
    broker: 'log.flush.interval.messages',
    valid: long(1),
  },
  'flush.ms': { type: 'long', default: LONG_MAX, broker: 'log.flush.interval.ms', valid: long(0) },
  'index.interval.bytes': {
    type: 'int',
    default: '4096',
    broker: 'log.index.interval.bytes',
    valid: number(0, 0x7fff_ffff),
  },
  'max.compaction.lag.ms': {
    type: 'long',
    default: LONG_MAX,
    broker: 'log.cleaner.max.compaction.lag.ms',
    valid: long(1),
  },
  'max.message.bytes': {
    type: 'int',
    default: '1048588',
    broker: 'message.max.bytes',
    valid: number(0, 0x7fff_ffff),
  },
  'message.timestamp.after.max.ms': {
    type: 'long',
    default: '3600000',
    broker: 'log.message.timestamp.after.max.ms',
    valid: long(0),
  },
  'message.timestamp.before.max.ms': {
    type: 'long',
    default: LONG_MAX,
    broker: 'log.message.timestamp.before.max.ms',
    valid: long(0),
  },
  'message.timestamp.type': {
    type: 'string',
    default: 'CreateTime',
    broker: 'log.message.timestamp.type',
    valid: oneOf('CreateTime', 'LogAppendTime'),
  },
  'min.cleanable.dirty.ratio': {
    type: 'double',
    default: '0.5',
    broker: 'log.cleaner.min.cleanable.ratio',
    valid: (value) => value.trim() !== '' && Number(value) >= 0 && Number(value) <= 1,
  },
  'min.compaction.lag.ms': {
    type: 'long',
    default: '0',
    broker: 'log.cleaner.min.compaction.lag.ms',
    valid: long(0),
  },
  'min.insync.replicas': {
    type: 'int',
    default: '1',
    broker: 'min.insync.replicas',
    valid: number(1, 0x7fff_ffff),
  },
  preallocate: { type: 'boolean', default: 'false', broker: 'log.preallocate', valid: boolean },
  'retention.bytes': { type: 'long', default: '-1', broker: 'log.retention.bytes', valid: long(-1) },
  'retention.ms': { type: 'long', default: '604800000', broker: 'log.retention.ms', valid: long(-1) },
  'segment.bytes': {
    type: 'int',
    default: '1073741824',
    broker: 'log.segment.bytes',
    valid: number(14, 0x7fff_ffff),
  },
  'segment.index.bytes': {
    type: 'int',
    default: '10485760',
    broker: 'log.index.size.max.bytes',
    valid: number(4, 0x7fff_ffff),
  },
  'segment.jitter.ms': { type: 'long', default: '0', broker: 'log.roll.jitter.ms', valid: long(0) },
  'segment.ms': { type: 'long', default: '604800000', broker: 'log.roll.ms', valid: long(1) },
  'unclean.leader.election.enable': {
    type: 'boolean',
    default: 'false',
    broker: 'unclean.leader.election.enable',
    valid: boolean,
  },
}

/** Configs of the brokers themselves, apart from the defaults of topics; those that can be altered while running. */
export const brokerConfigs: { readonly [name: string]: ConfigRow } = {
  'auto.create.topics.enable': { type: 'boolean', default: 'true', valid: boolean },
  'broker.session.timeout.ms': { type: 'int', default: '0', valid: number(0, 0x7fff_ffff) },
  'connections.max.reauth.ms': { type: 'long', default: '0', valid: long(0) },
  'default.replication.factor': { type: 'int', default: '1', valid: number(1, 0x7fff) },
  'delete.topic.enable': { type: 'boolean', default: 'true', valid: boolean },
  'fetch.max.bytes': { type: 'int', default: '57671680', valid: number(1024, 0x7fff_ffff) },
  'group.consumer.heartbeat.interval.ms': { type: 'int', default: '5000', valid: number(1, 0x7fff_ffff) },
  'group.consumer.session.timeout.ms': { type: 'int', default: '45000', valid: number(1, 0x7fff_ffff) },
  'group.initial.rebalance.delay.ms': { type: 'int', default: '0', valid: number(0, 0x7fff_ffff) },
  'group.max.session.timeout.ms': { type: 'int', default: '1800000', valid: number(0, 0x7fff_ffff) },
  'group.max.size': { type: 'int', default: '2147483647', valid: number(1, 0x7fff_ffff) },
  'group.min.session.timeout.ms': { type: 'int', default: '6000', valid: number(0, 0x7fff_ffff) },
  'log.retention.check.interval.ms': { type: 'long', default: '300000', valid: long(1) },
  'max.incremental.fetch.session.cache.slots': {
    type: 'int',
    default: '1000',
    valid: number(0, 0x7fff_ffff),
  },
  'num.partitions': { type: 'int', default: '1', valid: number(1, 0x7fff_ffff) },
  'offset.metadata.max.bytes': { type: 'int', default: '4096', valid: number(0, 0x7fff_ffff) },
  'offsets.commit.timeout.ms': { type: 'int', default: '5000', valid: number(1, 0x7fff_ffff) },
  'offsets.retention.check.interval.ms': { type: 'long', default: '600000', valid: long(1) },
  'offsets.retention.minutes': { type: 'int', default: '10080', valid: number(1, 0x7fff_ffff) },
  'offsets.topic.num.partitions': { type: 'int', default: '50', valid: number(1, 0x7fff_ffff) },
  'offsets.topic.replication.factor': { type: 'short', default: '3', valid: number(1, 0x7fff) },
  'offsets.topic.segment.bytes': { type: 'int', default: '104857600', valid: number(1, 0x7fff_ffff) },
  'producer.id.expiration.check.interval.ms': {
    type: 'int',
    default: '600000',
    valid: number(1, 0x7fff_ffff),
  },
  'producer.id.expiration.ms': { type: 'int', default: '86400000', valid: number(1, 0x7fff_ffff) },
  'replica.fetch.max.bytes': { type: 'int', default: '1048576', valid: number(0, 0x7fff_ffff) },
  'replica.lag.time.max.ms': { type: 'long', default: '30000', valid: long(0) },
  'replica.selector.class': { type: 'string', default: '' },
  'socket.request.max.bytes': { type: 'int', default: '104857600', valid: number(1, 0x7fff_ffff) },
  'transaction.max.timeout.ms': { type: 'int', default: '900000', valid: number(1, 0x7fff_ffff) },
}

/** Every broker config, the defaults of topics included. */
export const brokerConfigNames: readonly string[] = [
  ...Object.keys(brokerConfigs),
  ...Object.values(topicConfigs).flatMap(({ broker }) => broker ?? []),
]

export type Configs = { readonly [name: string]: string }

/** A topic's configs as the broker reads them. */
export interface TopicSettings {
  readonly isCompacted: boolean
  readonly isDeleted: boolean
  readonly cleanableRatio: number
  readonly deleteRetentionMs: number
  readonly maxMessageBytes: number
  readonly minInsyncReplicas: number
  readonly retentionBytes: number
  readonly retentionMs: number
  readonly segmentBytes: number
  readonly stampsAppendTime: boolean
  readonly timestampAfterMaxMs: number
  readonly timestampBeforeMaxMs: number
  readonly uncleanElection: boolean
}

/** The value of a topic config: the topic's own, the brokers', Kafka's default. */
export function topicConfig(name: string, own: Configs, brokers: Configs): string {
  const row = topicConfigs[name] as ConfigRow
  return own[name] ?? (row.broker === undefined ? undefined : brokers[row.broker]) ?? row.default
}

export function topicSettings(own: Configs, brokers: Configs): TopicSettings {
  const text = (name: string) => topicConfig(name, own, brokers)
  const value = (name: string) => Number(text(name))
  const cleanup = text('cleanup.policy').split(',')
  const policies = cleanup.map((policy) => policy.trim())
  return {
    isCompacted: policies.includes('compact'),
    isDeleted: policies.includes('delete'),
    cleanableRatio: value('min.cleanable.dirty.ratio'),
    deleteRetentionMs: value('delete.retention.ms'),
    maxMessageBytes: value('max.message.bytes'),
    minInsyncReplicas: value('min.insync.replicas'),
    retentionBytes: value('retention.bytes'),
    retentionMs: value('retention.ms'),
    segmentBytes: value('segment.bytes'),
    stampsAppendTime: text('message.timestamp.type') === 'LogAppendTime',
    timestampAfterMaxMs: value('message.timestamp.after.max.ms'),
    timestampBeforeMaxMs: value('message.timestamp.before.max.ms'),
    uncleanElection: text('unclean.leader.election.enable') === 'true',
  }
}

/** Why a topic config is not taken; undefined when it is. */
export function refusedTopicConfig(name: string, value: string): string | undefined {
  const row = Object.hasOwn(topicConfigs, name) ? topicConfigs[name] : undefined
  if (row === undefined) return `Unknown topic config name: ${name}`
  return row.valid?.(value) === false ? `Invalid value ${value} for configuration ${name}` : undefined
}

/** A broker config, and the defaults of topics among them. */
export function brokerConfigRow(name: string): ConfigRow | undefined {
  if (Object.hasOwn(brokerConfigs, name)) return brokerConfigs[name]
  return Object.values(topicConfigs).find((row) => row.broker === name)
}

export function refusedBrokerConfig(name: string, value: string): string | undefined {
  const row = brokerConfigRow(name)
  if (row === undefined) return `Unknown broker config name: ${name}`
  return row.valid?.(value) === false ? `Invalid value ${value} for configuration ${name}` : undefined
}

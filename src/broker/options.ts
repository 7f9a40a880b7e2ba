/** What `startCluster` takes. */
import { type Clock, systemClock } from '../util/clock.ts'
import { type Logger, silentLogger } from '../util/logger.ts'
import { type Check, is, type Option, resolveOptions } from '../util/options.ts'
import { type Random, systemRandom } from '../util/random.ts'
import type { SaslMechanism } from './sasl/sasl-server.ts'
import { type Configs, refusedBrokerConfig } from './topic-settings.ts'

/** A topic to begin with: a number of partitions, or more. */
export type TopicOption =
  | number
  | {
      readonly partitions?: number
      readonly replicas?: number
      /** Topic configs by Kafka's names. */
      readonly configs?: Readonly<Record<string, string | number | boolean>>
    }

/** How the nodes of an embedded cluster are made. */
export interface StartClusterOptions {
  /** How many nodes; their ids are 1, 2, …. Default 1. */
  readonly brokers?: number
  /** Topics to begin with. */
  readonly topics?: Readonly<Record<string, TopicOption>>
  /** Real sockets, or streams inside the process, reached with `cluster.dial`. Default `tcp`. */
  readonly transport?: 'tcp' | 'memory'
  /**
   * Where the first node listens; the others take the next ports. Port 0: any free ones. Default 127.0.0.1, port 0.
   * Clients are told `advertisedHost`, by default the host, or localhost where that stands for every interface.
   */
  readonly listen?: { readonly host?: string; readonly port?: number; readonly advertisedHost?: string }
  /** Whether topics come into being when they are asked for. Default true. */
  readonly autoCreateTopics?: boolean
  /** Partitions of topics for which nothing else is said. Default 1. */
  readonly defaultPartitions?: number
  /** Replicas of topics for which nothing else is said. Default: as many as there are nodes, at most 3. */
  readonly defaultReplicas?: number
  /** Broker configs by Kafka's names. */
  readonly configs?: Readonly<Record<string, string | number | boolean>>
  /**
   * Bytes that the logs of all nodes may hold together; a batch that several replicas hold counts once. Beyond it the
   * oldest committed batches go, as if their retention had ended. Default 256 MiB.
   */
  readonly logBytes?: number
  /** Racks of the nodes, in the order of their ids. */
  readonly racks?: readonly string[]
  /** Asks every client to authenticate. */
  readonly sasl?: {
    readonly users: Readonly<Record<string, string>>
    readonly mechanisms?: readonly SaslMechanism[]
  }
  /** Speaks TLS: options as of `tls.createServer`. */
  readonly tls?: TlsOption
  readonly clock?: Clock
  readonly random?: Random
  readonly logger?: Logger
  /**
   * The highest versions that are offered, by Kafka's names of the APIs, as an older broker would; null leaves an API
   * out: `{ Produce: 9, DescribeProducers: null }`. Default: all there are.
   */
  readonly maxVersions?: Readonly<Record<string, number | null>>
  /** Whose rules count where versions of Kafka differ. Default `4.1`. */
  readonly kafkaVersion?: string
}

export interface TlsOption {
  readonly key: string | Buffer
  readonly cert: string | Buffer
  /** Authorities of client certificates. */
  readonly ca?: string | Buffer | readonly (string | Buffer)[]
  /** Asks clients for a certificate, and refuses those without a valid one. Default false. */
  readonly requestCert?: boolean
}

const required = <T>(check: Check<T>, implied: T): Option<T> => ({ check, default: implied })

const configs: Check<Configs> = (value, fail) => {
  const given = is.object<Record<string, unknown>>()(value, fail)
  const texts: { [name: string]: string } = {}
  for (const [name, one] of Object.entries(given)) {
    const text = String(one)
    const why = refusedBrokerConfig(name, text)
    if (why !== undefined) return fail(`Kafka's broker configs: ${why}`)
    texts[name] = text
  }
  return texts
}

const optionTable = {
  brokers: required(is.integer(1, 100), 1),
  topics: required(is.object<Readonly<Record<string, TopicOption>>>(), {}),
  transport: required(is.oneOf('tcp', 'memory'), 'tcp'),
  listen: required(is.object<NonNullable<StartClusterOptions['listen']>>(), {}),
  autoCreateTopics: required(is.boolean, true),
  defaultPartitions: required(is.optional(is.integer(1, 10_000)), undefined),
  defaultReplicas: required(is.optional(is.integer(1, 100)), undefined),
  configs: required(configs, {}),
  logBytes: required(is.integer(1 << 20, Number.MAX_SAFE_INTEGER), 256 << 20),
  racks: required(is.optional(is.object<readonly string[]>()), undefined),
  sasl: required(is.optional(is.object<NonNullable<StartClusterOptions['sasl']>>()), undefined),
  tls: required(is.optional(is.object<TlsOption>()), undefined),
  clock: required(is.object<Clock>(), systemClock),
  random: required(is.object<Random>(), systemRandom),
  logger: required(is.object<Logger>(), silentLogger),
  maxVersions: required(is.object<Readonly<Record<string, number | null>>>(), {}),
  kafkaVersion: required(
    ((value, fail) =>
      /^\d+\.\d+/.test(String(value)) ? String(value) : fail('a version such as 4.1')) as Check<string>,
    '4.1',
  ),
}

export const resolveStartOptions = (given: StartClusterOptions | undefined) =>
  resolveOptions('startCluster', optionTable, given)

export type ResolvedStartOptions = ReturnType<typeof resolveStartOptions>

/** The broker configs of a cluster: what was given by Kafka's names goes before what the options say. */
export function clusterConfigs(options: ResolvedStartOptions): Configs {
  const replicas = options.defaultReplicas ?? Math.min(3, options.brokers)
  return {
    'auto.create.topics.enable': String(options.autoCreateTopics),
    'default.replication.factor': String(replicas),
    // Kafka has 50 partitions, and segments of 100 MiB: a process of its own on one machine needs less.
    'offsets.topic.num.partitions': '8',
    'offsets.topic.segment.bytes': '1048576',
    ...(options.defaultPartitions === undefined
      ? {}
      : { 'num.partitions': String(options.defaultPartitions) }),
    ...options.configs,
  }
}

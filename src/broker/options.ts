/** What `startCluster` takes. */
import { type Clock, injectedClock, systemClock } from '../util/clock.ts'
import { type Logger, silentLogger } from '../util/logger.ts'
import { type Check, is, type Option, type Resolved, resolveOptions, wrongOption } from '../util/options.ts'
import { certificate, certificates, type Pem, privateKey } from '../util/pem.ts'
import { injectedRandom, type Random, systemRandom } from '../util/random.ts'
import { type SaslMechanism, saslMechanisms } from './sasl/sasl-server.ts'
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
   * Clients are told `advertisedHost`, by default the host, or localhost where that stands for every interface. Not with
   * `transport: 'memory'`, where nothing listens.
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
  /** Racks of the nodes, in the order of their ids: one for each. */
  readonly racks?: readonly string[]
  /** Asks every client to authenticate. */
  readonly sasl?: {
    readonly users: Readonly<Record<string, string>>
    readonly mechanisms?: readonly SaslMechanism[]
  }
  /** Speaks TLS: options as of `tls.createServer`, of which these are taken. */
  readonly tls?: TlsOption
  /** Such as `VirtualClock`. Default the machine's. */
  readonly clock?: Clock
  /** Such as `seededRandom`. Default the machine's. */
  readonly random?: Random
  /** Default silent. */
  readonly logger?: Logger
  /**
   * The highest versions that are offered, by Kafka's names of the APIs, as an older broker would; null leaves an API
   * out: `{ Produce: 9, DescribeProducers: null }`. Default: all there are.
   */
  readonly maxVersions?: Readonly<Record<string, number | null>>
  /** Whose rules count where versions of Kafka differ: `3.9`. Default `4.1`. */
  readonly kafkaVersion?: string
}

export interface TlsOption {
  /** PEM, as all of these. */
  readonly key: Pem
  readonly cert: Pem
  /** Authorities of client certificates. */
  readonly ca?: Pem | readonly Pem[]
  /** Asks clients for a certificate, and refuses those without a valid one. Default false. */
  readonly requestCert?: boolean
}

const required = <T>(check: Check<T>, implied: T): Option<T> => ({ check, default: implied })

const optional = <T>(check: Check<T>): Option<T | undefined> => required(is.optional(check), undefined)

const configs: Check<Configs> = (value, fail) => {
  const given = is.object<Record<string, unknown>>()(value, fail)
  const texts: { [name: string]: string } = {}
  for (const [name, one] of Object.entries(given)) {
    const text = String(one)
    const why = refusedBrokerConfig(name, text)
    if (why !== undefined) return fail(`as Kafka has it: ${why}`, one, `.${name}`)
    texts[name] = text
  }
  return texts
}

/** Which counts and configs are possible is for Kafka's rules, when the topic is made. */
const count: Check<number> = (value, fail) =>
  Number.isSafeInteger(value) ? (value as number) : fail('a whole number')

const topicTable = {
  partitions: optional(count),
  replicas: optional(count),
  configs: required(is.object<Readonly<Record<string, string | number | boolean>>>(), {}),
}

export type ResolvedTopic = Resolved<typeof topicTable>

const topics: Check<Readonly<Record<string, ResolvedTopic>>> = (value, fail) => {
  const example = "{ orders: 4 } or { orders: { partitions: 4, configs: { 'retention.ms': 60000 } } }"
  const given = is.object<Record<string, unknown>>()(value, () => fail(`topics by name, such as ${example}`))
  const resolve = ([name, topic]: [string, unknown]): [string, ResolvedTopic] => {
    const fields = typeof topic === 'number' ? { partitions: topic } : topic
    is.object()(fields, () => {
      const expected = 'a number of partitions, or { partitions, replicas, configs }'
      throw wrongOption({ owner: 'startCluster.topics', name }, expected, topic)
    })
    return [name, resolveOptions(`startCluster.topics.${name}`, topicTable, fields)]
  }
  return Object.fromEntries(Object.entries(given).map(resolve))
}

const listenTable = {
  host: optional(is.string),
  port: required(is.integer(0, 65_535), 0),
  advertisedHost: optional(is.string),
}

const resolveListen = (value: unknown) => resolveOptions('startCluster.listen', listenTable, value)

/** The names say `sasl`, so that no message shows what stands where a password belongs. */
const users: Check<Readonly<Record<string, string>>> = (value, fail) => {
  const expected = "passwords by user name, such as { shop: 'secret' }"
  if (value === undefined) return fail(expected)
  const refuse = (name: string, right: string, wrong: unknown): never => {
    throw wrongOption({ owner: 'startCluster', name }, right, wrong)
  }
  const given = is.object<Record<string, string>>()(value, () => refuse('sasl.users', expected, value))
  for (const [user, password] of Object.entries(given)) {
    is.string(password, (right) => refuse(`sasl.users.${user}`, right, password))
  }
  return given
}

const saslTable = {
  users: { check: users },
  mechanisms: required(is.list(is.oneOf(...saslMechanisms), 'mechanisms'), saslMechanisms),
}

const tlsTable = {
  key: { check: privateKey },
  cert: { check: certificate },
  ca: optional(certificates),
  requestCert: required(is.boolean, false),
}

export type ResolvedTls = Resolved<typeof tlsTable>

const optionTable = {
  brokers: required(is.integer(1, 100), 1),
  topics: required(topics, {}),
  transport: required(is.oneOf('tcp', 'memory'), 'tcp'),
  listen: { ...required(resolveListen, resolveListen({})), otherNames: ['port', 'host', 'advertisedHost'] },
  autoCreateTopics: required(is.boolean, true),
  defaultPartitions: optional(is.integer(1, 10_000)),
  defaultReplicas: optional(is.integer(1, 100)),
  configs: required(configs, {}),
  logBytes: required(is.integer(1 << 20, Number.MAX_SAFE_INTEGER), 256 << 20),
  racks: optional(is.list(is.string, 'names')),
  sasl: optional((value) => resolveOptions('startCluster.sasl', saslTable, value)),
  tls: optional((value) => resolveOptions('startCluster.tls', tlsTable, value)),
  clock: required(injectedClock, systemClock),
  random: required(injectedRandom, systemRandom),
  logger: required(is.having<Logger>('debug', 'info', 'warn', 'error'), silentLogger),
  maxVersions: required(is.object<Readonly<Record<string, number | null>>>(), {}),
  kafkaVersion: required(
    ((value, fail) =>
      /^\d+\.\d+/.test(String(value)) ? String(value) : fail('a version such as 4.1')) as Check<string>,
    '4.1',
  ),
}

export function resolveStartOptions(given: StartClusterOptions | undefined) {
  const options = resolveOptions('startCluster', optionTable, given)
  const { brokers, racks, transport } = options
  if (transport === 'memory' && given?.listen !== undefined) {
    const expected = "left out beside transport 'memory', where nothing listens"
    throw wrongOption({ owner: 'startCluster', name: 'listen' }, expected, given.listen)
  }
  if (racks !== undefined && racks.length !== brokers) {
    const expected = `as many names as there are brokers (${brokers})`
    throw wrongOption({ owner: 'startCluster', name: 'racks' }, expected, racks.length)
  }
  return options
}

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

/** The options of `new Kafka({ … })`, and what the client makes of them. */
import { type Clock, injectedClock, systemClock } from '../util/clock.ts'
import { type Logger, silentLogger } from '../util/logger.ts'
import { type Check, is, resolveOptions, wrongOption } from '../util/options.ts'
import { injectedRandom, type Random, systemRandom } from '../util/random.ts'
import type { ConnectionSettings } from './connection.ts'
import { type Address, type Dial, parseAddress, tcpDial } from './dial.ts'
import { resolveSasl, type SaslOptions } from './sasl/options.ts'
import { resolveTls, type TlsOptions } from './tls.ts'

export interface ClientOptions {
  /** Where to find the cluster: `host:port`, several in a list or separated by commas. All others are learned. */
  readonly brokers: string | readonly string[]
  /** The name under which brokers log and limit this client. Default `ottla`. */
  readonly clientId?: string
  /** True, or what to trust and to show. Default off. Certificates are verified unless `insecureSkipVerify` is said. */
  readonly tls?: boolean | TlsOptions
  /** Default none. */
  readonly sasl?: SaslOptions
  /** How byte streams to brokers are made: tunnels, address maps, tests. Default TCP. */
  readonly dial?: Dial
  /** How long a broker may take to answer a request. Default 30,000 ms. */
  readonly requestTimeoutMs?: number
  /** How long a connection may take until it is usable: dial, TLS and authentication. Default 10,000 ms. */
  readonly connectTimeoutMs?: number
  /** First delay before a failed connection or lookup is tried again; doubles each time. Default 100 ms. */
  readonly minBackoffMs?: number
  /** Longest such delay. Default 1,000 ms. */
  readonly maxBackoffMs?: number
  /** Least time between two refreshes of the metadata. Default 100 ms. */
  readonly metadataMinIntervalMs?: number
  /** Metadata older than this is refreshed while anything uses it. Default 300,000 ms (Java's metadata.max.age.ms). */
  readonly metadataMaxAgeMs?: number
  /**
   * Whether a topic that is wanted, such as one to send to, may be created by a broker that does that
   * (`auto.create.topics.enable`). Watching a topic, and consuming it, never creates it. Default true.
   */
  readonly allowAutoTopicCreation?: boolean
  /** The rack or zone that this client runs in; fetches prefer replicas there (KIP-392). Default none. */
  readonly rack?: string
  /** A larger response is refused and its connection closed. Default 134,217,728 (128 MiB). */
  readonly maxResponseBytes?: number
  /** Default silent. */
  readonly logger?: Logger
  /** For tests, such as `VirtualClock` of `ottla/broker`. Default the machine's. */
  readonly clock?: Clock
  /** For tests, such as `seededRandom` of `ottla/broker`. Default the machine's. */
  readonly random?: Random
}

/** The options, resolved: what every room of the client reads. Holds no secret that can be seen. */
export interface ClusterOptions extends ConnectionSettings {
  readonly clientId: string
  readonly brokers: readonly Address[]
  readonly minBackoffMs: number
  readonly maxBackoffMs: number
  readonly metadataMinIntervalMs: number
  readonly metadataMaxAgeMs: number
  readonly allowAutoTopicCreation: boolean
  readonly rack: string | undefined
}

const addresses: Check<readonly Address[]> = (value, fail) => {
  const texts = typeof value === 'string' ? value.split(',') : value
  if (!Array.isArray(texts) || texts.length === 0) return fail('host:port, or a list of them')
  const parsed = texts.map((text) => (typeof text === 'string' ? parseAddress(text) : undefined))
  const wrong = parsed.indexOf(undefined)
  if (wrong >= 0 && texts === value) return fail('host:port', texts[wrong], `[${wrong}]`)
  if (wrong >= 0) return fail('host:port, or a list of them', texts[wrong])
  return Object.freeze(parsed as Address[])
}

const logger: Check<Logger> = (value, fail) => {
  const given = value as Partial<Logger> | null
  const isLogger = loggerMethods.every((name) => typeof given?.[name] === 'function')
  return isLogger ? (value as Logger) : fail(`an object with the functions ${loggerMethods.join(', ')}`)
}
const loggerMethods = ['debug', 'info', 'warn', 'error'] as const

/** Checked where they are resolved: see tls.ts and sasl/options.ts. */
const later = <T>(): Check<T> => ((value: unknown) => value) as Check<T>

export const clientOptions = {
  brokers: { check: addresses, otherNames: ['bootstrap.servers', 'bootstrapServers', 'bootstrapBrokers'] },
  clientId: { check: is.string, default: 'ottla' },
  tls: { check: later<boolean | TlsOptions | undefined>(), default: undefined, otherNames: ['ssl'] },
  sasl: { check: later<SaslOptions | undefined>(), default: undefined },
  dial: { check: is.function<Dial>(), default: tcpDial },
  requestTimeoutMs: { check: is.milliseconds(1), default: 30_000 },
  connectTimeoutMs: { check: is.milliseconds(1), default: 10_000 },
  minBackoffMs: { check: is.milliseconds(), default: 100 },
  maxBackoffMs: { check: is.milliseconds(), default: 1_000 },
  metadataMinIntervalMs: { check: is.milliseconds(), default: 100 },
  metadataMaxAgeMs: { check: is.milliseconds(1), default: 300_000 },
  allowAutoTopicCreation: { check: is.boolean, default: true },
  rack: { check: is.optional(is.string), default: undefined },
  maxResponseBytes: { check: is.integer(1024, 0x7fff_ffff), default: 134_217_728 },
  logger: { check: logger, default: silentLogger },
  clock: { check: injectedClock, default: systemClock },
  random: { check: injectedRandom, default: systemRandom },
} as const

/** @throws INVALID_OPTION with the path of what is wrong. */
export function resolveClientOptions(given: ClientOptions): ClusterOptions {
  const options = resolveOptions('kafka', clientOptions, given)
  if (options.maxBackoffMs < options.minBackoffMs) {
    const expected = `minBackoffMs (${options.minBackoffMs}) at least`
    throw wrongOption({ owner: 'kafka', name: 'maxBackoffMs' }, expected, options.maxBackoffMs)
  }
  if (Buffer.byteLength(options.clientId) > 0x7fff) {
    throw wrongOption({ owner: 'kafka', name: 'clientId' }, '32767 bytes long at most', options.clientId)
  }
  return Object.freeze({
    ...options,
    tls: resolveTls(options.tls),
    sasl: resolveSasl(options.sasl, options.random),
  })
}

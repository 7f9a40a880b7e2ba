/**
 * The one place that joins the rooms: a Kafka holds the connection to a cluster, and makes what works over it.
 *
 * All that one Kafka makes shares its metadata and its connections; a consumer has connections of its own beside,
 * because a long poll holds up everything behind it. `stop` ends them in the reverse order of their making.
 */
import { readFileSync } from 'node:fs'
import { Admin } from './client/admin.ts'
import { Cluster } from './client/cluster.ts'
import { type ClientOptions, resolveClientOptions } from './client/options.ts'
import { Consumer, type ConsumerOptions } from './consumer/consumer.ts'
import { OttlaError } from './errors.ts'
import { Producer } from './producer/producer.ts'
import type { ProducerOptions } from './producer/producer-options.ts'
import { stopping } from './util/call-options.ts'
import { tokenFromFile } from './util/token-file.ts'

export type KafkaOptions = ClientOptions

interface Environment {
  readonly [name: string]: string | undefined
}

interface Stoppable {
  readonly state: string
  stop(options?: { readonly timeoutMs?: number }): Promise<unknown>
}

/**
 * A Kafka cluster, as seen from here. Nothing connects until something is used.
 *
 * ```ts
 * const kafka = new Kafka({ clientId: 'shop', brokers: ['127.0.0.1:9092'] })
 * ```
 */
export class Kafka {
  readonly #cluster: Cluster
  /** Those that are not over. */
  #made: Stoppable[] = []
  #stopping: Promise<void> | undefined

  /** @throws INVALID_OPTION */
  constructor(options: KafkaOptions) {
    this.#cluster = new Cluster(resolveClientOptions(options))
  }

  /**
   * A Kafka from environment variables: KAFKA_BROKERS (required), KAFKA_CLIENT_ID, KAFKA_RACK; KAFKA_TLS=true, KAFKA_TLS_CA,
   * KAFKA_TLS_CERT and KAFKA_TLS_KEY (PEM text, or the path of a file); KAFKA_SASL_MECHANISM (PLAIN unless said), KAFKA_USERNAME and
   * KAFKA_PASSWORD_FILE (or KAFKA_PASSWORD); for OAUTHBEARER KAFKA_SASL_TOKEN_FILE, which is read for each authentication (or
   * KAFKA_SASL_TOKEN). What `overrides` says goes before them.
   * @throws INVALID_OPTION
   */
  static fromEnv(overrides: Partial<KafkaOptions> = {}, environment: Environment = process.env): Kafka {
    const options = { ...optionsFromEnv(environment, overrides), ...overrides }
    if (options.brokers === undefined)
      throw wrongVariable('KAFKA_BROKERS', 'set: host:port, or several with commas')
    return new Kafka({ ...options, brokers: options.brokers })
  }

  /** A producer. Idempotent, waits for all replicas, and loses nothing that it accepted. */
  producer(options: ProducerOptions = {}): Producer {
    return this.#keep(new Producer(this.#cluster, options))
  }

  /** A member of a consumer group. */
  consumer(options: ConsumerOptions): Consumer {
    return this.#keep(new Consumer(this.#cluster, options))
  }

  /**
   * Topics, offsets, groups, configurations. It has no `stop` of its own; its connections are this Kafka's, and
   * keep the process alive until `kafka.stop()`.
   */
  admin(): Admin {
    return new Admin(this.#cluster)
  }

  /**
   * Stops everything that this Kafka made, consumers before producers, because handlers may still send; the newest
   * first among each. Then closes its connections. Idempotent.
   *
   * They end one after the other, and each drains for up to `timeoutMs` (default: its own, 30,000 for a producer). A
   * consumer that failed while it ran has told so through its `run`; here that is no error.
   *
   * @throws INVALID_OPTION when it is over: it stops whatever is wrong with the options
   */
  stop(options?: { readonly timeoutMs?: number }): Promise<void> {
    return stopping('kafka.stop', options, (timeoutMs) => {
      this.#stopping ??= this.#stop(timeoutMs === undefined ? {} : { timeoutMs })
      return this.#stopping
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(options: { readonly timeoutMs?: number }): Promise<void> {
    const failures: unknown[] = []
    const isConsumer = (each: Stoppable) => each instanceof Consumer
    const newestFirst = this.#made.toReversed()
    for (const each of newestFirst.sort((a, b) => Number(isConsumer(b)) - Number(isConsumer(a)))) {
      await each.stop(options).catch((error: unknown) => failures.push(error))
    }
    await this.#cluster.stop()
    if (failures.length === 1) throw failures[0]
    if (failures.length > 1) throw new AggregateError(failures, 'several parts could not be stopped cleanly')
  }

  #keep<T extends Stoppable>(made: T): T {
    if (this.#stopping !== undefined)
      throw new OttlaError('INVALID_STATE', 'this Kafka is stopped; make a new one')
    // A service that makes a consumer anew after each failure does not gather the old ones here.
    this.#made = this.#made.filter(({ state }) => state !== 'stopped' && state !== 'failed')
    this.#made.push(made)
    return made
  }
}

/** What is overridden is not looked at: it may be incomplete in the environment, or be about something else. */
function optionsFromEnv(environment: Environment, overrides: Partial<KafkaOptions>): Record<string, unknown> {
  const { KAFKA_BROKERS, KAFKA_CLIENT_ID, KAFKA_RACK } = environment
  return {
    ...(KAFKA_BROKERS ? { brokers: KAFKA_BROKERS } : {}),
    ...(KAFKA_CLIENT_ID ? { clientId: KAFKA_CLIENT_ID } : {}),
    ...(KAFKA_RACK ? { rack: KAFKA_RACK } : {}),
    ...tlsFromEnv(environment),
    ...(overrides.sasl === undefined ? saslFromEnv(environment) : {}),
  }
}

function tlsFromEnv(environment: Environment): Pick<KafkaOptions, 'tls'> {
  const { KAFKA_TLS, KAFKA_TLS_CA, KAFKA_TLS_CERT, KAFKA_TLS_KEY } = environment
  const ca = pem('KAFKA_TLS_CA', KAFKA_TLS_CA)
  const cert = pem('KAFKA_TLS_CERT', KAFKA_TLS_CERT)
  const key = pem('KAFKA_TLS_KEY', KAFKA_TLS_KEY)
  if (ca || cert || key) return { tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) } }
  if (KAFKA_TLS === undefined || KAFKA_TLS === '' || KAFKA_TLS === 'false') return {}
  if (KAFKA_TLS === 'true') return { tls: true }
  throw wrongVariable('KAFKA_TLS', 'true or false')
}

function saslFromEnv(environment: Environment): Pick<KafkaOptions, 'sasl'> {
  const { KAFKA_SASL_MECHANISM, KAFKA_USERNAME, KAFKA_PASSWORD, KAFKA_PASSWORD_FILE } = environment
  const mechanism = KAFKA_SASL_MECHANISM?.toUpperCase()
  if (mechanism === 'OAUTHBEARER') return { sasl: { mechanism, token: tokenFromEnv(environment) } }
  if (!KAFKA_USERNAME) {
    if (mechanism) throw wrongVariable('KAFKA_USERNAME', `set when KAFKA_SASL_MECHANISM is ${mechanism}`)
    if (KAFKA_PASSWORD || KAFKA_PASSWORD_FILE)
      throw wrongVariable('KAFKA_USERNAME', 'set when there is a password')
    return {}
  }
  const password = KAFKA_PASSWORD_FILE
    ? read('KAFKA_PASSWORD_FILE', KAFKA_PASSWORD_FILE).replace(/\r?\n$/, '')
    : KAFKA_PASSWORD
  if (!password) throw wrongVariable('KAFKA_PASSWORD', 'set when KAFKA_USERNAME is (or KAFKA_PASSWORD_FILE)')
  // Whether there is such a mechanism is checked with the other options.
  return { sasl: { mechanism: (mechanism || 'PLAIN') as 'PLAIN', username: KAFKA_USERNAME, password } }
}

function tokenFromEnv({
  KAFKA_SASL_TOKEN,
  KAFKA_SASL_TOKEN_FILE,
}: Environment): () => string | Promise<string> {
  if (KAFKA_SASL_TOKEN_FILE) return tokenFromFile(KAFKA_SASL_TOKEN_FILE)
  if (KAFKA_SASL_TOKEN) return () => KAFKA_SASL_TOKEN
  const expected = 'set when KAFKA_SASL_MECHANISM is OAUTHBEARER (or KAFKA_SASL_TOKEN)'
  throw wrongVariable('KAFKA_SASL_TOKEN_FILE', expected)
}

/** PEM as it stands in the variable, or in the file that it names. */
const pem = (name: string, value: string | undefined): string | undefined =>
  value === undefined || value === '' ? undefined : value.includes('-----BEGIN') ? value : read(name, value)

function read(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new OttlaError('INVALID_OPTION', `${name}: the file ${path} cannot be read`, { path: name, cause })
  }
}

const wrongVariable = (name: string, expected: string) =>
  new OttlaError('INVALID_OPTION', `the environment variable ${name} must be ${expected}`, { path: name })

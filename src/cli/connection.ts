/**
 * The flags and environment variables that say which Kafka, and how to be let in. Flags win; a variable that is empty
 * is as good as none.
 *
 * A password or a token never stands in the command line, where every user of the machine could read it.
 */
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { InvalidArgumentError } from 'commander'
import { Kafka, type KafkaOptions, type Logger, OttlaError } from '../index.ts'
import { tokenFromFile } from '../util/token-file.ts'
import { command, integer, list, option, present } from './command.ts'
import { failureOf, UsageError } from './failure.ts'

const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const
type Mechanism = (typeof mechanisms)[number]

/** What every command that talks to a Kafka knows. */
export interface ConnectionFlags {
  readonly brokers?: string[] | undefined
  readonly clientId: string
  readonly tls?: true | undefined
  readonly tlsCa?: string | undefined
  readonly tlsCert?: string | undefined
  readonly tlsKey?: string | undefined
  readonly tlsServerName?: string | undefined
  readonly tlsInsecureSkipVerify?: true | undefined
  readonly saslMechanism?: Mechanism | undefined
  readonly username?: string | undefined
  readonly passwordFile?: string | undefined
  readonly saslTokenFile?: string | undefined
  readonly timeoutMs: number
  /** Of `produce` alone. */
  readonly autoCreate?: true | undefined
  readonly json?: true | undefined
}

const connectionOption = <const Flags extends string>(flags: Flags, description: string) =>
  option(flags, description).helpGroup('Connection:')

/** A command with the connection's flags, to which it adds its own. */
export const connected = (name: string) =>
  command(name)
    .addOption(
      connectionOption('-b, --brokers <host:port,…>', 'where to begin; the others are learned from there')
        .argParser(list)
        .env('KAFKA_BROKERS'),
    )
    .addOption(
      connectionOption('--client-id <name>', 'shown in the logs and quotas of the brokers')
        .env('KAFKA_CLIENT_ID')
        .default('ottla-cli'),
    )
    .addOption(connectionOption('--tls', 'encrypt, and verify the certificate (env: KAFKA_TLS=true)'))
    .addOption(connectionOption('--tls-ca <file>', 'whom to trust, PEM; turns TLS on').env('KAFKA_TLS_CA'))
    .addOption(connectionOption('--tls-cert <file>', 'own certificate, PEM').env('KAFKA_TLS_CERT'))
    .addOption(connectionOption('--tls-key <file>', 'its key, PEM').env('KAFKA_TLS_KEY'))
    .addOption(connectionOption('--tls-server-name <name>', 'the name to find in the certificate'))
    .addOption(
      connectionOption('--tls-insecure-skip-verify', 'take any certificate from anybody: for experiments'),
    )
    .addOption(
      connectionOption('--sasl-mechanism <name>', `${mechanisms.join(', ')}; PLAIN unless said otherwise`)
        .argParser(mechanism)
        .env('KAFKA_SASL_MECHANISM'),
    )
    .addOption(connectionOption('--username <name>', 'who asks, for SASL').env('KAFKA_USERNAME'))
    .addOption(
      connectionOption(
        '--password-file <file>',
        'holds the password; else it is taken from KAFKA_PASSWORD',
      ).env('KAFKA_PASSWORD_FILE'),
    )
    .addOption(
      connectionOption(
        '--sasl-token-file <file>',
        'holds the token of OAUTHBEARER, read anew whenever one is needed; else it is taken from KAFKA_SASL_TOKEN',
      ).env('KAFKA_SASL_TOKEN_FILE'),
    )
    .addOption(
      connectionOption('--timeout-ms <n>', 'how long a broker may take to answer, or to be found')
        .argParser(integer(1, 600_000))
        .default(15_000),
    )

function mechanism(text: string): Mechanism | undefined {
  const found = mechanisms.find((name) => name === text.toUpperCase())
  if (found === undefined && text !== '') {
    throw new InvalidArgumentError(`It must be one of ${mechanisms.join(', ')}.`)
  }
  return found
}

/** The options of the client that the flags and the environment mean. */
export function kafkaOptions(flags: ConnectionFlags, env: NodeJS.ProcessEnv = process.env): KafkaOptions {
  const { clientId, brokers = [], timeoutMs: requestTimeoutMs } = flags
  if (brokers.length === 0) {
    throw new UsageError('No brokers are named: give --brokers host:port, or set KAFKA_BROKERS.')
  }
  const optional = {
    tls: tlsOptions(flags, env),
    sasl: saslOptions(flags, env),
    allowAutoTopicCreation: flags.autoCreate,
  }
  return { clientId, brokers, requestTimeoutMs, ...present(optional) }
}

function tlsOptions(flags: ConnectionFlags, env: NodeJS.ProcessEnv): KafkaOptions['tls'] {
  const { tlsCa, tlsCert, tlsKey, tlsServerName, tlsInsecureSkipVerify } = flags
  if (!tlsCert !== !tlsKey) {
    throw new UsageError('--tls-cert and --tls-key belong together: give both or none.')
  }
  const options = present({
    ca: pem('--tls-ca', tlsCa, 'CERTIFICATE'),
    cert: pem('--tls-cert', tlsCert, 'CERTIFICATE'),
    key: pem('--tls-key', tlsKey, 'PRIVATE KEY'),
    serverName: tlsServerName,
    insecureSkipVerify: tlsInsecureSkipVerify,
  })
  if (Object.keys(options).length > 0) return options
  return flags.tls === true || env['KAFKA_TLS'] === 'true' ? true : undefined
}

function saslOptions(flags: ConnectionFlags, env: NodeJS.ProcessEnv): KafkaOptions['sasl'] {
  const { username, passwordFile, saslMechanism } = flags
  if (saslMechanism === 'OAUTHBEARER') return { mechanism: saslMechanism, token: tokenSource(flags, env) }
  if (!username) {
    if (saslMechanism === undefined) {
      if (!passwordFile && !env['KAFKA_PASSWORD']) return undefined
      throw new UsageError('There is a password and no user name: give --username, or set KAFKA_USERNAME.')
    }
    throw new UsageError(`${saslMechanism} needs a user name: give --username, or set KAFKA_USERNAME.`)
  }
  const password = passwordFile
    ? fileOf('--password-file', passwordFile)
        .toString()
        .replace(/\r?\n$/, '')
    : env['KAFKA_PASSWORD']
  if (!password) {
    throw new UsageError(
      `There is no password for ${username}: set KAFKA_PASSWORD, or name a file with --password-file.`,
    )
  }
  return { mechanism: saslMechanism ?? 'PLAIN', username, password }
}

function tokenSource(
  { saslTokenFile }: ConnectionFlags,
  env: NodeJS.ProcessEnv,
): () => string | Promise<string> {
  if (saslTokenFile) {
    // A person who waits is told now; what becomes of the file later is the provider's to find out.
    checkReadable('--sasl-token-file', saslTokenFile)
    return tokenFromFile(saslTokenFile)
  }
  const token = env['KAFKA_SASL_TOKEN']
  if (token) return () => token
  throw new UsageError(
    'OAUTHBEARER needs a token: name a file that holds it with --sasl-token-file, or set KAFKA_SASL_TOKEN.',
  )
}

/** The file's bytes; a variable may hold the PEM text itself, as it does where there are no files to mount. */
function pem(
  flag: string,
  value: string | undefined,
  wanted: 'CERTIFICATE' | 'PRIVATE KEY',
): string | Buffer | undefined {
  if (!value) return undefined
  const isText = value.includes('-----BEGIN')
  const found = isText ? value : fileOf(flag, value)
  if (found.includes(`${wanted}-----`)) return found
  const place = isText ? 'the text that it is given' : value
  throw new UsageError(`${flag}: there is no ${wanted.toLowerCase()} in ${place}; PEM is wanted.`)
}

function checkReadable(flag: string, path: string): void {
  try {
    const found = statSync(path)
    // A pipe would be empty once it is read.
    if (found.isFIFO() || found.isCharacterDevice()) accessSync(path, constants.R_OK)
    else readFileSync(path)
  } catch (error) {
    throw unreadable(flag, path, error)
  }
}

const unreadable = (flag: string, path: string, cause: unknown) =>
  new UsageError(`${flag}: ${path} cannot be read (${(cause as NodeJS.ErrnoException).code}).`, { cause })

function fileOf(flag: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw unreadable(flag, path, error)
  }
}

const unsaid = () => undefined
const CONNECTING = new Set(['CONNECTION_FAILED', 'CONNECTION_CLOSED'])

/** Tells once that there is no connection, and why, while the command waits for one; its end tells the rest. */
function connectionLogger(): Logger {
  let isTold = false
  const warn = (fields: object, message: string) => {
    const { err } = fields as { readonly err?: unknown }
    if (isTold || !(err instanceof OttlaError) || !CONNECTING.has(err.code)) return
    isTold = true
    process.stderr.write(`ottla: ${message}: ${failureOf(err).message}\n`)
  }
  return { debug: unsaid, info: unsaid, warn, error: unsaid }
}

/** Opens a client, does the work, and closes the client whatever happens. */
export async function withKafka<T>(flags: ConnectionFlags, work: (kafka: Kafka) => Promise<T>): Promise<T> {
  const kafka = new Kafka({
    ...kafkaOptions(flags),
    // With --json stderr holds errors and nothing else.
    ...(flags.json ? {} : { logger: connectionLogger() }),
  })
  try {
    return await work(kafka)
  } finally {
    await kafka.stop()
  }
}

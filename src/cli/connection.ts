/**
 * The flags and environment variables that say which Kafka, and how to be let in. Flags win.
 *
 * A password never stands in the command line, where every user of the machine could read it.
 */
import { readFileSync } from 'node:fs'
import { Kafka, type KafkaOptions } from '../index.ts'
import { command, integer, list, option } from './command.ts'
import { UsageError } from './failure.ts'

const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const

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
  readonly saslMechanism?: (typeof mechanisms)[number] | undefined
  readonly username?: string | undefined
  readonly passwordFile?: string | undefined
  readonly timeoutMs?: number | undefined
  readonly json?: true | undefined
}

/** A command with the connection's flags, to which it adds its own. */
export const connected = (name: string) =>
  command(name)
    .addOption(
      option('-b, --brokers <host:port,…>', 'where to begin; the rest is learned from there')
        .argParser(list)
        .env('KAFKA_BROKERS')
        .helpGroup('Connection:'),
    )
    .addOption(
      option('--client-id <name>', 'shown in the logs and quotas of the brokers')
        .env('KAFKA_CLIENT_ID')
        .default('ottla-cli')
        .helpGroup('Connection:'),
    )
    .addOption(
      option('--tls', 'encrypt, and verify the certificate').env('KAFKA_TLS').helpGroup('Connection:'),
    )
    .addOption(
      option('--tls-ca <file>', 'certificate authority, PEM; turns TLS on')
        .env('KAFKA_TLS_CA')
        .helpGroup('Connection:'),
    )
    .addOption(
      option('--tls-cert <file>', 'own certificate, PEM').env('KAFKA_TLS_CERT').helpGroup('Connection:'),
    )
    .addOption(option('--tls-key <file>', 'its key, PEM').env('KAFKA_TLS_KEY').helpGroup('Connection:'))
    .addOption(
      option('--tls-server-name <name>', 'the name to find in the certificate')
        .env('KAFKA_TLS_SERVER_NAME')
        .helpGroup('Connection:'),
    )
    .addOption(
      option(
        '--tls-insecure-skip-verify',
        'take any certificate from anybody: for experiments only',
      ).helpGroup('Connection:'),
    )
    .addOption(
      option('--sasl-mechanism <name>', 'PLAIN unless said otherwise, once there is a user name')
        .choices(mechanisms)
        .env('KAFKA_SASL_MECHANISM')
        .helpGroup('Connection:'),
    )
    .addOption(
      option('--username <name>', 'user name for SASL').env('KAFKA_USERNAME').helpGroup('Connection:'),
    )
    .addOption(
      option('--password-file <file>', 'file with the password, else it is taken from KAFKA_PASSWORD')
        .env('KAFKA_PASSWORD_FILE')
        .helpGroup('Connection:'),
    )
    .addOption(
      option('--timeout-ms <n>', 'how long a broker may take to answer')
        .argParser(integer(1, 600_000))
        .helpGroup('Connection:'),
    )

/** The options of the client that the flags mean. */
export function kafkaOptions(flags: ConnectionFlags, env: NodeJS.ProcessEnv = process.env): KafkaOptions {
  if (flags.brokers === undefined) {
    throw new UsageError('No brokers are named: give --brokers host:port, or set KAFKA_BROKERS.')
  }
  const tls = tlsOptions(flags)
  const sasl = saslOptions(flags, env)
  return {
    clientId: flags.clientId,
    brokers: flags.brokers,
    ...(tls === undefined ? {} : { tls }),
    ...(sasl === undefined ? {} : { sasl }),
    ...(flags.timeoutMs === undefined ? {} : { requestTimeoutMs: flags.timeoutMs }),
  }
}

function tlsOptions(flags: ConnectionFlags): KafkaOptions['tls'] {
  const { tls, tlsCa, tlsCert, tlsKey, tlsServerName, tlsInsecureSkipVerify } = flags
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new UsageError('--tls-cert and --tls-key belong together: give both or none.')
  }
  const files = {
    ...(tlsCa === undefined ? {} : { ca: fileOf('--tls-ca', tlsCa) }),
    ...(tlsCert === undefined ? {} : { cert: fileOf('--tls-cert', tlsCert) }),
    ...(tlsKey === undefined ? {} : { key: fileOf('--tls-key', tlsKey) }),
    ...(tlsServerName === undefined ? {} : { serverName: tlsServerName }),
    ...(tlsInsecureSkipVerify === true ? { insecureSkipVerify: true } : {}),
  }
  if (Object.keys(files).length > 0) return files
  return tls
}

function saslOptions(flags: ConnectionFlags, env: NodeJS.ProcessEnv): KafkaOptions['sasl'] {
  const { username, passwordFile, saslMechanism: mechanism } = flags
  if (username === undefined) {
    if (mechanism === undefined) return undefined
    throw new UsageError(`${mechanism} needs a user name: give --username, or set KAFKA_USERNAME.`)
  }
  const password =
    passwordFile === undefined
      ? env['KAFKA_PASSWORD']
      : fileOf('--password-file', passwordFile)
          .toString()
          .replace(/\r?\n$/, '')
  if (password === undefined || password === '') {
    throw new UsageError(
      `There is no password for ${username}: set KAFKA_PASSWORD, or name a file with --password-file.`,
    )
  }
  return { mechanism: mechanism ?? 'PLAIN', username, password }
}

function fileOf(flag: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UsageError(`${flag}: ${path} cannot be read (${code}).`, { cause: error })
  }
}

/** Opens a client, does the work, and closes the client whatever happens. */
export async function withKafka<T>(flags: ConnectionFlags, work: (kafka: Kafka) => Promise<T>): Promise<T> {
  const kafka = new Kafka(kafkaOptions(flags))
  try {
    return await work(kafka)
  } finally {
    await kafka.stop()
  }
}

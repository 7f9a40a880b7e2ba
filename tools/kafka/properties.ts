/**
 * The `server.properties` of a node: KRaft, every node both broker and controller, everything on 127.0.0.1.
 *
 * A cluster has a CLIENT listener with the security asked for. When that is not plain text there is an INTERNAL
 * listener without security beside it, over which the nodes and Kafka's own tools talk.
 */
import type { PemPair, TestCertificates } from './certificates.ts'

export type SaslMechanism = 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512' | 'OAUTHBEARER'

export interface KafkaSecurity {
  /** What the CLIENT listener speaks. Default PLAINTEXT. */
  readonly protocol: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
  /** With SASL. Default all four; OAUTHBEARER takes unsecured tokens (`alg: none`). */
  readonly mechanisms?: readonly SaslMechanism[]
  /** With SASL: names and passwords, good for every mechanism but OAUTHBEARER. Default `{ ottla: 'secret' }`. */
  readonly users?: Readonly<Record<string, string>>
  /** With TLS. Default `none`. */
  readonly clientCertificate?: 'none' | 'required'
}

export type Properties = Readonly<Record<string, string | number | boolean>>

export interface NodePorts {
  readonly client: number
  readonly internal: number
  readonly controller: number
}

export interface NodeSettings {
  readonly id: number
  readonly ports: readonly NodePorts[]
  readonly dataDir: string
  readonly security: KafkaSecurity
  readonly certificates: TestCertificates | undefined
  readonly properties: Properties
}

export const allMechanisms: readonly SaslMechanism[] = [
  'PLAIN',
  'SCRAM-SHA-256',
  'SCRAM-SHA-512',
  'OAUTHBEARER',
]
export const defaultUsers: Readonly<Record<string, string>> = { ottla: 'secret' }

export const usesSasl = (security: KafkaSecurity): boolean => security.protocol.startsWith('SASL_')
export const usesTls = (security: KafkaSecurity): boolean => security.protocol.endsWith('SSL')

/** The text of node `id`'s server.properties; `properties` of the caller come last and win. */
export function serverProperties(settings: NodeSettings): string {
  const { id, ports, security, properties } = settings
  const own = ports[id - 1]
  if (!own) throw new Error(`no ports for node ${id}`)
  const secured = security.protocol !== 'PLAINTEXT'
  const replicas = Math.min(ports.length, 3)
  const inSync = Math.min(ports.length, 2)
  const listeners = [
    `CLIENT://127.0.0.1:${own.client}`,
    ...(secured ? [`INTERNAL://127.0.0.1:${own.internal}`] : []),
  ]
  const lines: Properties = {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': ports
      .map((port, index) => `${index + 1}@127.0.0.1:${port.controller}`)
      .join(','),
    listeners: [...listeners, `CONTROLLER://127.0.0.1:${own.controller}`].join(','),
    'advertised.listeners': listeners.join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': secured ? 'INTERNAL' : 'CLIENT',
    'listener.security.protocol.map': `CLIENT:${security.protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT`,
    'log.dirs': settings.dataDir,
    'default.replication.factor': replicas,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': ports.length === 1 ? 1 : 3,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': ports.length === 1 ? 1 : 3,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'share.coordinator.state.topic.num.partitions': ports.length === 1 ? 1 : 3,
    'group.initial.rebalance.delay.ms': 0,
    // A node that was killed is let in again only after its old session: the usual 9 s would be waited out by
    // every test that restarts one.
    'broker.session.timeout.ms': 3_000,
    'broker.heartbeat.interval.ms': 500,
    ...(usesSasl(security) ? saslProperties(security) : {}),
    ...(settings.certificates ? tlsProperties(security, settings.certificates) : {}),
    ...properties,
  }
  const text = Object.entries(lines).map(([key, value]) => `${key}=${escaped(String(value))}`)
  return `${text.join('\n')}\n`
}

function saslProperties(security: KafkaSecurity): Properties {
  const users = security.users ?? defaultUsers
  const mechanisms = security.mechanisms ?? allMechanisms
  const [user, password] = Object.entries(users)[0] ?? ['ottla', 'secret']
  const modules: Record<SaslMechanism, string> = {
    PLAIN:
      'org.apache.kafka.common.security.plain.PlainLoginModule required ' +
      `username="${user}" password="${password}" ` +
      `${Object.entries(users)
        .map(([name, secret]) => `user_${name}="${secret}"`)
        .join(' ')};`,
    'SCRAM-SHA-256': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
    'SCRAM-SHA-512': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
    OAUTHBEARER:
      'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required ' +
      'unsecuredLoginStringClaim_sub="broker";',
  }
  const lines: Record<string, string> = { 'sasl.enabled.mechanisms': mechanisms.join(',') }
  for (const mechanism of mechanisms) {
    lines[`listener.name.client.${mechanism.toLowerCase()}.sasl.jaas.config`] = modules[mechanism]
  }
  return lines
}

function tlsProperties(security: KafkaSecurity, { server, authority }: TestCertificates): Properties {
  const pem = (pair: PemPair) => pair.certificate.trim()
  return {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.certificate.chain': pem(server),
    'ssl.keystore.key': server.key.trim(),
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.certificates': pem(authority),
    'ssl.client.auth': security.clientCertificate ?? 'none',
  }
}

/** Java's properties format: a value's line breaks are written as `\n`. */
const escaped = (value: string): string => value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')

/** The arguments with which `StorageTool format` creates the SCRAM users before the first start. */
export function scramArguments(security: KafkaSecurity): string[] {
  if (!usesSasl(security)) return []
  const mechanisms = (security.mechanisms ?? allMechanisms).filter((mechanism) =>
    mechanism.startsWith('SCRAM'),
  )
  return Object.entries(security.users ?? defaultUsers).flatMap(([name, password]) =>
    mechanisms.flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${name},password=${password}]`]),
  )
}

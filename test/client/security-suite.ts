/** TLS, SASL and the renewing of sessions, on whichever broker the factory starts. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Cluster } from '../../src/client/cluster.ts'
import { type ClientOptions, resolveClientOptions } from '../../src/client/options.ts'
import type { SaslOptions } from '../../src/client/sasl/options.ts'
import { metadata } from '../../src/protocol/messages/index.ts'
import type { TestCertificates } from '../../tools/kafka/index.ts'
import { rejection } from './support.ts'

export interface SecureTarget {
  readonly brokers: readonly string[]
  readonly certificates: TestCertificates
  readonly stop: () => Promise<void>
}

export interface SecureSettings {
  readonly mechanisms: readonly SaslOptions['mechanism'][]
  /** The broker's `connections.max.reauth.ms`. */
  readonly sessionMs: number
}

export const users = { ottla: 'secret' }

/** A token as Kafka's unsecured validator takes it (KIP-255). */
function unsecuredToken(): string {
  const now = Math.floor(Date.now() / 1_000)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part({ sub: 'ottla', iat: now, exp: now + 3_600 })}.`
}

const saslOf = (mechanism: SaslOptions['mechanism'], password = 'secret'): SaslOptions =>
  mechanism === 'OAUTHBEARER'
    ? { mechanism, token: password === 'secret' ? unsecuredToken : () => 'no.jwt.' }
    : { mechanism, username: 'ottla', password }

export function securitySuite(
  name: string,
  { mechanisms, sessionMs }: SecureSettings,
  start: () => Promise<SecureTarget>,
): void {
  describe(`security on ${name}`, { concurrency: true }, () => {
    let target: SecureTarget
    before(async () => {
      target = await start()
    })
    after(() => target?.stop())

    async function withCluster(options: Partial<ClientOptions>, run: (cluster: Cluster) => Promise<void>) {
      const tls = { ca: target.certificates.authority.certificate }
      const cluster = new Cluster(resolveClientOptions({ brokers: target.brokers, tls, ...options }))
      try {
        await run(cluster)
      } finally {
        await cluster.stop()
      }
    }

    for (const mechanism of mechanisms) {
      test(`${mechanism} over TLS`, () =>
        withCluster({ sasl: saslOf(mechanism) }, async (cluster) => {
          await cluster.refresh()
          assert.ok(cluster.brokers().length > 0)
        }))

      test(`${mechanism}: what is wrong is refused with a reason, at once`, () =>
        withCluster({ sasl: saslOf(mechanism, 'wrong') }, async (cluster) => {
          const error = await rejection(cluster.ensureTopic('t'), 'SASL_FAILED')
          assert.equal(error.retriable, false)
          assert.ok(!error.message.includes('wrong'), error.message)
        }))

      test(`${mechanism}: sessions are renewed under load, and no request fails`, () =>
        withCluster({ sasl: saslOf(mechanism) }, async (cluster) => {
          const connection = await cluster.anyConnection()
          const until = performance.now() + sessionMs * 1.6
          let answered = 0
          while (performance.now() < until) {
            const body = { topics: [] }
            await Promise.all([connection.request(metadata, body), connection.request(metadata, body)])
            answered += 2
            await new Promise((resolve) => setTimeout(resolve, 5))
          }
          assert.ok(connection.isOpen)
          assert.ok(answered > 50)
        }))
    }

    test('an unknown mechanism and none at all are told apart from a network that fails', async () => {
      await withCluster({}, async (cluster) => {
        const error = await rejection(cluster.refresh(), 'CONNECTION_CLOSED')
        assert.match(error.message, /does the port want SASL\? The option sasl is not set/)
      })
    })

    test('plain text at a TLS port is no connection', () =>
      withCluster({ tls: false, connectTimeoutMs: 3_000 }, async (cluster) => {
        const error = await cluster.refresh().then(
          () => assert.fail('connected'),
          (reason: { code: string }) => reason,
        )
        assert.ok(['CONNECTION_FAILED', 'MALFORMED_FRAME'].includes(error.code), error.code)
      }))
  })
}

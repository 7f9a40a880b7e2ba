import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConnectionOptions, connect } from 'node:tls'
import { type EmbeddedCluster, startCluster } from '../../src/broker/index.ts'
import { apiVersions } from '../../src/protocol/messages/api-versions.ts'
import { testCertificates } from '../../tools/kafka/certificates.ts'
import { parseAddress, RawConnection } from '../support/raw-connection.ts'
import { batchOf, read, send, spansOf, valuesOf, withCluster } from './kit.ts'

const { authority, server, client } = testCertificates()
const strangers = testCertificates()
const tls = { key: server.key, cert: server.certificate }
const transports = ['tcp', 'memory'] as const

/** A connection to the first node over TLS, once the handshake is done. */
async function secured(cluster: EmbeddedCluster, options: ConnectionOptions = {}): Promise<RawConnection> {
  const address = parseAddress(cluster.brokers[0] ?? '')
  const stream = await cluster.dial(address)
  const socket = connect({ ca: authority.certificate, ...options, socket: stream, servername: 'localhost' })
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
  })
  return RawConnection.open(address, () => socket)
}

for (const transport of transports) {
  test(`requests go over TLS as they go without (${transport})`, async () => {
    await withCluster({ topics: { t: 1 }, transport, tls }, async ({ cluster }) => {
      const node = await secured(cluster)
      await send(node, 't', batchOf(['x'.repeat(300_000)]))
      assert.equal(spansOf(await read(node, 't', 0)), '0-0')
      node.close()
    })
  })

  test(`faults reach connections over TLS (${transport})`, async () => {
    await withCluster({ topics: { t: 1 }, transport, tls }, async ({ cluster }) => {
      for (const action of ['reset', 'apply-then-drop'] as const) {
        cluster.faults.on({ api: 'Produce', times: 1 }, action)
        await assert.rejects(send(await secured(cluster), 't', batchOf([action])), /closed/)
      }
      assert.equal(valuesOf(cluster, 't'), 'apply-then-drop')
    })
  })

  test(`client certificates are asked for, and strangers are refused (${transport})`, async () => {
    const mutual = { ...tls, ca: authority.certificate, requestCert: true }
    await withCluster({ transport, tls: mutual }, async ({ cluster }) => {
      const known = await secured(cluster, { cert: client.certificate, key: client.key })
      assert.equal((await known.send(apiVersions, 0, {})).errorCode, 0)
      known.close()
      // In TLS 1.3 the client's handshake is over before its certificate is looked at.
      for (const options of [{}, { cert: strangers.client.certificate, key: strangers.client.key }]) {
        const attempt = secured(cluster, options).then((node) => node.send(apiVersions, 0, {}))
        await assert.rejects(attempt)
      }
    })
  })
}

test('a client that speaks no TLS gets nowhere, and the node goes on', async () => {
  await withCluster({ transport: 'tcp', tls }, async ({ cluster, to }) => {
    const plain = await to(1)
    await assert.rejects(plain.send(apiVersions, 0, {}), /closed/)
    const node = await secured(cluster)
    assert.equal((await node.send(apiVersions, 0, {})).errorCode, 0)
    node.close()
  })
})

test('a key that does not belong to the certificate is an error at the start', async () => {
  const wrong = { key: strangers.server.key, cert: server.certificate }
  await assert.rejects(startCluster({ tls: wrong }), { code: 'INVALID_OPTION' })
})

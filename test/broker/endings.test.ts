/** How a connection ends under each fault that ends it, and how the log of a replica that was alone with its records does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeRequest } from '../../src/protocol/frame.ts'
import { apiVersions } from '../../src/protocol/messages/api-versions.ts'
import { parseAddress } from '../support/raw-connection.ts'
import { batchOf, send, valuesOf, withCluster } from './kit.ts'

for (const transport of ['tcp', 'memory'] as const) {
  for (const [action, ends] of [
    ['close', 'end'],
    ['reset', 'ECONNRESET'],
    ['apply-then-drop', 'end'],
  ] as const) {
    test(`${action} is told to the client as ${ends} (${transport})`, async () => {
      await withCluster({ transport }, async ({ cluster }) => {
        cluster.faults.on({ api: 'ApiVersions' }, action)
        const stream = await cluster.dial(parseAddress(cluster.brokers[0] ?? ''))
        const told: string[] = []
        stream.on('error', (error: NodeJS.ErrnoException) => told.push(error.code ?? error.message))
        stream.on('end', () => told.push('end'))
        stream.resume()
        const header = { apiVersion: 0, correlationId: 1, clientId: null }
        stream.write(Buffer.concat(encodeRequest(apiVersions, header, {})))
        await new Promise<void>((resolve) => {
          stream.once('end', resolve)
          stream.once('close', resolve)
        })
        stream.destroy()
        assert.deepEqual(told, [ends])
      })
    })
  }
}

test('a former leader takes over the log of the new one where they differ, though it is no shorter', async () => {
  const topics = { t: { partitions: 1, replicas: 2, configs: { 'unclean.leader.election.enable': 'true' } } }
  await withCluster({ brokers: 2, topics, transport: 'memory' }, async (kit) => {
    const { cluster } = kit
    const former = cluster.leaderOf('t', 0)
    const other = former === 1 ? 2 : 1
    await send(await kit.to(former), 't', batchOf(['both']))
    const release = cluster.holdReplica(other, 't', 0)
    const node = await kit.to(former)
    await send(node, 't', batchOf(['alone']), { acks: 1 })
    await cluster.stopNode(former, { kill: false })
    assert.equal(cluster.leaderOf('t', 0), other)
    release()
    await send(await kit.to(other), 't', batchOf(['instead']), { acks: 1 })
    await send(await kit.to(other), 't', batchOf(['and more']), { acks: 1 })
    await cluster.startNode(former)
    // Acknowledged by all replicas: the former leader has copied all before it.
    const last = await send(await kit.to(other), 't', batchOf(['last']))
    assert.equal(last.errorCode, 0)
    assert.equal(valuesOf(cluster, 't'), 'both instead and more last')
    cluster.moveLeader('t', 0, former)
    assert.equal(valuesOf(cluster, 't'), 'both instead and more last')
  })
})

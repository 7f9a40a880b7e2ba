/** A Kafka that is not there is told before anything is begun. */
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { existingStage } from '../../demo/stage.ts'
import { startCluster } from '../../src/broker/index.ts'
import { rejection } from '../client/support.ts'

test('nobody there, or nobody who answers: said in time, with the reason', async (t) => {
  const mute = createServer((socket) => socket.on('error', () => undefined).resume())
  t.after(() => new Promise((resolve) => mute.close(resolve)))
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
  const { port } = mute.address() as { port: number }
  const silent = await rejection(existingStage([`127.0.0.1:${port}`], { limitMs: 200 }), 'CONNECTION_FAILED')
  assert.match(silent.message, /was not ready within 100 ms/)
  const refused = await rejection(existingStage(['127.0.0.1:1'], { limitMs: 200 }), 'CONNECTION_FAILED')
  assert.match(refused.message, /no broker of 127\.0\.0\.1:1 can be reached/)
})

test('a Kafka that is there is the stage, and nothing of it is broken', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const stage = await existingStage(cluster.brokers)
  assert.deepEqual([stage.brokers, stage.faults], [cluster.brokers, undefined])
})

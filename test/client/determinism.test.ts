import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startCluster } from '../../src/broker/index.ts'
import { Cluster } from '../../src/client/cluster.ts'
import { resolveClientOptions } from '../../src/client/options.ts'
import { metadata } from '../../src/protocol/messages/index.ts'
import { seededRandom } from '../../src/util/random.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { seed } from '../support/seed.ts'

/** What happened, and when, in a life with faults: dials that fail, a node that goes away, answers that are slow. */
async function story(number: number): Promise<string[]> {
  const clock = new VirtualClock()
  const random = seededRandom(number)
  const topics = { t: { partitions: 4 } }
  const brokers = await clock.during(
    startCluster({ brokers: 3, transport: 'memory', topics, clock, random: seededRandom(number) }),
  )
  const told: string[] = []
  const tell = (what: string) => told.push(`${clock.monotonic().toFixed(3)} ${what}`)
  const cluster = new Cluster(
    resolveClientOptions({
      brokers: brokers.brokers,
      clock,
      random,
      dial: (address, options) => {
        tell(`dial ${address.port}`)
        if (random.next() < 0.3) throw new Error('bad luck')
        return brokers.dial(address, options)
      },
    }),
  )
  cluster.watch(['t'])
  cluster.onChange(() => tell(`leaders ${cluster.topic('t')?.partitions.map(({ leaderId }) => leaderId)}`))
  await clock.during(cluster.ensureTopic('t'))
  for (let step = 0; step < 12; step++) {
    const victim = 1 + random.below(3)
    if (step === 4) await clock.during(brokers.stopNode(victim, { kill: true }))
    const nodeId = 1 + random.below(3)
    await clock.during(
      cluster
        .connection(nodeId)
        .then((connection) => connection.request(metadata, { topics: [] }))
        .then(
          () => tell(`node ${nodeId} answers`),
          (error: { code: string }) => tell(`node ${nodeId} ${error.code}`),
        ),
    )
    await clock.during(cluster.refresh().catch((error: { code: string }) => tell(`refresh ${error.code}`)))
    await clock.advance(random.below(3_000))
  }
  await cluster.stop()
  await clock.during(brokers.stop())
  return told
}

test('on the memory transport the same seed tells the same story', async () => {
  const first = await story(seed)
  assert.ok(first.length > 20)
  assert.deepEqual(await story(seed), first, `OTTLA_SEED=${seed}`)
})

/** kcat, that is librdkafka, against the embedded broker. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { type EmbeddedCluster, type StartClusterOptions, startCluster } from '../../src/broker/index.ts'
import { missing, runProgram } from './present.ts'

const skip = missing('kcat', ['-V'], 'install kcat (Debian: apt install kcat)')

async function clusterFor(t: TestContext, options: StartClusterOptions): Promise<EmbeddedCluster> {
  const cluster = await startCluster(options)
  t.after(() => cluster.stop())
  return cluster
}

async function kcat(cluster: EmbeddedCluster, args: readonly string[], input = ''): Promise<string> {
  const finished = await runProgram('kcat', ['-b', cluster.brokers.join(','), ...args], { input })
  assert.equal(finished.code, 0, finished.stderr)
  return finished.stdout
}

const lines = (count: number) => Array.from({ length: count }, (_, n) => `k${n % 9}:v${n}\n`).join('')
const sorted = (text: string) => text.trimEnd().split('\n').toSorted()

for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
  test(`produces with ${codec} and reads it back, crc checked`, { skip }, async (t) => {
    const cluster = await clusterFor(t, { brokers: 3, topics: { orders: 3 } })
    const topic = ['-t', 'orders']
    await kcat(cluster, ['-P', ...topic, '-K:', '-z', codec], lines(500))
    const read = ['-C', ...topic, '-e', '-q', '-X', 'check.crcs=true', '-f', '%k:%s\n']
    assert.deepEqual(sorted(await kcat(cluster, read)), sorted(lines(500)))
  })
}

test('an idempotent producer whose answers are lost writes everything once, in order', {
  skip,
}, async (t) => {
  // With a single broker kcat gives up when its connection is cut.
  const cluster = await clusterFor(t, { brokers: 3, topics: { once: 1 } })
  const fault = cluster.faults.on({ api: 'Produce', times: 2 }, 'apply-then-drop')
  const settings = ['enable.idempotence=true', 'batch.num.messages=100', 'linger.ms=1']
  await kcat(cluster, ['-P', '-t', 'once', ...settings.flatMap((setting) => ['-X', setting])], lines(1000))
  assert.equal(fault.hits, 2)
  const values = cluster.records('once', 0).map(({ value }) => `${value}\n`)
  assert.equal(values.join(''), lines(1000))
})

test('a group reads everything and goes on where it stopped', { skip }, async (t) => {
  const cluster = await clusterFor(t, { brokers: 2, topics: { shared: 4 } })
  await kcat(cluster, ['-P', '-t', 'shared', '-K:'], lines(100))
  const group = ['-G', 'readers', '-X', 'auto.offset.reset=earliest', '-e', '-q', '-f', '%k:%s\n', 'shared']
  assert.deepEqual(sorted(await kcat(cluster, group)), sorted(lines(100)))
  await kcat(cluster, ['-P', '-t', 'shared', '-K:'], 'k1:later\n')
  assert.equal(await kcat(cluster, group), 'k1:later\n')
})

test('lists the cluster and finds offsets by time', { skip }, async (t) => {
  const cluster = await clusterFor(t, { brokers: 3, topics: { listed: 2 } })
  await kcat(cluster, ['-P', '-t', 'listed', '-p', '1'], 'a\nb\n')
  const { brokers, topics } = JSON.parse(await kcat(cluster, ['-L', '-J', '-t', 'listed']))
  assert.equal(brokers.length, 3)
  assert.equal(topics[0].partitions.length, 2)
  assert.match(await kcat(cluster, ['-Q', '-t', 'listed:1:-1']), /offset 2/)
  assert.match(await kcat(cluster, ['-Q', '-t', 'listed:1:-2']), /offset 0/)
  assert.match(await kcat(cluster, ['-Q', '-t', 'listed:1:1']), /offset 0/)
})

/** Before 2.8.0 librdkafka repeats its nonce in SCRAM's last message, which Kafka refuses since CVE-2024-56128. */
const scramSkip =
  skip || (isBefore(2, 8) ? 'this librdkafka is refused by Kafka itself: it repeats its nonce' : false)

function isBefore(major: number, minor: number): boolean {
  const text = spawnSync('kcat', ['-V'], { encoding: 'utf8' }).stdout
  const [, foundMajor, foundMinor] = /librdkafka (\d+)\.(\d+)/.exec(text) ?? []
  return Number(foundMajor) < major || (Number(foundMajor) === major && Number(foundMinor) < minor)
}

for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
  test(`authenticates with ${mechanism}`, { skip: mechanism === 'PLAIN' ? skip : scramSkip }, async (t) => {
    const cluster = await clusterFor(t, { sasl: { users: { ada: 'secret' } }, topics: { guarded: 1 } })
    const settings = ['security.protocol=SASL_PLAINTEXT', 'sasl.username=ada', 'sasl.password=secret']
    const login = [...settings, `sasl.mechanisms=${mechanism}`].flatMap((setting) => ['-X', setting])
    await kcat(cluster, ['-P', '-t', 'guarded', ...login], 'x\n')
    assert.equal(await kcat(cluster, ['-C', '-t', 'guarded', '-e', '-q', ...login]), 'x\n')
  })
}

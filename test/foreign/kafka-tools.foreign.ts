/** Kafka's own console tools, from its jars, against the embedded broker. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type EmbeddedCluster, type StartClusterOptions, startCluster } from '../../src/broker/index.ts'
import { ensureJars, findJava, MissingToolError, runKafkaTool } from '../../tools/kafka/index.ts'

const skip = await absent()

/** Why the tools cannot be run, or false. */
async function absent(): Promise<string | false> {
  try {
    findJava()
    await ensureJars()
    return false
  } catch (error) {
    if (error instanceof MissingToolError) return error.message
    throw error
  }
}

async function clusterFor(t: TestContext, options: StartClusterOptions): Promise<EmbeddedCluster> {
  const cluster = await startCluster(options)
  t.after(() => cluster.stop())
  return cluster
}

async function tool(
  cluster: EmbeddedCluster,
  name: string,
  args: readonly string[],
  input = '',
): Promise<string> {
  const address = ['--bootstrap-server', cluster.brokers.join(',')]
  const { code, stdout, stderr } = await runKafkaTool(name, [...address, ...args], { input })
  assert.equal(code, 0, `${stdout}${stderr}`)
  return stdout
}

const lines = Array.from({ length: 200 }, (_, n) => `k${n % 9}:v${n}`)

test('the console producer, which is idempotent, and the console consumer in a group', {
  skip,
}, async (t) => {
  const cluster = await clusterFor(t, { brokers: 3, topics: { orders: 3 } })
  const keyed = ['--property', 'parse.key=true', '--property', 'key.separator=:']
  await tool(cluster, 'ConsoleProducer', ['--topic', 'orders', ...keyed], `${lines.join('\n')}\n`)
  const producerIds = [0, 1, 2].flatMap((partition) =>
    cluster.records('orders', partition).map(({ producerId }) => producerId),
  )
  assert.equal(producerIds.length, 200)
  assert.ok(producerIds.every((id) => id >= 0))
  const shown = ['--property', 'print.key=true', '--property', 'key.separator=:']
  const group = [
    '--topic',
    'orders',
    '--group',
    'readers',
    '--from-beginning',
    '--max-messages',
    '200',
    ...shown,
  ]
  const read = await tool(cluster, 'ConsoleConsumer', group)
  // Newer versions print beside the records what they think of the flags that older ones know.
  const records = read.split('\n').filter((line) => /^k\d:v/.test(line))
  assert.deepEqual(records.toSorted(), lines.toSorted())
  const described = await tool(cluster, 'ConsumerGroupCommand', ['--describe', '--group', 'readers'])
  const lags = described
    .split('\n')
    .flatMap((line) => (line.startsWith('readers') ? [line.split(/\s+/)[5]] : []))
  assert.deepEqual(lags, ['0', '0', '0'])
})

test('the console consumer reads what groups leave in __consumer_offsets', { skip }, async (t) => {
  const cluster = await clusterFor(t, {
    brokers: 3,
    topics: { orders: 1 },
    configs: { 'offsets.topic.num.partitions': 1 },
  })
  await tool(cluster, 'ConsoleProducer', ['--topic', 'orders'], 'a\nb\n')
  const read = ['--topic', 'orders', '--from-beginning', '--max-messages', '2']
  await tool(cluster, 'ConsoleConsumer', [...read, '--group', 'readers'])
  const count = cluster.records('__consumer_offsets', 0).length
  const internal = ['--topic', '__consumer_offsets', '--partition', '0', '--offset', 'earliest']
  const all = [...internal, '--max-messages', String(count)]
  const formatted = async (name: string) => {
    const formatter = ['--formatter', `org.apache.kafka.tools.consumer.${name}`]
    const told = await tool(cluster, 'ConsoleConsumer', [...all, ...formatter])
    // One behind the other, on one line.
    return told.split(/(?=\{"key")/).flatMap((text) => (text.startsWith('{') ? [JSON.parse(text)] : []))
  }
  const offset = (await formatted('OffsetsMessageFormatter')).at(-1)
  assert.deepEqual(offset.key.data, { group: 'readers', topic: 'orders', partition: 0 })
  assert.equal(offset.value.data.offset, 2)
  const groups = await formatted('GroupMetadataMessageFormatter')
  const generations = groups.map(({ value }) => [value.data.generation, value.data.members.length])
  assert.deepEqual(generations, [
    [0, 0],
    [1, 1],
    [2, 0],
  ])
})

test('topics are made, described, given more partitions and deleted', { skip }, async (t) => {
  const cluster = await clusterFor(t, { brokers: 3 })
  const named = ['--topic', 'made']
  await tool(cluster, 'TopicCommand', [
    '--create',
    ...named,
    '--partitions',
    '2',
    '--replication-factor',
    '3',
  ])
  await tool(cluster, 'TopicCommand', ['--alter', ...named, '--partitions', '4'])
  const described = await tool(cluster, 'TopicCommand', ['--describe', ...named])
  assert.match(described, /PartitionCount:\s*4/)
  assert.match(described, /Isr: \d,\d,\d/)
  const offsets = await tool(cluster, 'GetOffsetShell', [...named])
  assert.deepEqual(
    offsets.trim().split('\n'),
    [0, 1, 2, 3].map((partition) => `made:${partition}:0`),
  )
  await tool(cluster, 'TopicCommand', ['--delete', ...named])
  assert.doesNotMatch(await tool(cluster, 'TopicCommand', ['--list']), /made/)
})

test('configurations are changed and described', { skip }, async (t) => {
  const cluster = await clusterFor(t, { topics: { tuned: 1 } })
  const of = ['--entity-type', 'topics', '--entity-name', 'tuned']
  await tool(cluster, 'ConfigCommand', ['--alter', ...of, '--add-config', 'retention.ms=60000'])
  assert.match(await tool(cluster, 'ConfigCommand', ['--describe', ...of]), /retention\.ms=60000/)
})

/** The consumer on a real Kafka: in one group with Kafka's own consumer, and beside transactions that abort. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Admin } from '../../src/client/admin.ts'
import { Cluster } from '../../src/client/cluster.ts'
import { resolveClientOptions } from '../../src/client/options.ts'
import { Consumer, type ConsumerOptions } from '../../src/consumer/consumer.ts'
import { addPartitionsToTxn, endTxn, initProducerId, produce } from '../../src/protocol/messages/index.ts'
import { type EncodeRecordBatchOptions, encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import { systemClock } from '../../src/util/clock.ts'
import { systemRandom } from '../../src/util/random.ts'
import { runKafkaTool, startKafka } from '../../tools/kafka/index.ts'
import { until } from './kit.ts'

let brokers = process.env['OTTLA_KAFKA_BROKERS'] ?? ''
let stopKafka = async () => undefined as void
let cluster: Cluster
const consumers: Consumer[] = []

before(async () => {
  if (brokers === '') {
    const kafka = await startKafka()
    brokers = kafka.brokers.join(',')
    stopKafka = () => kafka.stop()
  }
  cluster = new Cluster(resolveClientOptions({ brokers }))
})

after(async () => {
  for (const consumer of consumers) consumer.abort()
  await cluster.stop()
  await stopKafka()
})

const fresh = (name: string) => `${name}-${systemRandom.bytes(4).toString('hex')}`

async function newTopic(partitions: number): Promise<string> {
  const topic = fresh('consumer')
  await new Admin(cluster).createTopics([{ name: topic, partitions, replicas: 1 }])
  await cluster.ensureTopic(topic)
  return topic
}

function consumer(
  options: Partial<ConsumerOptions> & { groupId: string; topics: readonly string[] },
): Consumer {
  const made = new Consumer(cluster, { heartbeatIntervalMs: 300, sessionTimeoutMs: 10_000, ...options })
  consumers.push(made)
  return made
}

interface Transaction {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
}

/** Version 11 knows no transactions that add their partitions by themselves (KIP-890), and names topics. */
async function put(
  topic: string,
  partition: number,
  values: readonly string[],
  options: EncodeRecordBatchOptions & { readonly transaction?: Transaction } = {},
): Promise<void> {
  const { transaction, ...rest } = options
  const leader = cluster.topic(topic)?.partitions[partition]?.leaderId ?? -1
  const connection = await cluster.connection(leader)
  const stamp = transaction === undefined ? {} : { ...transaction, transactional: true }
  const records = encodeRecordBatch(
    values.map((value) => ({ value })),
    { timestamp: systemClock.now(), ...stamp, ...rest },
  )
  const request = {
    acks: -1,
    timeoutMs: 10_000,
    transactionalId: transaction?.transactionalId ?? null,
    topicData: [{ name: topic, partitionData: [{ index: partition, records }] }],
  }
  for (;;) {
    const response = await connection.request(produce, request, { version: 11 })
    const code = response.responses[0]?.partitionResponses[0]?.errorCode
    // NOT_ENOUGH_REPLICAS: how the broker says to old versions that the transaction is not ready yet.
    if (transaction !== undefined && code === 19) continue
    // UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER: a broker tells of a new leader before that leads.
    if (code === 3 || code === 6) continue
    return assert.equal(code, 0)
  }
}

async function coordinatorOf(transactionalId: string) {
  return cluster.connection(await cluster.coordinator('transaction', transactionalId))
}

async function begin(topic: string): Promise<Transaction> {
  const transactionalId = fresh('transaction')
  const connection = await coordinatorOf(transactionalId)
  for (;;) {
    const { errorCode, producerId, producerEpoch } = await connection.request(initProducerId, {
      transactionalId,
      transactionTimeoutMs: 60_000,
    })
    // COORDINATOR_LOAD_IN_PROGRESS, CONCURRENT_TRANSACTIONS: the topic of transactions has just been made.
    if (errorCode === 14 || errorCode === 51) continue
    assert.equal(errorCode, 0)
    const transaction = { transactionalId, producerId, producerEpoch }
    await join(topic, transaction)
    return transaction
  }
}

/** Makes partition 0 a part of the transaction. */
async function join(topic: string, transaction: Transaction): Promise<void> {
  const connection = await coordinatorOf(transaction.transactionalId)
  for (;;) {
    const response = await connection.request(
      addPartitionsToTxn,
      {
        v3AndBelowTransactionalId: transaction.transactionalId,
        v3AndBelowProducerId: transaction.producerId,
        v3AndBelowProducerEpoch: transaction.producerEpoch,
        v3AndBelowTopics: [{ name: topic, partitions: [0] }],
      },
      { version: 3 },
    )
    const code = response.resultsByTopicV3AndBelow[0]?.resultsByPartition[0]?.partitionErrorCode
    if (code === 0) return
    // CONCURRENT_TRANSACTIONS: the markers of the one before are still being written.
    assert.equal(code, 51)
  }
}

async function end(transaction: Transaction, committed: boolean): Promise<void> {
  const connection = await coordinatorOf(transaction.transactionalId)
  const response = await connection.request(endTxn, { ...transaction, committed }, { version: 4 })
  assert.equal(response.errorCode, 0)
}

test('read_committed leaves out what was aborted, and waits for what is not decided', async () => {
  const topic = await newTopic(1)
  const groupId = fresh('group')
  const seen: string[] = []
  const all: string[] = []
  const committed = consumer({ groupId, topics: [topic] })
  const everything = consumer({ groupId: fresh('group'), topics: [topic], isolation: 'read_uncommitted' })
  const runs = [
    committed.run(async ({ value }) => void seen.push(`${value}`)),
    everything.run(async ({ value }) => void all.push(`${value}`)),
  ]
  const aborting = await begin(topic)
  const committing = await begin(topic)
  await put(topic, 0, ['plain 1'])
  await put(topic, 0, ['aborted 1', 'aborted 2'], { transaction: aborting, baseSequence: 0 })
  await put(topic, 0, ['committed 1'], { transaction: committing, baseSequence: 0 })
  await put(topic, 0, ['plain 2'])
  await put(topic, 0, ['aborted 3'], { transaction: aborting, baseSequence: 2 })
  await until(() => all.length === 6, 'everything, uncommitted')
  assert.deepEqual(seen, ['plain 1'])
  await end(aborting, false)
  assert.deepEqual(seen, ['plain 1'])
  await end(committing, true)
  await until(() => seen.length === 3, 'what was committed')
  await join(topic, aborting)
  await put(topic, 0, ['committed 2'], { transaction: aborting, baseSequence: 3 })
  await end(aborting, true)
  await until(() => seen.length === 4, 'the same producer, committed')
  assert.deepEqual(seen, ['plain 1', 'committed 1', 'plain 2', 'committed 2'])
  await Promise.all([committed.stop(), everything.stop()])
  await Promise.all(runs)
  // The commit stands behind the last marker, which no record has.
  const [offset] = await new Admin(cluster).groupOffsets(groupId)
  assert.equal(offset?.offset, 10)
})

for (const [who, strategy] of [
  ['cooperative', 'org.apache.kafka.clients.consumer.CooperativeStickyAssignor'],
  [
    'eager',
    'org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor',
  ],
] as const) {
  test(`in one group with Kafka's console consumer (${who}): together everything, each record once`, async () => {
    const topic = await newTopic(4)
    const groupId = fresh('group')
    const sent: string[] = []
    const ours: string[] = []
    const member = consumer({ groupId, topics: [topic] })
    const running = member.run(async ({ value }) => void ours.push(`${value}`))
    await until(() => member.assignment().length === 4, 'all partitions', 30_000)
    const java = runKafkaTool('ConsoleConsumer', [
      ...['--bootstrap-server', brokers, '--topic', topic, '--group', groupId, '--timeout-ms', '5000'],
      ...['--consumer-property', `partition.assignment.strategy=${strategy}`],
      ...['--consumer-property', 'auto.offset.reset=earliest'],
    ])
    const round = async () => {
      for (let partition = 0; partition < 4; partition++) {
        const values = [0, 1, 2].map((index) => `${partition}-${sent.length + index}`)
        sent.push(...values)
        await put(topic, partition, values)
      }
    }
    await until(
      async () => {
        await round()
        return member.assignment().length === 2
      },
      'the other member has its part',
      60_000,
    )
    for (let index = 0; index < 20; index++) await round()
    const { stdout, stderr } = await java
    const theirs = stdout.split('\n').filter((line) => /^\d-\d+$/.test(line))
    await until(
      () => member.assignment().length === 4,
      `the other member has left: ${stderr.slice(-2000)}`,
      30_000,
    )
    await round()
    await until(() => new Set([...ours, ...theirs]).size === sent.length, 'everything')
    assert.ok(theirs.length > 0)
    assert.equal(ours.length + theirs.length, sent.length)
    await member.stop()
    await running
  })
}

test("Kafka's consumer leads: its assignments are ours to read, its subscriptions ours to join", async () => {
  const topic = await newTopic(4)
  const groupId = fresh('group')
  const java = runKafkaTool('ConsoleConsumer', [
    ...['--bootstrap-server', brokers, '--topic', topic, '--group', groupId, '--timeout-ms', '8000'],
    ...[
      '--consumer-property',
      'partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor',
    ],
  ])
  const admin = new Admin(cluster)
  await until(
    async () =>
      (await admin.listGroups()).some((group) => group.groupId === groupId && group.state === 'Stable'),
    'the other member is there',
    30_000,
  )
  const ours: string[] = []
  const member = consumer({ groupId, topics: [topic] })
  const running = member.run(async ({ value }) => void ours.push(`${value}`))
  await until(() => member.assignment().length === 2, 'our part', 30_000)
  for (let partition = 0; partition < 4; partition++) await put(topic, partition, [`${partition}-0`])
  await until(() => ours.length === 2, 'our records')
  const { stdout } = await java
  const theirs = stdout.split('\n').filter((line) => /^\d-\d+$/.test(line))
  assert.deepEqual([...ours, ...theirs].sort(), ['0-0', '1-0', '2-0', '3-0'])
  await until(() => member.assignment().length === 4, 'all of it', 30_000)
  await member.stop()
  await running
})

test('static members and every assignor', async () => {
  const topic = await newTopic(4)
  for (const assignor of ['range', 'roundrobin', 'cooperative-sticky'] as const) {
    const groupId = fresh('group')
    const make = (groupInstanceId: string) =>
      consumer({ groupId, topics: [topic], groupInstanceId, assignors: [assignor] })
    const members = [make('one'), make('two')]
    const runs = members.map((member) => member.run(async () => undefined))
    await until(() => members.every((member) => member.assignment().length === 2), assignor, 30_000)
    const had = members[0]?.assignment()
    await members[0]?.stop()
    const back = make('one')
    const rerun = back.run(async () => undefined)
    await until(() => back.assignment().length === 2, 'it is back', 30_000)
    assert.deepEqual(back.assignment(), had)
    await Promise.all([back.stop(), members[1]?.stop()])
    await Promise.all([...runs, rerun])
  }
})

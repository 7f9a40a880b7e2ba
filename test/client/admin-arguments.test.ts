/** What is wrong with the arguments of an admin call is told before anything is sent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { startCluster } from '../../src/broker/index.ts'
import { type Admin, Kafka, type OffsetPosition } from '../../src/index.ts'

const orders = { topic: 'orders', partition: 0 }

const wrong: [call: keyof Admin, args: readonly unknown[], path: string, message: RegExp][] = [
  ['createTopics', [{ topics: [] }], 'topics', /must be a list, not \{"topics":\[\]\}/],
  ['createTopics', [[{ topic: 'a' }]], 'topics[0].topic', /did you mean name\?/],
  ['createTopics', [[{ name: 'a', partition: 3 }]], 'topics[0].partition', /did you mean partitions\?/],
  [
    'createTopics',
    [[{ name: 'a', numPartitions: 3 }]],
    'topics[0].numPartitions',
    /did you mean partitions\?/,
  ],
  ['createTopics', [[{ name: 'a', partitions: '3' }]], 'topics[0].partitions', /a whole number, not "3"/],
  [
    'createTopics',
    [[{ name: 'a', configs: { 'retention.ms': null } }]],
    'topics[0].configs',
    /a string, a number or a boolean for retention\.ms, not null/,
  ],
  [
    'createTopics',
    [[{ name: 'a', configs: { 'retention.ms': undefined } }]],
    'topics[0].configs',
    /a string, a number or a boolean for retention\.ms, it is missing/,
  ],
  [
    'createPartitions',
    [[{ name: 'orders' }]],
    'newPartitions[0].partitions',
    /a whole number, it is missing/,
  ],
  ['createPartitions', [[{ topic: 'a', partitions: 3 }]], 'newPartitions[0].topic', /did you mean name\?/],
  ['createPartitions', [[{ name: 'a', count: 3 }]], 'newPartitions[0].count', /did you mean partitions\?/],
  [
    'describeProducers',
    [[{ ...orders, nodeId: '1' }]],
    'partitions[0].nodeId',
    /a whole number from 0 .*, not "1"/,
  ],
  ['describeProducers', [[{ ...orders, nodeId: -5 }]], 'partitions[0].nodeId', /not -5/],
  ['describeProducers', [[{ ...orders, brokerId: 1 }]], 'partitions[0].brokerId', /did you mean nodeId\?/],
  ['describeTopics', ['orders'], 'names', /a list of names, not "orders"/],
  ['deleteTopics', [['orders', 1]], 'names[1]', /a string, not 1/],
  ['describeGroups', ['g'], 'groupIds', /a list of names, not "g"/],
  ['listOffsets', [[orders]], 'queries[0].position', /"earliest" or .* or \{ timestamp \}, it is missing/],
  ['listOffsets', [[{ ...orders, position: 'begin' }]], 'queries[0].position', /not "begin"/],
  [
    'listOffsets',
    [[{ ...orders, position: { timestamp: new Date(0) } }]],
    'queries[0].position',
    /\{ timestamp \} in whole milliseconds since 1970 \(of a Date: \.getTime\(\)\)/,
  ],
  ['deleteRecords', [[{ ...orders, offset: 5 }]], 'records[0].offset', /did you mean beforeOffset\?/],
  ['deleteRecords', [[{ ...orders, beforeOffset: '5' }]], 'records[0].beforeOffset', /an offset or 'latest'/],
  ['alterGroupOffsets', ['g', [orders]], 'offsets[0].offset', /a whole number, it is missing/],
  ['alterGroupOffsets', ['g', [{ ...orders, offset: '5' }]], 'offsets[0].offset', /a whole number, not "5"/],
  [
    'alterGroupOffsets',
    ['g', [{ ...orders, offset: -1 }]],
    'offsets[0].offset',
    /must be 0 or more \(where listOffsets found no record, use what it gives for 'latest'; deleteGroupOffsets .*, not -1/,
  ],
  ['describeConfigs', [[{ type: 'topics', name: 'orders' }]], 'resources[0].type', /not "topics"/],
  [
    'alterConfigs',
    [[{ type: 'topic', name: 'orders', configs: { 'retention.ms': Number.NaN } }]],
    'changes[0].configs',
    /a string, a number, a boolean, null, \{ append \} or \{ subtract \} for retention\.ms, not NaN/,
  ],
  ['groupLag', [['g']], 'groupId', /must be a string, not \["g"\]/],
  ['groupLag', [undefined], 'groupId', /must be a string, it is missing/],
  ['groupOffsets', [5n], 'groupId', /must be a string, not 5/],
  ['alterGroupOffsets', [undefined, []], 'groupId', /it is missing/],
  ['deleteGroupOffsets', [{}, []], 'groupId', /not \{\}/],
  ['createTopics', [[], { ifNotExist: true }], 'admin.createTopics.ifNotExist', /did you mean ifNotExists\?/],
  ['createTopics', [[], { validateOnly: 1 }], 'admin.createTopics.validateOnly', /true or false, not 1/],
  ['listTopics', [{ deadline: 5 }], 'admin.listTopics.deadline', /did you mean timeoutMs\?/],
  ['listTopics', [{ timeoutMs: -1 }], 'admin.listTopics.timeoutMs', /milliseconds from 0 to .*, not -1/],
  ['listTopics', [{ timeout: 5 }], 'admin.listTopics.timeout', /did you mean timeoutMs\?/],
  ['groupLag', ['g', { timeoutMs: '5s' }], 'admin.groupLag.timeoutMs', /milliseconds from 0 .*, not "5s"/],
  ['groupOffsets', ['g', { partitions: ['orders'] }], 'partitions[0]', /must be \{ topic, partition \}/],
  ['listOffsets', [[], { isolation: 'committed' }], 'admin.listOffsets.isolation', /"read_committed" or/],
  ['describeCluster', [{ signal: new AbortController() }], 'admin.describeCluster.signal', /an AbortSignal/],
  ['listGroups', [{ states: 'Stable' }], 'admin.listGroups.states', /a list of names, not "Stable"/],
  ['describeConfigs', [[], { names: [1] }], 'admin.describeConfigs.names[0]', /a string, not 1/],
  ['deleteRecords', [[], 5], 'admin.deleteRecords', /the options must be an object, not 5/],
  ['groupLag', ['g', { partitions: [{ topic: 'orders' }] }], 'partitions[0].partition', /it is missing/],
]

for (const [call, args, path, message] of wrong) {
  test(`refused with the path: ${call}(${inspect(args, { breakLength: Infinity }).slice(2, -2)})`, async (t) => {
    const cluster = await startCluster({ transport: 'memory', topics: { orders: 1 } })
    const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial })
    t.after(async () => {
      await kafka.stop()
      await cluster.stop()
    })
    const admin = kafka.admin() as unknown as Record<
      string,
      (...given: readonly unknown[]) => Promise<unknown>
    >
    await assert.rejects(async () => admin[call]?.(...args), {
      code: path.startsWith('admin.') ? 'INVALID_OPTION' : 'INVALID_ARGUMENT',
      path,
      message,
    })
  })
}

test('what one call found may be given to the next, with all of its fields', async (t) => {
  const cluster = await startCluster({ transport: 'memory', topics: { orders: 1 } })
  const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial })
  t.after(async () => {
    await kafka.stop()
    await cluster.stop()
  })
  const admin = kafka.admin()
  const found = await admin.listOffsets([{ ...orders, position: 'latest' }])
  await admin.alterGroupOffsets('g', found)
  assert.deepEqual(
    (await admin.groupOffsets('g')).map(({ offset }) => offset),
    [0],
  )
})

test('a group goes on at a time as the docs say, and at the end where no record is as late', async (t) => {
  const cluster = await startCluster({ transport: 'memory', topics: { orders: 2 } })
  const kafka = new Kafka({ brokers: cluster.brokers, dial: cluster.dial })
  t.after(async () => {
    await kafka.stop()
    await cluster.stop()
  })
  const producer = kafka.producer()
  for (const [partition, timestamp] of [
    [0, 1000],
    [0, 2000],
    [1, 1000],
  ] as const) {
    await producer.send({ topic: 'orders', partition, timestamp, value: 'x' })
  }
  const admin = kafka.admin()
  const places = [orders, { topic: 'orders', partition: 1 }]
  await admin.alterGroupOffsets(
    'g',
    places.map((place) => ({ ...place, offset: 0 })),
  )
  const at = async (position: OffsetPosition) =>
    admin.listOffsets(places.map((place) => ({ ...place, position })))
  const found = await at({ timestamp: 1500 })
  await assert.rejects(admin.alterGroupOffsets('g', found), { code: 'INVALID_ARGUMENT' })
  const ends = await at('latest')
  await admin.alterGroupOffsets(
    'g',
    found.map((one, index) => (one.offset < 0 ? (ends[index] ?? one) : one)),
  )
  assert.deepEqual(
    (await admin.groupOffsets('g')).map(({ offset }) => offset),
    [1, 1],
  )
})

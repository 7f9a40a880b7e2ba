/** The commands as processes against a cluster in this one. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { type EmbeddedCluster, startCluster } from '../../src/broker/index.ts'
import { printed, runCli, startCli, textOf } from './run-cli.ts'

let cluster: EmbeddedCluster

before(async () => {
  cluster = await startCluster({
    ...{ brokers: 2, autoCreateTopics: false, configs: { 'group.initial.rebalance.delay.ms': 0 } },
  })
})
after(() => cluster.stop())

const env = () => ({ KAFKA_BROKERS: cluster.brokers.join(',') })
const cli = (args: string, input = '') => runCli(args.split(' '), { input, env: env() })
const json = async (args: string) => {
  const { code, stdout, stderr } = await cli(`${args} --json`)
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}
const valuesOf = (topic: string, partition = 0) =>
  cluster.records(topic, partition).map(({ value }) => value?.toString() ?? null)
const sorted = (text: string) => text.trimEnd().split('\n').toSorted()

test('topics: create, list, describe, delete', async () => {
  const created = await cli('topics create made -p 2 -r 1 -c retention.ms=60000')
  assert.equal(created.stdout, 'created made with 2 partitions and 1 replica of each\n', created.stderr)
  const again = await cli('topics create made')
  assert.equal(again.code, 1)
  assert.equal(again.stderr, 'ottla: There is a topic made already.\n')
  const listed = await json('topics list')
  assert.deepEqual(
    listed
      .filter(({ name }: { name: string }) => name === 'made')
      .map(({ topicId: _, ...topic }: { topicId: string }) => topic),
    [{ name: 'made', partitions: 2, replicas: 1, internal: false }],
  )
  // Asking for a coordinator makes Kafka's own topic.
  cluster.coordinatorOf('anybody')
  for (const [flag, isListed] of [
    ['', false],
    [' --internal', true],
  ] as const) {
    const names = (await json(`topics list${flag}`)).map(({ name }: { name: string }) => name)
    assert.equal(names.includes('__consumer_offsets'), isListed)
  }
  const described = await json('topics describe made')
  assert.deepEqual(described.config, { 'retention.ms': '60000' })
  assert.deepEqual(
    described.partitions.map(({ partition, logStart, logEnd }: Record<string, number>) => [
      partition,
      logStart,
      logEnd,
    ]),
    [
      [0, 0, 0],
      [1, 0, 0],
    ],
  )
  assert.match((await cli('topics describe made')).stdout, /PARTITION {2}LEADER {2}REPLICAS/)
  assert.equal((await cli('topics delete made')).stdout, 'deleted made\n')
  const gone = await cli('topics describe made')
  assert.equal(gone.code, 1)
  assert.equal(gone.stderr, 'ottla: There is no topic made.\n')
})

test('produce sends lines with keys to the partition it is told, and says how many', async () => {
  cluster.createTopic('lines', 3)
  const { code, stderr } = await cli('produce lines -k : -p 2', 'a:1\nb:2:2\n:3\nc:\n')
  assert.equal(code, 0, stderr)
  assert.match(stderr, /^4 records delivered, 0 failed in \d+\.\d s/)
  const keyed = cluster.records('lines', 2).map(({ key, value }) => `${key}=${value}`)
  assert.deepEqual(keyed, ['a=1', 'b=2:2', '=3', 'c='])
  assert.equal((await cli('consume lines -e -k =')).stdout, 'a=1\nb=2:2\n=3\nc=\n')
})

test('produce and consume as JSON are each the opposite of the other', async () => {
  cluster.createTopic('json', 2)
  const line = (fields: object) => `${JSON.stringify(fields)}\n`
  const records = [
    { key: 'k', value: 'ä', partition: 1, timestamp: 1_700_000_000_000, headers: { h: 'x' } },
    { key: null, value: null, partition: 1, timestamp: 1_700_000_000_001, headers: [] },
    {
      key: { base64: '/wA=' },
      value: { base64: 'gA==' },
      partition: 1,
      timestamp: 1_700_000_000_002,
      headers: [['n', null]],
    },
  ]
  const { code, stdout, stderr } = await cli('produce json --json', records.map(line).join(''))
  assert.equal(code, 0, stderr)
  const { seconds, ...counts } = JSON.parse(stdout)
  assert.deepEqual(counts, { delivered: 3, failed: 0, invalid: 0 })
  assert.equal(typeof seconds, 'number')
  const consumed = await cli('consume json --json --until-end')
  assert.deepEqual(
    consumed.stdout
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text)),
    [
      { topic: 'json', offset: 0, ...records[0], headers: [['h', 'x']] },
      { topic: 'json', offset: 1, ...records[1] },
      { topic: 'json', offset: 2, ...records[2] },
    ],
  )
})

test('a blank line among JSON objects is no record and no mistake', async () => {
  cluster.createTopic('blank', 1)
  const { code, stdout, stderr } = await cli('produce blank --json', '{"value":"a"}\n\n{"value":"b"}\n\n')
  assert.equal(code, 0, stderr)
  assert.partialDeepStrictEqual(JSON.parse(stdout), { delivered: 2, failed: 0, invalid: 0 })
  assert.deepEqual(valuesOf('blank'), ['a', 'b'])
})

test('produce counts what is not understood and what is not delivered, and ends with 1', async () => {
  cluster.createTopic('bad', 1)
  const { code, stdout, stderr } = await cli(
    'produce bad --json',
    '{"value":"good"}\n{"valeu":1}\nnonsense\n{"value":"x","partition":7}\n',
  )
  assert.equal(code, 1)
  const { delivered, failed, invalid } = JSON.parse(stdout)
  assert.deepEqual({ delivered, failed, invalid }, { delivered: 1, failed: 1, invalid: 2 })
  const told = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).error)
    .sort((a, b) => (a.message < b.message ? -1 : 1))
  assert.deepEqual(
    told.map((error) => error.code),
    ['USAGE', 'USAGE', 'UNKNOWN_TOPIC_OR_PARTITION'],
  )
  assert.match(told[0].message, /^line 2: unknown field valeu; did you mean value\?$/)
  assert.match(told[1].message, /^line 3: it is not JSON/)
  assert.match(told[2].message, /^not delivered: There is no partition 7 of bad\.$/)
  assert.deepEqual(valuesOf('bad'), ['good'])
})

test('produce to a topic that is not there fails at once, with nothing read', async () => {
  const { code, stdout, stderr } = await cli('produce nowhere', 'x\n')
  assert.deepEqual([code, stdout, stderr], [1, '', 'ottla: There is no topic nowhere.\n'])
})

test('produce gives up what cannot be delivered in time, and says so', async (t) => {
  cluster.createTopic('stuck', 1)
  const fault = cluster.faults.on({ api: 'Produce', topic: 'stuck' }, { error: 'NOT_ENOUGH_REPLICAS' })
  t.after(() => fault.remove())
  const { code, stderr } = await cli('produce stuck --delivery-timeout-ms 1000', 'x\ny\n')
  assert.equal(code, 1)
  assert.match(stderr, /^ottla: not delivered: .*\n0 records delivered, 2 failed in /)
})

test('produce to a topic that the brokers create', async (t) => {
  const open = await startCluster({ autoCreateTopics: true })
  t.after(() => open.stop())
  const args = ['produce', 'new', '--auto-create', '-b', open.brokers.join(',')]
  const { code, stderr } = await runCli(args, { input: 'x\n' })
  assert.equal(code, 0, stderr)
  assert.equal(open.records('new', 0).length, 1)
})

test('produce stops reading at SIGINT and delivers what it has read', async () => {
  cluster.createTopic('interrupted', 1)
  const child = startCli(['produce', 'interrupted'], env())
  const [stderr, closed] = [textOf(child.stderr), once(child, 'close')]
  child.stdin.on('error', () => child.stdin.destroy())
  child.stdin.write('one\ntwo\n')
  // The first records are in the log once it has read them.
  while (cluster.records('interrupted', 0).length < 2) await new Promise(setImmediate)
  child.kill('SIGINT')
  assert.deepEqual(await closed, [130, null])
  assert.match(await stderr, /2 records delivered, 0 failed/)
})

test('consume reads all partitions to their end and commits nothing', async () => {
  cluster.createTopic('plain', 3)
  const lines = Array.from({ length: 300 }, (_, n) => `v${n}\n`).join('')
  assert.equal((await cli('produce plain', lines)).code, 0)
  const first = await cli('consume plain --until-end')
  assert.deepEqual([first.code, sorted(first.stdout)], [0, sorted(lines)], first.stderr)
  const fromEnd = await cli('consume plain -e --from latest')
  assert.deepEqual([fromEnd.code, fromEnd.stdout], [0, ''])
  const byTime = await cli(`consume plain -e --from @${Date.now() + 1e6}`)
  assert.deepEqual([byTime.code, byTime.stdout], [0, ''])
  assert.deepEqual(await json('groups list'), [], 'no group is left behind')
})

test('consume of some partitions reads these, from where it is told', async () => {
  cluster.createTopic('parts', 3)
  const lines = [0, 1, 2].flatMap((partition) =>
    ['a', 'b'].map((value) => ({ partition, value: `${value}${partition}` })),
  )
  const input = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  assert.equal((await cli('produce parts --json', input)).code, 0)
  const read = async (args: string) => {
    const { code, stdout, stderr } = await cli(`consume parts -e ${args}`)
    assert.equal(code, 0, stderr)
    return stdout.trimEnd().split('\n').toSorted()
  }
  assert.deepEqual(await read('--partition 1'), ['a1', 'b1'])
  assert.deepEqual(await read('-p 0,2 --from 1'), ['b0', 'b2'])
  assert.deepEqual(await read('-p 2 --from latest'), [''])
  assert.equal((await cli('consume parts -p 0 --max 1')).stdout, 'a0\n')
  const absent = await cli('consume parts -p 0,7')
  assert.deepEqual([absent.code, absent.stderr], [1, 'ottla: There is no partition 7 of parts.\n'])
  const shared = await cli('consume parts -p 0 -g readers')
  assert.equal(shared.code, 2)
  assert.match(shared.stderr, /--partition and --group do not go together/)
})

for (const [how, args] of [
  ['with a limit', ['consume', 'left', '--max', '1']],
  ['by its reader', ['consume', 'left']],
  ['by SIGINT', ['consume', 'left']],
] as const) {
  test(`consume without a group, ended ${how}, leaves none behind`, async () => {
    if (how === 'with a limit') cluster.createTopic('left', 1)
    await cli('produce left', 'a\nb\nc\n')
    const child = startCli(args, env())
    const [stderr, closed] = [textOf(child.stderr), once(child, 'close')]
    await once(child.stdout, 'data')
    if (how === 'by SIGINT') child.kill('SIGINT')
    if (how === 'by its reader') {
      child.stdout.destroy()
      await cli('produce left', 'more\n'.repeat(50))
    } else child.stdout.resume()
    const [code] = await closed
    assert.deepEqual([code, await stderr], [how === 'by SIGINT' ? 130 : 0, ''])
    assert.deepEqual(await json('groups list'), [])
  })
}

test('consume with a group commits what it wrote, no more, and goes on there', async () => {
  cluster.createTopic('grouped', 1)
  await cli('produce grouped', 'a\nb\nc\nd\ne\n')
  assert.equal((await cli('consume grouped -g readers --max 2')).stdout, 'a\nb\n')
  assert.equal((await cli('consume grouped -g readers --until-end')).stdout, 'c\nd\ne\n')
  await cli('produce grouped', 'f\ng\n')
  const described = await json('groups describe readers')
  assert.equal(described.state, 'Empty')
  assert.deepEqual(described.partitions, [
    { topic: 'grouped', partition: 0, committed: 5, logEnd: 7, lag: 2, owner: null },
  ])
  assert.match((await cli('groups describe readers')).stdout, /grouped {10}0 {10}5 {5}7 {4}2 {2}-/)
  assert.equal((await cli('groups delete readers')).stdout, 'deleted readers\n')
  const gone = await cli('groups describe readers')
  assert.deepEqual([gone.code, gone.stderr], [1, 'ottla: There is no group readers.\n'])
})

test('groups: one with a member is listed, and described with what the member owns', async () => {
  cluster.createTopic('shared', 2)
  await cli('produce shared', 'a\n')
  const child = startCli(['consume', 'shared', '-g', 'sharers', '--client-id', 'mine'], env())
  const closed = once(child, 'close')
  await once(child.stdout, 'data')
  assert.deepEqual(await json('groups list'), [
    { groupId: 'sharers', state: 'Stable', type: 'classic', protocolType: 'consumer' },
  ])
  assert.match((await cli('groups list')).stdout, /^GROUP +STATE +TYPE\nsharers +Stable +classic\n$/)
  const { members, partitions } = await json('groups describe sharers')
  const owners = partitions.map(({ partition, owner }: { partition: number; owner: string }) => [
    partition,
    owner,
  ])
  assert.deepEqual(
    [members.length, members[0].clientId, owners],
    [
      1,
      'mine',
      [
        [0, 'mine'],
        [1, 'mine'],
      ],
    ],
  )
  const told = (await cli('groups describe sharers')).stdout
  assert.match(told, /^CLIENT +HOST +PARTITIONS +MEMBER\nmine +\S+ +2 +mine-/m)
  child.kill('SIGINT')
  assert.deepEqual(await closed, [130, null])
  assert.equal((await cli('groups delete sharers')).code, 0)
})

test('consume ends quietly when its reader is gone', async () => {
  cluster.createTopic('piped', 1)
  await cli('produce piped', 'x'.repeat(100).concat('\n').repeat(2000))
  const child = startCli(['consume', 'piped', '-k', ' '], env())
  const [stderr, closed] = [textOf(child.stderr), once(child, 'close')]
  await once(child.stdout, 'data')
  child.stdout.destroy()
  await cli('produce piped', 'more\n'.repeat(50))
  const [code] = await closed
  assert.deepEqual([code, await stderr], [0, ''])
})

for (const args of ['topics list', 'topics list --json', 'help', 'produce piped --json']) {
  test(`a short answer whose reader is gone is no failure: ${args}`, async () => {
    if (args.startsWith('produce')) cluster.createTopic('piped-too', 1)
    const child = startCli(args.replace('piped', 'piped-too').split(' '), env())
    const [stderr, closed] = [textOf(child.stderr), once(child, 'close')]
    child.stdout.destroy()
    child.stdin.on('error', () => child.stdin.destroy())
    child.stdin.end()
    const [code] = await closed
    assert.deepEqual([await stderr, code], ['', 0])
  })
}

test('where several things fail each is told in plain words', async () => {
  cluster.createTopic('there', 1)
  const { code, stderr } = await cli('topics delete nope there')
  assert.deepEqual([code, stderr], [1, 'ottla: 1 of 2 failed: There is no topic nope.\n'])
})

test('consume of a topic that is not there fails at once', async () => {
  const { code, stderr } = await cli('consume nowhere')
  assert.equal(code, 1)
  assert.equal(stderr, 'ottla: There is no topic nowhere.\n')
})

test('dev prints where it listens, serves, and ends with SIGTERM', async () => {
  const child = startCli(['dev', '--listen', '127.0.0.1:0', '-n', '3', '-t', 'orders:4', '-t', 'audit'])
  const closed = once(child, 'close')
  const [, brokers = ''] = await printed(child, /export KAFKA_BROKERS=(\S+)\n/)
  assert.equal(brokers.split(',').length, 3)
  const listed = await runCli(['topics', 'list', '-b', brokers])
  assert.equal(
    listed.stdout,
    'TOPIC   PARTITIONS  REPLICAS\naudit            1         3\norders           4         3\n',
  )
  child.kill('SIGTERM')
  assert.deepEqual(await closed, [0, null])
})

test('dev creates the topics that are asked for where that is said, and only there', async (t) => {
  for (const [flags, code] of [
    [['--auto-create'], 0],
    [[], 1],
  ] as const) {
    const child = startCli(['dev', '--listen', '127.0.0.1:0', ...flags])
    t.after(() => child.kill('SIGKILL'))
    const closed = once(child, 'close')
    const [, brokers = ''] = await printed(child, /export KAFKA_BROKERS=(\S+)\n/)
    const args = ['produce', 'fresh', '--auto-create', '--delivery-timeout-ms', '1000', '-b', brokers]
    const produced = await runCli(args, { input: 'a\n' })
    assert.equal(produced.code, code, produced.stderr)
    const listed = await runCli(['topics', 'list', '-b', brokers])
    assert.equal(/^fresh\b/m.test(listed.stdout), code === 0, listed.stdout)
    child.kill('SIGTERM')
    assert.deepEqual(await closed, [0, null])
  }
})

test('dev --auto-create makes a topic that is asked for; --json prints the addresses as JSON', async () => {
  const child = startCli(['dev', '--listen', '127.0.0.1:0', '-n', '2', '--auto-create', '--json'])
  const closed = once(child, 'close')
  const [line] = await printed(child, /^.*\n/)
  const { brokers, clusterId } = JSON.parse(line)
  assert.equal(brokers.length, 2)
  assert.match(clusterId, /^[\w-]{22}$/)
  const args = ['produce', 'made', '--auto-create', '--delivery-timeout-ms', '5000', '-b', brokers.join(',')]
  const { code, stderr } = await runCli(args, { input: 'x\n' })
  assert.equal(code, 0, stderr)
  child.kill('SIGTERM')
  assert.deepEqual(await closed, [0, null])
})

test('dev says which port is taken, and what to do', async () => {
  const { code, stderr } = await runCli(['dev', '--listen', cluster.brokers[0] as string])
  assert.equal(code, 2)
  assert.match(stderr, /^ottla: A port from \d+ on is taken: free it, or say --listen 127\.0\.0\.1:0\.\n$/)
})

test('a broker that does not answer is an error in one sentence', async () => {
  const { code, stderr } = await runCli(['topics', 'list', '-b', '127.0.0.1:1', '--timeout-ms', '500'])
  assert.equal(code, 1)
  assert.match(stderr, /(^|\n)ottla: no broker of 127\.0\.0\.1:1 can be reached: .*ECONNREFUSED.*\n$/)
})

test('what holds a command up is told long before it gives up, and with --json it is not', async () => {
  const child = startCli(['topics', 'list', '-b', '127.0.0.1:1', '--timeout-ms', '600000'])
  const closed = once(child, 'close')
  let told = ''
  for await (const chunk of child.stderr) {
    told += chunk
    if (told.includes('\n')) break
  }
  child.kill('SIGKILL')
  await closed
  assert.match(told, /^ottla: no broker can be used so far; the client goes on trying: .*ECONNREFUSED.*\n$/)
  const args = ['topics', 'list', '-b', '127.0.0.1:1', '--timeout-ms', '1500', '--json']
  const { stdout, stderr } = await runCli(args)
  assert.equal(stdout, '')
  assert.equal(JSON.parse(stderr).error.code, 'CONNECTION_FAILED')
})

for (const [what, apis] of [
  ['the coordinator', ['FindCoordinator', 'Heartbeat', 'OffsetCommit', 'LeaveGroup', 'DeleteGroups']],
  ['every broker', ['Metadata']],
] as const) {
  test(`consume without a group ends promptly at SIGINT while ${what} is away`, async (t) => {
    cluster.createTopic(`away-${apis.length}`, 1)
    await cli(`produce away-${apis.length}`, 'a\n')
    const hang = () => {
      const faults = apis.map((api) => cluster.faults.on({ api }, 'swallow'))
      t.after(() => {
        for (const fault of faults) fault.remove()
      })
      return faults
    }
    const isDeaf = apis.length === 1
    const early = isDeaf ? hang() : []
    const child = startCli(['consume', `away-${apis.length}`], env())
    const closed = once(child, 'close')
    if (isDeaf) while (early[0]?.hits === 0) await new Promise(setImmediate)
    else {
      await once(child.stdout, 'data')
      hang()
    }
    const asked = performance.now()
    child.kill('SIGINT')
    assert.deepEqual(await closed, [130, null])
    assert.ok(performance.now() - asked < 4_000, `it took ${performance.now() - asked} ms`)
  })
}

test('a second SIGINT ends consume at once, whatever the first one waits for', async (t) => {
  cluster.createTopic('twice', 1)
  await cli('produce twice', 'a\n')
  const child = startCli(['consume', 'twice', '-g', 'twice'], env())
  const closed = once(child, 'close')
  await once(child.stdout, 'data')
  const leaving = cluster.faults.on({ api: 'OffsetCommit' }, 'swallow')
  t.after(() => leaving.remove())
  child.kill('SIGINT')
  while (leaving.hits === 0) await new Promise(setImmediate)
  const asked = performance.now()
  child.kill('SIGINT')
  assert.deepEqual(await closed, [null, 'SIGINT'])
  assert.ok(performance.now() - asked < 1_000)
})

/** Members that come and go: nothing lost, nothing worked on by two at a time, commits never beyond what is finished. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AssignorName, Consumer, ConsumerOptions, RebalanceEvent } from '../../src/consumer/consumer.ts'
import { offsetCommit } from '../../src/protocol/messages/index.ts'
import { Bench, quick, turn, until } from './kit.ts'

const PARTITIONS = 6
const PER_PARTITION = 60

interface Handled {
  readonly partition: number
  readonly offset: number
  readonly member: string
  readonly began: number
  ended: number
}

/** Watches what several members do with one topic. */
class Watch {
  readonly handled: Handled[] = []
  readonly finished = new Map<number, number>()
  readonly events: { member: string; event: RebalanceEvent }[] = []
  #clock = 0
  readonly #busy = new Map<number, string>()

  options(member: string): Pick<ConsumerOptions, 'onRebalance'> {
    return { onRebalance: (event) => void this.events.push({ member, event }) }
  }

  async handle(member: string, record: { partition: number; offset: number }, workMs: number): Promise<void> {
    const { partition, offset } = record
    assert.equal(this.#busy.get(partition), undefined, `${partition} is worked on by two`)
    this.#busy.set(partition, member)
    const entry = { partition, offset, member, began: this.#clock++, ended: -1 }
    this.handled.push(entry)
    await turn(workMs)
    entry.ended = this.#clock++
    this.#busy.delete(partition)
    this.finished.set(partition, Math.max(offset + 1, this.finished.get(partition) ?? 0))
  }

  distinct(): number {
    return new Set(this.handled.map(({ partition, offset }) => `${partition}/${offset}`)).size
  }

  get isComplete(): boolean {
    return this.distinct() === PARTITIONS * PER_PARTITION
  }
}

/** Fails when anything is committed that is not finished. */
function guardCommits(bench: Bench, watch: Watch): { readonly count: number } {
  const seen = { count: 0 }
  bench.broker.faults.on(
    {
      api: 'OffsetCommit',
      where: (request) => {
        const { topics } = request as unknown as {
          topics: { partitions: { partitionIndex: number; committedOffset: number }[] }[]
        }
        for (const { partitions } of topics) {
          for (const { partitionIndex, committedOffset } of partitions) {
            seen.count++
            const finished = watch.finished.get(partitionIndex) ?? 0
            assert.ok(committedOffset <= finished, `${committedOffset} committed, ${finished} finished`)
          }
        }
        return false
      },
    },
    { delayMs: 0 },
  )
  return seen
}

async function tellingWhenOver(
  consumers: readonly Consumer[],
  runs: readonly Promise<void>[],
): Promise<void> {
  for (const consumer of consumers) await consumer.stop()
  await Promise.all(runs)
}

for (const assignor of ['cooperative-sticky', 'range', 'roundrobin'] as const satisfies AssignorName[]) {
  test(`${assignor}: members join and leave while handlers are slow`, async () => {
    await using bench = await Bench.open({ topics: { orders: PARTITIONS } })
    await bench.fill('orders', PARTITIONS, PER_PARTITION, 10)
    const watch = new Watch()
    const commits = guardCommits(bench, watch)
    const member = (name: string) => {
      const consumer = bench.consumer({ topics: ['orders'], assignors: [assignor], ...watch.options(name) })
      const running = consumer.run((record) => watch.handle(name, record, 3))
      return { consumer, running }
    }
    const a = member('a')
    await until(() => watch.handled.length > 40, 'the first member works')
    const b = member('b')
    await until(() => watch.handled.some((entry) => entry.member === 'b'), 'the second member works')
    const c = member('c')
    await until(() => watch.handled.some((entry) => entry.member === 'c'), 'the third member works')
    await a.consumer.stop()
    await a.running
    await until(() => watch.isComplete, 'all records')
    await tellingWhenOver([b.consumer, c.consumer], [b.running, c.running])
    assert.deepEqual(await bench.committed('orders', PARTITIONS), Array(PARTITIONS).fill(PER_PARTITION))
    // Drained before they were given up: nobody had to handle anything twice.
    assert.equal(watch.handled.length, PARTITIONS * PER_PARTITION)
    assert.ok(commits.count > 0)
    checkOwnership(watch)
    checkOrder(watch)
  })
}

/** No partition is assigned to one member before the other has given it up. */
function checkOwnership(watch: Watch): void {
  const owners = new Map<number, string>()
  for (const { member, event } of watch.events) {
    for (const { partition } of event.partitions) {
      const owner = owners.get(partition)
      if (event.type === 'assigned') {
        assert.equal(owner, undefined, `${partition} went from ${owner} to ${member}`)
        owners.set(partition, member)
      } else if (owner === member) owners.delete(partition)
    }
  }
}

function checkOrder(watch: Watch): void {
  const next = new Map<number, number>()
  for (const { partition, offset } of watch.handled) {
    assert.equal(offset, next.get(partition) ?? 0)
    next.set(partition, offset + 1)
  }
}

test('cooperative: what a member keeps is read on without a break', async () => {
  await using bench = await Bench.open({ topics: { orders: 4 } })
  const lists = bench.broker.faults.on({ api: 'OffsetFetch' }, { delayMs: 0 })
  const events: RebalanceEvent[] = []
  const a = bench.consumer({ topics: ['orders'], onRebalance: (event) => void events.push(event) })
  const running = a.run(async () => undefined)
  await until(() => a.assignment().length === 4, 'all partitions')
  await until(() => lists.hits === 1, 'positions')
  const b = bench.consumer({ topics: ['orders'] })
  const other = b.run(async () => undefined)
  await until(() => a.assignment().length === 2 && b.assignment().length === 2, 'both have their part')
  const revoked = events.filter(({ type }) => type === 'revoked').flatMap(({ partitions }) => partitions)
  assert.equal(revoked.length, 2)
  assert.deepEqual(
    events.filter(({ type }) => type === 'assigned').map(({ partitions }) => partitions.length),
    [4],
  )
  await b.stop()
  await a.stop()
  await Promise.all([running, other])
})

test('the revoke deadline: the handler is told, what it does after it does not count, the next owner does it again', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  await bench.fill('orders', 2, 5)
  const late: object[] = []
  const stuck = Promise.withResolvers<void>()
  let told = 0
  const a = bench.consumer({
    topics: ['orders'],
    drainTimeoutMs: 150,
    onFenced: (report) => void late.push(report),
  })
  const running = a.run(async ({ offset }, { signal }) => {
    if (offset !== 2) return
    signal.addEventListener('abort', () => void told++)
    await stuck.promise
  })
  await until(
    async () => (await bench.committed('orders', 2)).every((offset) => offset === 2),
    'the first two',
  )
  const seen: string[] = []
  const b = bench.consumer({ topics: ['orders'] })
  const other = b.run(async ({ partition, offset }) => void seen.push(`${partition}/${offset}`))
  await until(() => seen.length === 3, 'the partition given up, from the record that was not finished')
  assert.equal(told, 1)
  const [partition] = seen.map((text) => Number(text.split('/')[0]))
  assert.deepEqual(
    seen,
    [2, 3, 4].map((offset) => `${partition}/${offset}`),
  )
  stuck.resolve()
  await until(() => late.length === 1, 'the late result')
  assert.deepEqual(late, [{ topic: 'orders', partition, reason: 'late', offset: 2, endOffset: 3 }])
  await b.stop()
  await a.stop()
  await Promise.all([running, other])
})

test('a partition that comes back while a late handler still runs waits for it', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 3)
  const events: RebalanceEvent[] = []
  const consumer = bench.consumer({ topics: ['orders'], onRebalance: (event) => void events.push(event) })
  const stuck = Promise.withResolvers<void>()
  const calls: number[] = []
  const running = consumer.run(async ({ offset }) => {
    calls.push(offset)
    if (calls.length === 2) await stuck.promise
  })
  await until(async () => (await bench.committed('orders', 1))[0] === 1, 'the first record')
  bench.broker.expireMember('group', events[0]?.memberId ?? '')
  await until(() => events.filter(({ type }) => type === 'assigned').length === 2, 'it is back')
  await turn(100)
  assert.deepEqual(calls, [0, 1])
  stuck.resolve()
  await until(() => calls.length === 4, 'the records')
  // The late result did not count.
  assert.deepEqual(calls, [0, 1, 1, 2])
  await consumer.stop()
  await running
})

test('onRebalance is awaited: before reading begins, and before partitions are given up', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 3)
  const gate = Promise.withResolvers<void>()
  const log: string[] = []
  const consumer = bench.consumer({
    topics: ['orders'],
    onRebalance: async ({ type }) => {
      log.push(type)
      if (type === 'assigned') await gate.promise
      log.push(`${type} done`)
    },
  })
  const running = consumer.run(async ({ offset }) => void log.push(`record ${offset}`))
  await until(() => log.length === 1, 'the assignment')
  await turn(50)
  assert.deepEqual(log, ['assigned'])
  gate.resolve()
  await until(() => log.includes('record 2'), 'all records')
  await consumer.stop()
  await running
  assert.deepEqual(log, [
    'assigned',
    'assigned done',
    'record 0',
    'record 1',
    'record 2',
    'revoked',
    'revoked done',
  ])
})

test('a member that the coordinator has forgotten loses everything and joins again', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  const events: RebalanceEvent[] = []
  const consumer = bench.consumer({ topics: ['orders'], onRebalance: (event) => void events.push(event) })
  const seen: number[] = []
  const running = consumer.run(async ({ offset }) => void seen.push(offset))
  await until(() => consumer.assignment().length === 2, 'the assignment')
  bench.broker.expireMember('group', events[0]?.memberId ?? '')
  await until(() => events.some(({ type }) => type === 'lost'), 'the loss')
  await until(() => consumer.assignment().length === 2, 'the assignment again')
  assert.notEqual(events.at(-1)?.memberId, events[0]?.memberId)
  await bench.fill('orders', 2, 2)
  await until(() => seen.length === 4, 'records')
  await consumer.stop()
  await running
})

test('a session that is over by our own clock: the partitions are lost before anybody says so', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 100)
  const events: string[] = []
  const consumer = bench.consumer({
    topics: ['orders'],
    sessionTimeoutMs: 250,
    onRebalance: ({ type }) => void events.push(type),
  })
  let handled = 0
  const running = consumer.run(async () => {
    handled++
    await turn(5)
  })
  await until(() => handled > 3, 'the first records')
  const silence = bench.broker.faults.on({ api: 'Heartbeat' }, 'swallow')
  const joins = bench.broker.faults.on({ api: 'JoinGroup' }, 'close')
  await until(() => events.includes('lost'), 'the loss')
  const before = handled
  await turn(60)
  assert.ok(handled <= before + 1, 'no work goes on')
  assert.deepEqual(consumer.assignment(), [])
  silence.remove()
  joins.remove()
  await until(() => handled >= 100, 'the rest')
  await consumer.stop()
  await running
})

test('the coordinator moves, and loads, while members work', async () => {
  await using bench = await Bench.open({ brokers: 3, topics: { orders: PARTITIONS } })
  await bench.fill('orders', PARTITIONS, PER_PARTITION, 10)
  const watch = new Watch()
  guardCommits(bench, watch)
  const members = ['a', 'b'].map((name) => {
    const consumer = bench.consumer({ topics: ['orders'], ...watch.options(name) })
    return { consumer, running: consumer.run((record) => watch.handle(name, record, 4)) }
  })
  await until(() => watch.handled.length > 30, 'work has begun')
  for (const code of ['COORDINATOR_LOAD_IN_PROGRESS', 'NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE']) {
    for (const api of ['Heartbeat', 'OffsetCommit', 'JoinGroup', 'SyncGroup', 'OffsetFetch']) {
      bench.broker.faults.on({ api, times: 2 }, { error: code })
    }
  }
  const other = (bench.broker.coordinatorOf('group') % 3) + 1
  bench.broker.moveCoordinator('group', other)
  await until(() => watch.isComplete, 'all records')
  await tellingWhenOver(
    members.map(({ consumer }) => consumer),
    members.map(({ running }) => running),
  )
  assert.deepEqual(await bench.committed('orders', PARTITIONS), Array(PARTITIONS).fill(PER_PARTITION))
})

test('partitions that are added are noticed by the leader and read by somebody', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  const consumers = [1, 2].map(() => bench.consumer({ topics: ['orders'] }, { metadataMaxAgeMs: 100 }))
  const seen = new Set<number>()
  const runs = consumers.map((consumer) => consumer.run(async ({ partition }) => void seen.add(partition)))
  await until(() => consumers.some((consumer) => consumer.assignment().length === 1), 'the assignment')
  await bench.admin.createPartitions([{ name: 'orders', partitions: 4 }])
  await until(() => consumers.every((consumer) => consumer.assignment().length === 2), 'the new ones')
  await bench.cluster.refresh({ topics: ['orders'], force: true })
  await bench.fill('orders', 4, 1)
  await until(() => seen.size === 4, 'records of all')
  await tellingWhenOver(consumers, runs)
})

test('a topic that is created later is read from its beginning', async () => {
  await using bench = await Bench.open({ autoCreateTopics: false })
  const consumer = bench.consumer({ topics: ['later'] }, { metadataMaxAgeMs: 100 })
  const seen: number[] = []
  const running = consumer.run(async ({ offset }) => void seen.push(offset))
  await until(() => consumer.groupId === 'group', 'it runs')
  await turn(50)
  bench.broker.createTopic('later', 1)
  await bench.append('later', 0, [{ value: 'x' }])
  await until(() => seen.length === 1, 'the record')
  await consumer.stop()
  await running
})

test('a static member does not leave, and comes back to what it had', async () => {
  await using bench = await Bench.open({ topics: { orders: 2 } })
  const leaves = bench.broker.faults.on({ api: 'LeaveGroup' }, { delayMs: 0 })
  const generations: number[] = []
  const make = (groupInstanceId: string) =>
    bench.consumer({
      topics: ['orders'],
      groupInstanceId,
      onRebalance: ({ type, generation }) => void (type === 'assigned' && generations.push(generation)),
    })
  const a = make('one')
  const b = make('two')
  const runs = [a.run(async () => undefined), b.run(async () => undefined)]
  await until(() => a.assignment().length === 1 && b.assignment().length === 1, 'both')
  const had = a.assignment()
  const before = Math.max(...generations)
  await a.stop()
  assert.equal(leaves.hits, 0)
  const again = make('one')
  const rerun = again.run(async () => undefined)
  await until(() => again.assignment().length === 1, 'it is back')
  assert.deepEqual(again.assignment(), had)
  assert.equal(b.assignment().length, 1)
  assert.ok((generations.at(-1) ?? 0) <= before + 1)
  await again.stop()
  await b.stop()
  await Promise.all([...runs, rerun])
})

test('an instance id that another takes over: the first member is fenced', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  const first = bench.consumer({ topics: ['orders'], groupInstanceId: 'one' })
  const running = first.run(async () => undefined)
  await until(() => first.assignment().length === 1, 'the assignment')
  const second = bench.consumer({ topics: ['orders'], groupInstanceId: 'one' })
  const other = second.run(async () => undefined)
  await assert.rejects(running, { code: 'GROUP_FENCED' })
  assert.equal(first.state, 'failed')
  await until(() => second.assignment().length === 1, 'the other has it')
  await second.stop()
  await other
})

test('a commit from a generation that is over is refused, and the member finds its way back', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  await bench.fill('orders', 1, 5)
  const consumer = bench.consumer({ topics: ['orders'], heartbeatIntervalMs: 5000 })
  const running = consumer.run(async () => undefined)
  bench.broker.faults.on({ api: 'OffsetCommit', times: 1 }, { error: 'ILLEGAL_GENERATION' })
  await until(async () => (await bench.committed('orders', 1))[0] === 5, 'the commit after all')
  await consumer.stop()
  await running
  assert.equal(offsetCommit.key, 8)
})

test('who may not even look for the coordinator is told so', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  // A broker that stumbles is asked again.
  bench.broker.faults.on({ api: 'FindCoordinator', times: 2 }, { error: 'UNKNOWN_SERVER_ERROR' })
  const fault = bench.broker.faults.on({ api: 'FindCoordinator' }, { error: 'GROUP_AUTHORIZATION_FAILED' })
  const consumer = bench.consumer({ topics: ['orders'] })
  await assert.rejects(
    consumer.run(() => undefined),
    { code: 'GROUP_AUTHORIZATION_FAILED' },
  )
  assert.equal(consumer.state, 'failed')
  // Once for the membership, and by whatever stopping still asks for.
  assert.ok(fault.hits <= 2, `asked ${fault.hits} times`)
})

test('what the coordinator refuses for good ends the consumer', async () => {
  await using bench = await Bench.open({ topics: { orders: 1 } })
  bench.broker.faults.on({ api: 'JoinGroup', times: 1 }, { error: 'GROUP_AUTHORIZATION_FAILED' })
  const consumer = bench.consumer({ topics: ['orders'] })
  await assert.rejects(
    consumer.run(async () => undefined),
    { code: 'GROUP_AUTHORIZATION_FAILED' },
  )
  const inconsistent = bench.consumer({ topics: ['orders'], assignors: ['range'] })
  const eager = inconsistent.run(async () => undefined)
  await until(() => inconsistent.assignment().length === 1, 'the assignment')
  const odd = bench.consumer({ topics: ['orders'], assignors: ['roundrobin'] })
  await assert.rejects(
    odd.run(async () => undefined),
    { code: 'INCONSISTENT_GROUP_PROTOCOL' },
  )
  await inconsistent.stop()
  await eager
  assert.ok(quick.drainTimeoutMs < quick.rebalanceTimeoutMs)
})

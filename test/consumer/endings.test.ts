/**
 * How partitions end, whoever asks for it and in whatever order: each is told once that it is gone, and nobody waits
 * longer than the least patient of those who asked. On a clock that stands still unless the test moves it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AssignorName, Consumer, ConsumerOptions, RebalanceEvent } from '../../src/consumer/consumer.ts'
import { sleep } from '../../src/util/clock.ts'
import { type Random, seededRandom } from '../../src/util/random.ts'
import type { VirtualClock } from '../../src/util/virtual-clock.ts'
import { seed } from '../support/seed.ts'
import { type Bench, still } from './kit.ts'

const PARTITIONS = 4
const DRAIN_MS = 5000

async function stage(random?: Random) {
  const { member, ...rest } = await still(random, { topics: { orders: PARTITIONS } })
  const one = (options: Partial<ConsumerOptions> = {}) =>
    member({ topics: ['orders'], drainTimeoutMs: DRAIN_MS, heartbeatIntervalMs: 300, ...options })
  return { ...rest, member: one }
}

/** Whether the promise is settled, though no time passes. */
async function settlesNow(clock: VirtualClock, promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const note = () => {
    settled = true
  }
  promise.then(note, note)
  await clock.advance(0)
  return settled
}

const never = () => new Promise<void>(() => undefined)

test('abort() ends a stop() that waits for handlers, at once', async () => {
  const { clock, bench, member } = await stage()
  await using _ = bench
  await bench.fill('orders', PARTITIONS, 1)
  let handled = 0
  const consumer = member()
  const running = consumer.run(() => {
    handled++
    return never()
  })
  running.catch(() => undefined)
  await clock.until(() => handled === PARTITIONS)
  const stopping = consumer.stop()
  assert.equal(await settlesNow(clock, stopping), false)
  consumer.abort()
  assert.equal(await settlesNow(clock, stopping), true)
  assert.equal((await stopping).unfinished.length, PARTITIONS)
  await assert.rejects(running, { code: 'ABORTED' })
})

test('abort() while it drains after a failure: what had failed is what is told', async () => {
  const { clock, bench, member } = await stage()
  await using _ = bench
  await bench.fill('orders', 2, 1)
  const consumer = member({ failure: { retries: 0 } })
  let handled = 0
  const running = consumer.run(({ partition }) => {
    handled++
    if (partition === 0) throw new Error('the first cause')
    return never()
  })
  running.catch(() => undefined)
  await clock.until(() => handled === 2 && consumer.state === 'draining')
  consumer.abort(new Error('enough'))
  await assert.rejects(running, (error: Error & { code: string }) => {
    assert.equal(error.code, 'HANDLER_FAILED')
    return true
  })
  assert.equal(consumer.state, 'failed')
})

test('partitions that are lost while the callback of their assignment runs: told when that has ended', async () => {
  const { clock, bench, member } = await stage()
  await using _ = bench
  const told: string[] = []
  let memberId = ''
  let release: () => void = () => undefined
  const consumer = member({
    onRebalance: async (event) => {
      told.push(event.type)
      memberId = event.memberId
      if (told.length === 1) await new Promise<void>((resolve) => (release = resolve))
      told.push(`${event.type}, done`)
    },
  })
  const running = consumer.run(() => undefined)
  await clock.until(() => told.length === 1)
  const joins = bench.broker.faults.on({ api: 'JoinGroup' }, { delayMs: 0 })
  bench.broker.expireMember('group', memberId)
  await clock.until(() => joins.hits > 0)
  assert.deepEqual(told, ['assigned'])
  release()
  await clock.until(() => told.length === 6)
  assert.deepEqual(
    told,
    ['assigned', 'lost', 'assigned'].flatMap((type) => [type, `${type}, done`]),
  )
  await clock.during(consumer.stop())
  await running
})

test('abort() ends a stop() that waits for its callback, and one that waits for its commit', async () => {
  for (const waitsFor of ['callback', 'commit'] as const) {
    const { clock, bench, member } = await stage()
    await using _ = bench
    await bench.fill('orders', PARTITIONS, 1)
    let handled = 0
    let told = 0
    const consumer = member({
      commitIntervalMs: 60_000,
      onRebalance: ({ type }) => {
        if (type !== 'revoked') return
        told++
        return waitsFor === 'callback' ? never() : undefined
      },
    })
    const fault = bench.broker.faults.on({ api: 'OffsetCommit' }, { error: 'COORDINATOR_LOAD_IN_PROGRESS' })
    const running = consumer.run(() => void handled++)
    running.catch(() => undefined)
    await clock.until(() => handled === PARTITIONS)
    const stopping = consumer.stop()
    await clock.until(() => told === 1 && (waitsFor === 'callback' || fault.hits > 0))
    consumer.abort()
    assert.equal(await settlesNow(clock, stopping), true, waitsFor)
    await assert.rejects(running, { code: 'ABORTED' })
  }
})

test('an eager rebalance during stop() does not tell a second time', async () => {
  const { clock, bench, member } = await stage()
  await using _ = bench
  await bench.fill('orders', PARTITIONS, 1)
  const events: RebalanceEvent['type'][] = []
  let handled = 0
  const consumer = member({ assignors: ['range'], onRebalance: ({ type }) => void events.push(type) })
  const running = consumer.run(() => {
    handled++
    return sleep(clock, 2000)
  })
  await clock.until(() => handled === PARTITIONS)
  const stopping = consumer.stop()
  void member({ assignors: ['range'] }).run(() => undefined)
  await clock.during(stopping)
  await running
  assert.deepEqual(events, ['assigned', 'revoked'])
  assert.deepEqual(await bench.committed('orders', PARTITIONS), Array(PARTITIONS).fill(1))
})

test('stop() with less patience shortens the draining of a rebalance', async () => {
  const { clock, bench, member } = await stage()
  await using _ = bench
  await bench.fill('orders', PARTITIONS, 1)
  const events: RebalanceEvent['type'][] = []
  let handled = 0
  const consumer = member({ assignors: ['range'], onRebalance: ({ type }) => void events.push(type) })
  const running = consumer.run(() => {
    handled++
    return never()
  })
  await clock.until(() => handled === PARTITIONS)
  const beats = bench.broker.faults.on({ api: 'Heartbeat' }, { delayMs: 0 })
  const other = member({ assignors: ['range'] })
  void other.run(() => undefined)
  // The beat that tells of the rebalance, and then the draining.
  await clock.until(() => beats.hits > 1)
  const began = clock.monotonic()
  const { unfinished } = await clock.during(consumer.stop({ timeoutMs: 100 }))
  await running
  assert.ok(clock.monotonic() - began < DRAIN_MS / 2, `${clock.monotonic() - began} ms`)
  assert.equal(unfinished.length, PARTITIONS)
  assert.deepEqual(events, ['assigned', 'revoked'])
})

test('a membership that is lost while it stops: told as lost, and nothing is waited for any more', async () => {
  const { clock, bench, member } = await stage()
  await using _ = bench
  await bench.fill('orders', PARTITIONS, 1)
  const events: RebalanceEvent[] = []
  const fenced: string[] = []
  let handled = 0
  const consumer = member({
    commitIntervalMs: 60_000,
    onRebalance: (event) => void events.push(event),
    onFenced: ({ partition, reason, offset, endOffset }) =>
      void fenced.push(`${reason} ${partition}: ${offset}-${endOffset}`),
  })
  const running = consumer.run(({ partition }) => {
    handled++
    return partition === 0 ? never() : undefined
  })
  await clock.until(() => handled === PARTITIONS)
  const began = clock.monotonic()
  const stopping = consumer.stop()
  bench.broker.expireMember('group', events[0]?.memberId ?? '')
  await clock.during(stopping)
  await running
  assert.ok(clock.monotonic() - began < DRAIN_MS / 2, `${clock.monotonic() - began} ms`)
  assert.deepEqual(
    events.map(({ type, partitions }) => [type, partitions.length]),
    [
      ['assigned', PARTITIONS],
      ['lost', PARTITIONS],
    ],
  )
  // What was finished comes again, though nothing of these partitions had ever been committed.
  assert.deepEqual(fenced.sort(), ['commit 1: 0-1', 'commit 2: 0-1', 'commit 3: 0-1'])
})

test('a callback that is told of new partitions ends before it is told that they go, or has its time', async () => {
  for (const ends of [true, false]) {
    const { clock, bench, member } = await stage()
    await using _ = bench
    const log: string[] = []
    const consumer = member({
      onRebalance: async ({ type }) => {
        log.push(type)
        if (type === 'assigned') await (ends ? sleep(clock, 1500) : never())
        log.push(`${type} done`)
      },
    })
    const running = consumer.run(() => undefined)
    await clock.until(() => log.length === 1)
    const began = clock.monotonic()
    await clock.during(consumer.stop())
    await running
    const tookMs = clock.monotonic() - began
    if (ends) assert.deepEqual(log, ['assigned', 'assigned done', 'revoked', 'revoked done'])
    else assert.deepEqual(log, ['assigned', 'revoked', 'revoked done'])
    assert.ok(tookMs >= (ends ? 1400 : DRAIN_MS) && tookMs < DRAIN_MS + 1000, `${tookMs} ms`)
  }
})

test('work that could not be committed before its partition was given up is told', async () => {
  const { clock, bench, member } = await stage()
  await using _ = bench
  await bench.fill('orders', 1, 3)
  const fenced: object[] = []
  let handled = 0
  const consumer = member({ commitIntervalMs: 60_000, onFenced: (report) => void fenced.push(report) })
  const running = consumer.run(() => void handled++)
  await clock.until(() => handled === 3)
  bench.broker.faults.on({ api: 'OffsetCommit' }, { error: 'COORDINATOR_LOAD_IN_PROGRESS' })
  await clock.during(consumer.stop())
  await running
  assert.deepEqual(fenced, [{ topic: 'orders', partition: 0, reason: 'commit', offset: 0, endOffset: 3 }])
})

test('finished work of a topic that was deleted holds up neither a stop nor the commits of the others', async () => {
  const { clock, bench, member } = await still(undefined, { topics: { orders: 1, gone: 1 } })
  await using _ = bench
  for (const topic of ['orders', 'gone']) await bench.fill(topic, 1, 3)
  const fenced: object[] = []
  let handled = 0
  const consumer = member({
    topics: ['orders', 'gone'],
    commitIntervalMs: 60_000,
    onFenced: (report) => void fenced.push(report),
  })
  const running = consumer.run(() => void handled++)
  await clock.until(() => handled === 6)
  bench.broker.deleteTopic('gone')
  const began = clock.monotonic()
  await clock.during(consumer.stop())
  await running
  assert.ok(clock.monotonic() - began < 1000, `${clock.monotonic() - began} ms`)
  assert.deepEqual(await bench.committed('orders', 1), [3])
  assert.deepEqual(fenced, [{ topic: 'gone', partition: 0, reason: 'commit', offset: 0, endOffset: 3 }])
})

test('a coordinator that does not know a topic yet is asked again', async () => {
  const { clock, bench, member } = await stage()
  await using _ = bench
  await bench.fill('orders', PARTITIONS, 1)
  let handled = 0
  const consumer = member({ commitIntervalMs: 60_000 })
  const running = consumer.run(() => void handled++)
  await clock.until(() => handled === PARTITIONS)
  bench.broker.faults.on({ api: 'OffsetCommit', times: 5 }, { error: 'UNKNOWN_TOPIC_OR_PARTITION' })
  await clock.during(consumer.stop())
  await running
  assert.deepEqual(await bench.committed('orders', PARTITIONS), Array(PARTITIONS).fill(1))
})

test('start() that waits ends with stop() and with abort()', async () => {
  for (const end of ['stop', 'abort'] as const) {
    const { clock, bench, member } = await stage()
    await using _ = bench
    bench.broker.faults.on({ api: 'Metadata' }, { delayMs: 500 })
    const consumer = member()
    const starting = consumer.start()
    await clock.advance(100)
    void consumer[end]()
    assert.equal(await settlesNow(clock, starting), true, end)
    await assert.rejects(starting, { code: 'ABORTED' })
    assert.equal(consumer.state, end === 'stop' ? 'stopped' : 'failed')
  }
})

test('a start() whose answer comes in the turn of the stop() has not started', async () => {
  const { bench, member } = await stage()
  await using _ = bench
  const consumer = member()
  const starting = consumer.start()
  const [started] = await Promise.allSettled([starting, consumer.stop()])
  assert.equal(started.status, 'rejected')
})

// ----------------------------------------------------------------------------------- whatever the order is

interface Member {
  readonly name: string
  readonly consumer: Consumer
  readonly held: Set<number>
  memberId: string
  /** Settled once it is over. */
  ending: Promise<unknown> | undefined
}

class Schedule {
  readonly log: string[] = []
  readonly members: Member[] = []
  readonly #random: Random
  readonly #clock: VirtualClock
  readonly #bench: Bench
  readonly #member: (options: Partial<ConsumerOptions>) => Consumer
  readonly #assignor: AssignorName

  constructor(random: Random, { clock, bench, member }: Awaited<ReturnType<typeof stage>>) {
    this.#random = random
    this.#clock = clock
    this.#bench = bench
    this.#member = member
    this.#assignor = (['range', 'cooperative-sticky'] as const)[random.below(2)] ?? 'range'
  }

  join(): void {
    const random = seededRandom(this.#random.below(2 ** 31))
    const name = `m${this.log.filter((line) => line.endsWith('joins')).length}`
    this.log.push(`${name} joins`)
    const consumer = this.#member({
      assignors: [this.#assignor],
      drainTimeoutMs: 1000,
      rebalanceTimeoutMs: 6000,
      sessionTimeoutMs: 3000,
      onRebalance: async (event) => {
        this.#note(member, event)
        await sleep(this.#clock, random.below(3) * random.below(600))
      },
    })
    const member: Member = { name, consumer, held: new Set(), memberId: '', ending: undefined }
    this.members.push(member)
    const work = () => sleep(this.#clock, random.below(8) === 0 ? 2500 : random.below(200))
    consumer.run(work).catch((error) => this.#check(error.code === 'ABORTED', `${name} failed: ${error}`))
  }

  #note(member: Member, { type, partitions, memberId }: RebalanceEvent): void {
    this.log.push(`${member.name} ${type} ${partitions.map(({ partition }) => partition)}`)
    if (type === 'assigned') member.memberId = memberId
    for (const { partition } of partitions) {
      const wasHeld = member.held.has(partition)
      if (type === 'assigned') {
        this.#check(!wasHeld, `${partition} was assigned to ${member.name}, which has it`)
        member.held.add(partition)
      } else {
        this.#check(wasHeld, `${member.name} was told twice that ${partition} is gone`)
        member.held.delete(partition)
      }
    }
  }

  failure: Error | undefined

  #check(condition: boolean, message: string): void {
    if (!condition) this.failure ??= new Error(message)
  }

  async act(): Promise<void> {
    const random = this.#random
    const present = this.members.filter(({ ending }) => ending === undefined)
    const what = random.below(8)
    if (what < 3 && present.length < 3) return this.join()
    // Those that are stopping are as good.
    const member = this.members.at(random.below(Math.max(1, this.members.length)))
    if (member === undefined) return this.join()
    if (what < 5) return this.stop(member, random.below(2500))
    if (what === 5) return this.abort(member)
    this.log.push(`${member.name} is expired`)
    try {
      this.#bench.broker.expireMember('group', member.memberId)
    } catch {
      // It is none any more.
    }
  }

  stop(member: Member, timeoutMs: number): void {
    if (member.ending !== undefined) return
    const { clock, log } = { clock: this.#clock, log: this.log }
    const began = clock.monotonic()
    log.push(`${member.name} stops within ${timeoutMs}`)
    member.ending = member.consumer.stop({ timeoutMs }).then(() => {
      const tookMs = clock.monotonic() - began
      log.push(`${member.name} has stopped after ${tookMs}`)
      // A last commit and the good-bye take up to 5 s more.
      this.#check(tookMs <= timeoutMs + 5000, `${member.name} took ${tookMs} ms`)
      this.#check(
        member.held.size === 0,
        `${member.name} has stopped and was not told of ${[...member.held]}`,
      )
    })
  }

  async abort(member: Member): Promise<void> {
    this.log.push(`${member.name} is aborted`)
    member.consumer.abort()
    this.#check(member.held.size === 0, `${member.name} was aborted and not told of ${[...member.held]}`)
    member.ending ??= Promise.resolve()
    this.#check(await settlesNow(this.#clock, member.ending), `stop() of ${member.name} waits after abort()`)
  }
}

async function rehearse(round: number): Promise<void> {
  const random = seededRandom(seed + round)
  const set = await stage(random)
  await using bench = set.bench
  await bench.fill('orders', PARTITIONS, 200)
  const schedule = new Schedule(random, set)
  try {
    for (let step = 0; step < 40 && schedule.failure === undefined; step++) {
      await schedule.act()
      await set.clock.advance(random.below(900))
    }
    for (const member of schedule.members) schedule.stop(member, 500)
    await set.clock.during(Promise.all(schedule.members.map(({ ending }) => ending)))
    if (schedule.failure !== undefined) throw schedule.failure
  } catch (error) {
    throw new Error(`round ${round}; see it again with OTTLA_SEED=${seed}\n${schedule.log.join('\n')}`, {
      cause: error,
    })
  }
}

const ROUNDS = Number(process.env['OTTLA_ROUNDS'] ?? 12)
for (let round = 0; round < ROUNDS; round++) {
  test(`each partition that was assigned ends once: round ${round}`, () => rehearse(round))
}

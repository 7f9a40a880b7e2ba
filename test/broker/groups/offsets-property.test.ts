/**
 * What a group was told is committed stays so, and what it was not told may: over random schedules of commits, members,
 * moves, kills and holds. A commit that is seen once is never unseen, unless a later one is there.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorCode } from '../../../src/protocol/error-codes.ts'
import { offsetCommit, offsetFetch } from '../../../src/protocol/messages/index.ts'
import { type Random, seededRandom } from '../../../src/util/random.ts'
import { VirtualClock } from '../../../src/util/virtual-clock.ts'
import { type Kit, withCluster } from '../kit.ts'

const NODES = [1, 2, 3]
const GROUPS = ['a', 'b', 'c', 'd']
const OFFSETS = '__consumer_offsets'
const PARTITIONS = 2

class Schedule {
  readonly #kit: Kit
  readonly #random: Random
  readonly #clock: VirtualClock
  readonly #down = new Set<number>()
  readonly #holds: (() => void)[] = []
  /** By group: the last offset that was asked for, that was acknowledged or seen, and whether one is under way. */
  readonly #asked = new Map<string, number>()
  readonly #known = new Map<string, number>()
  readonly #busy = new Set<string>()
  readonly trace: string[] = []
  acknowledged = 0

  constructor(kit: Kit, random: Random, clock: VirtualClock) {
    this.#kit = kit
    this.#random = random
    this.#clock = clock
  }

  async step(): Promise<void> {
    const dice = this.#random.below(100)
    const node = 1 + this.#random.below(NODES.length)
    const group = GROUPS[this.#random.below(GROUPS.length)] as string
    const { cluster } = this.#kit
    if (dice < 50) this.#commit(group)
    else if (dice < 65) this.#look(group)
    else if (dice < 72) this.#hold(node)
    else if (dice < 80) this.#holds.shift()?.()
    else if (dice < 88) this.#move(group, node)
    else if (dice < 94 && this.#down.size < 2 && !this.#down.has(node)) {
      this.trace.push(`stop ${node}`)
      this.#down.add(node)
      await cluster.stopNode(node, { kill: dice < 92 })
    } else {
      const [down] = this.#down
      if (down === undefined) return
      this.trace.push(`start ${down}`)
      this.#down.delete(down)
      await cluster.startNode(down)
    }
    await this.#clock.advance(this.#random.below(4) * 10)
  }

  async settle(): Promise<void> {
    for (const release of this.#holds) release()
    for (const node of this.#down) await this.#kit.cluster.startNode(node)
    await this.#clock.advance(60_000)
    for (const group of GROUPS) this.#look(group)
    await this.#clock.advance(60_000)
    assert.equal(this.#busy.size, 0, 'everybody was answered, or lost the connection')
    for (const group of GROUPS) {
      assert.equal(this.#known.get(group) ?? -1, await this.#clock.during(this.#fetch(group)), group)
    }
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const tails = NODES.map((node) => this.#kit.cluster.replicaOf(node, OFFSETS, partition))
      assert.equal(new Set(tails.map(({ logEnd, highWatermark }) => `${logEnd} ${highWatermark}`)).size, 1)
    }
  }

  #commit(group: string): void {
    if (this.#busy.has(group)) return
    const offset = (this.#asked.get(group) ?? 0) + 1
    this.#asked.set(group, offset)
    this.trace.push(`${group} commits ${offset}`)
    this.#attempt(group, async () => {
      const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: '' }]
      const request = { groupId: group, memberId: '', topics: [{ name: 't', partitions }] }
      const answer = await (await this.#toCoordinator(group)).send(offsetCommit, 8, request)
      if (answer.topics[0]?.partitions[0]?.errorCode !== errorCode.NONE) return
      this.acknowledged++
      this.#learn(group, offset)
    })
  }

  #look(group: string): void {
    if (this.#busy.has(group)) return
    this.#attempt(group, async () => {
      const offset = await this.#fetch(group)
      if (offset !== undefined) this.#learn(group, offset)
    })
  }

  async #fetch(group: string): Promise<number | undefined> {
    const request = { groupId: group, topics: [{ name: 't', partitionIndexes: [0] }] }
    const answer = await (await this.#toCoordinator(group)).send(offsetFetch, 7, request)
    return answer.errorCode === errorCode.NONE ? answer.topics[0]?.partitions[0]?.committedOffset : undefined
  }

  #learn(group: string, offset: number): void {
    const known = this.#known.get(group) ?? -1
    assert.ok(offset >= known, `${group} stands at ${offset}, and stood at ${known}`)
    assert.ok(offset <= (this.#asked.get(group) ?? -1), 'nobody invents an offset')
    this.#known.set(group, offset)
  }

  /** A connection that ends leaves it open what became of a commit: nothing is promised then. */
  #attempt(group: string, run: () => Promise<void>): void {
    this.#busy.add(group)
    run()
      .catch((error) => {
        if (error instanceof assert.AssertionError) this.failure ??= error
      })
      .finally(() => this.#busy.delete(group))
  }

  failure: Error | undefined

  #toCoordinator(group: string) {
    const node = this.#kit.cluster.coordinatorOf(group)
    if (node === -1) throw new Error('nobody coordinates')
    return this.#kit.to(node)
  }

  #hold(node: number): void {
    if (this.#holds.length > 1) return
    const partition = this.#random.below(PARTITIONS)
    this.trace.push(`hold ${node}/${partition}`)
    this.#holds.push(this.#kit.cluster.holdReplica(node, OFFSETS, partition))
  }

  #move(group: string, node: number): void {
    try {
      this.#kit.cluster.moveCoordinator(group, node)
      this.trace.push(`move ${group} to ${node}`)
    } catch {
      // It is down, or not in sync.
    }
  }
}

const given = process.env['OTTLA_SEED']
const seeds = given === undefined ? [1, 2, 3, 4, 5, 6, 7, 8] : [Number(given)]

/** One schedule from its seed; what was done, and what the replicas hold at the end. */
async function run(seed: number): Promise<string[]> {
  const clock = new VirtualClock()
  const random = seededRandom(seed)
  const configs = {
    'offsets.topic.num.partitions': PARTITIONS,
    // So that it is compacted many times on the way.
    'offsets.topic.segment.bytes': 1_000,
    'offsets.commit.timeout.ms': 60,
    'replica.lag.time.max.ms': 100,
    'broker.session.timeout.ms': seed % 2 === 0 ? 50 : 0,
    'min.insync.replicas': 1 + (seed % 2),
  }
  const told: string[] = []
  await withCluster({ brokers: NODES.length, topics: { t: 1 }, configs, clock, random }, async (kit) => {
    kit.cluster.coordinatorOf('a')
    const schedule = new Schedule(kit, random, clock)
    try {
      for (let count = 0; count < 400; count++) {
        await schedule.step()
        if (schedule.failure !== undefined) throw schedule.failure
      }
      await schedule.settle()
      assert.ok(schedule.acknowledged > 20, `${schedule.acknowledged} commits were acknowledged`)
    } catch (error) {
      throw new Error(`OTTLA_SEED=${seed}, after:\n${schedule.trace.slice(-25).join('\n')}`, { cause: error })
    }
    told.push(...schedule.trace)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for (const node of NODES) told.push(JSON.stringify(kit.cluster.replicaOf(node, OFFSETS, partition)))
    }
  })
  return told
}

for (const seed of seeds) {
  test(`what is committed stays, whatever happens to the coordinators (seed ${seed})`, async () => {
    await run(seed)
  })
}

test('the same seed writes the same logs', async () => {
  const [seed] = seeds as [number]
  assert.deepEqual(await run(seed), await run(seed), `OTTLA_SEED=${seed}`)
})

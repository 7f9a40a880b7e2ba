/**
 * What replication promises, over random schedules of writes, holds, stops, kills and moves: what was committed stays,
 * at its offset and for every replica; what was acknowledged with acks all is committed.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { produce } from '../../src/protocol/messages/produce.ts'
import { type Random, seededRandom } from '../../src/util/random.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { batchOf, type Kit, produceRequest, withCluster } from './kit.ts'

const PARTITIONS = 2
const NODES = [1, 2, 3]

class Schedule {
  readonly #kit: Kit
  readonly #random: Random
  readonly #clock: VirtualClock
  readonly #holds = new Map<string, () => void>()
  readonly #down = new Set<number>()
  /** Per partition, what consumers may have seen: it must never change. */
  readonly #committed: string[][] = Array.from({ length: PARTITIONS }, () => [])
  readonly #acknowledged: { partition: number; offset: number; value: string }[] = []
  readonly trace: string[] = []
  #written = 0

  constructor(kit: Kit, random: Random, clock: VirtualClock) {
    this.#kit = kit
    this.#random = random
    this.#clock = clock
  }

  async step(): Promise<void> {
    const dice = this.#random.below(100)
    const partition = this.#random.below(PARTITIONS)
    const node = 1 + this.#random.below(NODES.length)
    if (dice < 55) this.#write(partition, dice < 40 ? -1 : 1)
    else if (dice < 65) this.#hold(node, partition)
    else if (dice < 75) this.#release()
    else if (dice < 85) this.#move(node, partition)
    else if (dice < 92) await this.#stop(node, dice < 88)
    else await this.#start()
    await this.#clock.advance(this.#random.below(4) * 10)
    this.check()
  }

  /** Everything is let go; every replica must come to the same log. */
  async settle(): Promise<void> {
    while (this.#holds.size > 0) this.#release()
    while (this.#down.size > 0) await this.#start()
    await this.#clock.advance(60_000)
    this.check()
    const { cluster } = this.#kit
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const logs = NODES.map((id) => JSON.stringify(cluster.replicaOf(id, 't', partition).batches))
      assert.equal(new Set(logs).size, 1, `the replicas of partition ${partition} are the same`)
      const { highWatermark, logEnd } = cluster.replicaOf(1, 't', partition)
      assert.equal(highWatermark, logEnd, 'all of it is committed')
    }
    for (const { partition, offset, value } of this.#acknowledged) {
      assert.equal(this.#committed[partition]?.[offset], value, `what was acknowledged at ${offset}`)
    }
    assert.ok(this.#acknowledged.length > 0, 'something was acknowledged')
  }

  check(): void {
    const { cluster } = this.#kit
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for (const id of NODES) {
        const { highWatermark, logEnd } = cluster.replicaOf(id, 't', partition)
        assert.ok(highWatermark <= logEnd, `the high watermark of ${id} is within its log`)
      }
      const known = this.#committed[partition] as string[]
      const now = cluster.records('t', partition).map(({ value }) => String(value))
      const common = Math.min(known.length, now.length)
      assert.deepEqual(now.slice(0, common), known.slice(0, common), 'what was committed stays')
      if (now.length > known.length) this.#committed[partition] = now
    }
  }

  #write(partition: number, acks: number): void {
    const value = `${this.#written++}`
    this.trace.push(`write ${value} to ${partition} with acks ${acks}`)
    const { cluster } = this.#kit
    const leader = cluster.leaderOf('t', partition)
    if (leader === -1) return
    const request = produceRequest('t', batchOf([value]), { partition, acks, timeoutMs: 200 })
    const attempt = async () => {
      const connection = await this.#kit.to(leader)
      const { responses } = await connection.send(produce, 9, request)
      const answer = responses[0]?.partitionResponses[0]
      if (answer?.errorCode === 0 && acks === -1) {
        this.#acknowledged.push({ partition, offset: answer.baseOffset, value })
      }
    }
    // A connection that ends leaves it open whether the record is there: nothing is promised then.
    attempt().catch(() => undefined)
  }

  #hold(node: number, partition: number): void {
    const key = `${node}/${partition}`
    if (this.#holds.has(key)) return
    this.trace.push(`hold ${key}`)
    this.#holds.set(key, this.#kit.cluster.holdReplica(node, 't', partition))
  }

  #release(): void {
    const [key] = this.#holds.keys()
    if (key === undefined) return
    this.trace.push(`release ${key}`)
    this.#holds.get(key)?.()
    this.#holds.delete(key)
  }

  #move(node: number, partition: number): void {
    const { cluster } = this.#kit
    if (this.#down.has(node) || !cluster.replicaOf(node, 't', partition).isInSync) return
    this.trace.push(`move ${partition} to ${node}`)
    cluster.moveLeader('t', partition, node)
  }

  async #stop(node: number, kill: boolean): Promise<void> {
    if (this.#down.size === 2 || this.#down.has(node)) return
    this.trace.push(`${kill ? 'kill' : 'stop'} ${node}`)
    this.#down.add(node)
    await this.#kit.cluster.stopNode(node, { kill })
  }

  async #start(): Promise<void> {
    const [node] = this.#down
    if (node === undefined) return
    this.trace.push(`start ${node}`)
    this.#down.delete(node)
    await this.#kit.cluster.startNode(node)
  }
}

const given = process.env['OTTLA_SEED']
const seeds = given === undefined ? [1, 2, 3, 4, 5, 6, 7, 8] : [Number(given)]

for (const seed of seeds) {
  test(`committed records stay, whatever happens to the nodes (seed ${seed})`, async () => {
    const clock = new VirtualClock()
    const random = seededRandom(seed)
    const topics = { t: { partitions: PARTITIONS, configs: { 'min.insync.replicas': 2 } } }
    const configs = { 'replica.lag.time.max.ms': 100, 'broker.session.timeout.ms': seed % 2 === 0 ? 50 : 0 }
    await withCluster({ brokers: NODES.length, topics, configs, clock, random }, async (kit) => {
      const schedule = new Schedule(kit, random, clock)
      try {
        for (let count = 0; count < 250; count++) await schedule.step()
        await schedule.settle()
      } catch (error) {
        throw new Error(`OTTLA_SEED=${seed}, after:\n${schedule.trace.slice(-25).join('\n')}`, {
          cause: error,
        })
      }
    })
  })
}

/**
 * The course of the demo: a producer and two group members, each a process of its own, while things break; then the
 * end of the work, and the log read back into the history.
 */
import { Kafka, type KafkaOptions } from '../src/index.ts'
import { systemClock } from '../src/util/clock.ts'
import { Actor, type Handlers } from '../test/support/actors/actor.ts'
import type { MemberCalls, MemberConfig, MemberEvents } from '../test/support/actors/member-actor.ts'
import type {
  ProducerCalls,
  ProducerConfig,
  ProducerEvents,
  ProducerProgress,
} from '../test/support/actors/producer-actor.ts'
import { findReader, type LogReader, readLog, type Topic } from '../test/support/actors/readers.ts'
import { HistoryWriter } from '../test/support/history/index.ts'
import { Screen } from './screen.ts'
import type { Faults, Stage, TopicPlan } from './stage.ts'

export interface CoursePlan extends TopicPlan {
  readonly records: number
  readonly group: string
  readonly historyDir: string
}

type Member = Actor<MemberCalls, MemberEvents>
type Step = readonly [share: number, act: () => Promise<void>]

const actors = (name: string) => new URL(`../test/support/actors/${name}.ts`, import.meta.url)
/** The stream takes about this long where the machine keeps up: time enough for everything to break and heal. */
const STREAM_SECONDS = 30
const DRAIN_LIMIT_MS = 60_000

export class Course {
  readonly #stage: Stage
  readonly #plan: CoursePlan
  readonly #kafka: Kafka
  readonly #history: HistoryWriter
  readonly #screen: Screen
  readonly #children = new Set<{ kill(): Promise<void> }>()
  readonly #finished = new Map<string, number>()
  readonly #failure = Promise.withResolvers<never>()
  readonly #startedAt = systemClock.monotonic()
  #produced: ProducerProgress = { sent: 0, acknowledged: 0, failed: 0 }
  #members: Member[] = []

  constructor(stage: Stage, plan: CoursePlan) {
    this.#stage = stage
    this.#plan = plan
    this.#kafka = new Kafka(this.#options('demo'))
    this.#history = new HistoryWriter(plan.historyDir, 'demo')
    this.#screen = new Screen(() => this.#standing())
    // Whoever waits hears of it; when nobody waits, `run` is not running.
    this.#failure.promise.catch(() => undefined)
  }

  /** Runs to the end; the result is who read the log. */
  async run(): Promise<LogReader> {
    this.#screen.start()
    try {
      return await Promise.race([this.#play(), this.#failure.promise])
    } finally {
      this.#screen.stop()
    }
  }

  /** Ends every process that was started, by its own id. */
  async stop(): Promise<void> {
    this.#screen.stop()
    await Promise.all([...this.#children].map((child) => child.kill()))
    await this.#kafka.stop()
    this.#history.close()
  }

  async #play(): Promise<LogReader> {
    const { records, topic } = this.#plan
    await this.#kafka
      .admin()
      .createTopics([{ topic, partitions: this.#plan.partitions }], { ifNotExists: true })
    for (const name of ['member-1', 'member-2']) this.#startMember(name)
    const producer = this.#startProducer()
    this.#screen.tell(`a producer and two members, ${records.toLocaleString('en-US')} records`)
    await Promise.all([producer, this.#breakThings()])
    this.#screen.tell('all is sent; waiting until all is handled and committed')
    const ends = await this.#drain()
    await Promise.all(this.#members.map((member) => member.call('stop')))
    const reader = findReader(this.#kafka)
    this.#screen.tell(`reading the log back with ${reader.name}`)
    await readLog(reader, { brokers: this.#stage.brokers, topic: { topic, ends }, history: this.#history })
    return reader
  }

  #options(clientId: string): KafkaOptions {
    return { clientId, brokers: this.#stage.brokers }
  }

  #startProducer(): Promise<void> {
    const { topic, records, historyDir } = this.#plan
    const config: ProducerConfig = {
      ...{ proc: 'producer', historyDir, kafka: this.#options('producer'), topic, records },
      ...{ keys: 1000, valueBytes: 100, recordsPerSecond: records / STREAM_SECONDS },
      producer: { lingerMs: 5 },
    }
    const producer = this.#start<ProducerCalls, ProducerEvents>('producer-actor', 'producer', config)
    const done = Promise.withResolvers<void>()
    producer.on('progress', (progress) => {
      this.#produced = progress
    })
    producer.on('done', (progress) => {
      this.#produced = progress
      done.resolve()
    })
    void producer.call('start').catch(this.#failure.reject)
    return done.promise
  }

  #startMember(name: string): void {
    const { topic, group, historyDir } = this.#plan
    const config: MemberConfig = {
      ...{ proc: name, historyDir, kafka: this.#options(name), topic, group },
      // The shortest session that Kafka takes by default, so that the demo does not wait for the dead.
      consumer: { sessionTimeoutMs: 6000, heartbeatIntervalMs: 1000, commitIntervalMs: 500 },
    }
    const member = this.#start<MemberCalls, MemberEvents>('member-actor', name, config)
    member.on('progress', ({ finished }) => this.#finished.set(name, finished))
    member.on('failed', (message) => this.#failure.reject(new Error(`${name}: ${message}`)))
    this.#members.push(member)
    void member.call('start').catch(this.#failure.reject)
  }

  #start<C extends Handlers, E extends object>(script: string, name: string, config: object): Actor<C, E> {
    const actor = new Actor<C, E>(actors(script), name, config)
    this.#children.add(actor)
    void actor.exited.then((how) => {
      this.#children.delete(actor)
      if (how !== 'SIGKILL') this.#failure.reject(new Error(`${name} ended by itself (${how})`))
    })
    return actor
  }

  // ------------------------------------------------------------------------------------------------ faults

  /** Each step waits for its share of the records to be acknowledged. */
  async #breakThings(): Promise<void> {
    const faults = this.#stage.faults
    const steps =
      faults === undefined ? this.#memberSteps() : [...this.#brokerSteps(faults), ...this.#memberSteps()]
    for (const [share, act] of steps) {
      await this.#until(() => this.#produced.acknowledged >= share * this.#plan.records)
      await act()
    }
  }

  #brokerSteps(faults: Faults): Step[] {
    let down = -1
    return [
      [
        0.15,
        async () => {
          down = await faults.leaderOf(0)
          await this.#fault('broker', 'begin', `broker ${down}`, () => faults.stopBroker(down))
          this.#screen.tell(`broker ${down} is stopped`)
        },
      ],
      [
        0.3,
        async () => {
          await this.#fault('broker', 'end', `broker ${down}`, () => faults.startBroker(down))
          this.#screen.tell(`broker ${down} is back`)
        },
      ],
      [
        0.45,
        async () => {
          const from = await faults.leaderOf(1)
          const to = from === down ? 0 : down
          await this.#fault('leader', 'once', `partition 1 to broker ${to}`, () => faults.moveLeader(1, to))
          this.#screen.tell(`the leader of partition 1 moved from broker ${from} to broker ${to}`)
        },
      ],
    ]
  }

  #memberSteps(): Step[] {
    return [
      [
        0.6,
        async () => {
          const victim = this.#members.shift()
          if (victim === undefined) throw new Error('there is no member to kill')
          await this.#fault('kill', 'once', victim.name, () => victim.kill())
          this.#screen.tell(`${victim.name} is killed with SIGKILL`)
        },
      ],
      [
        0.7,
        async () => {
          this.#startMember('member-3')
          this.#screen.tell('member-3 takes its place')
        },
      ],
    ]
  }

  /** Notes a fault around the doing: what is about to break is broken from before, what heals is whole only after. */
  async #fault(
    fault: string,
    phase: 'begin' | 'end' | 'once',
    target: string,
    act: () => Promise<void>,
  ): Promise<void> {
    if (phase === 'begin') this.#history.write({ op: 'fault', fault, phase, target })
    await act()
    if (phase !== 'begin') this.#history.write({ op: 'fault', fault, phase, target })
  }

  // ------------------------------------------------------------------------------------------------ the end

  /** Waits until the group has committed everything; then notes how far it came. */
  async #drain(): Promise<Topic['ends']> {
    const deadline = systemClock.monotonic() + DRAIN_LIMIT_MS
    for (;;) {
      const ends = await this.#lags()
      const behind = ends.filter(({ committed, logEnd }) => committed < logEnd)
      if (behind.length === 0 || systemClock.monotonic() > deadline) {
        for (const { partition, committed, logEnd } of ends) {
          const { topic, group } = this.#plan
          this.#history.write({ op: 'lag', group, topic, partition, committed, logEnd })
        }
        return ends
      }
      await this.#pause(250)
    }
  }

  async #lags() {
    const { topic, group, partitions } = this.#plan
    const admin = this.#kafka.admin()
    const ids = Array.from({ length: partitions }, (_, partition) => partition)
    const at = (position: 'earliest' | 'latest') =>
      admin.listOffsets(ids.map((partition) => ({ topic, partition, position })))
    const [starts, ends, committed] = [
      await at('earliest'),
      await at('latest'),
      await admin.groupOffsets(group),
    ]
    return ids.map((partition) => ({
      partition,
      logStart: starts[partition]?.offset ?? 0,
      logEnd: ends[partition]?.offset ?? 0,
      committed: committed.find((entry) => entry.partition === partition)?.offset ?? 0,
    }))
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#pause(50)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void systemClock.setTimeout(resolve, ms))
  }

  #standing() {
    const handled = [...this.#finished.values()].reduce((sum, finished) => sum + finished, 0)
    const seconds = Math.max(0.1, (systemClock.monotonic() - this.#startedAt) / 1000)
    const { acknowledged } = this.#produced
    return { records: this.#plan.records, acknowledged, handled, rate: Math.round(acknowledged / seconds) }
  }
}

/**
 * A producer and the members of a group, each a process of its own, over one topic; and what comes after them: waiting
 * until everything is handled and committed, reading the log back, ending every process by its own id.
 */
import { Kafka, type KafkaOptions } from '../../../src/index.ts'
import { systemClock } from '../../../src/util/clock.ts'
import { HistoryWriter } from '../history/index.ts'
import { Actor, type Handlers } from './actor.ts'
import type { MemberCalls, MemberConfig, MemberEvents } from './member-actor.ts'
import type { ProducerCalls, ProducerConfig, ProducerEvents, ProducerProgress } from './producer-actor.ts'
import { findReader, type LogReader, readLog, type Topic } from './readers.ts'

export interface TroupePlan {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly partitions: number
  readonly group: string
  readonly historyDir: string
}

export type Member = Actor<MemberCalls, MemberEvents>
/** What a producer is told besides where to send. */
export type Part = Omit<ProducerConfig, 'proc' | 'historyDir' | 'kafka' | 'topic'>
export type MemberPart = Pick<MemberConfig, 'consumer' | 'workMs'>

const script = (name: string) => new URL(`./${name}.ts`, import.meta.url)
const LOOK_EVERY_MS = 100

/** For each goodbye to a Kafka that may be gone. */
const FAREWELL = { timeoutMs: 5_000 }

export class Troupe {
  /** Our own account: faults, lags, the log. */
  readonly history: HistoryWriter
  readonly #plan: TroupePlan
  readonly #kafka: Kafka
  readonly #children = new Set<{ kill(): Promise<void> }>()
  readonly #finished = new Map<string, number>()
  readonly #failure = Promise.withResolvers<never>()
  readonly #members: Member[] = []
  #produced: ProducerProgress = { sent: 0, acknowledged: 0, failed: 0 }
  #stopping = false

  constructor(plan: TroupePlan) {
    this.#plan = plan
    this.#kafka = new Kafka(this.#options('troupe'))
    this.history = new HistoryWriter(plan.historyDir, 'troupe')
    // Whoever waits for something hears of it.
    this.#failure.promise.catch(() => undefined)
  }

  get produced(): ProducerProgress {
    return this.#produced
  }

  /** Records finished by all members, those finished again included. */
  get finished(): number {
    return [...this.#finished.values()].reduce((sum, finished) => sum + finished, 0)
  }

  /** The members that are running, the oldest first. */
  get members(): readonly Member[] {
    return this.#members
  }

  async createTopic(): Promise<void> {
    const { topic: name, partitions } = this.#plan
    await this.#kafka.admin().createTopics([{ name, partitions }])
  }

  /** Resolves when every record is sent and answered. */
  async produce(part: Part): Promise<void> {
    const { topic, historyDir } = this.#plan
    const config: ProducerConfig = {
      ...part,
      proc: 'producer',
      historyDir,
      kafka: this.#options('producer'),
      topic,
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
    await this.#orFailure(producer.call('start'))
    await this.#orFailure(done.promise)
  }

  startMember(name: string, part: MemberPart): Member {
    const { topic, group, historyDir } = this.#plan
    const config: MemberConfig = { ...part, proc: name, historyDir, kafka: this.#options(name), topic, group }
    const member = this.#start<MemberCalls, MemberEvents>('member-actor', name, config)
    member.on('progress', ({ finished }) => this.#finished.set(name, finished))
    member.on('failed', (message) => this.#failure.reject(new Error(`${name}: ${message}`)))
    this.#members.push(member)
    void member.call('start').catch((error) => {
      // One that is killed while it starts is as it should be.
      if (this.#members.includes(member)) this.#failure.reject(error)
    })
    return member
  }

  /** Ends a member with SIGKILL, wherever it stands. */
  async killMember(member: Member): Promise<void> {
    this.#members.splice(this.#members.indexOf(member), 1)
    this.history.write({ op: 'fault', fault: 'kill', phase: 'once', target: member.name })
    await member.kill()
  }

  /** Lets a member leave in order. */
  async stopMember(member: Member): Promise<void> {
    this.#members.splice(this.#members.indexOf(member), 1)
    await this.#orFailure(member.call('stop'))
    await member.kill()
  }

  /** Notes a fault around its doing: broken from before it begins, whole only after it ends. */
  async fault(
    { fault, phase, target }: { fault: string; phase: 'begin' | 'end' | 'once'; target: string },
    act: () => unknown,
  ): Promise<void> {
    if (phase === 'begin') this.history.write({ op: 'fault', fault, phase, target })
    await act()
    if (phase !== 'begin') this.history.write({ op: 'fault', fault, phase, target })
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.pause(LOOK_EVERY_MS)
  }

  pause(ms: number): Promise<void> {
    return this.#orFailure(new Promise((resolve) => void systemClock.setTimeout(resolve, ms)))
  }

  /**
   * Waits until the group has committed everything, or the limit is over; notes how far it came, stops the members and
   * reads the log back.
   */
  async finish({ limitMs, onReading }: { limitMs: number; onReading?: (reader: LogReader) => void }) {
    const reader = findReader(this.#kafka)
    const deadline = systemClock.monotonic() + limitMs
    let ends = await this.#lags()
    while (ends.some(({ committed, logEnd }) => committed < logEnd) && systemClock.monotonic() < deadline) {
      await this.pause(LOOK_EVERY_MS)
      ends = await this.#lags()
    }
    const { topic, group, brokers } = this.#plan
    for (const { partition, committed, logEnd } of ends) {
      this.history.write({ op: 'lag', group, topic, partition, committed, logEnd })
    }
    await Promise.all([...this.#members].map((member) => this.stopMember(member)))
    onReading?.(reader)
    await readLog(reader, { brokers, topic: { topic, ends }, history: this.history })
    return reader
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all([...this.#children].map((child) => child.kill()))
    await this.#kafka.stop()
    this.history.close()
  }

  /** Takes the topic and the group away again. */
  async leaveNothing(): Promise<void> {
    const admin = this.#kafka.admin()
    await admin.deleteTopics([this.#plan.topic], FAREWELL)
    await admin.deleteGroups([this.#plan.group], FAREWELL)
  }

  #start<C extends Handlers, E extends object>(file: string, name: string, config: object): Actor<C, E> {
    const actor = new Actor<C, E>(script(file), name, config)
    this.#children.add(actor)
    void actor.exited.then((how) => {
      this.#children.delete(actor)
      if (how !== 'SIGKILL' && !this.#stopping)
        this.#failure.reject(new Error(`${name} ended by itself (${how})`))
    })
    return actor
  }

  #options(clientId: string): KafkaOptions {
    return { clientId, brokers: this.#plan.brokers }
  }

  #orFailure<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failure.promise])
  }

  async #lags(): Promise<(Topic['ends'][number] & { readonly committed: number })[]> {
    const { topic, group, partitions } = this.#plan
    const admin = this.#kafka.admin()
    const ids = Array.from({ length: partitions }, (_, partition) => partition)
    const at = (position: 'earliest' | 'latest') =>
      admin.listOffsets(ids.map((partition) => ({ topic, partition, position })))
    const [starts, ends, committed] = await Promise.all([
      at('earliest'),
      at('latest'),
      admin.groupOffsets(group),
    ])
    return ids.map((partition) => ({
      partition,
      logStart: starts[partition]?.offset ?? 0,
      logEnd: ends[partition]?.offset ?? 0,
      committed: committed.find((entry) => entry.partition === partition)?.offset ?? 0,
    }))
  }
}

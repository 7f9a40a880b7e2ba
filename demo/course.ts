/** The course of the demo: what happens when, told on the screen. */
import { count } from '../src/cli/output.ts'
import { systemClock } from '../src/util/clock.ts'
import type { LogReader } from '../test/support/actors/readers.ts'
import { Troupe, type TroupePlan } from '../test/support/actors/troupe.ts'
import { Screen } from './screen.ts'
import type { Faults, Stage } from './stage.ts'

export interface CoursePlan extends Omit<TroupePlan, 'brokers'> {
  readonly records: number
}

type Step = readonly [share: number, act: () => Promise<void>]

/** Where the machine keeps up the stream takes half a minute: time enough for everything to break and heal. */
const RECORDS_PER_SECOND = 10_000
const MAX_STREAM_SECONDS = 30
const DRAIN_LIMIT_MS = 60_000
/** The shortest session that Kafka takes by default, so that the demo does not wait for the dead. */
const member = { consumer: { sessionTimeoutMs: 6000, heartbeatIntervalMs: 1000, commitIntervalMs: 500 } }

export class Course {
  readonly #stage: Stage
  readonly #records: number
  readonly #troupe: Troupe
  readonly #screen: Screen
  readonly #startedAt = systemClock.monotonic()

  constructor(stage: Stage, { records, ...plan }: CoursePlan) {
    this.#stage = stage
    this.#records = records
    this.#troupe = new Troupe({ ...plan, brokers: stage.brokers })
    this.#screen = new Screen(() => this.#standing())
  }

  /** Runs to the end; the result is who read the log. */
  async run(): Promise<LogReader> {
    const troupe = this.#troupe
    await troupe.createTopic()
    this.#screen.start()
    try {
      for (const name of ['member-1', 'member-2']) troupe.startMember(name, member)
      const producing = troupe.produce({
        ...{ records: this.#records, keys: 1000, valueBytes: 100 },
        recordsPerSecond: Math.max(RECORDS_PER_SECOND, this.#records / MAX_STREAM_SECONDS),
        producer: { lingerMs: 5 },
      })
      this.#screen.tell(`a producer and two members, ${count(this.#records)} records`)
      await Promise.all([producing, this.#breakThings()])
      this.#screen.tell('all is sent; waiting until all is handled and committed')
      return await troupe.finish({
        limitMs: DRAIN_LIMIT_MS,
        onReading: ({ name }) => this.#screen.tell(`all is handled; reading the log back with ${name}`),
      })
    } finally {
      this.#screen.stop()
    }
  }

  /** Ends every process that was started; on a Kafka of somebody's nothing is left behind. */
  async stop(): Promise<void> {
    this.#screen.stop()
    if (this.#stage.faults === undefined) await this.#troupe.leaveNothing().catch(() => undefined)
    await this.#troupe.stop()
  }

  /** Each step waits for its share of the records to be acknowledged. */
  async #breakThings(): Promise<void> {
    const { faults } = this.#stage
    const broker = faults === undefined ? [] : this.#brokerSteps(faults)
    for (const [share, act] of [...broker, ...this.#memberSteps()]) {
      await this.#troupe.until(() => this.#troupe.produced.acknowledged >= share * this.#records)
      await act()
    }
  }

  #brokerSteps(faults: Faults): Step[] {
    const troupe = this.#troupe
    let down = -1
    const stopBroker = async () => {
      down = await faults.leaderOf(0)
      const fault = { fault: 'broker', phase: 'begin', target: `broker ${down}` } as const
      await troupe.fault(fault, () => faults.stopBroker(down))
      this.#screen.tell(`broker ${down} is stopped`)
    }
    const startBroker = async () => {
      const fault = { fault: 'broker', phase: 'end', target: `broker ${down}` } as const
      await troupe.fault(fault, () => faults.startBroker(down))
      this.#screen.tell(`broker ${down} is back`)
    }
    const moveLeader = async () => {
      const from = await faults.leaderOf(1)
      const to = from === 1 ? 2 : 1
      const fault = { fault: 'leader', phase: 'once', target: `partition 1 to broker ${to}` } as const
      await troupe.fault(fault, () => faults.moveLeader(1, to))
      this.#screen.tell(`the leader of partition 1 moved from broker ${from} to broker ${to}`)
    }
    return [
      [0.15, stopBroker],
      [0.3, startBroker],
      [0.45, moveLeader],
    ]
  }

  #memberSteps(): Step[] {
    const kill = async () => {
      const victim = this.#troupe.members[0]
      if (victim === undefined) throw new Error('there is no member to kill')
      await this.#troupe.killMember(victim)
      this.#screen.tell(`${victim.name} is killed with SIGKILL`)
    }
    const replace = async () => {
      this.#troupe.startMember('member-3', member)
      this.#screen.tell('member-3 takes its place')
    }
    return [
      [0.6, kill],
      [0.7, replace],
    ]
  }

  #standing() {
    const { acknowledged } = this.#troupe.produced
    const seconds = Math.max(0.1, (systemClock.monotonic() - this.#startedAt) / 1000)
    const rate = Math.round(acknowledged / seconds)
    return { records: this.#records, acknowledged, handled: this.#troupe.finished, rate }
  }
}

/** What the demo shows while it runs: one line that moves on a terminal, a line now and then elsewhere. */
import { count } from '../src/cli/output.ts'
import { bar, ProgressLine } from '../src/cli/progress.ts'
import { systemClock, type Timer } from '../src/util/clock.ts'

export interface Standing {
  readonly records: number
  readonly acknowledged: number
  readonly handled: number
  readonly rate: number
}

const PLAIN_EVERY_MS = 5000

export class Screen {
  readonly #standing: () => Standing
  readonly #line: ProgressLine
  readonly #startedAt = systemClock.monotonic()
  #timer: Timer | undefined

  constructor(standing: () => Standing) {
    this.#standing = standing
    this.#line = new ProgressLine(process.stdout, systemClock, () => this.#describe())
  }

  start(): void {
    if (process.stdout.isTTY) this.#line.start()
    else this.#later()
  }

  /** Something happened. */
  tell(what: string): void {
    const seconds = ((systemClock.monotonic() - this.#startedAt) / 1000).toFixed(1).padStart(5)
    this.#line.log(`${seconds} s  ${what}`)
  }

  stop(): void {
    if (this.#timer !== undefined) systemClock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#line.stop()
  }

  #later(): void {
    this.#timer = systemClock.setTimeout(() => {
      this.tell(this.#describe())
      this.#later()
    }, PLAIN_EVERY_MS)
  }

  #describe(): string {
    const { records, acknowledged, handled, rate } = this.#standing()
    return `${bar(acknowledged / records)}  ${count(acknowledged)} sent, ${count(handled)} handled, ${count(rate)}/s`
  }
}

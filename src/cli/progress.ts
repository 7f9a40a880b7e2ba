/**
 * One line on a terminal that is written over again and again, at most ten times a second. Where there is no
 * terminal it stays silent: a log file wants the summary, not the way there.
 */
import type { Clock, Timer } from '../util/clock.ts'

export interface Terminal {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): boolean
}

const REDRAW_MS = 100
const clearLine = '\r\u001B[K'

export class ProgressLine {
  readonly #terminal: Terminal
  readonly #clock: Clock
  readonly #describe: () => string
  #timer: Timer | undefined

  /** `describe` gives the line as it stands; it is asked when the line is drawn. */
  constructor(terminal: Terminal, clock: Clock, describe: () => string) {
    this.#terminal = terminal
    this.#clock = clock
    this.#describe = describe
  }

  start(): void {
    if (this.#terminal.isTTY && this.#timer === undefined) this.#draw()
  }

  /** Writes a whole line above the progress line. */
  log(line: string): void {
    const drawn = this.#timer !== undefined
    this.#terminal.write(`${drawn ? clearLine : ''}${line}\n`)
    if (drawn) this.#terminal.write(this.#line())
  }

  /** Takes the line away. */
  stop(): void {
    if (this.#timer === undefined) return
    this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#terminal.write(clearLine)
  }

  #draw(): void {
    this.#terminal.write(this.#line())
    this.#timer = this.#clock.setTimeout(() => this.#draw(), REDRAW_MS)
  }

  #line(): string {
    // One column stays free: a full line would wrap, and then \r comes back to the wrong one.
    const width = Math.max(1, (this.#terminal.columns ?? 80) - 1)
    return `${clearLine}${[...this.#describe()].slice(0, width).join('')}`
  }
}

/** `[#####-----] 50%`; a share beyond 1 is full. */
export function bar(share: number, width = 24): string {
  const full = Math.round(Math.max(0, Math.min(1, share)) * width)
  return `[${'#'.repeat(full)}${'-'.repeat(width - full)}] ${String(Math.floor(Math.min(1, share) * 100)).padStart(3)}%`
}

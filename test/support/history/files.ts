/**
 * Histories on disk: one file per process, appended line by line.
 *
 * `write` returns when the kernel has the line, so that nothing that was noted is lost when the process is killed
 * with SIGKILL. At most the line being written can be torn; a reader takes that for the last line of a file only.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type HistoryEvent, type HistoryFact, parseEvent } from './events.ts'

/** Milliseconds of the machine's monotonic clock: the same for all processes, never set back. */
export const machineTime = (): number => Number(process.hrtime.bigint() / 1000n) / 1000

export class HistoryWriter {
  readonly proc: string
  readonly #file: number
  #open = true

  constructor(dir: string, proc: string) {
    this.proc = proc
    this.#file = openSync(join(dir, `${proc}.jsonl`), 'ax')
  }

  write(fact: HistoryFact, t: number = machineTime()): void {
    const line = Buffer.from(`${JSON.stringify({ t, proc: this.proc, ...fact })}\n`)
    for (let written = 0; written < line.length; ) written += writeSync(this.#file, line, written)
  }

  close(): void {
    if (this.#open) closeSync(this.#file)
    this.#open = false
  }
}

/** All histories of a folder, in the order of time; events of one process keep their own order. */
export function readHistory(dir: string): HistoryEvent[] {
  const events: HistoryEvent[] = []
  for (const name of readdirSync(dir).sort()) {
    if (name.endsWith('.jsonl')) for (const event of readHistoryFile(join(dir, name))) events.push(event)
  }
  return events.sort((a, b) => a.t - b.t)
}

function* readHistoryFile(path: string): Generator<HistoryEvent> {
  const lines = readFileSync(path, 'utf8').split('\n')
  // A whole file ends in a line feed: what follows the last one is a line that its process did not live to finish.
  lines.pop()
  for (const [index, line] of lines.entries()) yield parseEvent(line, `${path}:${index + 1}`)
}

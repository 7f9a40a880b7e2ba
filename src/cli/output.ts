/**
 * Writing to stdout as a good member of a pipe: wait when the reader is slow, end quietly when it is gone.
 */
import { once } from 'node:events'
import type { Writable } from 'node:stream'

export class Output {
  readonly #stream: Writable
  readonly #gone = new AbortController()

  constructor(stream: Writable) {
    this.#stream = stream
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // `ottla consume orders | head` has seen enough: no reason to complain. Anything else is told by the write.
      this.#gone.abort(error)
    })
  }

  /** Fires when nobody reads any more. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  /** Whether the reader left in the usual way, by closing the pipe. */
  get closedByReader(): boolean {
    return (this.#gone.signal.reason as NodeJS.ErrnoException | undefined)?.code === 'EPIPE'
  }

  /** Resolves when there is room again; rejects when nobody reads any more. */
  async write(chunk: string | Uint8Array): Promise<void> {
    this.#gone.signal.throwIfAborted()
    if (!this.#stream.write(chunk)) await once(this.#stream, 'drain', { signal: this.#gone.signal })
  }

  /** Resolves when everything has been handed to the operating system. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.#stream.write('', () => resolve())
    })
  }
}

/** Writes a short answer: text as it is, anything else as one line of JSON. */
export function print(answer: unknown): void {
  process.stdout.write(typeof answer === 'string' ? answer : `${JSON.stringify(answer)}\n`)
}

/** Columns for people: as wide as their widest cell, two spaces between. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows].map((row) => row.map(String))
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const numeric = head.map((_, column) => rows.every((row) => typeof row[column] === 'number'))
  return cells
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] as number
          return numeric[column] ? cell.padStart(width) : cell.padEnd(width)
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** 1234567 as 1,234,567. */
export const count = (value: number): string => value.toLocaleString('en-US')

/** `1 record`, `2 records`. */
export const plural = (value: number, noun: string): string =>
  `${count(value)} ${noun}${value === 1 ? '' : 's'}`

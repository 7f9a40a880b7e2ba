/** Gathers requests, mostly those of one turn of the loop, and hands them to the stream together: one system call for all. */
import type { Duplex } from 'node:stream'

/** Up to this many bytes, one copied write is cheaper than a writev of its pieces. */
const COPY_UP_TO = 16 * 1024
const NOTHING: Uint8Array[] = []

export class Outbox {
  readonly #stream: Duplex
  #pieces = NOTHING
  #bytes = 0
  #onWritten: (() => void)[] | undefined
  #isScheduled = false

  constructor(stream: Duplex) {
    this.#stream = stream
  }

  /** Whether more waits here and in the stream than the stream takes gladly. */
  get isFull(): boolean {
    return this.#stream.writableNeedDrain || this.#bytes > this.#stream.writableHighWaterMark
  }

  /**
   * The pieces, which belong to the outbox from now on, leave with the next flush, after those added before.
   * `onWritten` is told when they have.
   */
  add(pieces: Uint8Array[], onWritten?: () => void): void {
    for (let index = 0; index < pieces.length; index++) this.#bytes += (pieces[index] as Uint8Array).length
    if (this.#pieces.length === 0) this.#pieces = pieces
    else this.#pieces.push(...pieces)
    if (onWritten !== undefined) (this.#onWritten ??= []).push(onWritten)
  }

  /** What was added leaves at the end of the turn. */
  flushLater(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    process.nextTick(this.#endTurn)
  }

  readonly #endTurn = (): void => {
    this.#isScheduled = false
    this.flush()
  }

  /** Drops what has not left. */
  clear(): void {
    this.#pieces = NOTHING
    this.#bytes = 0
    this.#onWritten = undefined
  }

  /** What was added leaves now. */
  flush(): void {
    const pieces = this.#pieces
    const bytes = this.#bytes
    if (pieces.length === 0) return
    const written = this.#onWritten
    const onWritten = written === undefined ? undefined : tellUnlessFailed(written)
    this.clear()
    if (pieces.length === 1) this.#stream.write(pieces[0], onWritten)
    else if (bytes <= COPY_UP_TO) this.#stream.write(Buffer.concat(pieces, bytes), onWritten)
    else this.#writePieces(pieces, onWritten)
  }

  #writePieces(pieces: readonly Uint8Array[], onWritten: WriteCallback | undefined): void {
    this.#stream.cork()
    for (const [index, piece] of pieces.entries()) {
      this.#stream.write(piece, index === pieces.length - 1 ? onWritten : undefined)
    }
    this.#stream.uncork()
  }
}

type WriteCallback = (error?: Error | null) => void

/** A write that failed is told by the end of the stream, to everybody at once. */
const tellUnlessFailed =
  (written: readonly (() => void)[]): WriteCallback =>
  (error) => {
    if (!error) for (const told of written) told()
  }

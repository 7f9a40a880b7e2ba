/**
 * Cuts what a connection reads into frames, `int32 size | bytes`.
 *
 * A frame that came in one piece is a view of that piece; one that came in several is put together in memory of its
 * own, which grows with what really arrives, so that an announced size alone reserves nothing.
 */
import { malformed } from '../protocol/reader.ts'

const FIRST_ALLOCATION_BYTES = 1 << 20

export class FrameAssembler {
  readonly #maxBytes: number
  readonly #size = Buffer.alloc(4)
  #sizeFilled = 0
  /** -1: between frames. */
  #frameBytes = -1
  #frame = Buffer.alloc(0)
  #filled = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Calls `onFrame` for each frame that this piece completes. MALFORMED_FRAME for a size out of bounds. */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    let at = 0
    // A frame without bytes is complete with its size.
    while (at < chunk.length || this.#frameBytes === 0) {
      if (this.#frameBytes === -1) at = this.#readSize(chunk, at)
      if (this.#frameBytes === -1) return
      if (this.#filled === 0 && chunk.length - at >= this.#frameBytes) {
        const end = at + this.#frameBytes
        this.#frameBytes = -1
        onFrame(chunk.subarray(at, end))
        at = end
        continue
      }
      at = this.#fill(chunk, at)
      if (this.#filled === this.#frameBytes) this.#complete(onFrame)
    }
  }

  #readSize(chunk: Buffer, start: number): number {
    let at = start
    while (this.#sizeFilled < 4 && at < chunk.length) this.#size[this.#sizeFilled++] = chunk[at++] as number
    if (this.#sizeFilled < 4) return at
    this.#sizeFilled = 0
    const size = this.#size.readInt32BE(0)
    if (size < 0 || size > this.#maxBytes) {
      throw malformed(`a frame of ${size} bytes; up to ${this.#maxBytes} are taken`)
    }
    this.#frameBytes = size
    return at
  }

  #fill(chunk: Buffer, at: number): number {
    const taken = Math.min(this.#frameBytes - this.#filled, chunk.length - at)
    const needed = this.#filled + taken
    if (needed > this.#frame.length) {
      const room = Math.max(needed, this.#frame.length * 2, FIRST_ALLOCATION_BYTES)
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#frameBytes, room))
      this.#frame.copy(grown, 0, 0, this.#filled)
      this.#frame = grown
    }
    chunk.copy(this.#frame, this.#filled, at, at + taken)
    this.#filled = needed
    return at + taken
  }

  #complete(onFrame: (frame: Buffer) => void): void {
    const frame = this.#frame
    this.#frame = Buffer.alloc(0)
    this.#filled = 0
    this.#frameBytes = -1
    onFrame(frame)
  }
}

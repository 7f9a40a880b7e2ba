/**
 * Cuts the bytes of a stream into frames.
 *
 * Each frame is one contiguous buffer without its size field. Bytes come in one of two ways:
 *
 *     push(chunk)          a stream hands over chunks. A frame that lies whole in one is a view of it.
 *     target() → took(n)   a socket reads where it is told: the rest of a large frame goes straight to its place,
 *                          what comes before a frame is begun goes to a scratch and is copied from there.
 *
 * The second way costs half the processor time of the first for large responses (docs/decisions/direct-reads.md).
 * Synchronous, owns no stream. A frame larger than the bound is refused before anything is allocated for it.
 */
import { OttlaError } from '../errors.ts'

const SIZE_BYTES = 4
/** What libuv would read at once by itself. */
const SCRATCH_BYTES = 64 * 1024
/** Smaller frames share Node's pool; a view of a larger one pins no more than its own frame. */
const POOLED_BELOW = 4096

export class FrameReader {
  readonly #maxBytes: number
  /** Takes a frame; false stops the reading (the connection was closed by what the frame said). */
  readonly #onFrame: (frame: Buffer) => boolean
  /** Of the frame that begins, as far as it is read. */
  #size = 0
  #sizeRead = 0
  #frame: Buffer | undefined
  #filled = 0
  #scratch: Buffer | undefined

  constructor(maxBytes: number, onFrame: (frame: Buffer) => boolean) {
    this.#maxBytes = maxBytes
    this.#onFrame = onFrame
  }

  /** Whether a frame has begun and not ended. */
  get isMidFrame(): boolean {
    return this.#frame !== undefined || this.#sizeRead > 0
  }

  /** Takes a chunk, which belongs to the reader from then on. */
  push(chunk: Buffer): void {
    this.#consume(chunk, chunk.length, false)
  }

  /** Where the next bytes are to be written. */
  target(): Buffer {
    if (this.#frame !== undefined) return this.#frame.subarray(this.#filled)
    this.#scratch ??= Buffer.allocUnsafeSlow(SCRATCH_BYTES)
    return this.#scratch
  }

  /** So many bytes were written to the last target. */
  took(count: number): void {
    if (this.#frame !== undefined) {
      this.#filled += count
      if (this.#filled === this.#frame.length) this.#finish(this.#frame)
    } else if (this.#scratch !== undefined) {
      this.#consume(this.#scratch, count, true)
    }
  }

  #consume(chunk: Buffer, end: number, isScratch: boolean): void {
    let at = 0
    while (at < end) {
      if (this.#frame === undefined) {
        at += this.#takeSize(chunk, at, end)
        if (this.#sizeRead < SIZE_BYTES) return
        this.#sizeRead = 0
        const size = this.#size
        this.#check(size)
        if (!isScratch && end - at >= size) {
          at += size
          if (!this.#onFrame(chunk.subarray(at - size, at))) return
          continue
        }
        this.#frame = size < POOLED_BELOW ? Buffer.allocUnsafe(size) : Buffer.allocUnsafeSlow(size)
        this.#filled = 0
      }
      const copied = chunk.copy(this.#frame, this.#filled, at, end)
      at += copied
      this.#filled += copied
      if (this.#filled === this.#frame.length && !this.#finish(this.#frame)) return
    }
  }

  #finish(frame: Buffer): boolean {
    this.#frame = undefined
    return this.#onFrame(frame)
  }

  /** Takes what there is of the size field, which may come in pieces; returns how many bytes that were. */
  #takeSize(chunk: Buffer, at: number, end: number): number {
    const taken = Math.min(SIZE_BYTES - this.#sizeRead, end - at)
    for (let index = 0; index < taken; index++) this.#size = (this.#size << 8) | (chunk[at + index] as number)
    this.#sizeRead += taken
    return taken
  }

  #check(size: number): void {
    const other = otherProtocol(size)
    if (other !== undefined) throw new OttlaError('MALFORMED_FRAME', other)
    if (size < SIZE_BYTES) {
      throw new OttlaError('MALFORMED_FRAME', `a response of ${size} bytes was announced`)
    }
    if (size > this.#maxBytes) {
      throw new OttlaError(
        'RESPONSE_TOO_LARGE',
        `a response of ${size} bytes was announced, more than maxResponseBytes (${this.#maxBytes})`,
      )
    }
  }
}

/** What the first bytes of a peer say that does not speak Kafka's protocol. As sizes they would be absurd. */
function otherProtocol(size: number): string | undefined {
  // A TLS record: 0x15 alert or 0x16 handshake, then version 3.x.
  if (size >>> 16 === 0x1503 || size >>> 16 === 0x1603) return 'the port speaks TLS: set the option tls'
  if (size === 0x48545450) return 'the port speaks HTTP'
  return undefined
}

/**
 * Cuts the bytes of a stream into frames.
 *
 * Each frame is one contiguous buffer without its size field. A frame that lies whole in one chunk is a view of
 * that chunk; any other is gathered in a buffer of its own size, each byte copied once. Synchronous, owns no
 * stream. A frame larger than the bound is refused before anything is allocated for it.
 */
import { OttlaError } from '../errors.ts'

const SIZE_BYTES = 4

export class FrameReader {
  readonly #maxBytes: number
  /** Takes a frame; false stops the reading (the connection was closed by what the frame said). */
  readonly #onFrame: (frame: Buffer) => boolean
  readonly #size = Buffer.alloc(SIZE_BYTES)
  #sizeRead = 0
  #frame: Buffer | undefined
  #filled = 0

  constructor(maxBytes: number, onFrame: (frame: Buffer) => boolean) {
    this.#maxBytes = maxBytes
    this.#onFrame = onFrame
  }

  /** Whether a frame has begun and not ended. */
  get isMidFrame(): boolean {
    return this.#frame !== undefined || this.#sizeRead > 0
  }

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#frame === undefined) {
        const whole = this.#sizeRead === 0 && chunk.length - at >= SIZE_BYTES
        const size = whole ? chunk.readInt32BE(at) : this.#gatherSize(chunk, at)
        at = whole ? at + SIZE_BYTES : at + this.#sizeTaken
        if (size === undefined) return
        this.#check(size)
        if (chunk.length - at >= size) {
          at += size
          if (!this.#onFrame(chunk.subarray(at - size, at))) return
          continue
        }
        this.#frame = Buffer.allocUnsafeSlow(size)
        this.#filled = 0
      }
      const frame = this.#frame
      const copied = chunk.copy(frame, this.#filled, at)
      at += copied
      this.#filled += copied
      if (this.#filled === frame.length) {
        this.#frame = undefined
        if (!this.#onFrame(frame)) return
      }
    }
  }

  #sizeTaken = 0

  /** The size field when it comes in pieces; undefined until it is whole. */
  #gatherSize(chunk: Buffer, at: number): number | undefined {
    this.#sizeTaken = chunk.copy(this.#size, this.#sizeRead, at, at + SIZE_BYTES - this.#sizeRead)
    this.#sizeRead += this.#sizeTaken
    if (this.#sizeRead < SIZE_BYTES) return undefined
    this.#sizeRead = 0
    return this.#size.readInt32BE(0)
  }

  #check(size: number): void {
    const other = otherProtocol(size)
    if (other !== undefined) throw new OttlaError('MALFORMED_FRAME', other)
    if (size < SIZE_BYTES)
      throw new OttlaError('MALFORMED_FRAME', `a response of ${size} bytes was announced`)
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

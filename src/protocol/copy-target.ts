/**
 * Where LZ4 and snappy decompress to: a buffer of fixed size, filled by the two copies that both formats consist
 * of, a few bytes at a time as words, and by a call into the runtime for long runs.
 *
 * Words may be written up to 3 bytes past the end of a copy, where the next one writes anyhow, but never past the
 * buffer. That a copy fits is the caller's to check: `position + length` is at most the buffer's length, and a
 * distance leads to bytes that were written.
 */

/** From here a call into the runtime is cheaper. */
const LONG = 64

/** What literals are copied from: bytes and, over the same memory, words. */
export class CopySource {
  readonly bytes: Buffer
  readonly view: DataView

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }
}

export class CopyTarget {
  readonly bytes: Buffer
  /** Where the next byte goes. */
  position = 0
  readonly #view: DataView

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** Appends bytes of the source. */
  copy(source: CopySource, from: number, length: number): void {
    const { bytes } = this
    const end = this.position + length
    let at = this.position
    this.position = end
    if (length > LONG) {
      bytes.set(source.bytes.subarray(from, from + length), at)
    } else if (end + 3 <= bytes.length && from + length + 3 <= source.bytes.length) {
      let next = from
      for (; at < end; at += 4, next += 4) this.#view.setInt32(at, source.view.getInt32(next, true), true)
    } else {
      let next = from
      while (at < end) bytes[at++] = source.bytes[next++] as number
    }
  }

  /** Appends what stands `distance` bytes before; the two may overlap, and then the bytes repeat themselves. */
  repeat(distance: number, length: number): void {
    const { bytes } = this
    const end = this.position + length
    let at = this.position
    this.position = end
    if (length > LONG) {
      this.#repeatLong(at, distance, end)
    } else if (distance >= 4 && end + 3 <= bytes.length) {
      for (; at < end; at += 4) this.#view.setInt32(at, this.#view.getInt32(at - distance, true), true)
    } else {
      for (; at < end; at++) bytes[at] = bytes[at - distance] as number
    }
  }

  /** Each step copies twice as much as the one before. */
  #repeatLong(start: number, distance: number, end: number): void {
    let span = distance
    for (let at = start; at < end; ) {
      const length = Math.min(span, end - at)
      this.bytes.copyWithin(at, at - span, at - span + length)
      at += length
      span *= 2
    }
  }
}

/**
 * The frames of a zstd stream, measured before anything is decompressed (RFC 8878, section 3.1.1): what Node's
 * decoder does not do. It stops silently behind the first frame, and would take a small input's word for a large
 * content.
 *
 *     | magic u32 | descriptor | window? | dictionary? | content size? | block … | checksum u32? |
 *     block: | u24: last 1 bit, type 2 bits, size 21 bits | bytes; one byte for a block of type 1, a run |
 */
import { corrupt } from './batch-layout.ts'

const MAGIC = 0xfd2f_b528
const SKIPPABLE_MAGIC = 0x184d_2a50
/** What the decoder accepts unasked; Java's limit too. */
const MAX_WINDOW_LOG = 27
/**
 * 8 MiB, which RFC 8878 asks of every decoder: a stream of unknown length, as Java writes it, names the window of
 * its level (2 MiB at the default, 8 MiB at 19) however short it is.
 */
const MIN_WINDOW_LOG = 23

export interface ZstdFrame {
  readonly bytes: Buffer
  /** What the frame says of its content; -1 when it says nothing. */
  readonly contentBytes: number
}

/** The largest window that is of use: none is beyond the content, and the content is bounded. */
export function windowLogFor(maxBytes: number): number {
  const needed = Math.ceil(Math.log2(Math.max(maxBytes, 2)))
  return Math.max(MIN_WINDOW_LOG, Math.min(MAX_WINDOW_LOG, needed))
}

/** All frames, skippable ones left out. CORRUPT_BATCH when one is cut off or something else stands there. */
export function zstdFrames(input: Buffer): ZstdFrame[] {
  const frames: ZstdFrame[] = []
  let start = 0
  do {
    const magic = unsigned(input, start, 4)
    if ((magic & 0xffff_fff0) === SKIPPABLE_MAGIC) {
      start = within(input, start + 8 + unsigned(input, start + 4, 4))
      continue
    }
    if (magic !== MAGIC) throw corrupt('zstd: no frame begins where one must')
    const { contentBytes, end } = measure(input, start)
    frames.push({ bytes: input.subarray(start, end), contentBytes })
    start = end
  } while (start < input.length)
  return frames
}

function measure(input: Buffer, start: number): { contentBytes: number; end: number } {
  const descriptor = unsigned(input, start + 4, 1)
  const singleSegment = (descriptor & 0x20) !== 0
  const sizeCode = descriptor >>> 6
  const sizeBytes = sizeCode === 0 ? (singleSegment ? 1 : 0) : 1 << sizeCode
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number
  let offset = start + 5 + (singleSegment ? 0 : 1) + dictionaryBytes
  const contentBytes = sizeBytes === 0 ? -1 : sizeAt(input, offset, sizeBytes)
  offset += sizeBytes
  let isLast = false
  while (!isLast) {
    const header = unsigned(input, offset, 3)
    isLast = (header & 1) === 1
    const isRun = ((header >>> 1) & 3) === 1
    offset = within(input, offset + 3 + (isRun ? 1 : header >>> 3))
  }
  const checksumBytes = (descriptor & 0x04) !== 0 ? 4 : 0
  return { contentBytes, end: within(input, offset + checksumBytes) }
}

function sizeAt(input: Buffer, offset: number, bytes: number): number {
  if (bytes === 8) return unsigned(input, offset, 4) + unsigned(input, offset + 4, 4) * 0x1_0000_0000
  return unsigned(input, offset, bytes) + (bytes === 2 ? 256 : 0)
}

const unsigned = (input: Buffer, offset: number, bytes: number): number =>
  input.readUIntLE(within(input, offset + bytes) - bytes, bytes)

function within(input: Buffer, end: number): number {
  if (end > input.length) throw corrupt('zstd: a frame is cut off')
  return end
}

/**
 * What a zstd frame header says before anything is decompressed, so that a small input cannot claim a large
 * window or a large content (RFC 8878, section 3.1.1).
 */
import { corrupt } from './batch-layout.ts'
import { tooLarge } from './decompressed-size.ts'

const MAGIC = 0xfd2f_b528
const SKIPPABLE_MAGIC = 0x184d_2a50
/** What the decoder accepts unasked; Java's limit too. */
const MAX_WINDOW_LOG = 27
const MIN_WINDOW_LOG = 10

export interface ZstdBounds {
  /** The largest window that the decoder may allocate, as a power of two. */
  readonly windowLog: number
  /** Of the first frame, where it says so. */
  readonly contentBytes: number | undefined
}

export function zstdBounds(input: Buffer, maxBytes: number): ZstdBounds {
  // A window is never useful beyond the content, and the content is bounded.
  const needed = Math.ceil(Math.log2(Math.max(maxBytes, 2)))
  const windowLog = Math.max(MIN_WINDOW_LOG, Math.min(MAX_WINDOW_LOG, needed))
  return { windowLog, contentBytes: contentBytesOf(input, maxBytes) }
}

function contentBytesOf(input: Buffer, maxBytes: number): number | undefined {
  if (input.length < 6) throw corrupt('zstd: a frame is cut off')
  const magic = input.readUInt32LE(0)
  if ((magic & 0xffff_fff0) === SKIPPABLE_MAGIC) return undefined
  if (magic !== MAGIC) throw corrupt('zstd: no frame begins where one must')
  const descriptor = input[4] as number
  const singleSegment = (descriptor & 0x20) !== 0
  const sizeCode = descriptor >>> 6
  const sizeBytes = sizeCode === 0 ? (singleSegment ? 1 : 0) : 1 << sizeCode
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number
  const at = 5 + (singleSegment ? 0 : 1) + dictionaryBytes
  if (sizeBytes === 0) return undefined
  if (input.length < at + sizeBytes) throw corrupt('zstd: a frame is cut off')
  const bytes =
    sizeBytes === 8
      ? input.readUInt32LE(at) + input.readUInt32LE(at + 4) * 0x1_0000_0000
      : input.readUIntLE(at, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
  if (bytes > maxBytes) throw tooLarge('zstd', maxBytes)
  return bytes
}

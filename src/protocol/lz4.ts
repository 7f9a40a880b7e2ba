/**
 * Reads LZ4 frames: magic, descriptor, blocks, an end mark, checksums. Also the old "legacy" frames, which have
 * blocks only.
 *
 *     | magic u32 | FLG | BD | content size u64? | dictionary u32? | HC | block … | 0 u32 | checksum u32? |
 *     block: | size u32, top bit: stored plain | bytes | checksum u32? |
 *
 * The block decoder is in plain JavaScript because it must be total: any bytes give the output or CORRUPT_BATCH,
 * and what is allocated is bounded before it is (docs/decisions/compression-libraries.md).
 */
import { corrupt } from './batch-layout.ts'
import { CopySource, CopyTarget } from './copy-target.ts'
import { tooLarge } from './decompressed-size.ts'
import { xxhash32 } from './xxhash32.ts'

const MAGIC = 0x184d_2204
const LEGACY_MAGIC = 0x184c_2102
const SKIPPABLE_MAGIC = 0x184d_2a50
const LEGACY_BLOCK_BYTES = 8 * 1024 * 1024
/** A byte of a match's length stands for 255 bytes at most. */
const MAX_RATIO = 255
const STORED = 0x8000_0000

const flag = { independent: 0x20, blockChecksum: 0x10, size: 0x08, checksum: 0x04, dictionary: 0x01 } as const

interface Block {
  readonly start: number
  readonly end: number
  readonly stored: boolean
}

interface Frame {
  readonly blocks: readonly Block[]
  readonly independent: boolean
  readonly maxBlockBytes: number
  /** Of the content; undefined when the frame has none. */
  readonly checksum: number | undefined
  /** -1: not said. */
  readonly contentBytes: number
  readonly end: number
}

/** All frames of `input`, one after the other. DECOMPRESSED_TOO_LARGE beyond `maxBytes`. */
export function decompressLz4(input: Buffer, maxBytes: number): Buffer {
  const frames: Frame[] = []
  let bound = 0
  let start = 0
  do {
    const frame = parseFrame(input, start)
    frames.push(frame)
    bound += mostBytesOf(frame)
    if (frame.contentBytes > maxBytes) throw tooLarge('lz4', maxBytes)
    start = frame.end
  } while (start < input.length)
  const source = new CopySource(input)
  const target = new CopyTarget(Buffer.allocUnsafeSlow(Math.min(bound, maxBytes)))
  for (const frame of frames) decodeFrame(source, frame, { target, maxBytes })
  const output = target.bytes.subarray(0, target.position)
  // The bound counts whole blocks. A small batch must not pin a buffer many times its size.
  return output.length * 2 < target.bytes.length ? Buffer.from(output) : output
}

/** What the blocks can hold at most. */
function mostBytesOf(frame: Frame): number {
  let bound = 0
  for (const { start, end, stored } of frame.blocks) {
    bound += stored ? end - start : Math.min(frame.maxBlockBytes, (end - start) * MAX_RATIO)
  }
  return frame.contentBytes >= 0 ? Math.min(bound, frame.contentBytes) : bound
}

// ------------------------------------------------------------------------------------------------ frames

function parseFrame(input: Buffer, start: number): Frame {
  const magic = uint32(input, start)
  if (magic === LEGACY_MAGIC) return parseLegacyFrame(input, start + 4)
  if ((magic & 0xffff_fff0) === SKIPPABLE_MAGIC) {
    return { ...NOTHING, end: within(input, start + 8 + uint32(input, start + 4)) }
  }
  if (magic !== MAGIC) throw corrupt('lz4: no frame begins where one must')
  const flags = byteAt(input, start + 4)
  if (flags >>> 6 !== 1) throw corrupt(`lz4: a frame of the unknown version ${flags >>> 6}`)
  if ((flags & flag.dictionary) !== 0) throw corrupt('lz4: a frame needs a dictionary')
  const sizeCode = (byteAt(input, start + 5) >>> 4) & 7
  if (sizeCode < 4) throw corrupt(`lz4: a frame with the unknown block size ${sizeCode}`)
  let offset = start + 6
  let contentBytes = -1
  if ((flags & flag.size) !== 0) {
    contentBytes = uint32(input, offset) + uint32(input, offset + 4) * 0x1_0000_0000
    offset += 8
  }
  const expected = (xxhash32(input, start + 4, offset) >>> 8) & 0xff
  if (byteAt(input, offset) !== expected) throw corrupt('lz4: the checksum of a frame header is wrong')
  const body = parseBlocks(input, offset + 1, {
    trailer: (flags & flag.blockChecksum) !== 0 ? 4 : 0,
    maxBlockBytes: 1 << (8 + 2 * sizeCode),
  })
  const checked = (flags & flag.checksum) !== 0
  return {
    blocks: body.blocks,
    independent: (flags & flag.independent) !== 0,
    maxBlockBytes: 1 << (8 + 2 * sizeCode),
    checksum: checked ? uint32(input, body.end) : undefined,
    contentBytes,
    end: body.end + (checked ? 4 : 0),
  }
}

const NOTHING = { blocks: [], independent: true, maxBlockBytes: 0, checksum: undefined, contentBytes: -1 }

function parseBlocks(
  input: Buffer,
  start: number,
  { trailer, maxBlockBytes }: { trailer: number; maxBlockBytes: number },
): { blocks: Block[]; end: number } {
  const blocks: Block[] = []
  let offset = start
  for (;;) {
    const size = uint32(input, offset)
    offset += 4
    if (size === 0) return { blocks, end: offset }
    const stored = size >= STORED
    const bytes = stored ? size - STORED : size
    if (bytes > maxBlockBytes) throw corrupt(`lz4: a block of ${bytes} bytes, larger than its frame allows`)
    const end = within(input, offset + bytes)
    if (trailer > 0 && uint32(input, end) !== xxhash32(input, offset, end)) {
      throw corrupt('lz4: the checksum of a block is wrong')
    }
    blocks.push({ start: offset, end, stored })
    offset = end + trailer
  }
}

/** A legacy frame has no end mark: it ends with the input, or where the next frame's magic stands. */
function parseLegacyFrame(input: Buffer, start: number): Frame {
  const blocks: Block[] = []
  let offset = start
  while (offset < input.length) {
    const size = uint32(input, offset)
    if (size === MAGIC || size === LEGACY_MAGIC) break
    const end = within(input, offset + 4 + size)
    blocks.push({ start: offset + 4, end, stored: false })
    offset = end
  }
  return { ...NOTHING, blocks, maxBlockBytes: LEGACY_BLOCK_BYTES, end: offset }
}

function byteAt(input: Buffer, offset: number): number {
  if (offset >= input.length) throw corrupt('lz4: a frame is cut off')
  return input[offset] as number
}

function uint32(input: Buffer, offset: number): number {
  return input.readUInt32LE(within(input, offset + 4) - 4)
}

function within(input: Buffer, end: number): number {
  if (end > input.length) throw corrupt('lz4: a frame is cut off')
  return end
}

// ------------------------------------------------------------------------------------------------ blocks

interface Room {
  readonly target: CopyTarget
  readonly maxBytes: number
}

function decodeFrame(source: CopySource, frame: Frame, { target, maxBytes }: Room): void {
  const output = target.bytes
  const start = target.position
  for (const block of frame.blocks) {
    const from = target.position
    const limit = Math.min(output.length, from + frame.maxBlockBytes)
    const fits = block.stored
      ? copyStored(source, block, { target, limit })
      : decodeBlock(source, block, { target, limit, oldest: frame.independent ? from : start })
    if (fits) continue
    if (limit === output.length && output.length === maxBytes) throw tooLarge('lz4', maxBytes)
    throw corrupt('lz4: a block is longer than its frame allows')
  }
  const bytes = target.position - start
  if (frame.contentBytes >= 0 && bytes !== frame.contentBytes) {
    throw corrupt(`lz4: a frame says ${frame.contentBytes} bytes and holds ${bytes}`)
  }
  if (frame.checksum !== undefined && xxhash32(output, start, target.position) !== frame.checksum) {
    throw corrupt('lz4: the checksum of the content is wrong')
  }
}

interface BlockRoom {
  readonly target: CopyTarget
  /** Nothing is written at or behind this. */
  readonly limit: number
}

/** False when the block would pass the limit. */
function copyStored(source: CopySource, block: Block, { target, limit }: BlockRoom): boolean {
  const length = block.end - block.start
  if (length > limit - target.position) return false
  target.copy(source, block.start, length)
  return true
}

/**
 * One block: sequences of literals and a match, the last one without a match. Matches reach back to `oldest` at
 * most. False when the block would pass the limit.
 */
function decodeBlock(
  source: CopySource,
  block: Block,
  { target, limit, oldest }: BlockRoom & { readonly oldest: number },
): boolean {
  const input = source.bytes
  const end = block.end
  let from = block.start
  while (from < end) {
    const token = input[from++] as number
    let literals = token >>> 4
    if (literals === 15) {
      let more: number
      do {
        if (from >= end) throw truncated()
        literals += more = input[from++] as number
      } while (more === 255)
    }
    if (literals > end - from) throw truncated()
    if (literals > limit - target.position) return false
    target.copy(source, from, literals)
    from += literals
    if (from === end) return true
    if (from + 2 > end) throw truncated()
    const distance = (input[from] as number) | ((input[from + 1] as number) << 8)
    from += 2
    let length = (token & 15) + 4
    if (length === 19) {
      let more: number
      do {
        if (from >= end) throw truncated()
        length += more = input[from++] as number
      } while (more === 255)
    }
    if (distance === 0 || distance > target.position - oldest)
      throw corrupt('lz4: a match points before its block')
    if (length > limit - target.position) return false
    target.repeat(distance, length)
  }
  throw truncated()
}

const truncated = () => corrupt('lz4: a block is cut off')

/**
 * Reads LZ4 frames: magic, descriptor, blocks, an end mark, checksums. Also the old "legacy" frames, which have
 * blocks only.
 *
 *     | magic u32 | FLG | BD | content size u64? | dictionary u32? | HC | block … | 0 u32 | checksum u32? |
 *     block: | size u32, top bit: stored plain | bytes | checksum u32? |
 *
 * The block decoder is in plain JavaScript because it must be total: any bytes give the output or CORRUPT_BATCH,
 * and what is allocated is bounded before it is. (The WebAssembly codec, which writes our frames, traps on damage
 * and sizes its output by what the frame says; docs/decisions/compression-libraries.md.)
 */
import { corrupt } from './batch-layout.ts'
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
  for (let start = 0; start < input.length; ) {
    const frame = parseFrame(input, start)
    frames.push(frame)
    bound += mostBytesOf(frame)
    if (frame.contentBytes > maxBytes) throw tooLarge('lz4', maxBytes)
    start = frame.end
  }
  const output = Buffer.allocUnsafeSlow(Math.min(bound, maxBytes))
  let written = 0
  for (const frame of frames) written = decodeFrame(input, frame, { output, written, maxBytes })
  // The bound counts whole blocks. A small batch must not pin a buffer many times its size.
  return written * 2 < output.length ? Buffer.from(output.subarray(0, written)) : output.subarray(0, written)
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

interface Target {
  readonly output: Buffer
  readonly written: number
  readonly maxBytes: number
}

/** Returns where the output ends. */
function decodeFrame(input: Buffer, frame: Frame, { output, written, maxBytes }: Target): number {
  let end = written
  for (const block of frame.blocks) {
    const start = end
    if (block.stored) {
      if (block.end - block.start > output.length - end) throw overflow(output, maxBytes)
      output.set(input.subarray(block.start, block.end), end)
      end += block.end - block.start
    } else {
      const limit = Math.min(output.length, start + frame.maxBlockBytes)
      end = decodeBlock(input, block, { output, start, limit, oldest: frame.independent ? start : written })
      if (end < 0)
        throw limit === output.length ? overflow(output, maxBytes) : corrupt('lz4: a block is too long')
    }
  }
  if (frame.contentBytes >= 0 && end - written !== frame.contentBytes) {
    throw corrupt(`lz4: a frame says ${frame.contentBytes} bytes and holds ${end - written}`)
  }
  if (frame.checksum !== undefined && xxhash32(output, written, end) !== frame.checksum) {
    throw corrupt('lz4: the checksum of the content is wrong')
  }
  return end
}

const overflow = (output: Buffer, maxBytes: number) =>
  output.length === maxBytes ? tooLarge('lz4', maxBytes) : corrupt('lz4: a frame is longer than it can be')

interface Room {
  readonly output: Buffer
  readonly start: number
  readonly limit: number
  /** The first byte that a match may refer to. */
  readonly oldest: number
}

/**
 * One block: sequences of literals and a match, the last one without a match. Returns where the output ends; -1
 * when it would pass `limit`.
 */
function decodeBlock(input: Buffer, block: Block, { output, start, limit, oldest }: Room): number {
  const inputEnd = block.end
  let from = block.start
  let to = start
  while (from < inputEnd) {
    const token = input[from++] as number
    let literals = token >>> 4
    if (literals === 15) {
      let more: number
      do {
        if (from >= inputEnd) throw truncated()
        literals += more = input[from++] as number
      } while (more === 255)
    }
    if (literals > inputEnd - from) throw truncated()
    if (literals > limit - to) return -1
    if (literals > 32) output.set(input.subarray(from, from + literals), to)
    else for (let index = 0; index < literals; index++) output[to + index] = input[from + index] as number
    from += literals
    to += literals
    if (from === inputEnd) return to
    if (from + 2 > inputEnd) throw truncated()
    const distance = (input[from] as number) | ((input[from + 1] as number) << 8)
    from += 2
    let length = (token & 15) + 4
    if (length === 19) {
      let more: number
      do {
        if (from >= inputEnd) throw truncated()
        length += more = input[from++] as number
      } while (more === 255)
    }
    if (distance === 0 || distance > to - oldest) throw corrupt('lz4: a match points before its block')
    if (length > limit - to) return -1
    to = copyMatch(output, to, distance, length)
  }
  throw truncated()
}

const truncated = () => corrupt('lz4: a block is cut off')

/** Repeats what stands `distance` bytes before; the two may overlap, and then the bytes repeat themselves. */
export function copyMatch(output: Buffer, to: number, distance: number, length: number): number {
  const end = to + length
  if (distance >= length && length > 48) {
    output.copyWithin(to, to - distance, end - distance)
    return end
  }
  if (distance === 1) {
    output.fill(output[to - 1] as number, to, end)
    return end
  }
  for (let at = to; at < end; at++) output[at] = output[at - distance] as number
  return end
}

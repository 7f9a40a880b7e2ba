/**
 * Reads snappy, raw or in the chunks of snappy-java ("xerial"), in which the Java client writes it:
 *
 *     | 82 'SNAPPY' 00 | version i32 | compatible i32 | length i32, raw snappy | length i32, raw snappy | … |
 *
 * In plain JavaScript because it must be total: see `lz4.ts`.
 */
import { corrupt } from './batch-layout.ts'
import { CopySource, CopyTarget } from './copy-target.ts'
import { tooLarge } from './decompressed-size.ts'

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_HEADER = Buffer.concat([XERIAL_MAGIC, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])])
/** Snappy looks for matches within blocks of this size, so longer chunks would not pack better. */
const CHUNK_BYTES = 64 * 1024
/** Three bytes of input copy 64 bytes at most. */
const MAX_RATIO = 22

/** In xerial chunks; `raw` compresses one of them. */
export function compressSnappy(input: Buffer, raw: (bytes: Buffer) => Buffer): Buffer {
  const pieces: Buffer[] = [XERIAL_HEADER]
  for (let start = 0; start < input.length; start += CHUNK_BYTES) {
    const chunk = raw(input.subarray(start, start + CHUNK_BYTES))
    const length = Buffer.allocUnsafe(4)
    length.writeInt32BE(chunk.length)
    pieces.push(length, chunk)
  }
  return Buffer.concat(pieces)
}

interface Chunk {
  /** Behind the preamble. */
  readonly start: number
  readonly end: number
  /** What the preamble says. */
  readonly bytes: number
}

/** DECOMPRESSED_TOO_LARGE beyond `maxBytes`, before anything is allocated. */
export function decompressSnappy(input: Buffer, maxBytes: number): Buffer {
  const chunks = isXerial(input) ? xerialChunks(input) : [chunkOf(input, 0, input.length)]
  const total = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0)
  if (total > maxBytes) throw tooLarge('snappy', maxBytes)
  const source = new CopySource(input)
  const target = new CopyTarget(Buffer.allocUnsafe(total))
  for (const chunk of chunks) decodeChunk(source, chunk, target)
  return target.bytes
}

const isXerial = (input: Buffer) =>
  input.length >= XERIAL_HEADER.length && input.compare(XERIAL_MAGIC, 0, 8, 0, 8) === 0

function xerialChunks(input: Buffer): Chunk[] {
  const chunks: Chunk[] = []
  for (let offset = XERIAL_HEADER.length; offset < input.length; ) {
    // Streams that were appended to one another have a header at the start of each.
    if (isXerial(input.subarray(offset))) {
      offset += XERIAL_HEADER.length
      continue
    }
    if (input.length - offset < 4) throw cutOff()
    const start = offset + 4
    const length = input.readInt32BE(offset)
    if (length < 0 || length > input.length - start) throw cutOff()
    chunks.push(chunkOf(input, start, start + length))
    offset = start + length
  }
  if (chunks.length === 0) throw cutOff()
  return chunks
}

function chunkOf(input: Buffer, start: number, end: number): Chunk {
  let bytes = 0
  for (let at = start, scale = 1; at < end && scale <= 2 ** 28; at++, scale *= 128) {
    const byte = input[at] as number
    bytes += (byte & 0x7f) * scale
    if (byte >= 0x80) continue
    if (bytes > (end - at) * MAX_RATIO) throw corrupt(`snappy: ${bytes} bytes do not come from ${end - at}`)
    return { start: at + 1, end, bytes }
  }
  throw cutOff()
}

const cutOff = () => corrupt('snappy: a chunk is cut off')

/** Literals and copies, which must come to exactly as many bytes as the preamble said. */
function decodeChunk(source: CopySource, chunk: Chunk, target: CopyTarget): void {
  const input = source.bytes
  const { end } = chunk
  const start = target.position
  const limit = start + chunk.bytes
  let from = chunk.start
  while (from < end) {
    const tag = input[from++] as number
    const kind = tag & 3
    if (kind === 0) {
      let length = (tag >>> 2) + 1
      if (length > 60) {
        const extra = length - 60
        if (extra > end - from) throw cutOff()
        length = input.readUIntLE(from, extra) + 1
        from += extra
      }
      if (length > end - from || length > limit - target.position) throw cutOff()
      target.copy(source, from, length)
      from += length
      continue
    }
    const extra = kind === 3 ? 4 : kind
    if (extra > end - from) throw cutOff()
    const length = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1
    const distance = distanceAt(input, from, tag)
    from += extra
    if (distance === 0 || distance > target.position - start) {
      throw corrupt('snappy: a copy points before its chunk')
    }
    if (length > limit - target.position) throw corrupt('snappy: a chunk is longer than it says')
    target.repeat(distance, length)
  }
  if (target.position !== limit) throw corrupt(`snappy: a chunk says ${chunk.bytes} bytes and holds fewer`)
}

function distanceAt(input: Buffer, at: number, tag: number): number {
  const kind = tag & 3
  if (kind === 1) return ((tag >>> 5) << 8) | (input[at] as number)
  if (kind === 2) return (input[at] as number) | ((input[at + 1] as number) << 8)
  return input.readUInt32LE(at)
}

/**
 * The four codecs of record batches. All are synchronous: a batch is at most about a megabyte.
 *
 * Decompressing is bounded: DECOMPRESSED_TOO_LARGE before more than `maxBytes` are held, and CORRUPT_BATCH for
 * anything that the codec cannot read. The codecs are loaded when first used.
 */
import { createRequire } from 'node:module'
import * as zlib from 'node:zlib'
import { unreachable } from '../util/assert.ts'
import { type Compression, corrupt } from './batch-layout.ts'
import { tooLarge } from './decompressed-size.ts'
import { decompressLz4 } from './lz4.ts'
import { compressLz4 } from './lz4-encoder.ts'
import { compressSnappy, decompressSnappy } from './snappy.ts'
import { windowLogFor, type ZstdFrame, zstdFrames } from './zstd-frames.ts'

interface WasmCodecs {
  /** Raw snappy. */
  snappyCompress(bytes: Uint8Array): Buffer
}

let wasm: WasmCodecs | undefined

const codecs = (): WasmCodecs =>
  (wasm ??= createRequire(import.meta.url)('@platformatic/wasm-utils') as WasmCodecs)

/**
 * Whether batches can be written with it in this process: lz4 and snappy are written by WebAssembly, which `node --jitless` has
 * not. Reading needs none.
 */
export const canCompress = (kind: Compression): boolean =>
  (kind !== 'lz4' && kind !== 'snappy') || 'WebAssembly' in globalThis

export interface CompressOptions {
  /** For gzip (1 to 9) and zstd (1 to 22); the others have none. Default the codec's own. */
  readonly level?: number | undefined
  /** Bytes to leave free in front. Default 0. */
  readonly lead?: number
}

export function compress(kind: Compression, bytes: Buffer, options: CompressOptions = {}): Buffer {
  const { lead = 0 } = options
  if (kind === 'lz4') return compressLz4(bytes, lead)
  const packed = pack(kind, bytes, options.level)
  if (lead === 0) return packed
  const behind = Buffer.allocUnsafe(lead + packed.length)
  behind.set(packed, lead)
  return behind
}

function pack(kind: Exclude<Compression, 'lz4'>, bytes: Buffer, level: number | undefined): Buffer {
  switch (kind) {
    case 'none':
      return bytes
    case 'gzip':
      return zlib.gzipSync(bytes, {
        ...(level === undefined ? {} : { level }),
        chunkSize: chunkFor(bytes.length),
      })
    case 'zstd': {
      const params = level === undefined ? {} : { [zlib.constants.ZSTD_c_compressionLevel]: level }
      return zlib.zstdCompressSync(bytes, { params, chunkSize: chunkFor(bytes.length) })
    }
    case 'snappy':
      return compressSnappy(bytes, codecs().snappyCompress)
    default:
      return unreachable(kind)
  }
}

export function decompress(kind: Compression, bytes: Buffer, maxBytes: number): Buffer {
  switch (kind) {
    case 'none':
      if (bytes.length > maxBytes) throw tooLarge(kind, maxBytes)
      return bytes
    case 'gzip':
      return inflate(kind, maxBytes, () =>
        zlib.gunzipSync(bytes, {
          maxOutputLength: Math.max(maxBytes, 1),
          chunkSize: chunkFor(bytes.length * 4),
        }),
      )
    case 'zstd':
      return decompressZstd(zstdFrames(bytes), maxBytes)
    case 'lz4':
      return decompressLz4(bytes, maxBytes)
    case 'snappy':
      return decompressSnappy(bytes, maxBytes)
    default:
      return unreachable(kind)
  }
}

function decompressZstd(frames: readonly ZstdFrame[], maxBytes: number): Buffer {
  const params = { [zlib.constants.ZSTD_d_windowLogMax]: windowLogFor(maxBytes) }
  const parts: Buffer[] = []
  let room = maxBytes
  for (const { bytes, contentBytes } of frames) {
    if (contentBytes > room) throw tooLarge('zstd', maxBytes)
    const chunkSize = chunkFor(contentBytes < 0 ? bytes.length * 4 : contentBytes)
    const options = { params, maxOutputLength: Math.max(room, 1), chunkSize }
    const part = inflate('zstd', maxBytes, () => zlib.zstdDecompressSync(bytes, options))
    parts.push(part)
    room -= part.length
    if (room < 0) throw tooLarge('zstd', maxBytes)
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}

/** One piece of output where that is likely to do; zlib's own 16 KiB would mean dozens and a copy. */
const chunkFor = (bytes: number) => Math.max(1024, Math.min(bytes + 256, 1024 * 1024))

/** The output, or the window that the decoder would have to hold for it. */
const outgrown = new Set(['ERR_BUFFER_TOO_LARGE', 'ZSTD_error_frameParameter_windowTooLarge'])

/** Turns what zlib throws into the two errors that callers know. */
function inflate(kind: Compression, maxBytes: number, run: () => Buffer): Buffer {
  let bytes: Buffer
  try {
    bytes = run()
  } catch (error) {
    if (outgrown.has((error as NodeJS.ErrnoException).code ?? '')) throw tooLarge(kind, maxBytes)
    throw corrupt(`${kind}: ${(error as Error).message}`, error)
  }
  if (bytes.length > maxBytes) throw tooLarge(kind, maxBytes)
  return bytes
}

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
import { compressSnappy, decompressSnappy } from './snappy.ts'
import { zstdBounds } from './zstd-bounds.ts'

interface WasmCodecs {
  /** A frame of independent blocks, which is what Kafka asks for. */
  lz4Compress(bytes: Uint8Array): Buffer
  /** Raw snappy. */
  snappyCompress(bytes: Uint8Array): Buffer
}

let wasm: WasmCodecs | undefined

const codecs = (): WasmCodecs =>
  (wasm ??= createRequire(import.meta.url)('@platformatic/wasm-utils') as WasmCodecs)

/** `level` is for gzip (1 to 9) and zstd (1 to 22); the others have none. */
export function compress(kind: Compression, bytes: Buffer, level?: number): Buffer {
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
    case 'lz4':
      return codecs().lz4Compress(bytes)
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
    case 'zstd': {
      const { windowLog, contentBytes } = zstdBounds(bytes, maxBytes)
      const params = { [zlib.constants.ZSTD_d_windowLogMax]: windowLog }
      const chunkSize = chunkFor(contentBytes ?? bytes.length * 4)
      return inflate(kind, maxBytes, () =>
        zlib.zstdDecompressSync(bytes, { params, maxOutputLength: Math.max(maxBytes, 1), chunkSize }),
      )
    }
    case 'lz4':
      return decompressLz4(bytes, maxBytes)
    case 'snappy':
      return decompressSnappy(bytes, maxBytes)
    default:
      return unreachable(kind)
  }
}

/** One piece of output where that is likely to do; zlib's own 16 KiB would mean dozens and a copy. */
const chunkFor = (bytes: number) => Math.max(1024, Math.min(bytes + 256, 1024 * 1024))

/** Turns what zlib throws into the two errors that callers know. */
function inflate(kind: Compression, maxBytes: number, run: () => Buffer): Buffer {
  let bytes: Buffer
  try {
    bytes = run()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(kind, maxBytes)
    throw corrupt(`${kind}: ${(error as Error).message}`, error)
  }
  if (bytes.length > maxBytes) throw tooLarge(kind, maxBytes)
  return bytes
}

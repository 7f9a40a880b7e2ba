/**
 * Writes LZ4 frames: one frame of independent blocks of 64 KiB, without checksums of its own, as a batch has one.
 *
 *     | magic u32 | FLG | BD | HC | block … | 0 u32 |
 *
 * The blocks are written by lz4-blocks.wat: 860 bytes of WebAssembly, loaded when first used, because eight bytes at
 * a time cannot be had in JavaScript (docs/decisions/compression-libraries.md).
 */
import { lz4Blocks } from './lz4-blocks.ts'

/** Version 1, independent blocks, of 64 KiB at most; the last byte is the header's checksum. */
const HEADER = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82])
const END_BYTES = 4
const BLOCK_BYTES = 65_536
const PAGE_BYTES = 65_536
/** Where lz4-blocks.wat wants the content. */
const CONTENT_AT = 16_384
const SLACK = 8
/** Memory does not shrink. After a batch that needed more than this, it is left to the garbage collector. */
const KEPT_BYTES = 8 * 1024 * 1024

interface Memory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

interface Encoder {
  readonly memory: Memory
  /** Writes the content from `from` to `end` as blocks at `to`, and returns where they end. */
  blocks(from: number, end: number, to: number): number
}

/** What is used of it: the compiler knows WebAssembly only together with the whole DOM. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

let wasmModule: object | undefined
let idle: Encoder | undefined

/** The most that blocks of so much content take. */
const mostBytesOf = (bytes: number) => bytes + Math.ceil(bytes / BLOCK_BYTES) * (4 + 16 + BLOCK_BYTES / 255)

/** `lead` bytes are left free in front of the frame. */
export function compressLz4(content: Uint8Array, lead = 0): Buffer {
  const encoder = idle ?? newEncoder()
  const { memory } = encoder
  const end = CONTENT_AT + content.length
  const to = end + SLACK
  const missing = to + mostBytesOf(content.length) + SLACK - memory.buffer.byteLength
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES))
  const bytes = new Uint8Array(memory.buffer)
  bytes.set(content, CONTENT_AT)
  const blocks = bytes.subarray(to, encoder.blocks(CONTENT_AT, end, to))
  const at = lead + HEADER.length
  const frame = Buffer.allocUnsafe(at + blocks.length + END_BYTES)
  frame.set(HEADER, lead)
  frame.set(blocks, at)
  frame.fill(0, at + blocks.length)
  idle = bytes.length <= KEPT_BYTES ? encoder : undefined
  return frame
}

function newEncoder(): Encoder {
  wasmModule ??= new WebAssembly.Module(Buffer.from(lz4Blocks, 'base64'))
  return new WebAssembly.Instance(wasmModule).exports as Encoder
}

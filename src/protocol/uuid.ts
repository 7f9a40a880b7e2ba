/**
 * Ids of topics: 16 bytes on the wire, and in Kafka's own text form (URL-safe base64 without padding) everywhere else.
 *
 * The same few come with every request, and their text is dear to make and to read, so the last ones are kept.
 */
import { readInt32, writeInt32 } from './big-endian.ts'

const UUID_BYTES = 16
const TEXT_LENGTH = 22
/** A power of two. */
const KEPT = 256

interface Uuid {
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
  readonly text: string
}

/** By a mix of their bits: one that falls to the place of another takes it. */
const read: (Uuid | undefined)[] = new Array(KEPT)
/** By their text; forgotten all at once. */
const written = new Map<string, Uuid>()

export function readUuid(buffer: Buffer, at: number): string {
  const a = readInt32(buffer, at)
  const b = readInt32(buffer, at + 4)
  const c = readInt32(buffer, at + 8)
  const d = readInt32(buffer, at + 12)
  const place = (a ^ (a >>> 16) ^ b ^ c ^ d) & (KEPT - 1)
  const kept = read[place]
  if (kept !== undefined && kept.a === a && kept.b === b && kept.c === c && kept.d === d) return kept.text
  const text = buffer.toString('base64url', at, at + UUID_BYTES)
  read[place] = { a, b, c, d, text }
  return text
}

/** False when the text is none. */
export function writeUuid(buffer: Buffer, at: number, text: string): boolean {
  const uuid = written.get(text) ?? parse(text)
  if (uuid === undefined) return false
  writeInt32(buffer, at, uuid.a)
  writeInt32(buffer, at + 4, uuid.b)
  writeInt32(buffer, at + 8, uuid.c)
  writeInt32(buffer, at + 12, uuid.d)
  return true
}

function parse(text: string): Uuid | undefined {
  if (text.length !== TEXT_LENGTH) return undefined
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length !== UUID_BYTES) return undefined
  const [a, b, c, d] = [0, 4, 8, 12].map((at) => readInt32(bytes, at)) as [number, number, number, number]
  const uuid = { a, b, c, d, text }
  if (written.size >= KEPT) written.clear()
  written.set(text, uuid)
  return uuid
}

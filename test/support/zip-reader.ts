/** Reads files out of a zip archive, such as a jar, that lies in memory: stored or deflated ones, no zip64. */
import { inflateRawSync } from 'node:zlib'

const END_OF_DIRECTORY = 0x0605_4b50
const DIRECTORY_ENTRY = 0x0201_4b50
const END_BYTES = 22

export interface ZipEntry {
  readonly name: string
  read(): Buffer
}

/** The archive's entries by name, in its own order. */
export function readZip(archive: Buffer): Map<string, ZipEntry> {
  const end = archive.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]), archive.length - END_BYTES)
  if (end < 0 || archive.readUInt32LE(end) !== END_OF_DIRECTORY) throw new Error('not a zip archive')
  const entries = new Map<string, ZipEntry>()
  let offset = archive.readUInt32LE(end + 16)
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    if (archive.readUInt32LE(offset) !== DIRECTORY_ENTRY) throw new Error('the zip directory is damaged')
    const nameBytes = archive.readUInt16LE(offset + 28)
    const name = archive.toString('utf8', offset + 46, offset + 46 + nameBytes)
    const entry = {
      method: archive.readUInt16LE(offset + 10),
      packedBytes: archive.readUInt32LE(offset + 20),
      at: archive.readUInt32LE(offset + 42),
    }
    entries.set(name, { name, read: () => unpack(archive, entry) })
    offset += 46 + nameBytes + archive.readUInt16LE(offset + 30) + archive.readUInt16LE(offset + 32)
  }
  return entries
}

function unpack(archive: Buffer, entry: { method: number; packedBytes: number; at: number }): Buffer {
  const start = entry.at + 30 + archive.readUInt16LE(entry.at + 26) + archive.readUInt16LE(entry.at + 28)
  const packed = archive.subarray(start, start + entry.packedBytes)
  if (entry.method === 0) return packed
  if (entry.method === 8) return inflateRawSync(packed)
  throw new Error(`zip method ${entry.method} is not read`)
}

/** Damages valid bytes: the kinds of damage that reach into decoders, in ones, twos and more. */
import type { Random } from '../../src/util/random.ts'

/** Lengths, counts and versions at their edges. */
const edges = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x3fff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
]

type Mutation = (bytes: Buffer, random: Random, other: Buffer) => Buffer

const flipBit: Mutation = (bytes, random) => {
  const at = random.below(bytes.length)
  bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
  return bytes
}

const setByte: Mutation = (bytes, random) => {
  const value = random.below(2) === 0 ? random.below(256) : (edges[random.below(6)] as number)
  bytes[random.below(bytes.length)] = value
  return bytes
}

const setInteger: Mutation = (bytes, random) => {
  const width = [2, 4, 8][random.below(3)] as number
  if (bytes.length < width) return bytes
  const at = random.below(bytes.length - width + 1)
  const value = edges[random.below(edges.length)] as number
  if (width === 2) bytes.writeUInt16BE(value & 0xffff, at)
  else bytes.writeUInt32BE(value, at + width - 4)
  if (width === 8) bytes.writeUInt32BE(edges[random.below(edges.length)] as number, at)
  return bytes
}

/** A varint of up to ten bytes, over what stands there. */
const setVarint: Mutation = (bytes, random) => {
  const at = random.below(bytes.length)
  const length = Math.min(1 + random.below(10), bytes.length - at)
  for (let index = 0; index < length; index++) {
    bytes[at + index] = random.below(128) | (index < length - 1 ? 0x80 : 0)
  }
  return bytes
}

const cut: Mutation = (bytes, random) => bytes.subarray(0, random.below(bytes.length))

const remove: Mutation = (bytes, random) => {
  const at = random.below(bytes.length)
  const length = 1 + random.below(Math.min(16, bytes.length - at))
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
}

const insert: Mutation = (bytes, random) => {
  const at = random.below(bytes.length + 1)
  return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.below(8)), bytes.subarray(at)])
}

const repeat: Mutation = (bytes, random) => {
  const at = random.below(bytes.length)
  const part = bytes.subarray(at, at + 1 + random.below(64))
  return Buffer.concat([bytes.subarray(0, at), part, part, bytes.subarray(at)])
}

const splice: Mutation = (bytes, random, other) =>
  Buffer.concat([
    bytes.subarray(0, random.below(bytes.length)),
    other.subarray(random.below(other.length + 1)),
  ])

const mutations = [
  flipBit,
  flipBit,
  setByte,
  setByte,
  setInteger,
  setInteger,
  setVarint,
  cut,
  remove,
  insert,
  repeat,
  splice,
]

/** A damaged copy; one mutation most of the time, so that the rest of the bytes stays plausible. */
export function mutate(bytes: Buffer, random: Random, other: Buffer): Buffer {
  let mutated: Buffer = Buffer.from(bytes)
  for (let left = 1 + Math.floor(random.next() ** 3 * 6); left > 0; left--) {
    if (mutated.length === 0) return mutated
    mutated = (mutations[random.below(mutations.length)] as Mutation)(mutated, random, other)
  }
  return mutated
}

/**
 * Random values for a table of fields in one version: every field that the version carries gets one, all others
 * their default, so that what is decoded must equal what was encoded.
 */
import { type Field, type Fields, type WireType, zeroUuid } from '../../src/protocol/schema.ts'
import type { Random } from '../../src/util/random.ts'

export function randomMessage(fields: Fields, version: number, random: Random): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [name, randomField(field, version, random)]),
  )
}

function randomField(field: Field, version: number, random: Random): unknown {
  const absent = version < field.since || version > field.until
  if (absent || (field.tag >= 0 && random.below(2) === 0)) return defaultValue(field)
  const nullable = version >= field.nullable || field.type.kind === 'records'
  if (nullable && random.below(4) === 0) return null
  return randomOf(field.type, version, random)
}

/** What the decoder gives for a field that the bytes do not hold. */
function defaultValue(field: Field): unknown {
  if (field.default === null) return null
  if (field.type.kind === 'array') return []
  if (field.type.kind !== 'struct') return field.default
  return Object.fromEntries(
    Object.entries(field.type.fields).map(([name, inner]) => [name, defaultValue(inner)]),
  )
}

const texts = ['', 'a', 'orders', 'käse', '𝕂afka', 'x'.repeat(130), 'y'.repeat(300)]

function randomOf(type: WireType, version: number, random: Random): unknown {
  switch (type.kind) {
    case 'bool':
      return random.below(2) === 1
    case 'int8':
      return random.below(2 ** 8) - 2 ** 7
    case 'int16':
      return random.below(2 ** 16) - 2 ** 15
    case 'uint16':
      return random.below(2 ** 16)
    case 'int32':
      return edge(random, 2 ** 31) ?? random.below(2 ** 32) - 2 ** 31
    case 'uint32':
      return random.below(2 ** 32)
    case 'int64':
    case 'timestamp':
      return edge(random, 2 ** 53) ?? (random.below(2 ** 32) - 2 ** 31) * (1 + random.below(2 ** 21))
    case 'float64':
      return random.next() * 1e9 - 5e8
    case 'string':
      return texts[random.below(texts.length)]
    case 'uuid':
      return random.below(4) === 0 ? zeroUuid : random.bytes(16).toString('base64url')
    case 'bytes':
    case 'records':
      // Around the size from which bytes are attached instead of copied, too.
      return random.bytes(random.below(8) === 0 ? 4090 + random.below(12) : random.below(40))
    case 'array':
      return Array.from({ length: random.below(4) }, () => randomOf(type.element, version, random))
    case 'struct':
      return randomMessage(type.fields, version, random)
  }
}

/** Now and then one of the numbers where arithmetic breaks. */
function edge(random: Random, bound: number): number | undefined {
  const edges = [0, -1, 1, 127, 128, 255, 256, 65535, 65536, bound - 1, 1 - bound]
  return random.below(3) === 0 ? edges[random.below(edges.length)] : undefined
}

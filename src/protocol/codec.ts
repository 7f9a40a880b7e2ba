/**
 * Turns a table of fields into an encoder and a decoder for one version.
 *
 * Compiled once per (fields, version, direction) when first used, into closures: no `eval`, so it runs under a
 * strict content policy (docs/decisions/codec-closures.md has the measurement). The outermost struct of a
 * message is compiled like any other.
 */
import { OttlaError } from '../errors.ts'
import { malformed, type Reader } from './reader.ts'
import type { Bytes, Field, Fields, WireType } from './schema.ts'
import { bytesLength, Writer } from './writer.ts'

export type Encode = (writer: Writer, value: unknown) => void
export type Decode = (reader: Reader) => unknown

type Struct = Record<string, unknown>

const carries = (field: Field, version: number) => version >= field.since && version <= field.until

interface Dialect {
  readonly version: number
  readonly flexible: boolean
}

export function compileEncoder(fields: Fields, version: number, flexible: boolean): Encode {
  return encodeStruct(fields, { version, flexible })
}

export function compileDecoder(fields: Fields, version: number, flexible: boolean): Decode {
  return decodeStruct(fields, { version, flexible })
}

// ---------------------------------------------------------------------------------------------- encoding

function encodeStruct(fields: Fields, dialect: Dialect): Encode {
  const fixed: Encode[] = []
  const tagged: { name: string; field: Field; encode: Encode }[] = []
  for (const [name, field] of Object.entries(fields)) {
    if (!carries(field, dialect.version)) {
      if (!field.ignorable) fixed.push(refuseUnlessDefault(name, field, dialect.version))
    } else if (field.tag >= 0) {
      tagged.push({ name, field, encode: encodeField(name, field, dialect) })
    } else {
      const encode = encodeField(name, field, dialect)
      const fallback = defaultOf(field)
      fixed.push((writer, struct) => {
        const value = (struct as Struct)[name]
        encode(writer, value === undefined ? fallback : value)
      })
    }
  }
  tagged.sort((a, b) => a.field.tag - b.field.tag)
  const count = fixed.length
  return (writer, value) => {
    // By index, here and below: an iterator is an object per step until the code is optimized, and rare calls never are.
    for (let index = 0; index < count; index++) (fixed[index] as Encode)(writer, value)
    if (!dialect.flexible) return
    if (tagged.length === 0) writer.varuint(0)
    else encodeTags(writer, value as Struct, tagged)
  }
}

function encodeTags(
  writer: Writer,
  value: Struct,
  tagged: readonly { name: string; field: Field; encode: Encode }[],
): void {
  const present = tagged.filter(({ name, field }) => !isDefault(value[name], field))
  writer.varuint(present.length)
  for (const { name, field, encode } of present) {
    const inner = new Writer(64)
    encode(inner, value[name])
    writer.varuint(field.tag)
    writer.varuint(inner.length)
    for (const piece of inner.finish()) writer.raw(piece)
  }
}

/** A value that this version cannot carry is an error, unless it says no more than its absence does. */
function refuseUnlessDefault(name: string, field: Field, version: number) {
  return (_writer: Writer, value: unknown) => {
    if (isDefault((value as Struct)[name], field)) return
    throw new OttlaError('UNSUPPORTED_VERSION', `version ${version} of the message has no field ${name}`, {
      path: name,
    })
  }
}

function isDefault(value: unknown, field: Field): boolean {
  if (value === undefined || value === field.default) return true
  if (value === null) return field.default === null
  if (field.type.kind === 'array') return (value as unknown[]).length === 0 && field.default !== null
  if (field.type.kind === 'bytes') return bytesLength(value as Bytes) === 0 && field.default !== null
  if (field.type.kind === 'struct') {
    const inner = value as Struct
    return Object.entries(field.type.fields).every(([name, part]) => isDefault(inner[name], part))
  }
  return false
}

const defaultOf = (field: Field): unknown =>
  field.default === undefined && field.type.kind === 'struct' ? {} : field.default

function encodeField(name: string, field: Field, dialect: Dialect): Encode {
  const nullable = dialect.version >= field.nullable || field.type.kind === 'records'
  const encode = encodeType(field.type, dialect, nullable)
  return (writer, value) => {
    if (value === null && !nullable) {
      throw new OttlaError(
        'INVALID_ARGUMENT',
        `field ${name} must not be null in version ${dialect.version}`,
        {
          path: name,
        },
      )
    }
    encode(writer, value)
  }
}

function encodeType(type: WireType, dialect: Dialect, nullable: boolean): Encode {
  switch (type.kind) {
    case 'bool':
      return (writer, value) => writer.bool(value as boolean)
    case 'timestamp':
    case 'int64':
      return (writer, value) => writer.int64(value as number)
    case 'int8':
    case 'int16':
    case 'uint16':
    case 'int32':
    case 'uint32':
    case 'float64': {
      const { kind } = type
      return (writer, value) => writer[kind](value as number)
    }
    case 'uuid':
      return (writer, value) => writer.uuid(value as string)
    case 'string':
      return dialect.flexible ? encodeCompactString : encodeString
    case 'bytes':
    case 'records':
      return dialect.flexible ? encodeCompactBytes : encodeBytes
    case 'array':
      return encodeArray(type.element, dialect)
    case 'struct': {
      const encode = encodeStruct(type.fields, dialect)
      return nullable ? encodeNullableStruct(encode) : encode
    }
  }
}

const encodeNullableStruct =
  (encode: Encode): Encode =>
  (writer, value) => {
    writer.int8(value === null ? -1 : 1)
    if (value !== null) encode(writer, value)
  }

const encodeString: Encode = (writer, value) => {
  if (value === null) return writer.int16(-1)
  const length = textLength(value as string)
  writer.int16(length)
  writer.text(value as string, length)
}

const encodeCompactString: Encode = (writer, value) => {
  if (value === null) return writer.varuint(0)
  const length = textLength(value as string)
  writer.varuint(length + 1)
  writer.text(value as string, length)
}

/** Kafka refuses longer ones in both forms, though only the older form has no room for them. */
function textLength(value: string): number {
  const length = Buffer.byteLength(value)
  if (length <= 0x7fff) return length
  throw new OttlaError('INVALID_ARGUMENT', `a string of ${length} bytes is longer than 32767`)
}

const encodeBytes: Encode = (writer, value) => {
  if (value === null) return writer.int32(-1)
  writer.int32(bytesLength(value as Bytes))
  writeBytes(writer, value as Bytes)
}

const encodeCompactBytes: Encode = (writer, value) => {
  if (value === null) return writer.varuint(0)
  writer.varuint(bytesLength(value as Bytes) + 1)
  writeBytes(writer, value as Bytes)
}

function writeBytes(writer: Writer, value: Bytes): void {
  if (value instanceof Uint8Array) writer.raw(value)
  else for (const piece of value) writer.raw(piece)
}

function encodeArray(element: WireType, dialect: Dialect): Encode {
  const encode = encodeType(element, dialect, false)
  return (writer, value) => {
    const items = value as readonly unknown[] | null
    if (dialect.flexible) writer.varuint(items === null ? 0 : items.length + 1)
    else writer.int32(items === null ? -1 : items.length)
    if (items !== null) for (let index = 0; index < items.length; index++) encode(writer, items[index])
  }
}

// ---------------------------------------------------------------------------------------------- decoding

function decodeStruct(fields: Fields, dialect: Dialect): Decode {
  const blank: Struct = {}
  const names: string[] = []
  const decoders: ((reader: Reader) => unknown)[] = []
  const tagged = new Map<number, { name: string; decode: Decode }>()
  for (const [name, field] of Object.entries(fields)) {
    const nullable = dialect.version >= field.nullable || field.type.kind === 'records'
    const present = carries(field, dialect.version)
    const decode = present && field.tag < 0 ? decodeType(field.type, dialect, nullable) : freshDefault(field)
    blank[name] = field.default
    if (decode !== undefined) {
      names.push(name)
      decoders.push(decode)
    }
    if (present && field.tag >= 0) {
      tagged.set(field.tag, { name, decode: decodeType(field.type, dialect, nullable) })
    }
  }
  const count = names.length
  return (reader) => {
    // A copy has its shape, and what the bytes do not hold, from the start.
    const value: Struct = { ...blank }
    for (let index = 0; index < count; index++) {
      value[names[index] as string] = (decoders[index] as Decode)(reader)
    }
    if (dialect.flexible) decodeTags(reader, value, tagged)
    return value
  }
}

/** Makes what stands for a field that the bytes do not hold, if that is an object: results are the caller's own. */
function freshDefault(field: Field): (() => unknown) | undefined {
  if (field.default === null) return undefined
  if (field.type.kind === 'array') return () => []
  if (field.type.kind !== 'struct') return undefined
  const blank: Struct = {}
  const makers: [name: string, make: () => unknown][] = []
  for (const [name, inner] of Object.entries(field.type.fields)) {
    blank[name] = inner.default
    const make = freshDefault(inner)
    if (make !== undefined) makers.push([name, make])
  }
  return () => {
    const value: Struct = { ...blank }
    for (const [name, make] of makers) value[name] = make()
    return value
  }
}

function decodeTags(
  reader: Reader,
  value: Struct,
  tagged: ReadonlyMap<number, { name: string; decode: Decode }>,
): void {
  for (let left = reader.varuint(); left > 0; left--) {
    const tag = reader.varuint()
    const size = reader.varuint()
    const known = tagged.get(tag)
    const start = reader.take(size)
    if (known === undefined) continue
    // Decoded in place with the reader set back: a field that runs past its own size is damage.
    reader.offset = start
    value[known.name] = known.decode(reader)
    if (reader.offset !== start + size)
      throw malformed(`tagged field ${known.name} is not ${size} bytes long`)
  }
}

function decodeType(type: WireType, dialect: Dialect, nullable: boolean): Decode {
  switch (type.kind) {
    case 'string':
      return dialect.flexible ? decodeCompactString(nullable) : decodeString(nullable)
    case 'bytes':
    case 'records':
      return dialect.flexible ? decodeCompactBytes(nullable) : decodeBytes(nullable)
    case 'array':
      return decodeArray(type.element, dialect, nullable)
    case 'struct': {
      const decode = decodeStruct(type.fields, dialect)
      return nullable ? (reader) => (reader.int8() < 0 ? null : decode(reader)) : decode
    }
    default: {
      const { kind } = type
      return (reader) => reader[kind]()
    }
  }
}

const nullRefused = (what: string) => malformed(`null where ${what} must stand`)

const decodeString =
  (nullable: boolean): Decode =>
  (reader) => {
    const length = reader.int16()
    if (length >= 0) return reader.text(length)
    if (!nullable) throw nullRefused('a string')
    return null
  }

const decodeCompactString =
  (nullable: boolean): Decode =>
  (reader) => {
    const length = reader.varuint()
    if (length > 0) return reader.text(length - 1)
    if (!nullable) throw nullRefused('a string')
    return null
  }

const decodeBytes =
  (nullable: boolean): Decode =>
  (reader) => {
    const length = reader.int32()
    if (length >= 0) return reader.view(length)
    if (!nullable) throw nullRefused('a byte string')
    return null
  }

const decodeCompactBytes =
  (nullable: boolean): Decode =>
  (reader) => {
    const length = reader.varuint()
    if (length > 0) return reader.view(length - 1)
    if (!nullable) throw nullRefused('a byte string')
    return null
  }

function decodeArray(element: WireType, dialect: Dialect, nullable: boolean): Decode {
  const decode = decodeType(element, dialect, false)
  return (reader) => {
    const announced = dialect.flexible ? reader.varuint() - 1 : reader.int32()
    if (announced < 0) {
      if (!nullable) throw nullRefused('an array')
      return null
    }
    const count = reader.count(announced)
    // One that is pushed takes room for seventeen.
    if (count === 1) return [decode(reader)]
    const items: unknown[] = []
    while (items.length < count) items.push(decode(reader))
    return items
  }
}

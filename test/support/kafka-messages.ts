/**
 * Apache Kafka's own description of its messages, `common/message/*.json` inside the kafka-clients jar, turned
 * into the flat list of fields of one version: what our tables are held against.
 */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readZip } from './zip-reader.ts'

/** One field of one version, as far as it decides about bytes, and about what stands for absent ones. */
export interface FlatField {
  readonly path: string
  readonly type: string
  readonly nullable: boolean
  /** -1: at a fixed place. */
  readonly tag: number
  readonly default: string
}

interface JsonField {
  readonly name: string
  readonly type: string
  readonly versions: string
  readonly nullableVersions?: string
  readonly taggedVersions?: string
  readonly tag?: number
  readonly default?: string | number | boolean
  readonly fields?: readonly JsonField[]
}

export interface JsonMessage {
  readonly name: string
  readonly type: string
  readonly apiKey?: number
  readonly validVersions: string
  readonly flexibleVersions: string
  readonly fields: readonly JsonField[]
  readonly commonStructs?: readonly { readonly name: string; readonly fields: readonly JsonField[] }[]
}

/** The messages of a jar, by name: `ProduceRequest`. */
export function messagesOfJar(libs: string, name = 'kafka-clients'): Map<string, JsonMessage> {
  const jar = globSync(`${name}-[0-9]*.jar`, { cwd: libs })[0]
  if (jar === undefined) throw new Error(`no ${name} jar in ${libs}`)
  const messages = new Map<string, JsonMessage>()
  for (const [name, entry] of readZip(readFileSync(join(libs, jar)))) {
    if (!/^common\/message\/\w+\.json$/.test(name)) continue
    const message = JSON.parse(withoutComments(entry.read().toString())) as JsonMessage
    messages.set(message.name, message)
  }
  return messages
}

/** `//` to the end of the line, where it is not inside a string. */
const withoutComments = (text: string) =>
  text.replace(/"(?:[^"\\]|\\.)*"|\/\/.*$/gm, (match) => (match.startsWith('"') ? match : ''))

export const inRange = (version: number, range: string | undefined): boolean => {
  if (range === undefined || range === 'none') return false
  const [low, high] = range.endsWith('+') ? [range.slice(0, -1), 'Infinity'] : range.split('-')
  return version >= Number(low) && version <= Number(high ?? low)
}

/** The fields at fixed places in their order, then those with tags in the order of the tags. */
export function flatten(message: JsonMessage, version: number): FlatField[] {
  return flattenFields(message.fields, { message, version, prefix: '' })
}

function flattenFields(
  fields: readonly JsonField[],
  scope: { readonly message: JsonMessage; readonly version: number; readonly prefix: string },
): FlatField[] {
  const { message, version, prefix } = scope
  const placed: FlatField[] = []
  const tagged: { tag: number; fields: FlatField[] }[] = []
  for (const field of fields) {
    if (!inRange(version, field.versions)) continue
    const path = prefix + lowerFirst(field.name)
    const element = field.type.replace(/^\[\]/, '')
    const inner = field.fields ?? message.commonStructs?.find((common) => common.name === element)?.fields
    const tag = inRange(version, field.taggedVersions) ? (field.tag as number) : -1
    const nullable = inRange(version, field.nullableVersions)
    const own: FlatField = {
      path,
      type: inner === undefined ? field.type : field.type.startsWith('[]') ? '[]struct' : 'struct',
      nullable,
      tag,
      default: defaultOf(field, inner !== undefined),
    }
    const below = inner === undefined ? [] : flattenFields(inner, { message, version, prefix: `${path}.` })
    if (tag < 0) placed.push(own, ...below)
    else tagged.push({ tag, fields: [own, ...below] })
  }
  tagged.sort((a, b) => a.tag - b.tag)
  return [...placed, ...tagged.flatMap((entry) => entry.fields)]
}

const lowerFirst = (name: string) => name.charAt(0).toLowerCase() + name.slice(1)

/** As text, numbers in decimal: what Kafka's generator takes when the JSON says none, too. */
function defaultOf(field: JsonField, isStruct: boolean): string {
  const said = field.default
  if (said === 'null') return 'null'
  if (field.type.startsWith('[]')) return '[]'
  if (isStruct) return '{}'
  if (field.type === 'string') return `'${said ?? ''}'`
  if (field.type === 'bool') return String(said ?? false)
  if (field.type === 'bytes') return 'empty'
  if (field.type === 'records') return 'null'
  if (field.type === 'uuid') return 'zero'
  return said === undefined ? '0' : String(BigInt(said))
}

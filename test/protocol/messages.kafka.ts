/**
 * Every table of messages against Apache Kafka's own: for each API and each version that we describe, the flat
 * list of fields (name, type, nullability, tag, default) must be the one of the JSON in the kafka-clients jar.
 */
import assert from 'node:assert/strict'
import { existsSync, globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  groupMetadataKey,
  groupMetadataValue,
  offsetCommitKey,
  offsetCommitValue,
} from '../../src/broker/groups/coordinator-record.ts'
import { assignment, subscription } from '../../src/protocol/messages/consumer-protocol.ts'
import { apis } from '../../src/protocol/messages/index.ts'
import type { Field, Fields, WireType } from '../../src/protocol/schema.ts'
import { defaultKafkaVersion, ensureJars } from '../../tools/kafka/index.ts'
import {
  type FlatField,
  flatten,
  inRange,
  type JsonMessage,
  messagesOfJar,
} from '../support/kafka-messages.ts'

/** The tables follow one version of Kafka, whatever version the rest of the suite runs with. */
async function libsOf(version: string): Promise<string> {
  const given = process.env['OTTLA_KAFKA_LIBS']
  const [major, minor] = version.split('.')
  if (given !== undefined && globSync(`kafka-clients-${major}.${minor}.*.jar`, { cwd: given }).length > 0) {
    return given
  }
  return ensureJars(version)
}

/** Versions that Kafka 4 dropped and that we keep for older brokers. Compared where a 3.9 jar is there. */
const droppedByKafka4 = new Set(['OffsetCommit 1', 'DescribeConfigs 0'])
const olderLibs = join(dirname(fileURLToPath(import.meta.url)), '../../.cache/kafka-3.9.0/libs')

/** Where the JSON says a number that no double holds, and we say the nearest that one does. */
const beyondDoubles = new Map([['9223372036854775807', String(Number.MAX_SAFE_INTEGER)]])

const current = messagesOfJar(await libsOf(defaultKafkaVersion))
const older = existsSync(olderLibs) ? messagesOfJar(olderLibs) : undefined

for (const api of apis) {
  for (const direction of ['Request', 'Response'] as const) {
    test(`${api.name}${direction}, versions ${api.versions.join(' to ')}`, (context) => {
      const name = `${api.name}${direction}`
      const message = current.get(name)
      assert.ok(message, `Kafka has no ${name}`)
      assert.equal(message.apiKey, api.key)
      const fields = direction === 'Request' ? api.request : api.response
      for (let version = api.versions[0]; version <= api.versions[1]; version++) {
        const reference = referenceFor(name, version)
        if (reference === undefined) {
          assert.ok(droppedByKafka4.has(`${api.name} ${version}`), `no Kafka describes ${name} ${version}`)
          context.diagnostic(`${name} ${version} is not compared: no jar of Kafka 3.9 under .cache`)
          continue
        }
        assert.equal(version >= api.flexible, inRange(version, reference.flexibleVersions), 'flexible')
        assert.deepEqual(
          flattenTable(fields, version),
          normal(flatten(reference, version)),
          `${name} ${version}`,
        )
      }
    })
  }
}

test('nothing is listed as dropped that Kafka still describes, or that we do not', () => {
  const missing = apis.flatMap((api) => {
    const range = current.get(`${api.name}Request`)?.validVersions
    const versions = Array.from(
      { length: api.versions[1] - api.versions[0] + 1 },
      (_, i) => api.versions[0] + i,
    )
    return versions.filter((version) => !inRange(version, range)).map((version) => `${api.name} ${version}`)
  })
  assert.deepEqual(new Set(missing), droppedByKafka4)
})

for (const [name, fields] of [
  ['ConsumerProtocolSubscription', subscription],
  ['ConsumerProtocolAssignment', assignment],
] as const) {
  test(`${name}, versions 0 to 3`, () => {
    const message = current.get(name) as JsonMessage
    assert.equal(message.validVersions, '0-3')
    assert.equal(message.flexibleVersions, 'none')
    for (let version = 0; version <= 3; version++) {
      assert.deepEqual(flattenTable(fields, version), flatten(message, version), `${name} ${version}`)
    }
  })
}

/** What the embedded broker writes to `__consumer_offsets`. */
const coordinator = messagesOfJar(await libsOf(defaultKafkaVersion), 'kafka-group-coordinator')

for (const [name, fields, versions] of [
  ['OffsetCommitKey', offsetCommitKey, '0'],
  ['OffsetCommitValue', offsetCommitValue, '0-4'],
  ['GroupMetadataKey', groupMetadataKey, '0'],
  ['GroupMetadataValue', groupMetadataValue, '0-4'],
] as const) {
  test(`${name}, versions ${versions}`, () => {
    const message = coordinator.get(name) as JsonMessage
    assert.equal(message.validVersions, versions)
    assert.equal(message.flexibleVersions, name.endsWith('Key') ? 'none' : '4+')
    for (let version = 0; version <= Number(versions.at(-1)); version++) {
      assert.deepEqual(flattenTable(fields, version), flatten(message, version), `${name} ${version}`)
    }
  })
}

function referenceFor(name: string, version: number): JsonMessage | undefined {
  return [current, older]
    .map((messages) => messages?.get(name))
    .find((message) => message !== undefined && inRange(version, message.validVersions))
}

const normal = (fields: FlatField[]) =>
  fields.map((field) => ({ ...field, default: beyondDoubles.get(field.default) ?? field.default }))

function flattenTable(fields: Fields, version: number, prefix = ''): FlatField[] {
  const placed: FlatField[] = []
  const tagged: { tag: number; fields: FlatField[] }[] = []
  for (const [name, field] of Object.entries(fields)) {
    if (version < field.since || version > field.until) continue
    const path = prefix + name
    const own: FlatField = {
      path,
      type: typeName(field.type),
      nullable: version >= field.nullable,
      tag: field.tag,
      default: defaultName(field),
    }
    const inner = structOf(field.type)
    const below = inner === undefined ? [] : flattenTable(inner, version, `${path}.`)
    if (field.tag < 0) placed.push(own, ...below)
    else tagged.push({ tag: field.tag, fields: [own, ...below] })
  }
  tagged.sort((a, b) => a.tag - b.tag)
  return [...placed, ...tagged.flatMap((entry) => entry.fields)]
}

const structOf = (type: WireType): Fields | undefined =>
  type.kind === 'struct' ? type.fields : type.kind === 'array' ? structOf(type.element) : undefined

function typeName(type: WireType): string {
  if (type.kind === 'array') return `[]${typeName(type.element)}`
  return type.kind === 'timestamp' ? 'int64' : type.kind
}

function defaultName(field: Field): string {
  if (field.default === null) return 'null'
  switch (field.type.kind) {
    case 'array':
      return '[]'
    case 'struct':
      return '{}'
    case 'string':
      return `'${field.default}'`
    case 'bytes':
      return 'empty'
    case 'uuid':
      return 'zero'
    default:
      return String(field.default)
  }
}

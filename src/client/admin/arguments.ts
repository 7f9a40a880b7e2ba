/**
 * What is asked of an admin call is looked at before anything is sent: a field that is missing by a slip of the pen
 * would go out as zero, and zero is a place in a log. Fields that a type does not name are left alone, because what one
 * call found is often given to the next; but one that looks like a field that is missing is taken for a mistake.
 */
import { OttlaError } from '../../errors.ts'
import { checkValues, wrongArgument } from '../../util/arguments.ts'
import { waiting as every } from '../../util/call-options.ts'
import {
  type Check,
  is,
  MILLISECONDS,
  nearest,
  type Option,
  type OptionTable,
  resolveOptions,
} from '../../util/options.ts'

const optional = <T>(check: Check<T>, ...otherNames: string[]): Option<T | undefined> => ({
  check,
  default: undefined,
  otherNames,
})
const required = <T>(check: Check<T>, ...otherNames: string[]): Option<T> => ({ check, otherNames })

const integer: Check<number> = (value, fail) =>
  Number.isSafeInteger(value) ? (value as number) : fail('a whole number')
/** Which counts and ids are possible is for the broker to say. */
const count: Check<number> = (value, fail) =>
  is.integer(-0x8000_0000, 0x7fff_ffff)(integer(value, fail), fail)

const nodeId: Check<number> = is.integer(0, 0x7fff_ffff)

/** Kafka takes -1, which is what `listOffsets` gives when it finds nothing, and the commit is gone. */
const committable: Check<number> = (value, fail) =>
  integer(value, fail) >= 0
    ? (value as number)
    : fail(
        "0 or more (where listOffsets found no record, use what it gives for 'latest'; deleteGroupOffsets takes a commit away)",
      )

/** A broker may know better what is right for a name, an empty one too. */
const text: Check<string> = (value, fail) => (typeof value === 'string' ? value : fail('a string'))

const assignments = optional(is.list(is.list(count, 'node ids'), 'lists of node ids'), 'replicaAssignment')

const position: Check<unknown> = (value, fail) =>
  typeof value === 'object' && value !== null
    ? integer((value as { timestamp?: unknown }).timestamp, () => fail(`{ timestamp } in ${MILLISECONDS}`))
    : is.oneOf('earliest', 'latest', 'maxTimestamp')(value, (names) => fail(`${names} or { timestamp }`))

const configValue: Check<unknown> = (value, fail) =>
  typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
    ? value
    : fail('a string, a number or a boolean')

const valuesOf =
  (check: Check<unknown>): Check<unknown> =>
  (value, fail) => {
    const given = is.object<object>()(value, fail)
    for (const [name, one] of Object.entries(given)) check(one, (right) => fail(`${right} for ${name}`, one))
    return given
  }

const change: Check<unknown> = (value, fail) => {
  const expected = 'a string, a number, a boolean, null, { append } or { subtract }'
  if (value === null) return value
  if (typeof value !== 'object') return configValue(value, () => fail(expected))
  const isKnown = 'append' in value || 'subtract' in value
  return isKnown && typeof Object.values(value)[0] === 'string' ? value : fail(expected)
}

const place = { topic: required(text, 'name'), partition: required(count) }
const resource = { type: required(is.oneOf('topic', 'broker', 'group')), name: required(text) }

const tables = {
  topics: {
    name: required(text, 'topic'),
    partitions: optional(count, 'numPartitions', 'partitionCount'),
    replicas: optional(count, 'replicationFactor'),
    assignments,
    configs: optional(valuesOf(configValue), 'configEntries', 'config'),
  },
  newPartitions: {
    name: required(text, 'topic'),
    partitions: required(count, 'count', 'totalCount', 'totalPartitions'),
    assignments,
  },
  queries: { ...place, position: required(position) },
  records: {
    ...place,
    beforeOffset: required<unknown>(
      (value, fail) => (value === 'latest' ? value : integer(value, () => fail("an offset or 'latest'"))),
      'offset',
    ),
  },
  offsets: {
    ...place,
    offset: required(committable),
    leaderEpoch: optional(count),
    metadata: optional(text),
  },
  partitions: place,
  replicas: { ...place, nodeId: optional(nodeId, 'brokerId', 'node', 'broker', 'replica', 'replicaId') },
  resources: resource,
  changes: { ...resource, configs: required(valuesOf(change), 'configEntries', 'entries') },
} satisfies { readonly [list: string]: OptionTable }

const validateOnly = optional(is.boolean)
const isolation = optional(is.oneOf('read_committed', 'read_uncommitted'), 'isolationLevel')
/** Looked at by `checkItems`. */
const partitions = optional<unknown>((value) => value)
const names = optional(is.list(text, 'names'))

/** Of the calls that take more than every call takes. */
const optionsOf: { readonly [call: string]: OptionTable } = {
  createTopics: { ...every, validateOnly, ifNotExists: optional(is.boolean) },
  listTopics: { ...every, includeInternal: optional(is.boolean) },
  createPartitions: { ...every, validateOnly },
  listOffsets: { ...every, isolation },
  listGroups: { ...every, states: names, types: names },
  groupLag: { ...every, partitions, isolation },
  groupOffsets: { ...every, partitions, requireStable: optional(is.boolean) },
  describeConfigs: { ...every, names },
  alterConfigs: { ...every, validateOnly },
}

/** The last argument of a call. @throws INVALID_OPTION, and INVALID_ARGUMENT for what is wrong with its partitions */
export function checkOptions(call: string, options: unknown): void {
  const table: OptionTable = optionsOf[call] ?? every
  const resolved: Readonly<Record<string, unknown>> = resolveOptions(`admin.${call}`, table, options)
  const chosen = resolved['partitions']
  if (chosen !== undefined) checkItems('partitions', chosen)
}

/** @throws INVALID_ARGUMENT */
export function checkGroup(groupId: unknown): void {
  text(groupId, (expected) => {
    throw wrongArgument('groupId', expected, groupId)
  })
}

/** `list` is what the call names it. @throws INVALID_ARGUMENT, with the path of the field that is wrong */
export function checkItems(what: keyof typeof tables, items: unknown, list: string = what): void {
  if (!Array.isArray(items)) throw wrongArgument(list, 'a list', items)
  for (const [index, item] of items.entries()) checkFields(`${list}[${index}]`, tables[what], item)
}

/** @throws INVALID_ARGUMENT, with the place of the name that is wrong */
export function checkNames(list: string, names: unknown): void {
  if (!Array.isArray(names)) throw wrongArgument(list, 'a list of names', names)
  for (const [index, name] of names.entries()) {
    text(name, (expected) => {
      throw wrongArgument(`${list}[${index}]`, expected, name)
    })
  }
}

function checkFields(path: string, table: OptionTable, item: unknown): void {
  const fields = is.object<Record<string, unknown>>()(item, () => {
    throw wrongArgument(path, `{ ${Object.keys(table).join(', ')} }`, item)
  })
  const absent = Object.keys(table).filter((name) => fields[name] === undefined)
  for (const name of Object.keys(fields)) {
    if (Object.hasOwn(table, name)) continue
    const near = absent.find((each) => table[each]?.otherNames?.includes(name)) ?? nearest(name, absent)
    if (near === undefined) continue
    const message = `${path}.${name} is not known here; did you mean ${near}?`
    throw new OttlaError('INVALID_ARGUMENT', message, { path: `${path}.${name}` })
  }
  checkValues(path, table, fields)
}

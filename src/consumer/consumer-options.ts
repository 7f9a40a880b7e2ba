/**
 * The options of a consumer: what each means, its default, and what is checked when the consumer is made.
 */
import { constants } from 'node:os'
import { OttlaError } from '../errors.ts'
import { type Check, is, MILLISECONDS, resolveOptions, wrongOption } from '../util/options.ts'
import type { AssignorName } from './assignment.ts'
import type {
  CommitReport,
  FencedReport,
  RebalanceEvent,
  ResetReport,
  SkipReport,
} from './consumer-reports.ts'

/** Where a partition is begun for which the group has committed nothing. */
export type StartFrom =
  | 'earliest'
  | 'latest'
  /** The first record that is not older, in milliseconds since 1970; the end where there is none. */
  | { readonly timestamp: number }
  /** The same offset in every partition. */
  | { readonly offset: number }

export interface FailureOptions {
  /** How often a failed handler is called again for the same work. Default 5. */
  readonly retries?: number
  /** Wait before the first retry; it doubles with each. Default 100. */
  readonly minBackoffMs?: number
  /** The longest wait. Default 10,000. */
  readonly maxBackoffMs?: number
  /**
   * What comes after the last retry. `stop` (default): the consumer stops and `run()` rejects with
   * HANDLER_FAILED; the record is not committed. `skip`: the record is reported to `onSkip`, which has to be there, and counts as finished.
   */
  readonly onExhausted?: 'stop' | 'skip'
}

export interface ConsumerOptions {
  /** Members with the same id share the partitions. */
  readonly groupId: string
  /**
   * Topics to read. One that does not exist yet is warned of to the logger, and read from when it is created. A name
   * that no topic can have is refused.
   */
  readonly topics: readonly string[]
  /** Where to begin without a committed offset. Default `earliest`. */
  readonly startFrom?: StartFrom
  /**
   * What to do when the position is not in the log: records were deleted before they were read, the log was cut
   * by a fail-over, or the topic was created anew. `earliest` (default) goes on with what there is, `latest` at the
   * end, `stop` rejects with OUT_OF_RANGE. Whatever is done is reported to `onReset`.
   */
  readonly onOutOfRange?: 'earliest' | 'latest' | 'stop'
  /** Default `read_committed`: records of open and aborted transactions are not delivered (KIP-98). */
  readonly isolation?: 'read_committed' | 'read_uncommitted'
  /** `partition` (default): one handler at a time per partition, in the order of the offsets. */
  readonly order?: 'partition'
  /** How many handlers run at a time, in all partitions. Default 16. */
  readonly concurrency?: number
  /** The most records that a handler of `runBatches` gets at a time. Default: what one fetch brought of a partition. */
  readonly maxBatchRecords?: number
  /** Finished work is committed this long after it is finished, at the latest. Default 1,000. */
  readonly commitIntervalMs?: number
  /** A commit also begins when this many records are finished since the last. Default: by time only. */
  readonly commitEveryRecords?: number
  /** How long running handlers may take when partitions are given up or the consumer stops. Default 20,000. */
  readonly drainTimeoutMs?: number
  /** A member that the coordinator has not heard of for so long is out of the group. Default 45,000. */
  readonly sessionTimeoutMs?: number
  /** How long the coordinator waits for all members to join again. Default 60,000. */
  readonly rebalanceTimeoutMs?: number
  /** Default 3,000. */
  readonly heartbeatIntervalMs?: number
  /** A static member (KIP-345): it keeps its partitions over a restart, and does not leave the group when it stops. */
  readonly groupInstanceId?: string
  /**
   * How the leader divides the partitions, the preferred first. All members need one in common. Default
   * `['cooperative-sticky']`; with an eager one in the list every rebalance gives up everything, as in Java.
   */
  readonly assignors?: readonly AssignorName[]
  /** Bytes of responses held before the handlers, in all. Default 32 MiB. */
  readonly prefetchBytes?: number
  /** Bytes held of one partition, `prefetchBytes` at most; with many partitions it is less. Default 2 MiB. */
  readonly partitionPrefetchBytes?: number
  /** How long a broker waits for records before it answers with none. Default 500. */
  readonly fetchMaxWaitMs?: number
  /** A broker answers when it has this much, `fetchMaxBytes` at most. Default 1: at once. */
  readonly fetchMinBytes?: number
  /**
   * Bytes asked for in one request to one broker; a first batch that is larger comes whole. Default 4 MiB; raise it
   * where a broker is far away: each round trip brings so much.
   */
  readonly fetchMaxBytes?: number
  /** Bytes asked for of one partition in one request, at most; the partitions of a request share it. Default 1 MiB. */
  readonly partitionFetchBytes?: number
  /** Whether the CRC-32C of every batch is checked. Default true. */
  readonly checkCrc?: boolean
  /** DECOMPRESSED_TOO_LARGE for a batch that is larger than this when decompressed. Default 64 MiB. */
  readonly maxDecompressedBytes?: number
  /** What follows when a handler throws. */
  readonly failure?: FailureOptions
  /** Told of every record, or batch, that was given up; awaited before the partition goes on. Only with `onExhausted: 'skip'`. */
  readonly onSkip?: (report: SkipReport) => void | Promise<void>
  /** Told of partitions that come and go; awaited before they are read from, and before they are given up. */
  readonly onRebalance?: (event: RebalanceEvent) => void | Promise<void>
  /** Told of every answer to a commit. */
  readonly onCommit?: (report: CommitReport) => void
  /** Told of work whose result came too late: the partition was another member's by then. */
  readonly onFenced?: (report: FencedReport) => void
  /** Told of a position that was moved by `onOutOfRange`. */
  readonly onReset?: (report: ResetReport) => void
  /** Signals of the process that stop the consumer. Default none. */
  readonly stopOnSignals?: readonly NodeJS.Signals[]
}

const count = is.integer(1, 0x7fff_ffff)
const bytes = (least: number) => is.integer(least, 0x7fff_ffff)

/** Kafka's rule: `Topic.validate` of its clients. */
const TOPIC_NAME = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/

const names: Check<readonly string[]> = (value, fail) => {
  const isName = (item: unknown) => typeof item === 'string' && item !== ''
  if (!Array.isArray(value) || value.length === 0) return fail("a list of topic names, such as ['orders']")
  const wrong = value.findIndex((item) => !isName(item))
  if (wrong >= 0) return fail("the name of a topic, such as 'orders'", value[wrong], `[${wrong}]`)
  const illegal = value.findIndex((item) => !TOPIC_NAME.test(item))
  if (illegal >= 0) {
    const expected =
      "a name that a topic can have (1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-', neither '.' nor '..')"
    return fail(expected, value[illegal], `[${illegal}]`)
  }
  return Object.freeze([...new Set(value as string[])])
}

const startFrom: Check<StartFrom> = (value, fail) => {
  if (value === 'earliest' || value === 'latest') return value
  if (value instanceof Date) return fail(`{ timestamp } in ${MILLISECONDS}`)
  const { timestamp, offset } = (value ?? {}) as { timestamp?: unknown; offset?: unknown }
  if (isWhole(timestamp) && offset === undefined) return Object.freeze({ timestamp })
  if (isWhole(offset) && timestamp === undefined) return Object.freeze({ offset })
  if (timestamp !== undefined && offset === undefined) return fail(MILLISECONDS, timestamp, '.timestamp')
  return fail("'earliest', 'latest', { timestamp } or { offset }")
}

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const assignorNames: Check<readonly AssignorName[]> = (value, fail) => {
  const known = ['range', 'roundrobin', 'cooperative-sticky']
  const choices = `one of ${known.join(', ')}`
  if (!Array.isArray(value) || value.length === 0) return fail(`a list with at least ${choices}`)
  const wrong = value.findIndex((name) => !known.includes(name))
  if (wrong >= 0) return fail(choices, value[wrong], `[${wrong}]`)
  return Object.freeze([...new Set(value as AssignorName[])])
}

/** The system does these by itself; a process is not told. */
const UNCATCHABLE = ['SIGKILL', 'SIGSTOP']

const signals: Check<readonly NodeJS.Signals[]> = (value, fail) => {
  if (!Array.isArray(value)) return fail("a list of signals, such as ['SIGTERM']")
  for (const [index, name] of value.entries()) {
    if (!Object.hasOwn(constants.signals, name))
      return fail("a signal of this system, such as 'SIGTERM'", name, `[${index}]`)
    if (UNCATCHABLE.includes(name))
      return fail('a signal that a process can catch, which SIGKILL and SIGSTOP are not', name, `[${index}]`)
  }
  return Object.freeze([...new Set(value as NodeJS.Signals[])])
}

const failureTable = {
  retries: { check: is.integer(0, 0x7fff_ffff), default: 5 },
  minBackoffMs: { check: is.milliseconds(0), default: 100 },
  maxBackoffMs: { check: is.milliseconds(0), default: 10_000 },
  // `then` would make the options look like a promise, to linters and to `await`.
  onExhausted: { check: is.oneOf('stop', 'skip'), default: 'stop' as const, otherNames: ['then'] },
} as const

const resolveFailure = (value: unknown) => resolveOptions('consumer.failure', failureTable, value)

const table = {
  groupId: { check: is.string },
  topics: { check: names },
  startFrom: {
    check: startFrom,
    default: 'earliest' as const,
    otherNames: ['fromBeginning', 'mode', 'auto.offset.reset'],
  },
  onOutOfRange: { check: is.oneOf('earliest', 'latest', 'stop'), default: 'earliest' as const },
  isolation: { check: is.oneOf('read_committed', 'read_uncommitted'), default: 'read_committed' as const },
  order: { check: is.oneOf('partition'), default: 'partition' as const },
  concurrency: { check: count, default: 16, otherNames: ['partitionsConsumedConcurrently'] },
  maxBatchRecords: { check: count, default: 0x7fff_ffff },
  commitIntervalMs: {
    check: is.milliseconds(0),
    default: 1000,
    otherNames: [
      'autoCommit',
      'autoCommitInterval',
      'autocommit',
      'enable.auto.commit',
      'auto.commit.interval.ms',
    ],
  },
  commitEveryRecords: { check: count, default: 0x7fff_ffff },
  drainTimeoutMs: { check: is.milliseconds(0), default: 20_000 },
  sessionTimeoutMs: { check: is.milliseconds(1), default: 45_000 },
  rebalanceTimeoutMs: { check: is.milliseconds(1), default: 60_000 },
  heartbeatIntervalMs: { check: is.milliseconds(1), default: 3000 },
  groupInstanceId: { check: is.optional(is.string), default: undefined },
  assignors: {
    check: assignorNames,
    default: ['cooperative-sticky'] as readonly AssignorName[],
    otherNames: ['partitionAssigners', 'partition.assignment.strategy'],
  },
  prefetchBytes: { check: bytes(64 * 1024), default: 32 * 1024 * 1024 },
  partitionPrefetchBytes: { check: bytes(1), default: 2 * 1024 * 1024 },
  fetchMaxWaitMs: { check: is.milliseconds(0), default: 500 },
  fetchMinBytes: { check: bytes(0), default: 1 },
  fetchMaxBytes: { check: bytes(1), default: 4 * 1024 * 1024 },
  partitionFetchBytes: { check: bytes(1), default: 1024 * 1024 },
  checkCrc: { check: is.boolean, default: true },
  maxDecompressedBytes: { check: bytes(1), default: 64 * 1024 * 1024 },
  failure: { check: resolveFailure, default: resolveFailure({}), otherNames: ['retry', 'retries'] },
  onSkip: { check: is.optional(is.function<NonNullable<ConsumerOptions['onSkip']>>()), default: undefined },
  onRebalance: {
    check: is.optional(is.function<NonNullable<ConsumerOptions['onRebalance']>>()),
    default: undefined,
  },
  onCommit: {
    check: is.optional(is.function<NonNullable<ConsumerOptions['onCommit']>>()),
    default: undefined,
  },
  onFenced: {
    check: is.optional(is.function<NonNullable<ConsumerOptions['onFenced']>>()),
    default: undefined,
  },
  onReset: { check: is.optional(is.function<NonNullable<ConsumerOptions['onReset']>>()), default: undefined },
  stopOnSignals: { check: signals, default: [] as readonly NodeJS.Signals[] },
} as const

export type ResolvedConsumerOptions = ReturnType<typeof resolve>

const resolve = (given: unknown) => resolveOptions('consumer', table, given)

/** INVALID_OPTION for what is unknown, out of range, or does not go together. */
export function resolveConsumerOptions(given: ConsumerOptions): ResolvedConsumerOptions {
  refuseLaterOrders(given)
  const options = resolve(given)
  const { drainTimeoutMs, rebalanceTimeoutMs, heartbeatIntervalMs, sessionTimeoutMs } = options
  // A skip that nobody is told of would be a silent one.
  if (options.failure.onExhausted === 'skip' && options.onSkip === undefined) {
    throw new OttlaError(
      'INVALID_OPTION',
      "consumer: failure.onExhausted 'skip' needs onSkip, which is told of each skip",
      {
        path: 'consumer.onSkip',
      },
    )
  }
  if (options.failure.onExhausted === 'stop' && options.onSkip !== undefined) {
    const message =
      "consumer: onSkip is never told of anything with failure.onExhausted 'stop'; give 'skip', or leave onSkip out"
    throw new OttlaError('INVALID_OPTION', message, { path: 'consumer.onSkip' })
  }
  checkBytes(options, given)
  // A member that drains longer than the coordinator waits for it is thrown out in the middle of its work.
  if (drainTimeoutMs >= rebalanceTimeoutMs) {
    const expected = `below rebalanceTimeoutMs (${rebalanceTimeoutMs})`
    throw wrongOption({ owner: 'consumer', name: 'drainTimeoutMs' }, expected, drainTimeoutMs)
  }
  if (heartbeatIntervalMs >= sessionTimeoutMs) {
    const expected = `below sessionTimeoutMs (${sessionTimeoutMs})`
    throw wrongOption({ owner: 'consumer', name: 'heartbeatIntervalMs' }, expected, heartbeatIntervalMs)
  }
  return options
}

/** Bounds of which one keeps the other from ever being reached. A default gives way by itself. */
function checkBytes(
  { fetchMinBytes, fetchMaxBytes, partitionPrefetchBytes, prefetchBytes }: ResolvedConsumerOptions,
  given: ConsumerOptions,
): void {
  if (given.fetchMaxBytes !== undefined && fetchMinBytes > fetchMaxBytes) {
    const expected = `fetchMaxBytes (${fetchMaxBytes}) at most`
    throw wrongOption({ owner: 'consumer', name: 'fetchMinBytes' }, expected, fetchMinBytes)
  }
  if (given.partitionPrefetchBytes !== undefined && partitionPrefetchBytes > prefetchBytes) {
    const expected = `prefetchBytes (${prefetchBytes}) at most`
    throw wrongOption({ owner: 'consumer', name: 'partitionPrefetchBytes' }, expected, partitionPrefetchBytes)
  }
}

function refuseLaterOrders(given: { readonly order?: unknown }): void {
  if (given?.order !== 'key' && given?.order !== 'none') return
  throw new OttlaError(
    'INVALID_OPTION',
    `consumer: option order must be 'partition': order '${given.order}' is not in this version`,
    { path: 'consumer.order' },
  )
}

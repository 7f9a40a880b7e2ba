/** The options of a producer: their meaning, defaults and checks. */
import { canCompress } from '../protocol/compression.ts'
import type { Compression } from '../protocol/record-batch.ts'
import { is, type OptionTable, type Resolved, resolveOptions, wrongOption } from '../util/options.ts'
import type { Partitioner } from './partitioners.ts'
import type { DeliveryListener } from './receipts.ts'

export interface ProducerOptions {
  /**
   * Who must have a record before it counts as delivered: all in-sync replicas, the leader, or nobody. Default
   * `'all'`. (Kafka's `acks`, wolff's `required_acks`)
   */
  readonly acks?: 'all' | 1 | 0
  /**
   * Whether records are numbered, so that a broker knows a repetition: no duplicates, no reordering. Goes with acks
   * `'all'`, where it is the default; with other acks it is off. (Kafka's `enable.idempotence`, KIP-98)
   */
  readonly idempotent?: boolean
  /**
   * How long a record waits for others, milliseconds. 0, the default, closes a batch with the turn of the event
   * loop. A batch that is full, or has nowhere to go, never waits. Below `deliveryTimeoutMs` unless bytes or records
   * close a batch before. (Kafka's `linger.ms`, wolff's `max_linger_ms`)
   */
  readonly lingerMs?: number
  /** A batch of so many bytes waits no longer. Default `maxBatchBytes`, and that at most. (wolff's `max_linger_bytes`) */
  readonly lingerBytes?: number
  /** A batch of so many records waits no longer. Default no limit. (ekaf's `max_buffer_size`) */
  readonly lingerRecords?: number
  /** The most bytes of a batch before compression. Default 1,000,000. (wolff's `max_batch_bytes`) */
  readonly maxBatchBytes?: number
  /** The most bytes of batches in one request; a single batch always fits. Default 4 MiB. (Kafka's `max.request.size`) */
  readonly maxRequestBytes?: number
  /**
   * Requests per partition that wait for an answer. Default 5, and 5 at most when idempotent. Without idempotence
   * the default is 1, because order does not survive a failure otherwise.
   * (Kafka's `max.in.flight.requests.per.connection`, wolff's `max_send_ahead` + 1)
   */
  readonly maxInFlight?: number
  /** How batches are compressed. Default `'none'`. (Kafka's `compression.type`) */
  readonly compression?: Compression
  /** The level of gzip (1 to 9) or zstd (1 to 22). Default the codec's own. */
  readonly compressionLevel?: number
  /**
   * The most memory of records that are not settled, bytes: the capacity that they hold, and 3,072 for each unsettled
   * `send`. Default 64 MiB. (Kafka's `buffer.memory`)
   */
  readonly bufferBytes?: number
  /**
   * What a call does when `bufferBytes` are held: wait for room, reject with QUEUE_FULL, or make room by dropping the
   * oldest batch that was never sent (its records settle with DROPPED). Default `'wait'`.
   */
  readonly onFull?: 'wait' | 'reject' | 'drop-oldest'
  /** Calls that may wait for room; one more rejects with QUEUE_FULL. Default 10,000. */
  readonly maxWaitingCalls?: number
  /**
   * How long a broker may take to answer one request, milliseconds. Default 30,000. The broker itself is told to
   * wait nine tenths of it for replicas. (Kafka's `request.timeout.ms`, wolff's `ack_timeout`)
   */
  readonly requestTimeoutMs?: number
  /**
   * How long a record may take from its acceptance to its answer, milliseconds. Default 120,000. After it a batch
   * that was never sent settles with DELIVERY_TIMEOUT, one that was with DELIVERY_UNKNOWN.
   * (Kafka's `delivery.timeout.ms`, wolff's `max_batch_age`)
   */
  readonly deliveryTimeoutMs?: number
  /**
   * How long the cluster may say that a topic does not exist before its records fail, milliseconds. Default 30,000.
   * (librdkafka's `topic.metadata.propagation.max.ms`)
   */
  readonly unknownTopicTimeoutMs?: number
  /** The pause before a batch is sent again, milliseconds. Default 100. (Kafka's `retry.backoff.ms`, KIP-580) */
  readonly retryBackoffMs?: number
  /** What the pause grows to, milliseconds. Default 1,000. (Kafka's `retry.backoff.max.ms`) */
  readonly retryBackoffMaxMs?: number
  /**
   * What to do with records of which nobody can tell whether they are in the log (the broker forgot the producer, or
   * does not let it ask): send them again, perhaps twice, or settle them with UNPROVEN_DELIVERY. Default `'resend'`.
   */
  readonly onUncertain?: 'resend' | 'drop'
  /** Chooses the partition of records that name none. Default: by the key's murmur2, else uniform and sticky. */
  readonly partitioner?: Partitioner
  /** Told of every record's outcome, once; see `Producer.onDelivery`. */
  readonly onDelivery?: DeliveryListener
}

const MIB = 1024 * 1024

const table = {
  acks: { check: is.oneOf('all', 1, 0), default: 'all' },
  idempotent: {
    check: is.optional(is.boolean),
    default: undefined,
    otherNames: ['idempotence', 'enable.idempotence'],
  },
  lingerMs: { check: is.milliseconds(), default: 0 },
  lingerBytes: { check: is.optional(is.integer(1, 1024 * MIB)), default: undefined },
  lingerRecords: { check: is.optional(is.integer(1, 0x7fff_ffff)), default: undefined },
  maxBatchBytes: { check: is.integer(128, 512 * MIB), default: 1_000_000 },
  maxRequestBytes: { check: is.integer(128, 1024 * MIB), default: 4 * MIB },
  maxInFlight: {
    check: is.optional(is.integer(1, 1000)),
    default: undefined,
    otherNames: ['maxInFlightRequests', 'max.in.flight'],
  },
  compression: { check: is.oneOf('none', 'gzip', 'snappy', 'lz4', 'zstd'), default: 'none' },
  compressionLevel: { check: is.optional(is.integer(1, 22)), default: undefined },
  bufferBytes: {
    check: is.integer(1024, Number.MAX_SAFE_INTEGER),
    default: 64 * MIB,
    otherNames: ['buffer.memory', 'queue.buffering.max.kbytes'],
  },
  onFull: { check: is.oneOf('wait', 'reject', 'drop-oldest'), default: 'wait' },
  maxWaitingCalls: { check: is.integer(0, Number.MAX_SAFE_INTEGER), default: 10_000 },
  requestTimeoutMs: { check: is.milliseconds(1), default: 30_000 },
  deliveryTimeoutMs: { check: is.milliseconds(1), default: 120_000 },
  unknownTopicTimeoutMs: { check: is.milliseconds(0), default: 30_000 },
  retryBackoffMs: { check: is.milliseconds(1), default: 100 },
  retryBackoffMaxMs: { check: is.milliseconds(1), default: 1_000 },
  onUncertain: { check: is.oneOf('resend', 'drop'), default: 'resend' },
  partitioner: {
    check: is.optional(is.function<Partitioner>()),
    default: undefined,
    otherNames: ['createPartitioner'],
  },
  onDelivery: {
    check: is.optional(is.function<DeliveryListener>()),
    default: undefined,
    otherNames: ['dr_cb', 'dr_msg_cb'],
  },
} satisfies OptionTable

/** The most batches of one producer and partition that a broker can tell from repetitions (KIP-98). */
const BROKER_WINDOW = 5

export type ProducerSettings = Omit<
  Resolved<typeof table>,
  'idempotent' | 'maxInFlight' | 'lingerBytes' | 'lingerRecords'
> & {
  readonly idempotent: boolean
  readonly maxInFlight: number
  readonly lingerBytes: number
  readonly lingerRecords: number
}

/** @throws INVALID_OPTION */
export function resolveProducerOptions(given: ProducerOptions | undefined): ProducerSettings {
  const options = resolveOptions('producer', table, given)
  const idempotent = options.idempotent ?? options.acks === 'all'
  if (idempotent && options.acks !== 'all') {
    throw refuse('idempotent', `false with acks ${options.acks} (only acks 'all' prove a delivery)`, true)
  }
  const maxInFlight = options.maxInFlight ?? (idempotent ? BROKER_WINDOW : 1)
  if (idempotent && maxInFlight > BROKER_WINDOW) {
    const expected = `${BROKER_WINDOW} at most when idempotent (a broker remembers no more batches of a producer)`
    throw refuse('maxInFlight', expected, maxInFlight)
  }
  const { lingerMs, deliveryTimeoutMs } = options
  const isClosedBefore = options.lingerBytes !== undefined || options.lingerRecords !== undefined
  if (lingerMs >= deliveryTimeoutMs && !isClosedBefore) {
    const expected = `below deliveryTimeoutMs (${deliveryTimeoutMs}), which is over before a batch has waited`
    throw refuse('lingerMs', expected, lingerMs)
  }
  // A default gives way by itself.
  const isChosen = given?.maxBatchBytes !== undefined
  if (isChosen && options.lingerBytes !== undefined && options.lingerBytes > options.maxBatchBytes) {
    const expected = `maxBatchBytes (${options.maxBatchBytes}) at most, at which a batch leaves anyway`
    throw refuse('lingerBytes', expected, options.lingerBytes)
  }
  if (options.retryBackoffMaxMs < options.retryBackoffMs) {
    const expected = `retryBackoffMs (${options.retryBackoffMs}) at least`
    throw refuse('retryBackoffMaxMs', expected, options.retryBackoffMaxMs)
  }
  if (!canCompress(options.compression)) {
    const expected = "'none', 'gzip' or 'zstd' where there is no WebAssembly (node --jitless)"
    throw refuse('compression', expected, options.compression)
  }
  checkLevel(options.compression, options.compressionLevel)
  const { lingerBytes = options.maxBatchBytes, lingerRecords = Number.POSITIVE_INFINITY } = options
  return Object.freeze({ ...options, idempotent, maxInFlight, lingerBytes, lingerRecords })
}

function checkLevel(compression: Compression, level: number | undefined): void {
  if (level === undefined) return
  const most = compression === 'zstd' ? 22 : compression === 'gzip' ? 9 : 0
  if (most === 0) {
    throw refuse('compressionLevel', `left out with compression '${compression}' (it has no levels)`, level)
  }
  if (level > most)
    throw refuse('compressionLevel', `${most} at most with compression '${compression}'`, level)
}

const refuse = (name: string, expected: string, given: unknown) =>
  wrongOption({ owner: 'producer', name }, expected, given)

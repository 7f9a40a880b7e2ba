/**
 * What a producer does about each error code that a broker may answer to Produce or InitProducerId, and why.
 *
 * Two questions are asked of each: what to do, and whether the records may be in the log nevertheless. A code that
 * Produce never answers, or that Ottla does not know, is taken for the worse of both: tried again, maybe in the
 * log, until the delivery deadline.
 */
import { errorCode, isRetriableCode, knownErrors } from '../protocol/error-codes.ts'

export type Handling =
  /** In the log. */
  | 'delivered'
  /** Sent again after a pause. */
  | 'retry'
  /** Leaders or ids are out of date: sent again after new metadata. */
  | 'refresh'
  /** The numbers do not follow on: explained by a failure before it, or proved. */
  | 'sequence'
  /** Too large: cut in halves. */
  | 'split'
  /** Only the records that are named are refused (KIP-467). */
  | 'refuse-records'
  /** The producer id or epoch is of no use any more: a new one. */
  | 'fenced'
  /** The batch fails. */
  | 'fail'
  /** Nothing that this producer holds can be delivered. */
  | 'fatal'

export interface Classification {
  readonly handling: Handling
  /** Whether the records may be in the log although this was answered. */
  readonly maybeInLog: boolean
  readonly reason: string
}

const row = (handling: Handling, maybeInLog: boolean, reason: string): Classification =>
  Object.freeze({ handling, maybeInLog, reason })

const no = false
const maybe = true

const table: { readonly [code: number]: Classification } = {
  [errorCode.NONE]: row('delivered', maybe, 'appended, and replicated as acks asks'),
  [errorCode.DUPLICATE_SEQUENCE_NUMBER]: row('delivered', maybe, 'the broker has this very batch'),

  [errorCode.UNKNOWN_SERVER_ERROR]: row(
    'retry',
    maybe,
    'an exception anywhere in the broker, perhaps after the append',
  ),
  [errorCode.CORRUPT_MESSAGE]: row(
    'retry',
    no,
    'damaged on the way: the checksum is verified before the append',
  ),
  [errorCode.REQUEST_TIMED_OUT]: row('retry', maybe, 'appended by the leader, not replicated in time'),
  [errorCode.NOT_ENOUGH_REPLICAS]: row('retry', no, 'the in-sync replicas are counted before the append'),
  [errorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND]: row(
    'retry',
    maybe,
    'appended by the leader, then replicas left',
  ),
  [errorCode.THROTTLING_QUOTA_EXCEEDED]: row('retry', no, 'refused by a quota'),
  [errorCode.COORDINATOR_LOAD_IN_PROGRESS]: row('retry', no, 'InitProducerId on a broker that just started'),
  [errorCode.COORDINATOR_NOT_AVAILABLE]: row('retry', no, 'InitProducerId while ids cannot be allotted'),
  [errorCode.NOT_COORDINATOR]: row('retry', no, 'InitProducerId at a broker that gave its duty away'),
  [errorCode.CONCURRENT_TRANSACTIONS]: row('retry', no, 'the transaction before it is still being completed'),

  [errorCode.UNKNOWN_TOPIC_OR_PARTITION]: row(
    'refresh',
    maybe,
    'not hosted here; deleted, perhaps after the append',
  ),
  [errorCode.LEADER_NOT_AVAILABLE]: row('refresh', no, 'an election is under way'),
  [errorCode.NOT_LEADER_OR_FOLLOWER]: row('refresh', maybe, 'leadership moved, perhaps after the append'),
  [errorCode.BROKER_NOT_AVAILABLE]: row('refresh', no, 'the broker is not up'),
  [errorCode.REPLICA_NOT_AVAILABLE]: row('refresh', no, 'the broker holds no replica'),
  [errorCode.NETWORK_EXCEPTION]: row('refresh', maybe, 'the broker lost the connection to another one'),
  [errorCode.KAFKA_STORAGE_ERROR]: row(
    'refresh',
    maybe,
    'the disk failed; a replica elsewhere may take over',
  ),
  [errorCode.LISTENER_NOT_FOUND]: row('refresh', no, 'the leader has no such listener yet'),
  [errorCode.FENCED_LEADER_EPOCH]: row('refresh', no, 'our leader epoch is out of date'),
  [errorCode.UNKNOWN_LEADER_EPOCH]: row('refresh', no, 'the broker does not know of the election yet'),
  [errorCode.OFFSET_NOT_AVAILABLE]: row('refresh', no, 'the new leader is not ready'),
  [errorCode.PREFERRED_LEADER_NOT_AVAILABLE]: row('refresh', no, 'an election is under way'),
  [errorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE]: row('refresh', no, 'an election is under way'),
  [errorCode.UNKNOWN_TOPIC_ID]: row('refresh', maybe, 'not hosted under this id; deleted or made anew'),
  [errorCode.INCONSISTENT_TOPIC_ID]: row('refresh', maybe, 'the topic was made anew'),
  [errorCode.REBOOTSTRAP_REQUIRED]: row('refresh', no, 'the cluster wants clients to begin anew'),

  [errorCode.OUT_OF_ORDER_SEQUENCE_NUMBER]: row(
    'sequence',
    no,
    'a gap, or a batch older than the broker remembers',
  ),
  [errorCode.UNKNOWN_PRODUCER_ID]: row('sequence', no, 'the broker forgot the producer id'),

  [errorCode.MESSAGE_TOO_LARGE]: row('split', no, 'above max.message.bytes of the topic'),
  [errorCode.RECORD_LIST_TOO_LARGE]: row('split', no, 'above segment.bytes of the topic'),

  [errorCode.INVALID_RECORD]: row('refuse-records', no, 'records that the topic does not take'),
  [errorCode.INVALID_TIMESTAMP]: row('refuse-records', no, 'timestamps outside of what the topic takes'),

  [errorCode.INVALID_PRODUCER_EPOCH]: row(
    'fenced',
    no,
    'someone writes here with our producer id and a higher epoch',
  ),
  [errorCode.PRODUCER_FENCED]: row('fenced', no, 'someone else took over the producer id'),
  [errorCode.INVALID_PRODUCER_ID_MAPPING]: row('fenced', no, 'the cluster gave the producer id away'),

  [errorCode.INVALID_TOPIC_EXCEPTION]: row(
    'fail',
    no,
    'the topic cannot be written to, or its name is invalid',
  ),
  [errorCode.INVALID_REQUIRED_ACKS]: row('fail', no, 'the broker does not know such acks'),
  [errorCode.TOPIC_AUTHORIZATION_FAILED]: row('fail', no, 'no right to write to the topic'),
  [errorCode.UNSUPPORTED_VERSION]: row('fail', no, 'the broker does not speak this version'),
  [errorCode.INVALID_REQUEST]: row('fail', no, 'the broker found the request malformed'),
  [errorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT]: row('fail', no, 'the topic is kept in an old message format'),
  [errorCode.POLICY_VIOLATION]: row('fail', no, 'a policy of the cluster refuses it'),
  [errorCode.UNSUPPORTED_COMPRESSION_TYPE]: row('fail', no, 'the topic does not take this compression'),
  [errorCode.INVALID_TXN_STATE]: row('fail', no, 'no transaction is open'),
  [errorCode.TRANSACTION_ABORTABLE]: row('fail', no, 'the transaction has to be aborted'),

  [errorCode.CLUSTER_AUTHORIZATION_FAILED]: row('fatal', no, 'no right to write idempotently to the cluster'),
  [errorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED]: row('fatal', no, 'no right to the transactional id'),
  [errorCode.SASL_AUTHENTICATION_FAILED]: row('fatal', no, 'the credentials are refused'),
  [errorCode.SECURITY_DISABLED]: row('fatal', no, 'the cluster has no such security'),
}

const PASSES = row('retry', maybe, 'not an answer of this API; Kafka says that it may pass')
const STAYS = row('fail', no, 'not an answer of this API, and nothing that passes')
const UNKNOWN = row('retry', maybe, 'a code that Ottla does not know')

const known = new Set(knownErrors().map(({ code }) => code))

export function classify(code: number): Classification {
  return table[code] ?? (known.has(code) ? (isRetriableCode(code) ? PASSES : STAYS) : UNKNOWN)
}

/**
 * The one base class of every error that Ottla throws, with the codes that callers match.
 *
 * A caller matches `code`, never the message and never the class. An error that a broker answered carries
 * Kafka's own name as its code (see `protocol/error-codes.ts`); all others are listed here. A test holds this
 * list and `docs/errors.md` together, both ways.
 */

/** Codes of errors that Ottla itself raises, with what each means. */
export const errorCodes = {
  ABORTED: 'the call was given up because its signal fired or its owner was aborted',
  ASSERTION_FAILED: 'a bug in Ottla: an invariant did not hold',
  COMPRESSION_FAILED: 'a batch could not be compressed: its records are not in the log',
  CONNECTION_CLOSED: 'the connection went away before the response came',
  CONNECTION_FAILED: 'no connection to a broker could be made',
  CORRUPT_BATCH: 'a record batch is damaged: its checksum, length or count is wrong',
  DECOMPRESSED_TOO_LARGE: 'a batch decompresses to more than the bound allows',
  DELIVERY_TIMEOUT: 'a record was not acknowledged within deliveryTimeoutMs and was never on the wire',
  DELIVERY_UNKNOWN: 'a record was on the wire at its deadline: it may or may not be in the log',
  DROPPED: 'a record that was never on the wire was dropped by the onFull policy',
  DRAIN_TIMEOUT: 'work was still unfinished when the deadline for draining came',
  FAILED_AT: 'a batch handler failed at the record that it names',
  GROUP_FENCED: 'another member took over this group instance id',
  HANDLER_FAILED: 'a record handler kept failing after all of its retries',
  INVALID_ARGUMENT: 'an argument of a call is wrong',
  INVALID_OPTION: 'an option is unknown, of the wrong type or out of range',
  INVALID_STATE: 'the object is not in a state that allows this call',
  MALFORMED_FRAME: 'bytes from the network do not follow the protocol',
  NUMBER_OUT_OF_RANGE: 'a 64-bit number does not fit into a safe integer',
  OUT_OF_RANGE: 'the position to read from is not in the log, and the policy is to stop',
  PARTIAL_DELIVERY: 'at least one record of the call was not delivered',
  PARTIAL_FAILURE: 'an admin call for several things failed for at least one of them',
  PRODUCER_STOPPED: 'the producer stopped before the record was delivered',
  QUEUE_FULL: 'the producer holds as many bytes, or as many waiting calls, as it may',
  REQUEST_TIMEOUT: 'a broker did not answer within requestTimeoutMs',
  RECORD_TOO_LARGE: 'a single record is larger than maxBatchBytes or the topic allows',
  RESPONSE_TOO_LARGE: 'a broker announced a response larger than maxResponseBytes',
  SASL_FAILED: 'the broker refused the credentials or the mechanism',
  TIMEOUT: 'the call did not finish within its timeout',
  TLS_FAILED: 'the TLS handshake failed',
  UNPROVEN_DELIVERY: 'it could not be proved whether a record is in the log',
  UNSUPPORTED_COMPRESSION: 'a batch is compressed in a way that Ottla does not know',
  UNSUPPORTED_MAGIC: 'a record set is of format 0 or 1, which Ottla does not read',
  UNSUPPORTED_VERSION: 'the broker has no version of this API that Ottla speaks',
} as const

/** A code of an error that Ottla itself raises. */
export type ErrorCode = keyof typeof errorCodes

/** What an error may carry besides its code: plain data, present where it is known. */
export interface ErrorFields {
  /** Whether the same call may succeed later without any change. Default false. */
  readonly retriable?: boolean
  readonly cause?: unknown
  readonly topic?: string
  readonly partition?: number
  readonly offset?: number
  readonly groupId?: string
  /** `host:port` of the broker concerned. */
  readonly broker?: string
  /** Kafka's name of the API concerned, such as `Produce`. */
  readonly api?: string
  /** The option or argument that is wrong, as a path: `tls.ca`, `records[3].value`. */
  readonly path?: string
}

/** The base class of every error that Ottla throws. Match `code`. */
export class OttlaError extends Error {
  /** One of {@link errorCodes}, or Kafka's name of the error that a broker answered. */
  readonly code: string
  /** Whether the same call may succeed later without any change. */
  readonly retriable: boolean
  declare readonly topic?: string
  declare readonly partition?: number
  declare readonly offset?: number
  declare readonly groupId?: string
  declare readonly broker?: string
  declare readonly api?: string
  declare readonly path?: string

  constructor(code: ErrorCode, message: string, fields?: ErrorFields)
  /** @internal A broker's error carries Kafka's name. */
  constructor(code: string, message: string, fields?: ErrorFields)
  constructor(code: string, message: string, fields: ErrorFields = {}) {
    const { retriable = false, cause, ...rest } = fields
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.code = code
    this.retriable = retriable
    Object.assign(this, rest)
  }
}

/** Waiting between attempts, and which failures are worth another one. */
import type { ClusterOptions } from '../client/options.ts'
import { OttlaError } from '../errors.ts'
import { BrokerError, errorCode, isRetriableCode } from '../protocol/error-codes.ts'
import { backoffMs } from '../util/backoff.ts'
import { sleep } from '../util/clock.ts'

/**
 * What no waiting helps: wrong options, credentials or certificates, a broker that is too old, more than fits. Everything else about
 * a connection may pass, and a consumer waits for its brokers as long as it has to. (A call of the client, which has
 * a deadline, is more easily told: only what is marked `retriable` is tried again there.)
 */
const hopeless: ReadonlySet<string> = new Set([
  'SASL_FAILED',
  'TLS_FAILED',
  'UNSUPPORTED_VERSION',
  // The same question is answered with as much again.
  'RESPONSE_TOO_LARGE',
  'INVALID_ARGUMENT',
  'INVALID_STATE',
  'INVALID_OPTION',
  'ASSERTION_FAILED',
  'ABORTED',
])

/** Whether what a broker refused it may grant later. */
export const codeMayPass = (code: number): boolean =>
  // For Kafka it is not retriable, but it says only that the broker has stumbled.
  isRetriableCode(code) || code === errorCode.UNKNOWN_SERVER_ERROR

/** Whether a failed request is worth another attempt. */
export function mayPass(error: unknown): boolean {
  if (error instanceof BrokerError) return codeMayPass(error.errorCode)
  return error instanceof OttlaError && (error.retriable || !hopeless.has(error.code))
}

/** Waits before attempt `attempt` (0 for the first retry); rejects with the signal's reason. */
export const pauseBefore = (
  attempt: number,
  options: ClusterOptions,
  signal?: AbortSignal,
): Promise<void> => {
  const { minBackoffMs: minMs, maxBackoffMs: maxMs, clock, random } = options
  return sleep(clock, backoffMs(attempt, { minMs, maxMs }, random), signal)
}

/** Any thrown value as an error of Ottla. */
export const asOttlaError = (error: unknown): OttlaError =>
  error instanceof OttlaError
    ? error
    : new OttlaError('ASSERTION_FAILED', `unexpected: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      })

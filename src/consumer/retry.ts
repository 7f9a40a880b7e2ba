/** Waiting between attempts, and which failures are worth another one. */
import type { ClusterOptions } from '../client/options.ts'
import { OttlaError } from '../errors.ts'
import { backoffMs } from '../util/backoff.ts'
import { sleep } from '../util/clock.ts'

/**
 * What no waiting helps: wrong options, credentials or certificates, a broker that is too old. Everything else about
 * a connection may pass, and a consumer waits for its brokers as long as it has to.
 */
const hopeless: ReadonlySet<string> = new Set([
  'SASL_FAILED',
  'TLS_FAILED',
  'UNSUPPORTED_VERSION',
  'INVALID_ARGUMENT',
  'INVALID_STATE',
  'INVALID_OPTION',
  'ASSERTION_FAILED',
  'ABORTED',
])

/** Whether a failed request is worth another attempt. */
export const mayPass = (error: unknown): boolean =>
  error instanceof OttlaError && (error.retriable || !hopeless.has(error.code))

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

/**
 * The producer id, from InitProducerId (API key 22). Asked for once, when first needed, and again when one is used up
 * or taken over. Without the right to it there is a typed error, never a producer without idempotence.
 */
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { BrokerError } from '../protocol/error-codes.ts'
import { initProducerId } from '../protocol/messages/index.ts'
import { backoffMs } from '../util/backoff.ts'
import { sleep } from '../util/clock.ts'
import { classify } from './error-classifier.ts'
import type { ProducerSettings } from './producer-options.ts'

export interface ProducerIdentity {
  readonly producerId: number
  readonly producerEpoch: number
}

export class IdentitySource {
  readonly #cluster: Cluster
  readonly #settings: ProducerSettings
  readonly #signal: AbortSignal
  #current: ProducerIdentity | undefined
  #pending: Promise<ProducerIdentity> | undefined
  /** Why the last attempt failed: it goes on trying. */
  lastError: OttlaError | undefined

  constructor(cluster: Cluster, settings: ProducerSettings, signal: AbortSignal) {
    this.#cluster = cluster
    this.#settings = settings
    this.#signal = signal
  }

  get current(): ProducerIdentity | undefined {
    return this.#current
  }

  /** The next `obtain` asks for another one, unless that was done already. */
  discard(producerId: number): void {
    if (this.#current?.producerId === producerId) this.#current = undefined
  }

  /**
   * Keeps trying until there is one; callers share the attempt.
   *
   * @throws what will not pass by itself (CLUSTER_AUTHORIZATION_FAILED, UNSUPPORTED_VERSION, SASL_FAILED); ABORTED
   */
  obtain(): Promise<ProducerIdentity> {
    if (this.#current !== undefined) return Promise.resolve(this.#current)
    this.#pending ??= this.#request().finally(() => {
      this.#pending = undefined
    })
    return this.#pending
  }

  async #request(): Promise<ProducerIdentity> {
    const { clock, random } = this.#cluster.options
    const { retryBackoffMs: minMs, retryBackoffMaxMs: maxMs } = this.#settings
    for (let attempt = 0; ; attempt++) {
      try {
        const identity = await this.#ask()
        this.lastError = undefined
        this.#current = identity
        return identity
      } catch (error) {
        if (this.#signal.aborted) throw this.#signal.reason
        if (!(error instanceof OttlaError) || !mayPass(error)) throw error
        this.lastError = error
      }
      await sleep(clock, backoffMs(attempt, { minMs, maxMs }, random), this.#signal)
    }
  }

  async #ask(): Promise<ProducerIdentity> {
    const connection = await this.#cluster.anyConnection({ signal: this.#signal })
    const { errorCode, producerId, producerEpoch } = await connection.request(
      initProducerId,
      { transactionalId: null, transactionTimeoutMs: 0x7fff_ffff, producerId: -1, producerEpoch: -1 },
      { timeoutMs: this.#settings.requestTimeoutMs },
    )
    if (errorCode !== 0) throw new BrokerError(errorCode, 'getting a producer id')
    return { producerId, producerEpoch }
  }
}

function mayPass(error: OttlaError): boolean {
  if (!(error instanceof BrokerError)) return error.retriable
  const { handling } = classify(error.errorCode)
  return handling === 'retry' || handling === 'refresh'
}

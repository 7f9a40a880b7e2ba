/**
 * When metadata is asked for, and by whom: coalesces the calls, keeps the least interval, and refreshes what is
 * watched before it is too old.
 *
 *     idle → waiting (for the interval; calls join) → asking (calls for the same topics join, others come next) → idle
 */
import { OttlaError } from '../errors.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'
import { metadata } from '../protocol/messages/index.ts'
import { backoffMs } from '../util/backoff.ts'
import type { Timer } from '../util/clock.ts'
import { sleep } from '../util/clock.ts'
import { type Deferred, deferred } from '../util/deferred.ts'
import type { Connection } from './connection.ts'
import type { MetadataCache } from './metadata-cache.ts'
import type { ClusterOptions } from './options.ts'

export interface RefresherPorts {
  readonly options: ClusterOptions
  readonly cache: MetadataCache
  /** Asks some broker. */
  readonly ask: <T>(question: (connection: Connection) => Promise<T>) => Promise<T>
  /** Fires when the cluster stops. */
  readonly signal: AbortSignal
  /** After the cache took a response, before anybody is told. */
  readonly onApplied: () => void
}

interface Round {
  readonly topics: Set<string>
  /** Those of the topics that the asking may bring into being. */
  readonly wanted: Set<string>
  readonly done: Deferred<void>
  /** Ends the waiting for the least interval. */
  readonly hurry: AbortController
  isAsking: boolean
}

export class MetadataRefresher {
  readonly #ports: RefresherPorts
  readonly #watched = new Map<string, number>()
  readonly #listeners = new Set<() => void>()
  /** The round that waits or asks, and the one after it. */
  #current: Round | undefined
  #next: Round | undefined
  #lastAskedAt = Number.NEGATIVE_INFINITY
  #ageTimer: Timer | undefined
  #failures = 0
  /** Why the last round failed; undefined when it did not. */
  lastFailure: OttlaError | undefined

  constructor(ports: RefresherPorts) {
    this.#ports = ports
  }

  watch(topics: readonly string[]): () => void {
    for (const topic of topics) this.#watched.set(topic, (this.#watched.get(topic) ?? 0) + 1)
    if (this.#ageTimer === undefined) this.#scheduleAge(this.#ports.options.metadataMaxAgeMs)
    let isWatching = true
    return () => {
      if (!isWatching) return
      isWatching = false
      for (const topic of topics) this.#unwatch(topic)
    }
  }

  onChange(listener: () => void): () => void {
    // Wrapped, so that the same function given twice is called twice and ended one by one.
    const entry = () => listener()
    this.#listeners.add(entry)
    return () => this.#listeners.delete(entry)
  }

  /** Tells of a change that did not come from a refresh. */
  tell(): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener()
      } catch (error) {
        this.#ports.options.logger.error({ err: error }, 'a metadata listener threw')
      }
    }
  }

  refresh(topics: readonly string[], force: boolean): Promise<void> {
    const round = this.#roundFor(topics)
    for (const topic of topics) round.topics.add(topic)
    if (force) round.hurry.abort()
    return round.done.promise
  }

  /** Asks for a topic that somebody wants to use: the broker may create it, where it does such things. */
  want(topic: string): Promise<void> {
    const isKnownToExist = this.#ports.cache.topic(topic)?.errorCode === 0
    const round = this.#roundFor([topic], !isKnownToExist)
    round.topics.add(topic)
    round.wanted.add(topic)
    return round.done.promise
  }

  stop(): void {
    if (this.#ageTimer !== undefined) this.#ports.options.clock.clearTimeout(this.#ageTimer)
    this.#ageTimer = undefined
    this.#watched.clear()
    this.#listeners.clear()
  }

  #unwatch(topic: string): void {
    const count = (this.#watched.get(topic) ?? 0) - 1
    if (count > 0) this.#watched.set(topic, count)
    else this.#watched.delete(topic)
    if (this.#watched.size > 0 || this.#ageTimer === undefined) return
    this.#ports.options.clock.clearTimeout(this.#ageTimer)
    this.#ageTimer = undefined
  }

  #roundFor(topics: readonly string[], mayCreate = false): Round {
    const current = this.#current
    if (current === undefined) return this.#begin(this.#makeRound())
    if (!current.isAsking) return current
    const asked = mayCreate ? current.wanted : current.topics
    if (topics.every((topic) => asked.has(topic))) return current
    this.#next ??= this.#makeRound()
    return this.#next
  }

  #makeRound(): Round {
    const round = {
      topics: new Set<string>(),
      wanted: new Set<string>(),
      done: deferred<void>(),
      hurry: new AbortController(),
      isAsking: false,
    }
    // A caller may have left meanwhile (its signal fired): its round must not count as an unhandled rejection.
    round.done.promise.catch(() => undefined)
    return round
  }

  #begin(round: Round): Round {
    this.#current = round
    void this.#run(round)
    return round
  }

  async #run(round: Round): Promise<void> {
    const { signal, options } = this.#ports
    try {
      await this.#waitForInterval(round)
      if (signal.aborted) throw signal.reason
      round.isAsking = true
      this.#lastAskedAt = options.clock.monotonic()
      for (const topic of this.#watched.keys()) round.topics.add(topic)
      await this.#askFor(round)
      this.#failures = 0
      this.lastFailure = undefined
      round.done.resolve()
    } catch (error) {
      this.#failures++
      if (error instanceof OttlaError) this.lastFailure = error
      round.done.reject(signal.aborted ? signal.reason : error)
    }
    this.#current = undefined
    const next = this.#next
    this.#next = undefined
    if (next !== undefined) this.#begin(next)
    if (this.#watched.size > 0 && !signal.aborted) this.#scheduleAge(this.#delayToNext())
  }

  async #waitForInterval(round: Round): Promise<void> {
    const { clock, metadataMinIntervalMs } = this.#ports.options
    // Even without an interval to wait for, calls of the same turn are one request.
    await Promise.resolve()
    const waitMs = this.#lastAskedAt + metadataMinIntervalMs - clock.monotonic()
    if (waitMs <= 0 || round.hurry.signal.aborted) return
    const signal = AbortSignal.any([round.hurry.signal, this.#ports.signal])
    await sleep(clock, waitMs, signal).catch(() => undefined)
  }

  /**
   * The permission to create is given for a whole request, so topics that are only watched are asked for in another
   * one: a topic that was deleted must not come back because it is still looked for.
   */
  async #askFor(round: Round): Promise<void> {
    const wanted = this.#ports.options.allowAutoTopicCreation ? [...round.wanted] : []
    const others = [...round.topics].filter((topic) => !wanted.includes(topic))
    if (wanted.length > 0) await this.#ask(wanted, true)
    if (others.length > 0 || wanted.length === 0) await this.#ask(others, false)
  }

  async #ask(topics: readonly string[], allowAutoTopicCreation: boolean): Promise<void> {
    const { cache, signal, onApplied, options, ask } = this.#ports
    const body = { topics: topics.map((name) => ({ name })), allowAutoTopicCreation }
    const response = await ask((connection) => connection.request(metadata, body))
    if (signal.aborted) throw signal.reason
    if (response.errorCode === errorCode.REBOOTSTRAP_REQUIRED) cache.forgetBrokers()
    if (response.errorCode !== 0) throw new BrokerError(response.errorCode, 'Metadata')
    const now = options.clock.monotonic()
    cache.apply(response, now)
    cache.expire(now - options.metadataMaxAgeMs, (name) => this.#watched.has(name))
    onApplied()
    this.tell()
  }

  #delayToNext(): number {
    const { metadataMaxAgeMs, minBackoffMs: minMs, maxBackoffMs: maxMs, random } = this.#ports.options
    if (this.#failures === 0) return metadataMaxAgeMs
    return backoffMs(this.#failures - 1, { minMs, maxMs }, random)
  }

  #scheduleAge(delayMs: number): void {
    const { clock, logger } = this.#ports.options
    if (this.#ageTimer !== undefined) clock.clearTimeout(this.#ageTimer)
    this.#ageTimer = clock.setTimeout(() => {
      this.#ageTimer = undefined
      this.refresh([], false).catch((error: unknown) => {
        logger.warn({ err: error }, 'the metadata could not be refreshed')
      })
    }, delayMs)
  }
}

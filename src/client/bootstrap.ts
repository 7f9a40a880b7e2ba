/**
 * Finds any broker that answers: the known ones first, then the configured addresses.
 *
 * The configured names are looked up anew each time they are needed (KIP-899), so a cluster whose brokers have all
 * changed their addresses is found again.
 */
import { OttlaError } from '../errors.ts'
import type { Random } from '../util/random.ts'
import { Connection } from './connection.ts'
import type { ConnectionPool } from './connection-pool.ts'
import { type Address, formatAddress, sameAddress } from './dial.ts'
import type { Broker } from './metadata-cache.ts'
import type { ClusterOptions } from './options.ts'
import { race } from './race.ts'

/** A broker that has not answered for so long is given up for another one, though it may still come. */
const STAGGER_MS = 500
/** A broker that has not answered a question for so long: another one is asked beside it. */
const SILENCE_MS = 1_000
/** What fails as often in a row is worth a word: it is more than a broker that restarts. */
const FAILURES_TO_TELL = 3
const NONE: ReadonlySet<Connection> = new Set()

export interface BootstrapPorts {
  readonly options: ClusterOptions
  readonly pool: ConnectionPool
  readonly brokers: () => readonly Broker[]
  readonly signal: AbortSignal
}

export class Bootstrap {
  readonly #ports: BootstrapPorts
  /** To a configured address; whose node it is becomes known with the first metadata. */
  #seed: Connection | undefined
  #opening: Promise<Connection> | undefined
  /** In a row: searches that found nothing, connections that ended before they answered anything. */
  #failures = 0

  constructor(ports: BootstrapPorts) {
    this.#ports = ports
  }

  /** A connection to some broker; concurrent calls share the search. Rejects with what each broker failed of. */
  async connection(): Promise<Connection> {
    const open = this.#openConnection(NONE)
    if (open !== undefined) return open
    this.#opening ??= this.#search(NONE).finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  /**
   * Asks some broker. When its connection fails the next one is asked, and when it keeps silent another one beside it:
   * a broker that hangs must not hold up what any other can tell.
   */
  async ask<T>(question: (connection: Connection) => Promise<T>): Promise<T> {
    const { options, brokers, signal } = this.#ports
    const tried = new Set<Connection>()
    let exhausted: unknown
    const attempt = async (): Promise<{ value: T } | { error: unknown }> => {
      // A search has been everywhere: what it came back with stands.
      if (exhausted !== undefined) throw exhausted
      const search = tried.size === 0 ? this.connection() : this.#another(tried)
      const connection = await search.catch((error: unknown) => {
        exhausted = error
        throw error
      })
      tried.add(connection)
      try {
        return { value: await question(connection) }
      } catch (error) {
        // A refusal of a broker is an answer.
        if (connection.isOpen) return { error }
        throw error
      }
    }
    const attempts = Array.from({ length: brokers().length + options.brokers.length }, () => attempt)
    const failures: unknown[] = []
    const how = { clock: options.clock, staggerMs: SILENCE_MS, onLate: () => undefined }
    const answer = await race(attempts, how, (error) => failures.push(error))
    if (signal.aborted) throw signal.reason
    if (answer === undefined) throw failures.at(-1)
    if ('error' in answer) throw answer.error
    return answer.value
  }

  /** After metadata came. Hands the seed connection to the node that it turned out to be, or lets it go once another one is there. */
  settleSeed(): void {
    const seed = this.#seed
    this.#failures = 0
    if (seed === undefined) return
    const { host, port } = seed.address
    const { pool, brokers } = this.#ports
    const owner = brokers().find((broker) => broker.host === host && broker.port === port)
    if (owner !== undefined && pool.adopt(owner.nodeId, seed)) this.#seed = undefined
    else if (pool.leastLoaded(NONE) !== undefined) {
      seed.retire('the brokers of the cluster are known')
      this.#seed = undefined
    }
  }

  stop(reason: OttlaError): void {
    this.#seed?.close(reason)
    this.#seed = undefined
  }

  /** A connection that is open, other than these. */
  #openConnection(tried: ReadonlySet<Connection>): Connection | undefined {
    const seed = this.#seed
    if (seed?.isOpen && !tried.has(seed) && this.#ports.pool.leastLoaded(NONE) === undefined) return seed
    return this.#ports.pool.leastLoaded(tried)
  }

  async #another(tried: ReadonlySet<Connection>): Promise<Connection> {
    return this.#openConnection(tried) ?? this.#search(tried)
  }

  /** Dials what is known, then what is configured, and leaves out the addresses of what was tried. */
  async #search(tried: ReadonlySet<Connection>): Promise<Connection> {
    const { options, pool, brokers, signal } = this.#ports
    const addresses = [...tried].map(({ address }) => address)
    const isNew = (address: Address) => !addresses.some((one) => sameAddress(one, address))
    const failures: OttlaError[] = []
    const known = shuffled(brokers(), options.random).filter(
      (broker) => !pool.isBackingOff(broker.nodeId) && isNew(broker),
    )
    const found = await this.#first(
      known.map((broker) => () => pool.get(broker.nodeId)),
      // A connection that came too late stays in the pool: somebody will want it.
      { failures, onLate: () => undefined },
    )
    if (found !== undefined) return found
    const configured = shuffled(options.brokers, options.random).filter(isNew)
    const seed = await this.#first(
      configured.map((address) => () => Connection.open(address, options, { signal })),
      { failures, onLate: (connection) => connection.close() },
    )
    if (seed === undefined) {
      const error = allFailed(failures, options.brokers.map(formatAddress))
      this.#noteFailure(error)
      throw error
    }
    seed.onClose((reason) => {
      if (!seed.hasWorked && !seed.isGivenUp) this.#noteFailure(reason)
    })
    this.#seed?.retire('another connection took its place')
    this.#seed = seed
    return seed
  }

  /** An option that was forgotten looks like a broker that is away: the calls go on trying, and only the log tells. */
  #noteFailure(error: OttlaError): void {
    // What will not pass is told to whoever asked, at once.
    if (!error.retriable) return
    this.#failures++
    if (this.#failures !== FAILURES_TO_TELL) return
    this.#ports.options.logger.warn({ err: error }, 'no broker can be used so far; the client goes on trying')
  }

  async #first(
    attempts: readonly (() => Promise<Connection>)[],
    { failures, onLate }: { failures: OttlaError[]; onLate: (connection: Connection) => void },
  ): Promise<Connection | undefined> {
    const { options, signal } = this.#ports
    const late = (outcome: Connection | OttlaError) => {
      if (!(outcome instanceof OttlaError)) onLate(outcome)
    }
    const how = { clock: options.clock, staggerMs: STAGGER_MS, onLate: late }
    const winner = await race(attempts.map(decisive), how, (error) => failures.push(error as OttlaError))
    if (signal.aborted) {
      if (winner !== undefined) late(winner)
      throw signal.reason
    }
    if (winner instanceof OttlaError) throw winner
    return winner
  }
}

/** Refused credentials are refused everywhere: asking on would only lock the account. */
const decisive = (attempt: () => Promise<Connection>) => async (): Promise<Connection | OttlaError> => {
  try {
    return await attempt()
  } catch (error) {
    if (error instanceof OttlaError && error.code === 'SASL_FAILED' && !error.retriable) return error
    throw error
  }
}

/** One cause for all (wrong password, say) stays that error; different ones are listed. */
function allFailed(failures: readonly OttlaError[], addresses: readonly string[]): OttlaError {
  const [first] = failures
  const isOne = failures.every(({ code }) => code === first?.code)
  if (first !== undefined && isOne && first.code !== 'CONNECTION_FAILED') return first
  const reasons = failures.map(({ message }) => message).join('; ') || 'there is no other one'
  return new OttlaError(
    'CONNECTION_FAILED',
    `no broker of ${addresses.join(', ')} can be reached: ${reasons}`,
    {
      retriable: true,
      cause: failures.length === 1 ? first : new AggregateError(failures, 'every broker failed'),
    },
  )
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const mixed = [...items]
  for (let index = mixed.length - 1; index > 0; index--) {
    const other = random.below(index + 1)
    const item = mixed[index] as T
    mixed[index] = mixed[other] as T
    mixed[other] = item
  }
  return mixed
}

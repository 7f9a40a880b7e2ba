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
import { formatAddress } from './dial.ts'
import type { Broker } from './metadata-cache.ts'
import type { ClusterOptions } from './options.ts'
import { race } from './race.ts'

/** A broker that has not answered for so long is given up for another one, though it may still come. */
const STAGGER_MS = 500

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

  constructor(ports: BootstrapPorts) {
    this.#ports = ports
  }

  /** A connection that is open already. */
  openConnection(): Connection | undefined {
    const seed = this.#seed?.isOpen ? this.#seed : undefined
    return this.#ports.pool.leastLoaded() ?? seed
  }

  /** A connection to some broker; concurrent calls share the search. Rejects with what each broker failed of. */
  async connection(): Promise<Connection> {
    const open = this.openConnection()
    if (open !== undefined) return open
    this.#opening ??= this.#search().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  /** Hands the seed connection to the node that it turned out to be, or lets it go once another one is there. */
  settleSeed(): void {
    const seed = this.#seed
    if (seed === undefined) return
    const { host, port } = seed.address
    const { pool, brokers } = this.#ports
    const owner = brokers().find((broker) => broker.host === host && broker.port === port)
    if (owner !== undefined && pool.adopt(owner.nodeId, seed)) this.#seed = undefined
    else if (pool.leastLoaded() !== undefined) {
      seed.retire('the brokers of the cluster are known')
      this.#seed = undefined
    }
  }

  stop(reason: OttlaError): void {
    this.#seed?.close(reason)
    this.#seed = undefined
  }

  async #search(): Promise<Connection> {
    const { options, pool, brokers, signal } = this.#ports
    const failures: OttlaError[] = []
    const known = shuffled(brokers(), options.random).filter(({ nodeId }) => !pool.isBackingOff(nodeId))
    const found = await this.#first(
      known.map(
        ({ nodeId }) =>
          () =>
            pool.get(nodeId),
      ),
      // A connection that came too late stays in the pool: somebody will want it.
      { failures, onLate: () => undefined },
    )
    if (found !== undefined) return found
    const late = (connection: Connection) => connection.close()
    const seed = await this.#first(
      shuffled(options.brokers, options.random).map(
        (address) => () => Connection.open(address, options, { signal }),
      ),
      { failures, onLate: late },
    )
    if (seed === undefined) throw allFailed(failures, options.brokers.map(formatAddress))
    this.#seed?.retire('another connection took its place')
    this.#seed = seed
    return seed
  }

  async #first(
    attempts: readonly (() => Promise<Connection>)[],
    { failures, onLate }: { failures: OttlaError[]; onLate: (connection: Connection) => void },
  ): Promise<Connection | undefined> {
    const { options, signal } = this.#ports
    const winner = await race(attempts, { clock: options.clock, staggerMs: STAGGER_MS, onLate }, (error) =>
      failures.push(error as OttlaError),
    )
    if (signal.aborted) {
      winner?.close(signal.reason)
      throw signal.reason
    }
    return winner
  }
}

/** One cause for all (wrong password, say) stays that error; different ones are listed. */
function allFailed(failures: readonly OttlaError[], addresses: readonly string[]): OttlaError {
  const [first] = failures
  const isOne = failures.every(({ code }) => code === first?.code)
  if (first !== undefined && isOne && first.code !== 'CONNECTION_FAILED') return first
  const reasons = failures.map(({ message }) => message).join('; ')
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

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
    const known = shuffled(brokers(), options.random)
    const ready = known.filter(({ nodeId }) => !pool.isBackingOff(nodeId))
    for (const { nodeId } of ready) {
      const connection = await attempt(() => pool.get(nodeId), failures)
      if (signal.aborted) throw signal.reason
      if (connection !== undefined) return connection
    }
    for (const address of shuffled(options.brokers, options.random)) {
      const connection = await attempt(() => Connection.open(address, options, { signal }), failures)
      if (signal.aborted) {
        connection?.close(signal.reason)
        throw signal.reason
      }
      if (connection === undefined) continue
      this.#seed?.retire('another connection took its place')
      this.#seed = connection
      return connection
    }
    throw allFailed(failures, options.brokers.map(formatAddress))
  }
}

async function attempt(
  open: () => Promise<Connection>,
  failures: OttlaError[],
): Promise<Connection | undefined> {
  try {
    return await open()
  } catch (error) {
    failures.push(error as OttlaError)
    return undefined
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

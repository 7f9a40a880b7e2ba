/**
 * Which node coordinates a group or a transactional id (FindCoordinator, API key 10); cached until told otherwise.
 */
import { BrokerError } from '../protocol/error-codes.ts'
import { findCoordinator } from '../protocol/messages/index.ts'
import type { Connection } from './connection.ts'
import type { Broker } from './metadata-cache.ts'

export type CoordinatorKind = 'group' | 'transaction'

const keyTypes = { group: 0, transaction: 1 } as const
/** From this version on several keys may be asked for at once (KIP-699). */
const BATCHED = 4

export interface CoordinatorPorts {
  /** Asks some broker. */
  readonly ask: <T>(question: (connection: Connection) => Promise<T>) => Promise<T>
  readonly onBroker: (broker: Broker) => void
  /** Tries again while the error may pass by itself. */
  readonly persist: (doing: string, attempt: () => Promise<number>) => Promise<number>
}

export class Coordinators {
  readonly #nodes = new Map<string, number>()
  readonly #lookups = new Map<string, Promise<number>>()
  readonly #ports: CoordinatorPorts

  constructor(ports: CoordinatorPorts) {
    this.#ports = ports
  }

  known(kind: CoordinatorKind, key: string): number | undefined {
    return this.#nodes.get(`${kind}:${key}`)
  }

  forget(kind: CoordinatorKind, key: string): void {
    this.#nodes.delete(`${kind}:${key}`)
  }

  /** Concurrent lookups of the same key are one, with all that it takes. */
  find(kind: CoordinatorKind, key: string): Promise<number> {
    const name = `${kind}:${key}`
    let lookup = this.#lookups.get(name)
    if (lookup === undefined) {
      const attempt = () => this.#ask(kind, key)
      lookup = this.#ports
        .persist(`coordinator of ${kind} ${key}`, attempt)
        .finally(() => this.#lookups.delete(name))
      // Every caller may have left meanwhile: then nobody is to be told.
      lookup.catch(() => undefined)
      this.#lookups.set(name, lookup)
    }
    return lookup
  }

  async #ask(kind: CoordinatorKind, key: string): Promise<number> {
    const keyType = keyTypes[kind]
    const found = await this.#ports.ask(async (connection) => {
      const version = connection.versionOf(findCoordinator)
      const isBatched = version >= BATCHED
      const body = isBatched ? { keyType, coordinatorKeys: [key] } : { keyType, key }
      const response = await connection.request(findCoordinator, body, { version })
      return isBatched ? response.coordinators[0] : response
    })
    const code = found?.errorCode ?? -1
    if (found === undefined || code !== 0) {
      const fields = kind === 'group' ? { groupId: key } : {}
      const brokerMessage = found?.errorMessage ?? null
      throw new BrokerError(code, `coordinator of ${kind} ${key}`, { ...fields, brokerMessage })
    }
    const { nodeId, host, port } = found
    this.#nodes.set(`${kind}:${key}`, nodeId)
    this.#ports.onBroker({ nodeId, host, port, rack: null })
    return nodeId
  }
}

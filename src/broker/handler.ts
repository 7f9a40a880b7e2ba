/**
 * The port between the listener and the APIs: one Handler per API, each in a file of `handlers/` named with its key.
 *
 * A handler is synchronous where it can be. Requests of one connection are handled one after the other, as Kafka
 * does it, so an answer that is awaited holds back everything behind it on its connection, and nothing else.
 */
import type { Api, ReceivedRequestOf, SentResponseOf } from '../protocol/schema.ts'
import type { Clock } from '../util/clock.ts'
import type { BrokerNode } from './broker-node.ts'
import type { ClusterState } from './cluster-state.ts'
import type { SaslSession } from './sasl/sasl-session.ts'

/** The answer; a promise of it; or nothing, for requests that get no answer (Produce with acks 0). */
export type Answer<A extends Api> = SentResponseOf<A> | Promise<SentResponseOf<A> | undefined> | undefined

export interface Handler<A extends Api = Api> {
  readonly api: A
  /** What ApiVersions tells, both inclusive. Versions that the protocol table does not have close the connection. */
  readonly versions: readonly [lowest: number, highest: number]
  /**
   * Every error that it answers by itself, at any place of its answer; not those that a test puts on it. The
   * conformance suite has a case for each, and fails when another is answered.
   */
  readonly errors: readonly number[]
  /**
   * True: the handler asks `context.injectedError(topic, partition)` for each partition. Otherwise an injected error
   * is answered for the whole request, by `refuse` or, without it, in the response's own top-level error code. A list:
   * it asks for these errors, and the others are answered for the whole request.
   */
  readonly perPartition?: boolean | readonly number[]
  /** Errors that a handler with `true` nevertheless answers for the whole request. */
  readonly wholeErrors?: readonly number[]
  handle(request: ReceivedRequestOf<A>, context: RequestContext): Answer<A>
  /** The answer that refuses everything with one error. */
  refuse?(request: ReceivedRequestOf<A>, code: number, context: RequestContext): SentResponseOf<A>
}

/** An API as ApiVersions tells it. */
export interface AdvertisedApi {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
}

export interface RequestContext {
  readonly version: number
  readonly clientId: string | null
  readonly node: BrokerNode
  readonly cluster: ClusterState
  readonly session: Session
  readonly clock: Clock
  readonly advertised: readonly AdvertisedApi[]
  /** The error that a test has put on this partition for this request, 0 for none. Partition -1: the topic itself. */
  injectedError(topic: string, partition: number): number
}

/** One connection, as handlers see it. */
export interface Session {
  readonly id: number
  readonly isOpen: boolean
  /** Undefined when the listener asks for no SASL. */
  readonly sasl: SaslSession | undefined
  /** `User:alice`, or `User:ANONYMOUS`. */
  readonly principal: string
  /** Where the client is, as far as the transport knows; `memory` inside the process. */
  readonly remoteAddress: string
  /** Calls the listener once when the connection is gone, until the returned function is called. */
  onClose(listener: () => void): () => void
  /** Closes the connection once what is answered already has been written. */
  close(): void
}

/** Erases the API of a handler, for the registry. */
export const handler = <A extends Api>(specific: Handler<A>): Handler => specific as unknown as Handler

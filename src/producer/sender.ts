/**
 * Puts batches on the wire: what the windows allow, packed into one request per broker and round.
 *
 * Partitions that may have something to send wake it; the work is done once, at the end of the turn, so everything
 * that a turn brings leaves together. Invariants: a partition's batches leave in order, on one connection until all
 * that is in flight on it is answered; after every await the state is looked at anew.
 */
import type { Cluster } from '../client/cluster.ts'
import type { Connection } from '../client/connection.ts'
import { OttlaError } from '../errors.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'
import { produce } from '../protocol/messages/index.ts'
import { Fifo } from '../util/fifo.ts'
import type { Accumulator } from './accumulator.ts'
import type { Answers } from './answers.ts'
import type { IdentitySource } from './identity.ts'
import type { Outcomes } from './outcomes.ts'
import type { Pauses } from './pause.ts'
import { type Part, ProduceRequest } from './produce-request.ts'
import type { ProducerSettings } from './producer-options.ts'
import type { Prover } from './prover.ts'
import type { Step } from './send-window.ts'
import { LAST_EPOCH } from './sequence.ts'
import type { ProducerPartition } from './topic.ts'

/** Acks may take long, and everything behind them on a connection waits: requests of others have their own. */
const PURPOSE = 'produce'
/** The broker is told to give up on replicas a little before we give up on the broker. */
const BROKER_SHARE = 0.9

export interface SenderParts {
  readonly cluster: Cluster
  readonly settings: ProducerSettings
  readonly accumulator: Accumulator
  readonly identity: IdentitySource
  readonly answers: Answers
  readonly outcomes: Outcomes
  readonly pauses: Pauses
  readonly prover: Prover
  readonly signal: AbortSignal
  readonly onFatal: (error: OttlaError) => void
  /** `send` is to be called when the turn ends. */
  readonly atTurnEnd: () => void
}

export class Sender {
  readonly #parts: SenderParts
  /** Partitions that may have something to send. */
  readonly #awake = new Fifo<ProducerPartition>()
  /** Of the round that is made up now, one a connection. */
  readonly #requests = new Map<Connection, ProduceRequest>()
  readonly #unnumbered = new Set<ProducerPartition>()
  /** Partitions that wait for a connection, by node. */
  readonly #dialling = new Map<number, Set<ProducerPartition>>()

  constructor(parts: SenderParts) {
    this.#parts = parts
  }

  /** The partition may have something to send. */
  readonly wake = (partition: ProducerPartition): void => {
    this.#keepAwake(partition)
    this.#parts.atTurnEnd()
  }

  /** Sends what may leave of all that is awake. Round by round: a partition has one batch in a request. */
  send(): void {
    const awake = this.#awake
    if (awake.length === 0) return
    const isOver = this.#parts.signal.aborted
    let left = awake.length
    while (left > 0) {
      let more = 0
      for (; left > 0; left--) {
        const partition = awake.shift() as ProducerPartition
        partition.isAwake = false
        if (isOver || !this.#load(partition)) continue
        this.#keepAwake(partition)
        more++
      }
      try {
        this.#requests.forEach(this.#dispatch)
      } finally {
        // What has left must not leave again with the next ones, whatever goes wrong here.
        this.#requests.clear()
      }
      left = more
    }
  }

  #keepAwake(partition: ProducerPartition): void {
    if (partition.isAwake) return
    partition.isAwake = true
    this.#awake.push(partition)
  }

  /** Adds the partition's next batch to a request, if one may leave. True: it may have more. */
  #load(partition: ProducerPartition): boolean {
    const { window, stream } = partition
    const wallNow = this.#parts.cluster.options.clock.now()
    if (partition.isPaused || partition.isGone || !window.hasRoom(wallNow)) return false
    for (;;) {
      if (stream.length === 0 && partition.open?.due) this.#parts.accumulator.close(partition)
      const step = window.step(stream.peek(), wallNow)
      if (step.kind === 'send') return this.#place(partition, step)
      if (step.kind === 'wait') return false
      if (step.kind === 'prove') return this.#prove(partition)
      if (step.kind === 'unresolved') this.#parts.outcomes.uncertain(partition, step.batches)
      else if (!this.#number(partition, step.rank)) return false
    }
  }

  #place(partition: ProducerPartition, { batch, queued }: Step & { kind: 'send' }): boolean {
    const connection = this.#connectionFor(partition)
    if (connection === undefined) return false
    const { window } = partition
    if (queued) partition.stream.take()
    window.sent(batch, queued)
    const { producerId, producerEpoch, baseSequence } = window.stampOf(batch)
    batch.stamp(producerId, producerEpoch, baseSequence)
    partition.connection = connection
    const requests = this.#requests
    let request = requests.get(connection)
    if (request !== undefined && request.bytes + batch.bytes.length > this.#parts.settings.maxRequestBytes) {
      this.#dispatch(request)
      request = undefined
    }
    if (request === undefined) requests.set(connection, new ProduceRequest(connection, partition, batch))
    else request.add(partition, batch)
    const { stream, open } = partition
    return stream.length > 0 || open?.due === true || window.flights.length > window.onWire
  }

  readonly #dispatch = (request: ProduceRequest): void => {
    const { settings, answers, onFatal } = this.#parts
    const { requestTimeoutMs, acks } = settings
    const version = this.#versionOf(request)
    if (version === undefined) return
    const brokerTimeoutMs = Math.max(1, Math.floor(requestTimeoutMs * BROKER_SHARE))
    const body = request.body(acks === 'all' ? -1 : acks, brokerTimeoutMs)
    const options = { version, timeoutMs: requestTimeoutMs, expectResponse: acks !== 0, atOnce: true }
    const sent = request.connection.request(produce, body, options)
    sent
      .then(
        (answer) => {
          if (acks === 0) answers.written(request)
          else answers.answered(request, version, answer)
        },
        (error: unknown) => answers.lost(request, asOttlaError(error)),
      )
      .then(
        () => this.#wakeAll(request),
        // Only a bug comes here; nobody may wait for ever because of it.
        (error: unknown) => onFatal(asOttlaError(error)),
      )
  }

  /** A broker may have no version of Produce that we speak: what is for it waits, and goes to whoever leads next. */
  #versionOf(request: ProduceRequest): number | undefined {
    try {
      return request.version()
    } catch (error) {
      this.#parts.answers.lost(request, asOttlaError(error))
      return undefined
    }
  }

  #wakeAll(request: ProduceRequest): void {
    const { parts } = request
    for (let index = 0; index < parts.length; index++) {
      const { partition } = parts[index] as Part
      if (partition.isBusy) this.wake(partition)
    }
  }

  // ---------------------------------------------------------------------------------------------- connections

  #connectionFor(partition: ProducerPartition): Connection | undefined {
    const { cluster } = this.#parts
    const { leaderId, window } = partition
    if (leaderId < 0) {
      const doing = `producing to ${partition.topic.name}/${partition.index}, which has no leader`
      partition.lastError = new BrokerError(errorCode.LEADER_NOT_AVAILABLE, doing)
      this.#parts.pauses.begin(partition, true)
      return undefined
    }
    const connection = cluster.openConnection(leaderId, PURPOSE)
    if (connection === undefined) {
      this.#dial(leaderId, partition)
      return undefined
    }
    if (window.onWire > 0 && connection !== partition.connection) return undefined
    if (connection.needsDrain && connection.inFlight > 0) {
      void connection.drained().then(() => this.wake(partition))
      return undefined
    }
    return connection
  }

  #dial(nodeId: number, partition: ProducerPartition): void {
    const waiting = this.#dialling.get(nodeId)
    if (waiting !== undefined) {
      waiting.add(partition)
      return
    }
    const waits = new Set([partition])
    this.#dialling.set(nodeId, waits)
    const { cluster, pauses, signal } = this.#parts
    cluster.connection(nodeId, { purpose: PURPOSE, signal }).then(
      () => {
        this.#dialling.delete(nodeId)
        for (const each of waits) this.wake(each)
      },
      (error: unknown) => {
        this.#dialling.delete(nodeId)
        for (const each of waits) {
          each.lastError = asOttlaError(error)
          pauses.begin(each, true)
        }
      },
    )
  }

  // ---------------------------------------------------------------------------------------------- numbers

  /** Numbers begin anew: with the next epoch, or with a new producer id when there is none or it is used up. */
  #number(partition: ProducerPartition, baseRank: number): boolean {
    const { identity } = this.#parts
    const { window } = partition
    const { mapping } = window
    if (mapping !== undefined && !window.needsNewId && mapping.producerEpoch < LAST_EPOCH) {
      const { producerId, producerEpoch } = mapping
      window.map({ producerId, producerEpoch: producerEpoch + 1, baseRank })
      return true
    }
    if (mapping !== undefined) identity.discard(mapping.producerId)
    if (identity.current === undefined) {
      this.#obtainIdentity(partition)
      return false
    }
    const { producerId, producerEpoch } = identity.current
    window.map({ producerId, producerEpoch, baseRank })
    return true
  }

  #obtainIdentity(partition: ProducerPartition): void {
    const isFirst = this.#unnumbered.size === 0
    this.#unnumbered.add(partition)
    if (!isFirst) return
    this.#parts.identity.obtain().then(
      () => {
        for (const each of this.#unnumbered) this.wake(each)
        this.#unnumbered.clear()
      },
      (error: unknown) => {
        this.#unnumbered.clear()
        this.#parts.onFatal(asOttlaError(error))
      },
    )
  }

  #prove(partition: ProducerPartition): false {
    this.#parts.prover.prove(partition, () => this.wake(partition))
    return false
  }
}

const asOttlaError = (error: unknown): OttlaError =>
  error instanceof OttlaError
    ? error
    : new OttlaError('CONNECTION_CLOSED', `a request failed: ${String(error)}`, { cause: error })

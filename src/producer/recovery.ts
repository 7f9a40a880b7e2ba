/**
 * Asks the leader of a partition what it has of a producer: the proof behind "sent again or not".
 *
 *     leader L and epoch E from metadata
 *     OffsetForLeaderEpoch(E)  L leads in E         │ fenced by E: an answer means that E has not changed
 *     DescribeProducers        last sequence        │ shows what is not committed, and followers answer it too
 *     OffsetForLeaderEpoch(E)  log end              │ so everything described lies below this
 *     ListOffsets(latest, E)   until it is ≥ log end: committed
 *
 *     Fetch                    where the batches lie, for the receipts
 *
 * Any failure on the way, or another epoch, begins it anew. Needs Kafka 2.8 (KIP-664) and the right to read the
 * topic; without either nothing is said here, and the sender walks (see send-window).
 */
import type { Cluster, PartitionMetadata } from '../client/cluster.ts'
import type { Connection } from '../client/connection.ts'
import { OttlaError } from '../errors.ts'
import { BrokerError, errorCode } from '../protocol/error-codes.ts'
import { describeProducers, listOffsets, offsetForLeaderEpoch } from '../protocol/messages/index.ts'
import { backoffMs } from '../util/backoff.ts'
import { sleep } from '../util/clock.ts'
import { classify } from './error-classifier.ts'
import { type FoundBatch, findOffsets } from './find-offsets.ts'

export interface ProofRequest {
  readonly topic: string
  readonly partition: number
  readonly producerId: number
  /** The offset behind the last record that was acknowledged; -1 when none was. */
  readonly nextOffset: number
  /** The earliest time of the records in question. */
  readonly since: number
  readonly requestTimeoutMs: number
  readonly retryBackoffMs: number
  readonly retryBackoffMaxMs: number
}

/** What the leader has of the producer, all of it committed. */
export type Evidence =
  | {
      readonly kind: 'found'
      readonly epoch: number
      readonly lastSequence: number
      /** Where its batches lie, by base sequence, as far as that could be found. */
      readonly places: ReadonlyMap<number, FoundBatch>
    }
  | { readonly kind: 'absent'; readonly logStart: number }
  | { readonly kind: 'unable'; readonly reason: OttlaError }

/** Rounds before the caller is asked whether the proof is still wanted, and looks at the high watermark in each. */
const ROUNDS = 5
const LOOKS = 10
const DESCRIBE_SINCE = 0
const EARLIEST = -2
const LATEST = -1

interface Leader {
  readonly connection: Connection
  readonly epoch: number
}

/**
 * @throws ABORTED when the signal fires; the last failure when no round went through.
 */
export async function gatherEvidence(
  cluster: Cluster,
  request: ProofRequest,
  signal: AbortSignal,
): Promise<Evidence> {
  const { clock, random } = cluster.options
  const { retryBackoffMs: minMs, retryBackoffMaxMs: maxMs } = request
  let failure: unknown
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) await sleep(clock, backoffMs(round - 1, { minMs, maxMs }, random), signal)
    try {
      if (round > 0) await cluster.refresh({ topics: [request.topic], signal })
      return await ask(cluster, request, { signal, isLast: round === ROUNDS - 1 })
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (!(error instanceof OttlaError)) throw error
      if (isForGood(error)) return { kind: 'unable', reason: error }
      failure = error
    }
  }
  throw failure
}

interface Round {
  readonly signal: AbortSignal
  readonly isLast: boolean
}

async function ask(cluster: Cluster, request: ProofRequest, round: Round): Promise<Evidence> {
  const { signal } = round
  const leader = await leaderOf(cluster, request, signal)
  if (!leader.connection.supports(describeProducers, DESCRIBE_SINCE)) {
    const message = 'the broker does not know DescribeProducers'
    return { kind: 'unable', reason: new OttlaError('UNSUPPORTED_VERSION', message) }
  }
  await logEnd(leader, request)
  const found = await describe(leader, request)
  const end = await logEnd(leader, request)
  await committed(cluster, { leader, request, end, signal })
  if (found !== undefined) {
    const places = await placesOf(cluster, request, { leader, end, epoch: found.epoch, isLast: round.isLast })
    return { kind: 'found', ...found, places }
  }
  return { kind: 'absent', logStart: await offsetAt(leader, request, EARLIEST) }
}

async function leaderOf(cluster: Cluster, request: ProofRequest, signal: AbortSignal): Promise<Leader> {
  const { topic, partition } = request
  const known: PartitionMetadata | undefined = cluster.topic(topic)?.partitions[partition]
  if (known === undefined || known.leaderId < 0) {
    throw new BrokerError(errorCode.LEADER_NOT_AVAILABLE, `asking the leader of ${topic}/${partition}`)
  }
  const connection = await cluster.connection(known.leaderId, { signal })
  return { connection, epoch: known.leaderEpoch }
}

async function describe(
  { connection }: Leader,
  { topic, partition, producerId, requestTimeoutMs: timeoutMs }: ProofRequest,
): Promise<{ epoch: number; lastSequence: number } | undefined> {
  const body = { topics: [{ name: topic, partitionIndexes: [partition] }] }
  const answer = await connection.request(describeProducers, body, { timeoutMs })
  const entry = answer.topics[0]?.partitions[0]
  check(entry?.errorCode, 'DescribeProducers', { topic, partition })
  const producer = entry?.activeProducers.find((candidate) => candidate.producerId === producerId)
  return producer === undefined
    ? undefined
    : { epoch: producer.producerEpoch, lastSequence: producer.lastSequence }
}

async function logEnd(leader: Leader, request: ProofRequest): Promise<number> {
  const { topic, partition, requestTimeoutMs: timeoutMs } = request
  const { epoch } = leader
  const body = {
    replicaId: -1,
    topics: [{ topic, partitions: [{ partition, currentLeaderEpoch: epoch, leaderEpoch: epoch }] }],
  }
  const answer = await leader.connection.request(offsetForLeaderEpoch, body, { timeoutMs })
  const entry = answer.topics[0]?.partitions[0]
  check(entry?.errorCode, 'OffsetForLeaderEpoch', { topic, partition })
  return entry?.endOffset ?? -1
}

/** Waits until the high watermark has reached the log end: nothing described can be lost any more. */
async function committed(
  cluster: Cluster,
  wait: {
    readonly leader: Leader
    readonly request: ProofRequest
    readonly end: number
    readonly signal: AbortSignal
  },
): Promise<void> {
  const { leader, request, end, signal } = wait
  const { clock, random } = cluster.options
  for (let look = 0; look < LOOKS; look++) {
    if ((await offsetAt(leader, request, LATEST)) >= end) return
    await sleep(clock, backoffMs(look, { minMs: 5, maxMs: request.retryBackoffMaxMs }, random), signal)
  }
  const { topic, partition } = request
  throw new BrokerError(
    errorCode.NOT_ENOUGH_REPLICAS,
    `waiting for the high watermark of ${topic}/${partition}`,
  )
}

async function offsetAt(leader: Leader, request: ProofRequest, timestamp: number): Promise<number> {
  const { topic, partition, requestTimeoutMs: timeoutMs } = request
  const partitions = [{ partitionIndex: partition, currentLeaderEpoch: leader.epoch, timestamp }]
  const body = { replicaId: -1, isolationLevel: 0, topics: [{ name: topic, partitions }] }
  const answer = await leader.connection.request(listOffsets, body, { timeoutMs })
  const entry = answer.topics[0]?.partitions[0]
  check(entry?.errorCode, 'ListOffsets', { topic, partition })
  return entry?.offset ?? -1
}

/** Offsets are worth a few attempts, not a failure: the delivery is proved without them. */
async function placesOf(
  cluster: Cluster,
  request: ProofRequest,
  where: { readonly leader: Leader; readonly epoch: number; readonly end: number; readonly isLast: boolean },
): Promise<ReadonlyMap<number, FoundBatch>> {
  const { leader, epoch, end, isLast } = where
  const { topic, partition, producerId, nextOffset, since, requestTimeoutMs } = request
  try {
    const from = nextOffset >= 0 ? nextOffset : await offsetAt(leader, request, since)
    if (from < 0) return new Map()
    return await findOffsets(leader.connection, {
      topic,
      partition,
      producerId,
      producerEpoch: epoch,
      leaderEpoch: leader.epoch,
      from,
      end,
      requestTimeoutMs,
    })
  } catch (error) {
    if (!isLast && error instanceof OttlaError && !isForGood(error)) throw error
    cluster.options.logger.debug({ err: error, topic, partition }, 'offsets of proved records were not found')
    return new Map()
  }
}

function check(code: number | undefined, api: string, place: { topic: string; partition: number }): void {
  if (code === 0) return
  const doing = `${api} of ${place.topic}/${place.partition}`
  throw new BrokerError(code ?? errorCode.UNKNOWN_SERVER_ERROR, doing, { api, ...place })
}

/** Missing rights and missing versions stay; everything else is tried again. */
function isForGood(error: OttlaError): boolean {
  if (error instanceof BrokerError) {
    const { handling } = classify(error.errorCode)
    return handling === 'fail' || handling === 'fatal'
  }
  return error.code === 'UNSUPPORTED_VERSION'
}

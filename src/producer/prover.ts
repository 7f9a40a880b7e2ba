/** Runs the proof of a partition that pauses for it, and hands what was found to its window. */
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import type { FoundBatch } from './find-offsets.ts'
import type { Outcomes } from './outcomes.ts'
import type { ProducerSettings } from './producer-options.ts'
import { type Evidence, gatherEvidence } from './recovery.ts'
import { CAUTIOUS_AGE_MS, type Proof } from './send-window.ts'
import type { ProducerPartition } from './topic.ts'

const NOWHERE: ReadonlyMap<number, FoundBatch> = new Map()

export interface ProverParts {
  readonly cluster: Cluster
  readonly settings: ProducerSettings
  readonly outcomes: Outcomes
  readonly signal: AbortSignal
}

export class Prover {
  readonly #parts: ProverParts

  constructor(parts: ProverParts) {
    this.#parts = parts
  }

  /** `onEnd` is called when the window may be looked at again. */
  prove(partition: ProducerPartition, onEnd: () => void): void {
    partition.window.beginProof()
    void this.#run(partition).then(onEnd)
  }

  async #run(partition: ProducerPartition): Promise<void> {
    const { cluster, settings, outcomes, signal } = this.#parts
    const { window, topic, index } = partition
    const { logger } = cluster.options
    const { requestTimeoutMs, retryBackoffMs, retryBackoffMaxMs } = settings
    const place = { topic: topic.name, partition: index }
    const { topicId } = topic
    const request = {
      ...place,
      producerId: window.mapping?.producerId ?? -1,
      nextOffset: partition.nextOffset,
      since: Math.min(...window.flights.map((flight) => flight.baseTimestamp)),
      requestTimeoutMs,
      retryBackoffMs,
      retryBackoffMaxMs,
    }
    try {
      const evidence = await gatherEvidence(cluster, request, signal)
      if (evidence.kind === 'unable') {
        const { reason } = evidence
        logger.warn(
          { ...place, err: reason },
          'deliveries cannot be proved: batches are sent again one by one',
        )
      }
      // What was learned of a topic that is gone says nothing of its successor.
      if (topic.topicId !== topicId) return window.endProof()
      const places = evidence.kind === 'found' ? evidence.places : NOWHERE
      outcomes.proved(partition, window.proved(this.#proofOf(partition, evidence)), places)
    } catch (error) {
      // Asked for again with the next step, as long as somebody waits for it.
      if (!signal.aborted) logger.debug({ ...place, err: error }, 'a proof of delivery was not completed')
      if (error instanceof OttlaError) partition.lastError = error
      window.endProof()
    }
  }

  /** A broker that does not know the producer may have known it: it forgets by the records' own timestamps. */
  #proofOf(partition: ProducerPartition, evidence: Evidence): Proof {
    if (evidence.kind !== 'absent') return evidence
    const oldBefore = this.#parts.cluster.options.clock.now() - CAUTIOUS_AGE_MS
    const isOld = partition.window.flights.some(
      (flight) => flight.maybeInLog && flight.maxTimestamp < oldBefore,
    )
    const isCutOff = partition.nextOffset >= 0 && evidence.logStart > partition.nextOffset
    return { kind: 'absent', forgettable: isOld || isCutOff }
  }
}

/**
 * What a replica does while it follows: it fetches from the leader, cuts its log where it differs, and learns the
 * high watermark. Nothing polls: the leader wakes it, and each answer that brought something leads to one more fetch,
 * which is how the leader learns what arrived.
 */
import type { Clock } from '../util/clock.ts'
import type { FollowerAnswer, LeaderRole } from './leader-role.ts'
import type { Replica } from './replica.ts'

export interface FollowerHost {
  readonly clock: Clock
  /** The partition's leader, when it has one that runs. */
  readonly leader: LeaderRole | undefined
}

export class FollowerRole {
  readonly replica: Replica
  /** The leader's epoch under which this replica follows. */
  readonly epoch: number
  readonly #host: FollowerHost
  #isDue = false
  #isOver = false

  constructor(replica: Replica, epoch: number, host: FollowerHost) {
    this.replica = replica
    this.epoch = epoch
    this.#host = host
  }

  stop(): void {
    this.#isOver = true
  }

  /** Fetches at the end of this turn, unless the replica is held. */
  wake(): void {
    if (this.#isDue || this.#isOver || this.replica.holds > 0) return
    this.#isDue = true
    this.#host.clock.defer(() => {
      this.#isDue = false
      // In between a test may have taken hold, or the leader may have changed.
      if (!this.#isOver && this.replica.holds === 0) this.#fetch()
    })
  }

  #fetch(): void {
    const { leader } = this.#host
    if (leader === undefined) return
    const { log } = this.replica
    const answer = leader.answerFollower({
      nodeId: this.replica.nodeId,
      leaderEpoch: this.epoch,
      offset: log.end,
      lastEpoch: log.epochs.latest,
      logStart: log.start,
    })
    // The fetch itself may have changed who leads: joining the in-sync replicas can end a reassignment.
    if (!this.#isOver && this.#take(answer)) this.wake()
  }

  /** True when the leader should hear of it. */
  #take(answer: FollowerAnswer): boolean {
    const { replica } = this
    switch (answer.kind) {
      case 'fenced':
        return false
      case 'diverging':
        this.#truncate(answer.epoch, answer.endOffset)
        return true
      case 'out-of-range':
        replica.restartAt(answer.logStart)
        return true
      case 'batches': {
        for (const batch of answer.batches) {
          replica.log.epochs.adopt(answer.epochs, batch.leaderEpoch)
          replica.log.append(batch)
          replica.producers.record(batch)
        }
        replica.highWatermark = Math.max(replica.log.start, Math.min(answer.highWatermark, replica.log.end))
        const startMoved = answer.logStart > replica.log.start
        if (startMoved) replica.advanceStart(answer.logStart)
        return answer.batches.length > 0 || startMoved
      }
    }
  }

  /** KIP-595: to where both logs surely agree, which is at most the end of that epoch in either. */
  #truncate(leaderEpoch: number, leaderEndOffset: number): void {
    const { log } = this.replica
    const own = log.epochs.endOf(leaderEpoch, log.end)
    this.replica.truncateTo(Math.max(log.start, Math.min(own.endOffset, leaderEndOffset)))
  }
}

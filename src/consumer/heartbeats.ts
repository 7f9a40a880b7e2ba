/**
 * Heartbeats of one generation, on timers of their own: no handler, no drain and no JoinGroup that the
 * coordinator holds keeps them up, as long as the event loop turns. Also knows when the session is over by our own clock: the coordinator has not answered anything sent
 * within `sessionTimeoutMs`, so it may have given our partitions away.
 */
import { errorCode } from '../protocol/error-codes.ts'
import { heartbeat } from '../protocol/messages/index.ts'
import type { Clock, Timer } from '../util/clock.ts'
import type { CoordinatorLink } from './coordinator-link.ts'
import type { Identity } from './membership.ts'

export interface HeartbeatPorts {
  readonly clock: Clock
  readonly link: CoordinatorLink
  readonly groupId: string
  readonly groupInstanceId: string | undefined
  readonly intervalMs: number
  readonly sessionTimeoutMs: number
  readonly onAnswer: (code: number, identity: Identity) => void
  readonly onFailure: (error: unknown) => void
  readonly onSessionOver: () => void
}

export class Heartbeats {
  readonly #ports: HeartbeatPorts
  #identity: Identity | undefined
  #timer: Timer | undefined
  #isSending = false
  /** When the last request was sent that has been answered. */
  #heardAt: number

  constructor(ports: HeartbeatPorts) {
    this.#ports = ports
    this.#heardAt = ports.clock.monotonic()
  }

  /** Beats for this generation, from one interval on. */
  start(identity: Identity): void {
    this.stop()
    this.#identity = identity
    this.#schedule()
  }

  stop(): void {
    if (this.#timer !== undefined) this.#ports.clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#identity = undefined
  }

  /** The coordinator has answered a request that was sent at this monotonic time. */
  heard(sentAt: number): void {
    this.#heardAt = Math.max(this.#heardAt, sentAt)
  }

  /** Whether the coordinator may have forgotten us. */
  get isSessionOver(): boolean {
    return this.#ports.clock.monotonic() - this.#heardAt > this.#ports.sessionTimeoutMs
  }

  #schedule(): void {
    const { clock, intervalMs } = this.#ports
    this.#timer = clock.setTimeout(() => {
      this.#schedule()
      // Asked before a beat: the process may have slept, and the beat under way may never be answered.
      if (this.isSessionOver) this.#ports.onSessionOver()
      // Who has nothing to lose, and waits for its assignment, beats on: the coordinator may have begun its session later.
      if (!this.#isSending) void this.#beat()
    }, intervalMs)
  }

  async #beat(): Promise<void> {
    const identity = this.#identity
    if (identity === undefined) return
    const { link, clock, groupId, groupInstanceId = null, sessionTimeoutMs } = this.#ports
    this.#isSending = true
    const sentAt = clock.monotonic()
    try {
      const response = await link.request(
        heartbeat,
        (version) => ({
          groupId,
          memberId: identity.memberId,
          generationId: identity.generation,
          ...(version >= 3 ? { groupInstanceId } : {}),
        }),
        { timeoutMs: sessionTimeoutMs },
      )
      const { errorCode: code } = response
      // A member is alive for the coordinator while a rebalance is on, too.
      if (code === errorCode.NONE || code === errorCode.REBALANCE_IN_PROGRESS) this.heard(sentAt)
      // An answer for a generation that is over says nothing about the present one.
      if (this.#identity === identity) this.#ports.onAnswer(code, identity)
    } catch (error) {
      if (this.#identity === identity) this.#ports.onFailure(error)
    } finally {
      this.#isSending = false
    }
  }
}

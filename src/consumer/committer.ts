/**
 * Commits what is finished: by time, by count, and when partitions are given up. One request is under way at a time
 * and carries everything that is due; what becomes due meanwhile goes with the next.
 *
 * Never more than the mark of a partition's completion tracker is committed, and nothing once the partition is closed.
 */
import type { Cluster } from '../client/cluster.ts'
import type { OttlaError } from '../errors.ts'
import { errorCode } from '../protocol/error-codes.ts'
import { offsetCommit } from '../protocol/messages/index.ts'
import { backoffMs } from '../util/backoff.ts'
import { sleep, type Timer } from '../util/clock.ts'
import { refreshQuietly } from './ask-leaders.ts'
import type { AssignedPartition, Position } from './assigned-partition.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import type { CoordinatorLink } from './coordinator-link.ts'
import { type Identity, refusal, verdictOf } from './membership.ts'
import { asOttlaError, mayPass } from './retry.ts'
import { settledWithin } from './settled-within.ts'

export interface CommitterPorts {
  readonly cluster: Cluster
  readonly link: CoordinatorLink
  readonly options: ResolvedConsumerOptions
  /** Fires when nothing more is to be waited for. */
  readonly signal: AbortSignal
  /** Everything that is assigned now. */
  readonly partitions: () => Iterable<AssignedPartition>
  /** As whom to commit; undefined while there is no membership. */
  readonly identity: () => Identity | undefined
  /** The coordinator says that the membership is void. */
  readonly onLost: (code: number, identity: Identity) => void
  /** No commit can succeed any more. */
  readonly onFatal: (error: OttlaError) => void
}

interface Due {
  readonly partition: AssignedPartition
  readonly position: Position
}

export class Committer {
  readonly #ports: CommitterPorts
  #finishedRecords = 0
  #timer: Timer | undefined
  #flight: Promise<boolean> | undefined
  #isWaiting = false
  #failures = 0
  #isStopped = false
  /** The coordinator has refused for good. */
  #isHopeless = false
  /** Those of which the coordinator has said that it does not know them. */
  readonly #unknown = new WeakSet<AssignedPartition>()

  constructor(ports: CommitterPorts) {
    this.#ports = ports
  }

  /** Told of each piece of finished work. */
  finished(records: number): void {
    this.#finishedRecords += records
    if (this.#finishedRecords >= this.#ports.options.commitEveryRecords) this.#begin()
    else if (this.#timer === undefined) this.#schedule(this.#ports.options.commitIntervalMs)
  }

  /**
   * Commits all that is finished in these partitions, trying until `deadline` (monotonic). Not waited for is what
   * was finished of a topic that has been deleted. Returns whether nothing else is left uncommitted.
   */
  async flush(partitions: readonly AssignedPartition[], deadline: number): Promise<boolean> {
    const { clock, minBackoffMs: minMs, maxBackoffMs: maxMs, random } = this.#ports.cluster.options
    const isDue = () =>
      partitions.some((partition) => partition.commitPoint() !== undefined && !this.#isGone(partition))
    for (let attempt = 0; isDue(); ) {
      const left = deadline - clock.monotonic()
      if (left <= 0 || this.#isStopped || this.#isHopeless) return false
      const attempted = this.#commit()
      if (!(await settledWithin(attempted, clock, left))) return !isDue()
      if ((await attempted) || !isDue()) continue
      const delayMs = Math.min(left, backoffMs(attempt++, { minMs, maxMs }, random))
      // Cut short by the signal: the next turn of the loop sees that it is stopped.
      await sleep(clock, delayMs, this.#ports.signal).catch(() => undefined)
    }
    return true
  }

  /** Whether the coordinator does not know it, and the cluster's metadata, asked after that, do not either. */
  #isGone(partition: AssignedPartition): boolean {
    if (!this.#unknown.has(partition)) return false
    return this.#ports.cluster.topic(partition.topic)?.errorCode === errorCode.UNKNOWN_TOPIC_OR_PARTITION
  }

  /** Its topic was deleted, or is so new that the coordinator has not heard of it. */
  #doubt(partitions: readonly AssignedPartition[]): void {
    for (const partition of partitions) this.#unknown.add(partition)
    const { cluster, signal, onFatal } = this.#ports
    refreshQuietly(cluster, partitions, signal).catch((error) => {
      if (!signal.aborted) onFatal(asOttlaError(error))
    })
  }

  /** Nothing is committed any more. */
  close(): void {
    this.#isStopped = true
    if (this.#timer !== undefined) this.#ports.cluster.options.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #schedule(delayMs: number): void {
    if (this.#isStopped) return
    this.#timer = this.#ports.cluster.options.clock.setTimeout(() => {
      this.#timer = undefined
      this.#begin()
    }, delayMs)
  }

  #begin(): void {
    this.#finishedRecords = 0
    // One commit that waits for the request under way takes all that is due by then.
    if (this.#isWaiting) return
    this.#isWaiting = this.#flight !== undefined
    void this.#commit().then((succeeded) => {
      if (succeeded || this.#isStopped || this.#timer !== undefined) return
      const { minBackoffMs: minMs, maxBackoffMs: maxMs, random } = this.#ports.cluster.options
      this.#schedule(backoffMs(this.#failures++, { minMs, maxMs }, random))
    })
  }

  /** Commits what is due once the request under way is over; true when all of that went through. Never rejects. */
  async #commit(): Promise<boolean> {
    while (this.#flight !== undefined) await this.#flight
    this.#isWaiting = false
    const due = this.#due()
    if (due.length === 0) return true
    const identity = this.#ports.identity()
    // Apart from the group nothing can be committed; what is assigned will be lost, or joined for again.
    if (identity === undefined || this.#isStopped) return false
    this.#flight = this.#attempt(due, identity)
    try {
      const succeeded = await this.#flight
      if (succeeded) this.#failures = 0
      return succeeded
    } finally {
      this.#flight = undefined
    }
  }

  #due(): Due[] {
    const due: Due[] = []
    for (const partition of this.#ports.partitions()) {
      const position = partition.commitPoint()
      if (position !== undefined) due.push({ partition, position })
    }
    return due
  }

  async #attempt(due: readonly Due[], identity: Identity): Promise<boolean> {
    try {
      return this.#settle(due, identity, await this.#send(due, identity))
    } catch (error) {
      if (this.#isStopped) return false
      if (!mayPass(error)) this.#ports.onFatal(error as OttlaError)
      else this.#ports.cluster.options.logger.warn({ err: error }, 'a commit failed and will be tried again')
      return false
    }
  }

  async #send(due: readonly Due[], identity: Identity): Promise<Map<string, Map<number, number>>> {
    const { groupId, groupInstanceId = null } = this.#ports.options
    const response = await this.#ports.link.request(
      offsetCommit,
      (version) => ({
        groupId,
        generationIdOrMemberEpoch: identity.generation,
        memberId: identity.memberId,
        ...(version >= 7 ? { groupInstanceId } : {}),
        topics: topicsOf(due),
      }),
      // Version 10 names topics by id only.
      { highestVersion: 9 },
    )
    return new Map(
      response.topics.map(({ name, partitions }) => [
        name,
        new Map(partitions.map(({ partitionIndex, errorCode }) => [partitionIndex, errorCode])),
      ]),
    )
  }

  #settle(
    due: readonly Due[],
    identity: Identity,
    codes: ReadonlyMap<string, ReadonlyMap<number, number>>,
  ): boolean {
    const answers = new Map<number, Due[]>()
    for (const one of due) {
      // A partition that the answer leaves out was not committed.
      const code =
        codes.get(one.partition.topic)?.get(one.partition.partition) ?? errorCode.UNKNOWN_SERVER_ERROR
      if (code === errorCode.NONE) one.partition.committed(one.position)
      if (!isUnknown(code)) this.#unknown.delete(one.partition)
      const group = answers.get(code)
      if (group === undefined) answers.set(code, [one])
      else group.push(one)
    }
    for (const [code, group] of answers) {
      if (code !== errorCode.NONE) this.#note(code, group[0] as Due, identity)
      if (isUnknown(code)) this.#doubt(group.map(({ partition }) => partition))
      this.#tell(code, group, identity)
    }
    return answers.size === 1 && answers.has(errorCode.NONE)
  }

  #tell(code: number, due: readonly Due[], { generation }: Identity): void {
    const { options, cluster } = this.#ports
    const offsets = due.map(({ partition: { topic, partition }, position: { offset } }) => ({
      topic,
      partition,
      offset,
    }))
    const refused = code === errorCode.NONE ? {} : { error: refusal(code, 'committing', options.groupId) }
    try {
      options.onCommit?.({ generation, offsets, ...refused })
    } catch (error) {
      cluster.options.logger.error({ err: error }, 'onCommit threw')
    }
  }

  #note(code: number, { partition }: Due, identity: Identity): void {
    const { groupId } = this.#ports.options
    const { topic, partition: number } = partition
    switch (verdictOf('commit', code)) {
      case 'coordinator':
        return this.#ports.link.forget()
      case 'lost':
        return this.#ports.onLost(code, identity)
      case 'fenced':
      case 'fatal':
        this.#isHopeless = true
        return this.#ports.onFatal(refusal(code, `committing ${topic}/${number}`, groupId))
      default:
        this.#ports.cluster.options.logger.warn({ code, topic, partition: number }, 'a commit was put off')
    }
  }
}

const isUnknown = (code: number) =>
  code === errorCode.UNKNOWN_TOPIC_OR_PARTITION || code === errorCode.UNKNOWN_TOPIC_ID

function topicsOf(due: readonly Due[]) {
  const topics = new Map<string, { name: string; partitions: CommitPartition[] }>()
  for (const { partition, position } of due) {
    let topic = topics.get(partition.topic)
    if (topic === undefined) {
      topic = { name: partition.topic, partitions: [] }
      topics.set(partition.topic, topic)
    }
    topic.partitions.push({
      partitionIndex: partition.partition,
      committedOffset: position.offset,
      committedLeaderEpoch: position.leaderEpoch,
      committedMetadata: '',
    })
  }
  return [...topics.values()]
}

interface CommitPartition {
  readonly partitionIndex: number
  readonly committedOffset: number
  readonly committedLeaderEpoch: number
  readonly committedMetadata: string
}

/**
 * Brings assigned partitions to where they are read from: the committed offset, or what `startFrom` says. And brings
 * those back whose position the log does not have any more, as `onOutOfRange` says.
 */
import type { Cluster } from '../client/cluster.ts'
import { OttlaError } from '../errors.ts'
import { zeroUuid } from '../protocol/schema.ts'
import type { Answered } from './ask-leaders.ts'
import type { AssignedPartition, Position } from './assigned-partition.ts'
import type { ResolvedConsumerOptions } from './consumer-options.ts'
import type { ResetReport } from './consumer-reports.ts'
import type { Positions } from './positions.ts'
import { asOttlaError } from './retry.ts'

export interface StarterPorts {
  readonly cluster: Cluster
  readonly options: ResolvedConsumerOptions
  readonly positions: Positions
  readonly signal: AbortSignal
  /** The last life of the partition in this process, if it had one. */
  readonly former: (partition: AssignedPartition) => AssignedPartition | undefined
  /** The position is known: read on. */
  readonly onLocated: (partition: AssignedPartition) => void
  readonly onFatal: (error: OttlaError) => void
}

export class PartitionStarter {
  readonly #ports: StarterPorts

  constructor(ports: StarterPorts) {
    this.#ports = ports
  }

  /** Never rejects. */
  async start(partitions: readonly AssignedPartition[]): Promise<void> {
    const { positions, signal } = this.#ports
    await this.#guard(() =>
      positions.committed(partitions, { signal, onFound: (found) => this.#startCommitted(found) }),
    )
  }

  #startCommitted(found: readonly Answered<AssignedPartition, Position | undefined>[]): void {
    const fresh: AssignedPartition[] = []
    for (const { partition, value: position } of found) {
      const from = position ?? this.#ownCommit(partition)
      if (from === undefined) fresh.push(partition)
      else this.#begin(partition, from, position)
    }
    // A partition without a leader must not hold up the others.
    for (const group of this.#byLeader(fresh)) void this.#guard(() => this.#startFresh(group))
  }

  /**
   * Nothing is committed, says the coordinator, but this process knows better: the offsets topic has lost it (an
   * unclean election, a replication factor of one). Beginning at `startFrom` might pass over records.
   */
  #ownCommit(partition: AssignedPartition): Position | undefined {
    const { cluster, former: formerOf } = this.#ports
    const { topic, partition: number } = partition
    const former = formerOf(partition)
    const known = cluster.topic(topic)
    if (former?.lastCommitted === undefined) return undefined
    // The offsets of a topic go when it is deleted; the new one has nothing to do with them. Without ids nobody can tell.
    const isOther = known !== undefined && known.topicId !== former.topicId
    if (isOther || former.topicId === zeroUuid) return undefined
    partition.topicId = former.topicId
    const { offset } = former.lastCommitted
    cluster.options.logger.warn({ topic, partition: number, offset }, 'the group has lost what was committed')
    return former.lastCommitted
  }

  async #startFresh(partitions: readonly AssignedPartition[]): Promise<void> {
    const { options, positions, signal } = this.#ports
    const { startFrom } = options
    if (typeof startFrom === 'object' && 'offset' in startFrom) {
      for (const partition of partitions) this.#begin(partition, { ...startFrom, leaderEpoch: -1 }, undefined)
      return
    }
    await positions.find(partitions, startFrom, {
      signal,
      onFound: (found) => {
        for (const { partition, value: position } of found) this.#beginListed(partition, position, undefined)
      },
    })
  }

  /** The leader's log may have lost the position in the fail-over that made it leader (KIP-320). Never rejects. */
  async checkEpoch(partition: AssignedPartition): Promise<void> {
    const { positions, signal, onLocated } = this.#ports
    partition.phase = 'validating'
    await this.#guard(async () => {
      const { leaderEpoch } = partition
      const position = { offset: partition.offset, leaderEpoch: partition.positionEpoch }
      const check = await positions.check(partition, position, signal)
      if (partition.isDraining || partition.phase !== 'validating') return
      // The leader has changed again meanwhile: ask that one.
      if (partition.leaderEpoch !== leaderEpoch) return this.checkEpoch(partition)
      if (check.status === 'valid') onLocated(partition)
      else await this.reset(partition, 'truncated', check.endsAt)
    })
  }

  /** Moves a partition whose position is of no use. Never rejects. */
  async reset(partition: AssignedPartition, reason: ResetReport['reason'], endsAt?: Position): Promise<void> {
    const { options, positions, signal, cluster } = this.#ports
    partition.phase = 'locating'
    await this.#guard(async () => {
      const { topic, partition: number, offset: from } = partition
      if (options.onOutOfRange === 'stop') throw offLog(partition, reason)
      // What waits was read from a log that is gone; before an end that was deleted it is as good as ever.
      if (reason !== 'out-of-range') partition.clear()
      await partition.dry()
      if (partition.isDraining) return
      let position = endsAt
      if (position === undefined) {
        const onFound = ([found]: readonly Answered<AssignedPartition, Position>[]) => {
          position = found?.value ?? position
        }
        await positions.find([partition], options.onOutOfRange, { signal, onFound })
      }
      if (position === undefined || partition.isDraining) return
      cluster.options.logger.warn(
        { topic, partition: number, reason, from, to: position.offset },
        'position reset',
      )
      this.#report({ topic, partition: number, reason, from, to: position.offset })
      // What was committed of the topic before says nothing about the one that was created since.
      const committed = reason === 'recreated' ? undefined : partition.lastCommitted
      this.#beginListed(partition, position, committed)
    })
  }

  #begin(partition: AssignedPartition, position: Position, committed: Position | undefined): void {
    if (partition.isDraining) return
    partition.begin(position, committed)
    this.#ports.onLocated(partition)
  }

  /** The leader itself has just told the position: it need not be checked against its log. */
  #beginListed(partition: AssignedPartition, position: Position, committed: Position | undefined): void {
    const known = this.#ports.cluster.topic(partition.topic)?.partitions[partition.partition]
    partition.leaderEpoch = Math.max(partition.leaderEpoch, known?.leaderEpoch ?? -1)
    this.#begin(partition, position, committed)
  }

  #byLeader(partitions: readonly AssignedPartition[]): AssignedPartition[][] {
    const groups = new Map<number, AssignedPartition[]>()
    for (const partition of partitions) {
      const known = this.#ports.cluster.topic(partition.topic)?.partitions[partition.partition]
      const leaderId = known?.leaderId ?? -1
      const group = groups.get(leaderId)
      if (group === undefined) groups.set(leaderId, [partition])
      else group.push(partition)
    }
    return [...groups.values()]
  }

  #report(report: ResetReport): void {
    try {
      this.#ports.options.onReset?.(report)
    } catch (error) {
      this.#ports.cluster.options.logger.error({ err: error }, 'onReset threw')
    }
  }

  async #guard(action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      if (!this.#ports.signal.aborted) this.#ports.onFatal(asOttlaError(error))
    }
  }
}

const reasons: { readonly [R in ResetReport['reason']]: string } = {
  'out-of-range': 'is not in the log',
  truncated: 'was cut off the log by a fail-over',
  recreated: 'is of a topic that was deleted and created anew',
}

const offLog = ({ topic, partition, offset }: AssignedPartition, reason: ResetReport['reason']) =>
  new OttlaError('OUT_OF_RANGE', `${topic}/${partition}: the position ${offset} ${reasons[reason]}`, {
    topic,
    partition,
    offset,
  })

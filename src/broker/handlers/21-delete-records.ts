/** DeleteRecords (21): moves the start of a log, and answers when every living replica has moved its own. */
import { errorCode } from '../../protocol/error-codes.ts'
import { deleteRecords } from '../../protocol/messages/delete-records.ts'
import type { SentResponseOf } from '../../protocol/schema.ts'
import { findLeader } from '../find-leader.ts'
import type { Handler, RequestContext } from '../handler.ts'
import type { LeaderRole } from '../leader-role.ts'

type TopicAnswer = SentResponseOf<typeof deleteRecords>['topics'][number]
type PartitionAnswer = TopicAnswer['partitions'][number]

/** Stands for the high watermark. */
const TO_THE_END = -1

/** One partition's answer, and what it waits for. */
interface Entry {
  answer: PartitionAnswer
  readonly wait?: { readonly leader: LeaderRole; readonly start: number }
}

export const deleteRecordsHandler: Handler<typeof deleteRecords> = {
  api: deleteRecords,
  versions: [0, 2],
  errors: [
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.NOT_LEADER_OR_FOLLOWER,
    errorCode.OFFSET_OUT_OF_RANGE,
    errorCode.POLICY_VIOLATION,
    errorCode.REQUEST_TIMED_OUT,
  ],
  perPartition: true,
  handle({ topics, timeoutMs }, context) {
    const kept = topics.map(({ name, partitions }) => ({
      name,
      entries: partitions.map((asked) => cut(name, asked, context)),
    }))
    const answer = () => ({
      throttleTimeMs: 0,
      topics: kept.map(({ name, entries }) => ({ name, partitions: entries.map((entry) => entry.answer) })),
    })
    const waiting = kept.flatMap(({ entries }) => entries.filter((entry) => mustWait(entry)))
    if (waiting.length === 0) return answer()
    return everywhere(waiting, timeoutMs, context).then(answer)
  },
}

const refused = (partitionIndex: number, code: number): Entry => ({
  answer: { partitionIndex, lowWatermark: -1, errorCode: code },
})

function cut(
  topic: string,
  { partitionIndex: partition, offset }: { readonly partitionIndex: number; readonly offset: number },
  context: RequestContext,
): Entry {
  const found = findLeader({ topic, partition, currentLeaderEpoch: -1 }, context)
  if ('errorCode' in found) return refused(partition, found.errorCode)
  const { leader } = found
  if (!found.partition.settings.isDeleted) return refused(partition, errorCode.POLICY_VIOLATION)
  const { log, highWatermark } = leader.replica
  const start = offset === TO_THE_END ? highWatermark : offset
  if (start < 0 || start > highWatermark) return refused(partition, errorCode.OFFSET_OUT_OF_RANGE)
  if (start > log.start) {
    leader.replica.advanceStart(start)
    leader.startMoved()
  }
  const answer = { partitionIndex: partition, lowWatermark: leader.lowWatermark, errorCode: errorCode.NONE }
  return { answer, wait: { leader, start } }
}

/** Whether an entry still has to wait; when not, its answer is what it should be. */
function mustWait(entry: Entry): boolean {
  if (entry.wait === undefined) return false
  const { leader, start } = entry.wait
  const { partitionIndex } = entry.answer
  if (leader.isOver) {
    entry.answer = refused(partitionIndex, errorCode.NOT_LEADER_OR_FOLLOWER).answer
    return false
  }
  entry.answer = { partitionIndex, lowWatermark: leader.lowWatermark, errorCode: errorCode.NONE }
  return leader.lowWatermark < start
}

function everywhere(entries: readonly Entry[], timeoutMs: number, { clock }: RequestContext): Promise<void> {
  return new Promise((resolve) => {
    let left = entries.length
    const stops: (() => void)[] = []
    const finish = () => {
      clock.clearTimeout(timer)
      for (const stop of stops) stop()
      resolve()
    }
    const timer = clock.setTimeout(
      () => {
        for (const entry of entries) {
          if (mustWait(entry)) entry.answer = { ...entry.answer, errorCode: errorCode.REQUEST_TIMED_OUT }
        }
        finish()
      },
      Math.max(0, timeoutMs),
    )
    for (const entry of entries) {
      const stop = (entry.wait as NonNullable<Entry['wait']>).leader.replica.watch(() => {
        if (mustWait(entry)) return
        stop()
        if (--left === 0) finish()
      })
      stops.push(stop)
    }
  })
}

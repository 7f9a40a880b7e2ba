/** OffsetForLeaderEpoch (23): where an epoch ends in the leader's log, up to its end and not the high watermark. */
import { errorCode } from '../../protocol/error-codes.ts'
import { offsetForLeaderEpoch } from '../../protocol/messages/offset-for-leader-epoch.ts'
import { findLeader } from '../find-leader.ts'
import type { Handler } from '../handler.ts'

export const offsetForLeaderEpochHandler: Handler<typeof offsetForLeaderEpoch> = {
  api: offsetForLeaderEpoch,
  versions: [2, 4],
  errors: [
    errorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorCode.NOT_LEADER_OR_FOLLOWER,
    errorCode.FENCED_LEADER_EPOCH,
    errorCode.UNKNOWN_LEADER_EPOCH,
  ],
  perPartition: true,
  handle({ topics }, context) {
    return {
      throttleTimeMs: 0,
      topics: topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition, currentLeaderEpoch, leaderEpoch }) => {
          const found = findLeader({ topic, partition, currentLeaderEpoch }, context)
          if ('errorCode' in found) return { partition, errorCode: found.errorCode }
          const { log } = found.leader.replica
          const { epoch, endOffset } = log.epochs.endOf(leaderEpoch, log.end)
          return { partition, errorCode: errorCode.NONE, leaderEpoch: epoch, endOffset }
        }),
      })),
    }
  },
}

/** The broker settings that a group coordinator obeys, under Kafka's names and with Kafka's defaults. */

export interface GroupLimits {
  readonly minSessionTimeoutMs: number
  readonly maxSessionTimeoutMs: number
  readonly maxSize: number
  readonly initialRebalanceDelayMs: number
  /** How long the first JoinGroup of a member may wait: it has no id yet with which to heartbeat. */
  readonly newMemberJoinTimeoutMs: number
  readonly offsetMetadataMaxBytes: number
  /** How long a commit waits for the other replicas of its log. */
  readonly offsetCommitTimeoutMs: number
  readonly offsetRetentionMs: number
  readonly offsetRetentionCheckMs: number
}

/**
 * Reads the settings. The one default that is not Kafka's is the initial delay, which is 0 here as in the
 * configuration that Kafka ships for trying it out: nobody wants to wait 3 s for the first record.
 */
export function groupLimits(config: (name: string, fallback: number) => number): GroupLimits {
  return {
    minSessionTimeoutMs: config('group.min.session.timeout.ms', 6_000),
    maxSessionTimeoutMs: config('group.max.session.timeout.ms', 1_800_000),
    maxSize: config('group.max.size', 0x7fff_ffff),
    initialRebalanceDelayMs: config('group.initial.rebalance.delay.ms', 0),
    newMemberJoinTimeoutMs: 300_000,
    offsetMetadataMaxBytes: config('offset.metadata.max.bytes', 4_096),
    offsetCommitTimeoutMs: config('offsets.commit.timeout.ms', 5_000),
    offsetRetentionMs: config('offsets.retention.minutes', 10_080) * 60_000,
    offsetRetentionCheckMs: config('offsets.retention.check.interval.ms', 600_000),
  }
}

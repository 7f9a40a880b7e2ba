/**
 * Which throttle times a client has to obey (KIP-219).
 *
 * From these versions on a broker answers at once and expects the client to be silent for the time that the
 * response names; in older versions it had waited itself before it answered. As in Kafka's `shouldClientThrottle`.
 */
import type { Api } from '../protocol/schema.ts'

/** By API key; APIs that are not here were made after KIP-219 and count from their first version. */
const FIRST_VERSION: ReadonlyMap<number, number> = new Map([
  [0, 6], // Produce
  [1, 8], // Fetch
  [2, 3], // ListOffsets
  [3, 6], // Metadata
  [8, 4], // OffsetCommit
  [9, 4], // OffsetFetch
  [10, 2], // FindCoordinator
  [11, 3], // JoinGroup
  [12, 2], // Heartbeat
  [13, 2], // LeaveGroup
  [14, 2], // SyncGroup
  [15, 2], // DescribeGroups
  [16, 2], // ListGroups
  [18, 2], // ApiVersions
  [19, 3], // CreateTopics
  [20, 2], // DeleteTopics
  [21, 1], // DeleteRecords
  [22, 1], // InitProducerId
  [24, 1], // AddPartitionsToTxn
  [25, 1], // AddOffsetsToTxn
  [26, 1], // EndTxn
  [28, 1], // TxnOffsetCommit
  [32, 2], // DescribeConfigs
  [33, 1], // AlterConfigs
  [37, 1], // CreatePartitions
  [42, 1], // DeleteGroups
])

export const clientMustThrottle = (api: Api, version: number): boolean =>
  version >= (FIRST_VERSION.get(api.key) ?? 0)

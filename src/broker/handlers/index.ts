/** Every API that the broker answers, in the order of their keys. What is not here is not advertised. */
import { OttlaError } from '../../errors.ts'
import { type AdvertisedApi, type Handler, handler } from '../handler.ts'
import { produceHandler } from './00-produce.ts'
import { fetchHandler } from './01-fetch.ts'
import { listOffsetsHandler } from './02-list-offsets.ts'
import { metadataHandler } from './03-metadata.ts'
import { offsetCommitHandler } from './08-offset-commit.ts'
import { offsetFetchHandler } from './09-offset-fetch.ts'
import { findCoordinatorHandler } from './10-find-coordinator.ts'
import { joinGroupHandler } from './11-join-group.ts'
import { heartbeatHandler } from './12-heartbeat.ts'
import { leaveGroupHandler } from './13-leave-group.ts'
import { syncGroupHandler } from './14-sync-group.ts'
import { describeGroupsHandler } from './15-describe-groups.ts'
import { listGroupsHandler } from './16-list-groups.ts'
import { saslHandshakeHandler } from './17-sasl-handshake.ts'
import { apiVersionsHandler } from './18-api-versions.ts'
import { createTopicsHandler } from './19-create-topics.ts'
import { deleteTopicsHandler } from './20-delete-topics.ts'
import { deleteRecordsHandler } from './21-delete-records.ts'
import { initProducerIdHandler } from './22-init-producer-id.ts'
import { offsetForLeaderEpochHandler } from './23-offset-for-leader-epoch.ts'
import { describeConfigsHandler } from './32-describe-configs.ts'
import { alterConfigsHandler } from './33-alter-configs.ts'
import { describeLogDirsHandler } from './35-describe-log-dirs.ts'
import { saslAuthenticateHandler } from './36-sasl-authenticate.ts'
import { createPartitionsHandler } from './37-create-partitions.ts'
import { deleteGroupsHandler } from './42-delete-groups.ts'
import { electLeadersHandler } from './43-elect-leaders.ts'
import { incrementalAlterConfigsHandler } from './44-incremental-alter-configs.ts'
import { alterPartitionReassignmentsHandler } from './45-alter-partition-reassignments.ts'
import { listPartitionReassignmentsHandler } from './46-list-partition-reassignments.ts'
import { offsetDeleteHandler } from './47-offset-delete.ts'
import { describeClusterHandler } from './60-describe-cluster.ts'
import { describeProducersHandler } from './61-describe-producers.ts'
import { describeTopicPartitionsHandler } from './75-describe-topic-partitions.ts'

const all: readonly Handler[] = [
  handler(produceHandler),
  handler(fetchHandler),
  handler(listOffsetsHandler),
  handler(metadataHandler),
  handler(offsetCommitHandler),
  handler(offsetFetchHandler),
  handler(findCoordinatorHandler),
  handler(joinGroupHandler),
  handler(heartbeatHandler),
  handler(leaveGroupHandler),
  handler(syncGroupHandler),
  handler(describeGroupsHandler),
  handler(listGroupsHandler),
  handler(saslHandshakeHandler),
  handler(apiVersionsHandler),
  handler(createTopicsHandler),
  handler(deleteTopicsHandler),
  handler(deleteRecordsHandler),
  handler(initProducerIdHandler),
  handler(offsetForLeaderEpochHandler),
  handler(describeConfigsHandler),
  handler(alterConfigsHandler),
  handler(describeLogDirsHandler),
  handler(saslAuthenticateHandler),
  handler(createPartitionsHandler),
  handler(deleteGroupsHandler),
  handler(electLeadersHandler),
  handler(incrementalAlterConfigsHandler),
  handler(alterPartitionReassignmentsHandler),
  handler(listPartitionReassignmentsHandler),
  handler(offsetDeleteHandler),
  handler(describeClusterHandler),
  handler(describeProducersHandler),
  handler(describeTopicPartitionsHandler),
]

/** The APIs of one broker. */
export interface ApiTable {
  readonly handlers: ReadonlyMap<number, Handler>
  readonly advertised: readonly AdvertisedApi[]
}

/** All APIs; `maxVersions` caps some of them, by Kafka's names, and null leaves one out. INVALID_OPTION. */
export function apiTable(maxVersions: Readonly<Record<string, number | null>> = {}): ApiTable {
  for (const [name, cap] of Object.entries(maxVersions)) checkCap(name, cap)
  const kept = all
    .filter(({ api }) => maxVersions[api.name] !== null)
    .map((one) => ({ ...one, versions: capped(one, maxVersions[one.api.name] ?? one.versions[1]) }))
  return {
    handlers: new Map(kept.map((one) => [one.api.key, one])),
    advertised: kept.map(({ api, versions }) => ({
      apiKey: api.key,
      minVersion: versions[0],
      maxVersion: versions[1],
    })),
  }
}

const capped = ({ versions }: Handler, cap: number): readonly [number, number] => [
  versions[0],
  Math.min(versions[1], cap),
]

function checkCap(name: string, cap: number | null): void {
  const known = all.find(({ api }) => api.name === name)
  const refuse = (why: string) => {
    throw new OttlaError('INVALID_OPTION', `startCluster: option maxVersions: ${why}`, {
      path: `startCluster.maxVersions.${name}`,
    })
  }
  if (known === undefined) return refuse(`no API is called ${name}`)
  if (cap === null || (Number.isInteger(cap) && cap >= known.versions[0])) return
  refuse(`${name} has no version ${cap}`)
}

/** For every API that the broker may advertise: the smallest request that it has to answer, by version. */
import {
  alterConfigs,
  alterPartitionReassignments,
  apiVersions,
  createPartitions,
  createTopics,
  deleteGroups,
  deleteRecords,
  deleteTopics,
  describeCluster,
  describeConfigs,
  describeGroups,
  describeProducers,
  describeTopicPartitions,
  electLeaders,
  fetch,
  findCoordinator,
  heartbeat,
  incrementalAlterConfigs,
  initProducerId,
  joinGroup,
  leaveGroup,
  listGroups,
  listOffsets,
  listPartitionReassignments,
  metadata,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  offsetForLeaderEpoch,
  produce,
  saslAuthenticate,
  saslHandshake,
  syncGroup,
} from '../../src/protocol/messages/index.ts'
import { encodeRecordBatch } from '../../src/protocol/record-batch.ts'
import type { Api, RequestOf } from '../../src/protocol/schema.ts'
import { joinRequest } from './group-requests.ts'
import type { TopicInfo } from './target.ts'

export interface Subject {
  readonly topic: TopicInfo
  readonly groupId: string
  readonly unusedName: string
}

export interface MinimalRequest {
  readonly api: Api
  body(version: number, subject: Subject): RequestOf<Api>
}

const minimal = <A extends Api>(
  api: A,
  body: (version: number, subject: Subject) => RequestOf<A>,
): MinimalRequest => ({ api, body: body as MinimalRequest['body'] })

const TOPIC_RESOURCE = 2
const records = () => encodeRecordBatch([{ value: 'v' }])
const produced = ({ name, id }: TopicInfo, version: number) => (version >= 13 ? { topicId: id } : { name })
const fetched = ({ name, id }: TopicInfo, version: number) =>
  version >= 13 ? { topicId: id } : { topic: name }
const committed = ({ name, id }: TopicInfo, version: number) => (version >= 10 ? { topicId: id } : { name })

export const minimalRequests: readonly MinimalRequest[] = [
  minimal(produce, (version, { topic }) => ({
    acks: -1,
    timeoutMs: 5_000,
    topicData: [{ ...produced(topic, version), partitionData: [{ index: 0, records: records() }] }],
  })),
  minimal(fetch, (version, { topic }) => ({
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1 << 20,
    topics: [
      {
        ...fetched(topic, version),
        partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }],
      },
    ],
  })),
  minimal(listOffsets, (_, { topic }) => ({
    replicaId: -1,
    topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
  })),
  minimal(metadata, (_, { topic }) => ({ topics: [{ name: topic.name }] })),
  minimal(offsetCommit, (version, { topic, groupId }) => ({
    groupId,
    memberId: '',
    topics: [
      {
        ...committed(topic, version),
        partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }],
      },
    ],
  })),
  minimal(offsetFetch, (version, { topic, groupId }) => {
    const topics = [{ ...committed(topic, version), partitionIndexes: [0] }]
    if (version >= 8) return { groups: [{ groupId, topics }] }
    return { groupId, topics: [{ name: topic.name, partitionIndexes: [0] }] }
  }),
  minimal(findCoordinator, (version, { groupId }) =>
    version >= 4 ? { coordinatorKeys: [groupId] } : { key: groupId },
  ),
  minimal(joinGroup, (version, { groupId }) => joinRequest(groupId, version, { memberId: 'nobody' })),
  minimal(heartbeat, (_, { groupId }) => ({ groupId, generationId: 0, memberId: 'nobody' })),
  minimal(leaveGroup, (version, { groupId }) =>
    version >= 3 ? { groupId, members: [{ memberId: 'nobody' }] } : { groupId, memberId: 'nobody' },
  ),
  minimal(syncGroup, (_, { groupId }) => ({ groupId, generationId: 0, memberId: 'nobody', assignments: [] })),
  minimal(describeGroups, (_, { groupId }) => ({ groups: [groupId] })),
  minimal(listGroups, () => ({})),
  minimal(saslHandshake, () => ({ mechanism: 'PLAIN' })),
  minimal(apiVersions, (version) =>
    version >= 3 ? { clientSoftwareName: 'ottla', clientSoftwareVersion: '1' } : {},
  ),
  minimal(createTopics, (_, { unusedName }) => ({
    topics: [{ name: unusedName, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5_000,
    validateOnly: true,
  })),
  minimal(deleteTopics, (version, { unusedName }) =>
    version >= 6
      ? { topics: [{ name: unusedName, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }], timeoutMs: 5_000 }
      : { topicNames: [unusedName], timeoutMs: 5_000 },
  ),
  minimal(deleteRecords, (_, { topic }) => ({
    topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, offset: 0 }] }],
    timeoutMs: 5_000,
  })),
  minimal(initProducerId, () => ({ transactionalId: null, transactionTimeoutMs: 60_000 })),
  minimal(offsetForLeaderEpoch, (_, { topic }) => ({
    topics: [{ topic: topic.name, partitions: [{ partition: 0, leaderEpoch: 0 }] }],
  })),
  minimal(describeConfigs, (_, { topic }) => ({
    resources: [{ resourceType: TOPIC_RESOURCE, resourceName: topic.name, configurationKeys: null }],
  })),
  minimal(alterConfigs, (_, { topic }) => ({
    resources: [{ resourceType: TOPIC_RESOURCE, resourceName: topic.name, configs: [] }],
    validateOnly: true,
  })),
  minimal(incrementalAlterConfigs, (_, { topic }) => ({
    resources: [{ resourceType: TOPIC_RESOURCE, resourceName: topic.name, configs: [] }],
    validateOnly: true,
  })),
  minimal(saslAuthenticate, () => ({ authBytes: Buffer.from('token') })),
  minimal(createPartitions, (_, { topic }) => ({
    topics: [{ name: topic.name, count: 2, assignments: null }],
    timeoutMs: 5_000,
    validateOnly: true,
  })),
  minimal(deleteGroups, (_, { unusedName }) => ({ groupsNames: [unusedName] })),
  minimal(electLeaders, (_, { topic }) => ({
    topicPartitions: [{ topic: topic.name, partitions: [0] }],
    timeoutMs: 5_000,
  })),
  minimal(alterPartitionReassignments, (_, { topic }) => ({
    timeoutMs: 5_000,
    topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, replicas: null }] }],
  })),
  minimal(listPartitionReassignments, () => ({ timeoutMs: 5_000, topics: null })),
  minimal(offsetDelete, (_, { groupId, topic }) => ({
    groupId,
    topics: [{ name: topic.name, partitions: [{ partitionIndex: 0 }] }],
  })),
  minimal(describeCluster, () => ({ includeClusterAuthorizedOperations: true })),
  minimal(describeProducers, (_, { topic }) => ({ topics: [{ name: topic.name, partitionIndexes: [0] }] })),
  minimal(describeTopicPartitions, (_, { topic }) => ({ topics: [{ name: topic.name }] })),
]

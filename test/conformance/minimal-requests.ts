/** For every API that the broker may advertise: the smallest request that it has to answer, by version, and the error of it. */
import type { KafkaErrorName } from '../../src/protocol/error-codes.ts'
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
  describeLogDirs,
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
  /** The one error that a broker without SASL answers, wherever its place is in that version; or NONE. */
  error(version: number): KafkaErrorName
}

const minimal = <A extends Api>(
  api: A,
  body: (version: number, subject: Subject) => RequestOf<A>,
  error: MinimalRequest['error'] = () => 'NONE',
): MinimalRequest => ({ api, body: body as MinimalRequest['body'], error })

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
  minimal(
    joinGroup,
    (version, { groupId }) => joinRequest(groupId, version, { memberId: 'nobody' }),
    () => 'UNKNOWN_MEMBER_ID',
  ),
  minimal(
    heartbeat,
    (_, { groupId }) => ({ groupId, generationId: 0, memberId: 'nobody' }),
    () => 'UNKNOWN_MEMBER_ID',
  ),
  minimal(
    leaveGroup,
    (version, { groupId }) =>
      version >= 3 ? { groupId, members: [{ memberId: 'nobody' }] } : { groupId, memberId: 'nobody' },
    () => 'UNKNOWN_MEMBER_ID',
  ),
  minimal(
    syncGroup,
    (_, { groupId }) => ({ groupId, generationId: 0, memberId: 'nobody', assignments: [] }),
    // From version 5 on it has to say what the assignment is for.
    (version) => (version >= 5 ? 'INCONSISTENT_GROUP_PROTOCOL' : 'UNKNOWN_MEMBER_ID'),
  ),
  minimal(
    describeGroups,
    (_, { groupId }) => ({ groups: [groupId] }),
    (version) => (version >= 6 ? 'GROUP_ID_NOT_FOUND' : 'NONE'),
  ),
  minimal(listGroups, () => ({})),
  minimal(
    saslHandshake,
    () => ({ mechanism: 'PLAIN' }),
    () => 'ILLEGAL_SASL_STATE',
  ),
  minimal(apiVersions, (version) =>
    version >= 3 ? { clientSoftwareName: 'ottla', clientSoftwareVersion: '1' } : {},
  ),
  minimal(createTopics, (_, { unusedName }) => ({
    topics: [{ name: unusedName, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5_000,
    validateOnly: true,
  })),
  minimal(
    deleteTopics,
    (version, { unusedName }) =>
      version >= 6
        ? { topics: [{ name: unusedName, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }], timeoutMs: 5_000 }
        : { topicNames: [unusedName], timeoutMs: 5_000 },
    () => 'UNKNOWN_TOPIC_OR_PARTITION',
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
  minimal(
    saslAuthenticate,
    () => ({ authBytes: Buffer.from('token') }),
    () => 'ILLEGAL_SASL_STATE',
  ),
  minimal(createPartitions, (_, { topic }) => ({
    topics: [{ name: topic.name, count: 2, assignments: null }],
    timeoutMs: 5_000,
    validateOnly: true,
  })),
  minimal(
    deleteGroups,
    (_, { unusedName }) => ({ groupsNames: [unusedName] }),
    () => 'GROUP_ID_NOT_FOUND',
  ),
  minimal(
    electLeaders,
    (_, { topic }) => ({
      topicPartitions: [{ topic: topic.name, partitions: [0] }],
      timeoutMs: 5_000,
    }),
    () => 'ELECTION_NOT_NEEDED',
  ),
  minimal(
    alterPartitionReassignments,
    (_, { topic }) => ({
      timeoutMs: 5_000,
      topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, replicas: null }] }],
    }),
    () => 'NO_REASSIGNMENT_IN_PROGRESS',
  ),
  minimal(listPartitionReassignments, () => ({ timeoutMs: 5_000, topics: null })),
  minimal(
    offsetDelete,
    (_, { groupId, topic }) => ({
      groupId,
      topics: [{ name: topic.name, partitions: [{ partitionIndex: 0 }] }],
    }),
    () => 'GROUP_ID_NOT_FOUND',
  ),
  minimal(describeCluster, () => ({ includeClusterAuthorizedOperations: true })),
  minimal(describeLogDirs, () => ({ topics: null })),
  minimal(describeProducers, (_, { topic }) => ({ topics: [{ name: topic.name, partitionIndexes: [0] }] })),
  minimal(describeTopicPartitions, (_, { topic }) => ({ topics: [{ name: topic.name }] })),
]

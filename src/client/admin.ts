/**
 * Looking at a cluster and changing it. Each call goes to the broker that can do it, is tried again while that may
 * help, and rejects with the broker's reason; a call for several things rejects with PARTIAL_FAILURE, which tells
 * what became of each, when some failed.
 */
import { checkGroup, checkItems, checkNames, checkOptions } from './admin/arguments.ts'
import type { AdminCallOptions } from './admin/call-time.ts'
import {
  type AlteredConfigs,
  alterConfigsOn,
  type ConfigResource,
  type DescribeConfigsOptions,
  type DescribedConfigs,
  describeConfigsOn,
} from './admin/configs.ts'
import { type DescribedCluster, describeClusterOn } from './admin/describe-cluster.ts'
import { type GroupLag, type GroupLagOptions, groupLagOn } from './admin/group-lag.ts'
import {
  alterGroupOffsetsOn,
  deleteGroupOffsetsOn,
  type GroupOffset,
  type GroupOffsetsOptions,
  groupOffsetsOn,
  type NewGroupOffset,
} from './admin/group-offsets.ts'
import {
  type DescribedGroup,
  deleteGroupsOn,
  describeGroupsOn,
  type ListedGroup,
  type ListGroupsOptions,
  listGroupsOn,
} from './admin/groups.ts'
import {
  type DeletedRecords,
  deleteRecordsOn,
  describeProducersOn,
  type FoundOffset,
  type ListOffsetsOptions,
  listOffsetsOn,
  type OffsetQuery,
  type PartitionProducers,
  type ProducersQuery,
  type RecordsToDelete,
} from './admin/offsets.ts'
import type { TopicPartition } from './admin/routes.ts'
import {
  type CreatedTopic,
  type CreateTopicsOptions,
  createPartitionsOn,
  createTopicsOn,
  deleteTopicsOn,
  describeTopicsOn,
  listTopicsOn,
  type NewPartitions,
  type NewTopic,
} from './admin/topics.ts'
import type { Cluster, TopicMetadata } from './cluster.ts'

export type { AdminCallOptions } from './admin/call-time.ts'
export type {
  AlteredConfigs,
  ConfigChange,
  ConfigEntry,
  ConfigResource,
  ConfigValue,
  DescribeConfigsOptions,
  DescribedConfigs,
} from './admin/configs.ts'
export type { DescribedCluster } from './admin/describe-cluster.ts'
export type { GroupLag, GroupLagOptions } from './admin/group-lag.ts'
export type { GroupOffset, GroupOffsetsOptions, NewGroupOffset } from './admin/group-offsets.ts'
export type { DescribedGroup, GroupMember, ListedGroup, ListGroupsOptions } from './admin/groups.ts'
export { PartialFailureError } from './admin/items.ts'
export type {
  ActiveProducer,
  DeletedRecords,
  FoundOffset,
  ListOffsetsOptions,
  OffsetPosition,
  OffsetQuery,
  PartitionProducers,
  ProducersQuery,
  RecordsToDelete,
} from './admin/offsets.ts'
export type { TopicPartition } from './admin/routes.ts'
export type { CreatedTopic, CreateTopicsOptions, NewPartitions, NewTopic } from './admin/topics.ts'

interface ValidateOption {
  /** Only says what would happen. Default false. */
  readonly validateOnly?: boolean
}

export class Admin {
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /**
   * Resolves when the topics exist and a broker tells of their leaders.
   * @throws TOPIC_ALREADY_EXISTS unless `ifNotExists` is said, INVALID_REPLICATION_FACTOR, …
   */
  async createTopics(
    topics: readonly NewTopic[],
    options: CreateTopicsOptions = {},
  ): Promise<CreatedTopic[]> {
    checkOptions('createTopics', options)
    checkItems('topics', topics)
    return createTopicsOn(this.#cluster, topics, options)
  }

  /** Resolves when the controller has taken it; the brokers delete the records afterwards. */
  async deleteTopics(names: readonly string[], options: AdminCallOptions = {}): Promise<void> {
    checkOptions('deleteTopics', options)
    checkNames('names', names)
    return deleteTopicsOn(this.#cluster, names, options)
  }

  /** Partitions, leaders and replicas. @throws UNKNOWN_TOPIC_OR_PARTITION at once */
  async describeTopics(names: readonly string[], options: AdminCallOptions = {}): Promise<TopicMetadata[]> {
    checkOptions('describeTopics', options)
    checkNames('names', names)
    return describeTopicsOn(this.#cluster, names, options)
  }

  /** Every topic that this client may see. */
  async listTopics(
    options: AdminCallOptions & { readonly includeInternal?: boolean } = {},
  ): Promise<TopicMetadata[]> {
    checkOptions('listTopics', options)
    return listTopicsOn(this.#cluster, options)
  }

  /** Adds partitions; keys may then go to other partitions than before. */
  async createPartitions(
    topics: readonly NewPartitions[],
    options: AdminCallOptions & ValidateOption = {},
  ): Promise<void> {
    checkOptions('createPartitions', options)
    checkItems('newPartitions', topics)
    return createPartitionsOn(this.#cluster, topics, options)
  }

  /** One offset per query, in their order. */
  async listOffsets(
    queries: readonly OffsetQuery[],
    options: ListOffsetsOptions = {},
  ): Promise<FoundOffset[]> {
    checkOptions('listOffsets', options)
    checkItems('queries', queries)
    return listOffsetsOn(this.#cluster, queries, options)
  }

  /** Takes away the oldest records of partitions. @throws OFFSET_OUT_OF_RANGE beyond the high watermark */
  async deleteRecords(
    partitions: readonly RecordsToDelete[],
    options: AdminCallOptions = {},
  ): Promise<DeletedRecords[]> {
    checkOptions('deleteRecords', options)
    checkItems('records', partitions)
    return deleteRecordsOn(this.#cluster, partitions, options)
  }

  /** Every group of every broker, by name. */
  async listGroups(options: ListGroupsOptions = {}): Promise<ListedGroup[]> {
    checkOptions('listGroups', options)
    return listGroupsOn(this.#cluster, options)
  }

  /** State, assignor and members. @throws GROUP_ID_NOT_FOUND */
  async describeGroups(
    groupIds: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<DescribedGroup[]> {
    checkOptions('describeGroups', options)
    checkNames('groupIds', groupIds)
    return describeGroupsOn(this.#cluster, groupIds, options)
  }

  /** @throws NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND */
  async deleteGroups(groupIds: readonly string[], options: AdminCallOptions = {}): Promise<void> {
    checkOptions('deleteGroups', options)
    checkNames('groupIds', groupIds)
    return deleteGroupsOn(this.#cluster, groupIds, options)
  }

  /**
   * How far the group is behind, for each partition that it has committed, by topic and partition. A group that there is not has
   * committed nothing.
   */
  async groupLag(groupId: string, options: GroupLagOptions = {}): Promise<GroupLag[]> {
    checkGroup(groupId)
    checkOptions('groupLag', options)
    return groupLagOn(this.#cluster, groupId, options)
  }

  /** What the group has committed, by topic and partition. */
  async groupOffsets(groupId: string, options: GroupOffsetsOptions = {}): Promise<GroupOffset[]> {
    checkGroup(groupId)
    checkOptions('groupOffsets', options)
    return groupOffsetsOn(this.#cluster, groupId, options)
  }

  /** Sets where a group without members goes on. @throws NON_EMPTY_GROUP while it has some */
  async alterGroupOffsets(
    groupId: string,
    offsets: readonly NewGroupOffset[],
    options: AdminCallOptions = {},
  ): Promise<void> {
    checkGroup(groupId)
    checkOptions('alterGroupOffsets', options)
    checkItems('offsets', offsets)
    return alterGroupOffsetsOn(this.#cluster, groupId, { offsets, options })
  }

  /** Forgets what a group has committed for partitions. @throws GROUP_SUBSCRIBED_TO_TOPIC */
  async deleteGroupOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
    options: AdminCallOptions = {},
  ): Promise<void> {
    checkGroup(groupId)
    checkOptions('deleteGroupOffsets', options)
    checkItems('partitions', partitions)
    return deleteGroupOffsetsOn(this.#cluster, groupId, { partitions, options })
  }

  async describeConfigs(
    resources: readonly ConfigResource[],
    options: DescribeConfigsOptions = {},
  ): Promise<DescribedConfigs[]> {
    checkOptions('describeConfigs', options)
    checkItems('resources', resources)
    return describeConfigsOn(this.#cluster, resources, options)
  }

  /** Changes the settings that are named, and no others. */
  async alterConfigs(
    changes: readonly AlteredConfigs[],
    options: AdminCallOptions & ValidateOption = {},
  ): Promise<void> {
    checkOptions('alterConfigs', options)
    checkItems('changes', changes)
    return alterConfigsOn(this.#cluster, changes, options)
  }

  async describeCluster(options: AdminCallOptions = {}): Promise<DescribedCluster> {
    checkOptions('describeCluster', options)
    return describeClusterOn(this.#cluster, options)
  }

  /** The idempotent producers that a partition remembers (KIP-664). */
  async describeProducers(
    partitions: readonly ProducersQuery[],
    options: AdminCallOptions = {},
  ): Promise<PartitionProducers[]> {
    checkOptions('describeProducers', options)
    checkItems('replicas', partitions, 'partitions')
    return describeProducersOn(this.#cluster, partitions, options)
  }
}

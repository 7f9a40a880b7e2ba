/**
 * Everything that `import … from 'ottla'` offers, by name. A test holds this list to its snapshot: an export is a
 * promise.
 */
export type {
  ActiveProducer,
  AdminCallOptions,
  AlteredConfigs,
  ConfigChange,
  ConfigEntry,
  ConfigResource,
  ConfigValue,
  CreatedTopic,
  CreateTopicsOptions,
  DeletedRecords,
  DescribeConfigsOptions,
  DescribedCluster,
  DescribedConfigs,
  DescribedGroup,
  FoundOffset,
  GroupLag,
  GroupLagOptions,
  GroupMember,
  GroupOffset,
  GroupOffsetsOptions,
  ListedGroup,
  ListGroupsOptions,
  ListOffsetsOptions,
  NewGroupOffset,
  NewPartitions,
  NewTopic,
  OffsetPosition,
  OffsetQuery,
  PartitionProducers,
  ProducersQuery,
  RecordsToDelete,
} from './client/admin.ts'
export { type Admin, PartialFailureError } from './client/admin.ts'
export type { PartitionMetadata, TopicMetadata } from './client/cluster.ts'
export type { Address, Dial } from './client/dial.ts'
export type { OauthToken } from './client/sasl/oauthbearer.ts'
export type { SaslOptions } from './client/sasl/options.ts'
export type { TlsOptions } from './client/tls.ts'
export {
  type AssignorName,
  type BatchHandler,
  type CommitReport,
  type Consumer,
  type ConsumerBatch,
  type ConsumerOptions,
  type ConsumerRecord,
  type ConsumerState,
  FailedAtError,
  type FailureOptions,
  type FencedReport,
  type HandlerContext,
  type RebalanceEvent,
  type RecordHandler,
  type ResetReport,
  type SkipReport,
  type StartFrom,
  type StopResult,
  type TopicPartition,
} from './consumer/consumer.ts'
export { type ErrorCode, type ErrorFields, errorCodes, OttlaError } from './errors.ts'
export { Kafka, type KafkaOptions } from './kafka.ts'
export type { Partitioner } from './producer/partitioners.ts'
export type {
  FlushOptions,
  Producer,
  ProducerState,
  ProducerStats,
  ProducerStopOptions,
  SendOptions,
  StartOptions,
} from './producer/producer.ts'
export type { ProducerOptions } from './producer/producer-options.ts'
export {
  type DeliveredReport,
  type DeliveryListener,
  type DeliveryReport,
  type DeliveryResult,
  type FailedReport,
  PartialDeliveryError,
  type Receipt,
} from './producer/receipts.ts'
export type { HeaderObject, ProducerRecord } from './producer/record.ts'
export { BrokerError, type KafkaErrorName } from './protocol/error-codes.ts'
export type { Compression, HeaderList } from './protocol/record-batch.ts'
export type { Clock, Timer } from './util/clock.ts'
export type { Logger } from './util/logger.ts'
export type { Random } from './util/random.ts'

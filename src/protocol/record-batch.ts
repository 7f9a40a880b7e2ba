/**
 * Record batches of format 2, by hand: they are the hot path of both directions.
 *
 *     batch-builder   encodes records as they arrive      batch-view      reads headers of batches
 *     encode-batch    whole batches, the producer's stamp record-cursor   walks over the records of one
 *     split-batch     cuts one in two                     aborted-transactions   what read_committed leaves out
 *     batch-layout    where everything stands
 */
export { abortedTransactionFilter, controlTypeOf } from './aborted-transactions.ts'
export { BatchBuilder, type BatchBuilderOptions, type Payload, type SealOptions } from './batch-builder.ts'
export {
  addToSequence,
  BATCH_OVERHEAD,
  type Compression,
  compressions,
  type HeaderList,
  type TimestampType,
} from './batch-layout.ts'
export {
  BatchView,
  haveRightCrcs,
  type ReadBatchesOptions,
  readBatches,
  validateBatch,
} from './batch-view.ts'
export {
  type ControlBatchOptions,
  type ControlType,
  type EncodableRecord,
  type EncodeRecordBatchOptions,
  encodeControlBatch,
  encodeRecordBatch,
  type ProducerStamp,
  stampBatch,
  writeCrc,
} from './encode-batch.ts'
export { RecordCursor, type RecordCursorOptions } from './record-cursor.ts'
export { splitBatch } from './split-batch.ts'

/** Runs the decoder that some bytes are for, down to the last field, record and header. */
import { decompress } from '../../src/protocol/compression.ts'
import { decodeRequest, decodeRequestHeader, decodeResponse } from '../../src/protocol/frame.ts'
import {
  assignment,
  decodeConsumerProtocol,
  subscription,
} from '../../src/protocol/messages/consumer-protocol.ts'
import { apiOfKey } from '../../src/protocol/messages/index.ts'
import { Reader } from '../../src/protocol/reader.ts'
import {
  abortedTransactionFilter,
  controlTypeOf,
  RecordCursor,
  readBatches,
  validateBatch,
} from '../../src/protocol/record-batch.ts'
import type { Seed } from './corpus.ts'

export const MAX_DECOMPRESSED_BYTES = 256 * 1024

export function decode(seed: Seed, bytes: Buffer, checkCrc: boolean): void {
  switch (seed.kind) {
    case 'request': {
      const reader = new Reader(bytes)
      const header = decodeRequestHeader(reader)
      const api = apiOfKey(header.apiKey) ?? seed.api
      return readRecordFields(within(reader, decodeRequest(api, header.apiVersion, reader)), checkCrc)
    }
    case 'response': {
      const reader = new Reader(bytes)
      reader.int32()
      return readRecordFields(within(reader, decodeResponse(seed.api, seed.version, reader)), checkCrc)
    }
    case 'batches':
      return readEverything(bytes, checkCrc)
    case 'packed':
      decompress(seed.codec, bytes, MAX_DECOMPRESSED_BYTES)
      return
    case 'subscription':
      decodeConsumerProtocol(subscription, bytes)
      return
    case 'assignment':
      decodeConsumerProtocol(assignment, bytes)
  }
}

/** What was decoded came from the bytes that there are: behind their end a number reads as 0 and nothing fails. */
function within<T>({ offset, end }: Reader, decoded: T): T {
  if (offset > end) throw new RangeError(`${offset - end} bytes were read behind the end`)
  return decoded
}

/** The record sets of a Produce request or a Fetch response. */
function readRecordFields(message: unknown, checkCrc: boolean): void {
  if (Array.isArray(message)) {
    for (const part of message) readRecordFields(part, checkCrc)
  } else if (message !== null && typeof message === 'object' && !Buffer.isBuffer(message)) {
    for (const [name, part] of Object.entries(message)) {
      if (name === 'records' && Buffer.isBuffer(part)) readEverything(part, checkCrc)
      else readRecordFields(part, checkCrc)
    }
  }
}

function readEverything(bytes: Buffer, checkCrc: boolean): void {
  const drops = abortedTransactionFilter([{ producerId: 7, firstOffset: 10 }])
  let expected = 0
  for (const batch of readBatches(bytes, { checkCrc })) {
    if (batch.start < expected || batch.end > bytes.length)
      throw new RangeError('a batch outside of its bytes')
    expected = batch.end
    if (checkCrc) validateBatch(batch)
    if (drops(batch)) controlTypeOf(batch)
    const cursor = new RecordCursor(batch, { maxDecompressedBytes: MAX_DECOMPRESSED_BYTES })
    while (cursor.next()) {
      cursor.key()
      cursor.value()
      cursor.headers()
      if (cursor.offset < batch.baseOffset || cursor.offset > batch.lastOffset) {
        throw new RangeError('a record outside of its batch')
      }
      if (!Number.isSafeInteger(cursor.timestamp)) throw new RangeError('a timestamp that is no integer')
    }
  }
}

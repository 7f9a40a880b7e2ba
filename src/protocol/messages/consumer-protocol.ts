/**
 * What members of a consumer group tell each other through JoinGroup and SyncGroup: the subscription of a member
 * and the assignment that it gets. Both are versioned structs inside a byte field, with the version in front
 * (Kafka's ConsumerProtocolSubscription and ConsumerProtocolAssignment).
 */
import { compileDecoder, compileEncoder, type Decode, type Encode } from '../codec.ts'
import { Reader } from '../reader.ts'
import { array, bytes, type Decoded, type Encodable, type Fields, int32, string } from '../schema.ts'
import { Writer } from '../writer.ts'

export const subscription = {
  topics: array(string()),
  userData: bytes({ nullable: 0, default: null }),
  ownedPartitions: array({ topic: string(), partitions: array(int32()) }, { since: 1, ignorable: true }),
  generationId: int32({ since: 2, default: -1, ignorable: true }),
  rackId: string({ since: 3, nullable: 3, default: null, ignorable: true }),
} as const satisfies Fields

export const assignment = {
  assignedPartitions: array({ topic: string(), partitions: array(int32()) }),
  userData: bytes({ nullable: 0, default: null }),
} as const satisfies Fields

/** The highest version that Ottla writes; any later one is read as this, as Kafka does. */
const HIGHEST = 3

const encoders = new Map<Fields, Encode>()
const decoders = new Map<Fields, Decode[]>()

export function encodeConsumerProtocol<S extends Fields>(fields: S, value: Encodable<S>): Buffer {
  let encode = encoders.get(fields)
  if (encode === undefined) encoders.set(fields, (encode = compileEncoder(fields, HIGHEST, false)))
  const writer = new Writer(256)
  writer.int16(HIGHEST)
  encode(writer, value)
  return Buffer.concat(writer.finish())
}

export function decodeConsumerProtocol<S extends Fields>(fields: S, bytesGiven: Buffer): Decoded<S> {
  const reader = new Reader(bytesGiven)
  const version = Math.min(Math.max(reader.int16(), 0), HIGHEST)
  let versions = decoders.get(fields)
  if (versions === undefined) decoders.set(fields, (versions = []))
  const decode = (versions[version] ??= compileDecoder(fields, version, false))
  return decode(reader) as Decoded<S>
}

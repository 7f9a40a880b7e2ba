/**
 * What a coordinator writes to `__consumer_offsets`, in Kafka's own formats: the offsets that a group has committed
 * and the group's last complete generation. A record without a value takes back what its key had said.
 *
 * Written as Kafka 4.3 does it: offsets in version 4, or in 1 when an old client named its own retention; groups in
 * version 3. Keys of other kinds are left alone.
 */
import { compileDecoder, compileEncoder, type Decode, type Encode } from '../../protocol/codec.ts'
import type { EncodableRecord } from '../../protocol/encode-batch.ts'
import { Reader } from '../../protocol/reader.ts'
import {
  array,
  bytes,
  type Decoded,
  type Encodable,
  type Fields,
  int32,
  int64,
  string,
  timestamp,
  uuid,
} from '../../protocol/schema.ts'
import { Writer } from '../../protocol/writer.ts'
import { copyOf } from './copy.ts'
import type { GroupRecord } from './group-record.ts'

/** Where a group stands in a partition. */
export interface CommittedOffset {
  readonly offset: number
  readonly leaderEpoch: number
  readonly metadata: string
  /** Wall clock. */
  readonly committedAt: number
  /** Wall clock; only where an old client named its own retention (OffsetCommit 2 to 4). */
  readonly expiresAt: number | undefined
  /** Of the topic as it was then; all zeros where that is not known. */
  readonly topicId: string
}

export interface OffsetRecord {
  readonly kind: 'offset'
  readonly groupId: string
  readonly topic: string
  readonly partition: number
  /** Undefined: deleted. */
  readonly committed: CommittedOffset | undefined
}

export interface GroupMetadataRecord {
  readonly kind: 'group'
  readonly groupId: string
  /** Undefined: deleted. */
  readonly group: GroupRecord | undefined
}

export type CoordinatorRecord = OffsetRecord | GroupMetadataRecord

export const offsetCommitKey = {
  group: string(),
  topic: string(),
  partition: int32(),
} as const satisfies Fields

export const offsetCommitValue = {
  offset: int64(),
  leaderEpoch: int32({ since: 3, default: -1, ignorable: true }),
  metadata: string(),
  commitTimestamp: timestamp(),
  expireTimestamp: timestamp({ since: 1, until: 1, default: -1, ignorable: true }),
  topicId: uuid({ since: 4, tag: 0, ignorable: true }),
} as const satisfies Fields

export const groupMetadataKey = { group: string() } as const satisfies Fields

export const groupMetadataValue = {
  protocolType: string(),
  generation: int32(),
  protocol: string({ nullable: 0 }),
  leader: string({ nullable: 0 }),
  currentStateTimestamp: timestamp({ since: 2, default: -1, ignorable: true }),
  members: array({
    memberId: string(),
    groupInstanceId: string({ since: 3, nullable: 3, default: null, ignorable: true }),
    clientId: string(),
    clientHost: string(),
    rebalanceTimeout: int32({ since: 1, default: -1, ignorable: true }),
    sessionTimeout: int32(),
    subscription: bytes(),
    assignment: bytes(),
  }),
} as const satisfies Fields

/** The version in front of a key says what the record is about; 0 is the offset of an older Kafka. */
const keyVersion = { oldOffset: 0, offset: 1, group: 2 } as const
const OFFSET_VALUE = 4
const OFFSET_VALUE_WITH_EXPIRY = 1
const GROUP_VALUE = 3
/** Of both values. */
const FLEXIBLE_SINCE = 4
const HIGHEST_VALUE = 4

const encoders = new Map<Fields, Encode[]>()
const decoders = new Map<Fields, Decode[]>()

function encode<S extends Fields>(fields: S, version: number, value: Encodable<S>): Buffer {
  let versions = encoders.get(fields)
  if (versions === undefined) encoders.set(fields, (versions = []))
  const encodeValue = (versions[version] ??= compileEncoder(fields, version, version >= FLEXIBLE_SINCE))
  const writer = new Writer(128)
  writer.int16(version)
  encodeValue(writer, value)
  return Buffer.concat(writer.finish())
}

/** A later version is read as the highest that is known: Kafka only adds tagged fields (KIP-915). */
function decode<S extends Fields>(fields: S, given: Buffer): Decoded<S> {
  const reader = new Reader(given)
  const version = Math.min(reader.int16(), HIGHEST_VALUE)
  let versions = decoders.get(fields)
  if (versions === undefined) decoders.set(fields, (versions = []))
  const decodeValue = (versions[version] ??= compileDecoder(fields, version, version >= FLEXIBLE_SINCE))
  return decodeValue(reader) as Decoded<S>
}

/** The record as it is written, stamped with `now`. */
export function encodeCoordinatorRecord(record: CoordinatorRecord, now: number): EncodableRecord {
  const value = record.kind === 'offset' ? offsetValueOf(record) : groupValueOf(record)
  return { key: keyOf(record), value, timestamp: now }
}

function keyOf(record: CoordinatorRecord): Buffer {
  const { groupId: group } = record
  if (record.kind === 'group') return encode(groupMetadataKey, keyVersion.group, { group })
  const { topic, partition } = record
  return encode(offsetCommitKey, keyVersion.offset, { group, topic, partition })
}

function offsetValueOf({ committed }: OffsetRecord): Buffer | null {
  if (committed === undefined) return null
  const { offset, leaderEpoch, metadata, committedAt, expiresAt, topicId } = committed
  const value = { offset, metadata, commitTimestamp: committedAt }
  if (expiresAt !== undefined) {
    return encode(offsetCommitValue, OFFSET_VALUE_WITH_EXPIRY, { ...value, expireTimestamp: expiresAt })
  }
  return encode(offsetCommitValue, OFFSET_VALUE, { ...value, leaderEpoch, topicId })
}

function groupValueOf({ group }: GroupMetadataRecord): Buffer | null {
  if (group === undefined) return null
  return encode(groupMetadataValue, GROUP_VALUE, {
    protocolType: group.protocolType ?? '',
    generation: group.generationId,
    protocol: group.protocolName,
    leader: group.leader,
    currentStateTimestamp: group.stateSince,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: member.metadata,
      assignment: member.assignment,
    })),
  })
}

/** What a record says; undefined for a kind that is not known here. */
export function decodeCoordinatorRecord(
  key: Buffer | null,
  value: Buffer | null,
): CoordinatorRecord | undefined {
  const version = key === null || key.length < 2 ? -1 : key.readInt16BE(0)
  if (key === null) return undefined
  if (version === keyVersion.group) {
    const { group: groupId } = decode(groupMetadataKey, key)
    return { kind: 'group', groupId, group: value === null ? undefined : groupOf(value) }
  }
  if (version !== keyVersion.offset && version !== keyVersion.oldOffset) return undefined
  const { group: groupId, topic, partition } = decode(offsetCommitKey, key)
  const committed = value === null ? undefined : committedOf(value)
  return { kind: 'offset', groupId, topic, partition, committed }
}

function committedOf(value: Buffer): CommittedOffset {
  const { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, topicId } = decode(
    offsetCommitValue,
    value,
  )
  const expiresAt = expireTimestamp < 0 ? undefined : expireTimestamp
  return { offset, leaderEpoch, metadata, committedAt: commitTimestamp, expiresAt, topicId }
}

function groupOf(value: Buffer): GroupRecord {
  const group = decode(groupMetadataValue, value)
  return {
    generationId: group.generation,
    protocolType: group.protocolType === '' ? null : group.protocolType,
    protocolName: group.protocol,
    leader: group.leader,
    stateSince: group.currentStateTimestamp,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeoutMs: member.rebalanceTimeout < 0 ? member.sessionTimeout : member.rebalanceTimeout,
      sessionTimeoutMs: member.sessionTimeout,
      metadata: copyOf(member.subscription),
      assignment: copyOf(member.assignment),
    })),
  }
}

/** The records of `__consumer_offsets`, against what Kafka 4.3 writes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type CoordinatorRecord,
  decodeCoordinatorRecord,
  encodeCoordinatorRecord,
} from '../../../src/broker/groups/coordinator-record.ts'
import { zeroUuid } from '../../../src/protocol/schema.ts'

const hex = (bytes: unknown) => (bytes === null ? null : Buffer.from(bytes as Uint8Array).toString('hex'))

/** As Kafka 4.3 wrote them for one group that came, committed and was deleted. */
const captured: readonly { record: CoordinatorRecord; key: string; value: string | null }[] = [
  {
    record: {
      kind: 'group',
      groupId: 'readers',
      group: {
        generationId: 0,
        protocolType: null,
        protocolName: null,
        leader: null,
        stateSince: 1_795_929_684_790,
        members: [],
      },
    },
    key: '0002000772656164657273',
    value: '0003000000000000ffffffff000001a225c03b3600000000',
  },
  {
    record: {
      kind: 'group',
      groupId: 'readers',
      group: {
        generationId: 1,
        protocolType: 'consumer',
        protocolName: 'cooperative-sticky',
        leader: 'ottla-5db218b9-4069-4b6b-aae9-53377d50c944',
        stateSince: 1_795_929_684_997,
        members: [
          {
            memberId: 'ottla-5db218b9-4069-4b6b-aae9-53377d50c944',
            groupInstanceId: null,
            clientId: 'ottla',
            clientHost: '/127.0.0.1',
            rebalanceTimeoutMs: 60_000,
            sessionTimeoutMs: 45_000,
            metadata: Buffer.from('00030000000100066f726465727300000004ffffffff00000000ffffffffffff', 'hex'),
            assignment: Buffer.from('00030000000100066f7264657273000000020000000000000001ffffffff', 'hex'),
          },
        ],
      },
    },
    key: '0002000772656164657273',
    value:
      '00030008636f6e73756d6572000000010012636f6f70657261746976652d737469636b79002a6f74746c612d35646232313862392d343036392d' +
      '346236622d616165392d353333373764353063393434000001a225c03c0500000001002a6f74746c612d35646232313862392d343036392d3462' +
      '36622d616165392d353333373764353063393434ffff00056f74746c61000a2f3132372e302e302e310000ea600000afc8000000200003000000' +
      '0100066f726465727300000004ffffffff00000000ffffffffffff0000001e00030000000100066f726465727300000002000000000000000' +
      '1ffffffff',
  },
  {
    record: {
      kind: 'offset',
      groupId: 'readers',
      topic: 'orders',
      partition: 0,
      committed: {
        offset: 2,
        leaderEpoch: 0,
        metadata: '',
        committedAt: 1_795_929_685_591,
        expiresAt: undefined,
        topicId: 'HUp1nGQTR6WO47yqWXYTDQ',
      },
    },
    key: '000100077265616465727300066f726465727300000000',
    value: '000400000000000000020000000001000001a225c03e570100101d4a759c641347a58ee3bcaa5976130d',
  },
  {
    record: { kind: 'offset', groupId: 'readers', topic: 'orders', partition: 1, committed: undefined },
    key: '000100077265616465727300066f726465727300000001',
    value: null,
  },
  {
    record: { kind: 'group', groupId: 'readers', group: undefined },
    key: '0002000772656164657273',
    value: null,
  },
]

test('the records that Kafka writes, byte for byte, and back', () => {
  for (const { record, key, value } of captured) {
    const encoded = encodeCoordinatorRecord(record, 5)
    assert.deepEqual([hex(encoded.key), hex(encoded.value), encoded.timestamp], [key, value, 5])
    const bytes = value === null ? null : Buffer.from(value, 'hex')
    assert.deepEqual(decodeCoordinatorRecord(Buffer.from(key, 'hex'), bytes), record)
  }
})

test('a retention that the client named is kept, in the version that has room for it', () => {
  const committed = {
    offset: 9,
    leaderEpoch: -1,
    metadata: 'm',
    committedAt: 5,
    expiresAt: 50,
    topicId: zeroUuid,
  }
  const record = { kind: 'offset', groupId: 'g', topic: 't', partition: 3, committed } as const
  const { key, value } = encodeCoordinatorRecord(record, 0)
  assert.equal(Buffer.from(value as Uint8Array).readInt16BE(0), 1)
  assert.deepEqual(decodeCoordinatorRecord(key as Buffer, value as Buffer), record)
})

test('keys of other kinds are left alone', () => {
  assert.equal(decodeCoordinatorRecord(Buffer.from('0003000167', 'hex'), null), undefined)
  assert.equal(decodeCoordinatorRecord(Buffer.alloc(1), null), undefined)
  assert.equal(decodeCoordinatorRecord(null, null), undefined)
})

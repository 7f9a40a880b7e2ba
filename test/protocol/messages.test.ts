/** Both directions of every API in every version: what is encoded is decoded again, to the last byte. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OttlaError } from '../../src/errors.ts'
import { encodeRequest, encodeResponse } from '../../src/protocol/frame.ts'
import {
  assignment,
  decodeConsumerProtocol,
  encodeConsumerProtocol,
  subscription,
} from '../../src/protocol/messages/consumer-protocol.ts'
import { createTopics } from '../../src/protocol/messages/create-topics.ts'
import { apiOfKey, apis } from '../../src/protocol/messages/index.ts'
import { metadata } from '../../src/protocol/messages/metadata.ts'
import type { Api, RequestOf, SentResponseOf } from '../../src/protocol/schema.ts'
import { readRequest, readResponse } from '../support/frames.ts'
import { randomMessage } from '../support/random-message.ts'
import { rounds } from '../support/seed.ts'

const versionsOf = (api: Api) =>
  Array.from({ length: api.versions[1] - api.versions[0] + 1 }, (_, index) => api.versions[0] + index)

function requestBytes(api: Api, version: number, body: RequestOf<Api>): Buffer {
  const header = { apiVersion: version, correlationId: 7, clientId: 'käse' }
  return Buffer.concat(encodeRequest(api, header, body))
}

function readBack(api: Api, version: number, frame: Buffer): unknown {
  assert.equal(frame.readInt32BE(0), frame.length - 4, 'the size in front')
  const { header, body } = readRequest(frame.subarray(4))
  assert.deepEqual(header, { apiKey: api.key, apiVersion: version, correlationId: 7, clientId: 'käse' })
  return body
}

for (const api of apis) {
  test(`${api.name}: requests and responses survive the wire`, () => {
    assert.equal(apiOfKey(api.key), api)
    for (const version of versionsOf(api)) {
      rounds(12, (random) => {
        const request = randomMessage(api.request, version, random)
        const sent = requestBytes(api, version, request as RequestOf<Api>)
        const received = readBack(api, version, sent)
        assert.deepEqual(received, request, `request ${version}`)
        assert.deepEqual(requestBytes(api, version, received as RequestOf<Api>), sent)
        const body = randomMessage(api.response, version, random) as SentResponseOf<Api>
        const answer = Buffer.concat(encodeResponse(api, version, { correlationId: 9, body }))
        const answered = readResponse(api, version, answer.subarray(4))
        assert.deepEqual(answered, { correlationId: 9, body }, `response ${version}`)
      })
    }
  })

  test(`${api.name}: a frame cut off anywhere is MALFORMED_FRAME`, () => {
    for (const version of versionsOf(api)) {
      rounds(2, (random) => {
        const request = randomMessage(api.request, version, random) as RequestOf<Api>
        const frame = requestBytes(api, version, request)
        const step = 1 + Math.floor(frame.length / 300)
        for (let end = 4; end < frame.length; end += step) {
          assert.throws(
            () => readBack(api, version, withSize(frame.subarray(0, end))),
            (error) => error instanceof OttlaError && error.code === 'MALFORMED_FRAME',
          )
        }
      })
    }
  })
}

function withSize(frame: Buffer): Buffer {
  const copy = Buffer.from(frame)
  copy.writeInt32BE(copy.length - 4)
  return copy
}

for (const [name, fields] of Object.entries({ subscription, assignment })) {
  test(`a ${name} survives its bytes`, () => {
    rounds(50, (random) => {
      const value = randomMessage(fields, 3, random)
      assert.deepEqual(decodeConsumerProtocol(fields, encodeConsumerProtocol(fields, value as never)), value)
    })
  })
}

test('a member of a later version than ours is read as the highest that we know', () => {
  const given = { topics: ['a'], userData: null, ownedPartitions: [], generationId: 4, rackId: 'r' }
  const bytes = encodeConsumerProtocol(subscription, given)
  bytes.writeInt16BE(9)
  assert.deepEqual(decodeConsumerProtocol(subscription, Buffer.concat([bytes, Buffer.from('later')])), given)
})

test('a member of version 0 has no fields of later ones', () => {
  const bytes = encodeConsumerProtocol(subscription, { topics: ['a'], generationId: 4, rackId: 'r' })
  bytes.writeInt16BE(0)
  const read = decodeConsumerProtocol(subscription, bytes)
  assert.deepEqual(read, {
    topics: ['a'],
    userData: null,
    ownedPartitions: [],
    generationId: -1,
    rackId: null,
  })
})

const invalid = (code: string) => (error: unknown) => error instanceof OttlaError && error.code === code

test('a version that the table does not describe is refused', () => {
  assert.throws(
    () => requestBytes(metadata, 99, { topics: null } as RequestOf<Api>),
    invalid('UNSUPPORTED_VERSION'),
  )
})

test('a field that a version cannot carry is refused unless it says no more than its absence', () => {
  const body = { topics: null, includeTopicAuthorizedOperations: true } as RequestOf<Api>
  assert.throws(() => requestBytes(metadata, 7, body), invalid('UNSUPPORTED_VERSION'))
  const same = { topics: null, includeTopicAuthorizedOperations: false } as RequestOf<Api>
  assert.ok(requestBytes(metadata, 7, same).length > 0)
})

test('null where the version has no null is refused', () => {
  assert.throws(
    () => requestBytes(metadata, 0, { topics: null } as RequestOf<Api>),
    invalid('INVALID_ARGUMENT'),
  )
})

test('a number, a text or a uuid that does not fit its field is refused, never cut', () => {
  const created = (topic: object) => {
    const topics = [
      { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], ...topic },
    ]
    return () =>
      requestBytes(createTopics, 5, { topics, timeoutMs: 1, validateOnly: false } as RequestOf<Api>)
  }
  for (const numPartitions of [2 ** 31, -(2 ** 31) - 1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(created({ numPartitions }), invalid('INVALID_ARGUMENT'), String(numPartitions))
  }
  assert.throws(created({ replicationFactor: 2 ** 15 }), invalid('INVALID_ARGUMENT'))
  assert.throws(created({ name: 'x'.repeat(2 ** 15) }), invalid('INVALID_ARGUMENT'))
  const topics = [{ topicId: 'short', name: null }]
  assert.throws(() => requestBytes(metadata, 12, { topics } as RequestOf<Api>), invalid('INVALID_ARGUMENT'))
})

/** A table becomes a codec when its version and direction are first used, and once: compiling costs far more than a message. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeRequest, encodeResponse } from '../../src/protocol/frame.ts'
import { heartbeat } from '../../src/protocol/messages/heartbeat.ts'
import { readResponse } from '../support/frames.ts'

/** The table, and how often it has been walked through. */
function counted<T extends object>(table: T) {
  const count = { compiled: 0 }
  const watched = new Proxy(table, {
    ownKeys(target) {
      count.compiled++
      return Reflect.ownKeys(target)
    },
  })
  return { watched, count }
}

test('a codec is compiled once per version and direction, and not before it is used', () => {
  const request = counted(heartbeat.request)
  const response = counted(heartbeat.response)
  const api = { ...heartbeat, request: request.watched, response: response.watched }
  const seen = () => [request.count.compiled, response.count.compiled]
  const ask = (apiVersion: number) =>
    encodeRequest(
      api,
      { apiVersion, correlationId: 1, clientId: null },
      { groupId: 'g', generationId: 1, memberId: 'm' },
    )
  const answer = (version: number) =>
    encodeResponse(api, version, { correlationId: 1, body: { errorCode: 0 } })
  const read = (version: number) => readResponse(api, version, Buffer.concat(answer(version)).subarray(4))
  assert.deepEqual(seen(), [0, 0])
  for (let round = 0; round < 3; round++) ask(4)
  assert.deepEqual(seen(), [1, 0])
  for (let round = 0; round < 3; round++) ask(3)
  assert.deepEqual(seen(), [2, 0])
  for (let round = 0; round < 3; round++) answer(4)
  assert.deepEqual(seen(), [2, 1])
  for (let round = 0; round < 3; round++) assert.equal(read(4).correlationId, 1)
  assert.deepEqual(seen(), [2, 2])
})

/**
 * Frames, without the size in front, read to their last byte: a byte that is left over is a mistake in a table of
 * fields, wherever the frame came from.
 */
import assert from 'node:assert/strict'
import { decodeRequest, decodeRequestHeader, decodeResponse } from '../../src/protocol/frame.ts'
import { apiOfKey } from '../../src/protocol/messages/index.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Api, ResponseOf } from '../../src/protocol/schema.ts'

export function readRequest(frame: Buffer) {
  const reader = new Reader(frame)
  const header = decodeRequestHeader(reader)
  const api = apiOfKey(header.apiKey)
  assert.ok(api, `API ${header.apiKey} is known`)
  const body = decodeRequest(api, header.apiVersion, reader)
  assert.equal(reader.remaining, 0, `${api.name} ${header.apiVersion}: bytes are left after the request`)
  return { api, header, body }
}

export function readResponse<A extends Api>(
  api: A,
  version: number,
  frame: Buffer,
): { readonly correlationId: number; readonly body: ResponseOf<A> } {
  const reader = new Reader(frame)
  const correlationId = reader.int32()
  const body = decodeResponse(api, version, reader)
  assert.equal(reader.remaining, 0, `${api.name} ${version}: bytes are left after the response`)
  return { correlationId, body }
}

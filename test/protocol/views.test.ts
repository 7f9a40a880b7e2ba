/** What is read of an uncompressed batch lies in the response itself: nothing is copied until somebody asks for it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeRecordBatch, RecordCursor, readBatches } from '../../src/protocol/record-batch.ts'

test('keys, values and headers are views of the response', () => {
  const records = [{ key: 'key', value: 'value', headers: [['name', 'header']] as const }]
  const response = encodeRecordBatch(records, { timestamp: 1 })
  const [batch] = readBatches(response)
  assert.ok(batch)
  const cursor = new RecordCursor(batch, { maxDecompressedBytes: 1 })
  assert.ok(cursor.next())
  const [[, header] = ['', null]] = cursor.headers()
  for (const view of [cursor.key(), cursor.value(), header]) {
    assert.ok(view)
    const at = response.indexOf(view)
    assert.ok(at >= 0)
    response[at] = 0x21
    assert.equal(view[0], 0x21)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordFromJson, recordToJson } from '../../src/cli/record-json.ts'
import type { ConsumerRecord } from '../../src/index.ts'

const consumed = (fields: Partial<ConsumerRecord>): ConsumerRecord =>
  ({
    ...{ topic: 'orders', partition: 3, offset: 42, timestamp: 1_700_000_000_000, key: null, value: null },
    ...{ headers: [], ...fields },
  }) as ConsumerRecord

test('what consume prints, produce takes: text, bytes, nulls and headers', () => {
  const bytes = Buffer.from([0xff, 0x00, 0x80])
  const line = recordToJson(
    consumed({
      key: Buffer.from('o-1'),
      value: bytes,
      headers: [
        ['trace', Buffer.from('ä')],
        ['raw', bytes],
        ['trace', null],
      ],
    }),
  )
  assert.deepEqual(recordFromJson(line, 'copy'), {
    topic: 'copy',
    key: 'o-1',
    value: bytes,
    partition: 3,
    timestamp: 1_700_000_000_000,
    headers: [
      ['trace', 'ä'],
      ['raw', bytes],
      ['trace', null],
    ],
  })
  assert.equal(recordFromJson(recordToJson(consumed({})), 'copy').value, null)
})

test('headers may be an object, and only the value must be there', () => {
  assert.deepEqual(recordFromJson('{"value":"v","headers":{"a":"1"}}', 't'), {
    topic: 't',
    key: null,
    value: 'v',
    headers: [['a', '1']],
  })
})

const refused: [line: string, message: RegExp][] = [
  ['{"value":', /it is not JSON/],
  ['[]', /not a JSON object/],
  ['null', /not a JSON object/],
  ['{}', /there is no value; null makes a tombstone/],
  ['{"value":1}', /value must be a string, null or/],
  ['{"value":{"base32":"x"}}', /value must be a string, null or/],
  ['{"value":"v","key":true}', /key must be a string/],
  ['{"value":"v","headers":3}', /headers must be/],
  ['{"value":"v","headers":[["a"]]}', /headers must be/],
  ['{"value":"v","headers":{"a":1}}', /header a must be/],
  ['{"value":"v","partition":-1}', /partition must be a whole number/],
  ['{"value":"v","timestamp":1.5}', /timestamp must be a whole number/],
  ['{"valeu":"v"}', /unknown field valeu; did you mean value\?/],
]

for (const [line, message] of refused) {
  test(`refused: ${line}`, () => assert.throws(() => recordFromJson(line, 't'), message))
}

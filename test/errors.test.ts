import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { errorCodes, OttlaError } from '../src/errors.ts'
import { BrokerError, errorCode, errorName, isRetriableCode } from '../src/protocol/error-codes.ts'

const page = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8')

test('every code is documented, with a meaning and an advice, and no other', () => {
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (.+) \| (.+) \|$/gm)]
  assert.deepEqual(rows.map((row) => row[1]).sort(), Object.keys(errorCodes).sort())
  for (const [, code, meaning] of rows) {
    assert.equal(meaning, errorCodes[code as keyof typeof errorCodes])
  }
})

test('an error carries its code, its fields and its cause', () => {
  const cause = new Error('below')
  const error = new OttlaError('REQUEST_TIMEOUT', 'too late', {
    retriable: true,
    cause,
    topic: 't',
    partition: 3,
  })
  assert.equal(error.code, 'REQUEST_TIMEOUT')
  assert.equal(error.retriable, true)
  assert.equal(error.cause, cause)
  assert.equal(error.topic, 't')
  assert.equal(error.partition, 3)
  assert.equal('offset' in error, false)
  assert.ok(error instanceof Error)
  assert.equal(error.name, 'OttlaError')
})

test("a broker's error carries Kafka's name, number and words", () => {
  const error = new BrokerError(errorCode.TOPIC_AUTHORIZATION_FAILED, 'producing to orders', {
    topic: 'orders',
  })
  assert.equal(error.code, 'TOPIC_AUTHORIZATION_FAILED')
  assert.equal(error.errorCode, 29)
  assert.equal(error.retriable, false)
  assert.match(error.message, /producing to orders/)
  assert.match(new BrokerError(44, 'creating', { brokerMessage: 'not so many' }).message, /not so many/)
  assert.equal(new BrokerError(6, 'x').retriable, true)
})

test('an unknown number keeps its number', () => {
  assert.equal(errorName(9999), 'UNKNOWN_CODE_9999')
  assert.equal(isRetriableCode(9999), false)
  assert.equal(errorCode.NONE, 0)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OttlaError } from '../../src/errors.ts'
import { is, nearest, resolveOptions } from '../../src/util/options.ts'

const table = {
  lingerMs: { check: is.milliseconds(), default: 0 },
  acks: { check: is.oneOf('all', 0, 1), default: 'all' },
  groupId: { check: is.string },
} as const

const refused = (given: unknown, pattern: RegExp) =>
  assert.throws(
    () => resolveOptions('producer', table, given),
    (error) => error instanceof OttlaError && error.code === 'INVALID_OPTION' && pattern.test(error.message),
  )

test('defaults are filled in and the result is a frozen copy', () => {
  const given = { groupId: 'g' }
  const resolved = resolveOptions('producer', table, given)
  assert.deepEqual(resolved, { lingerMs: 0, acks: 'all', groupId: 'g' })
  assert.ok(Object.isFrozen(resolved))
  assert.deepEqual(given, { groupId: 'g' })
})

test('an unknown name is refused with the nearest known one', () => {
  refused({ groupId: 'g', lingerMS: 4 }, /unknown option lingerMS; did you mean lingerMs\?/)
  refused({ groupId: 'g', zebra: 4 }, /known are lingerMs, acks, groupId/)
})

test('undefined counts as absent, and a required option must be there', () => {
  assert.equal(resolveOptions('producer', table, { groupId: 'g', lingerMs: undefined }).lingerMs, 0)
  refused({}, /^producer: option groupId is required: give a string that is not empty$/)
  refused(undefined, /^producer: option groupId is required: give a string that is not empty$/)
})

test('a wrong value is told with what would be right', () => {
  refused({ groupId: 'g', lingerMs: -1 }, /milliseconds from 0 to 2147483647, not -1/)
  refused({ groupId: 'g', lingerMs: Number.NaN }, /not NaN/)
  refused({ groupId: 'g', acks: 2 }, /"all" or 0 or 1, not 2/)
  refused({ groupId: '' }, /a string that is not empty/)
  refused([], /^producer: the options must be an object, not an empty list$/)
  refused('x', /^producer: the options must be an object, not "x"$/)
})

test('what may be a secret is not repeated', () => {
  const secret = { password: { check: is.string } }
  assert.throws(
    () => resolveOptions('sasl', secret, { password: 123456 }),
    (error) => error instanceof OttlaError && !error.message.includes('123456'),
  )
})

test('names inherited from Object are not options', () => {
  assert.throws(
    () => resolveOptions('x', { a: { check: is.boolean, default: true } }, { constructor: 1 }),
    /unknown option/,
  )
})

test('the nearest name is near', () => {
  assert.equal(nearest('clientID', ['clientId', 'brokers']), 'clientId')
  assert.equal(nearest('completelyElse', ['clientId', 'brokers']), undefined)
})

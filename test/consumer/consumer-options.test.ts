import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConsumerOptions, resolveConsumerOptions } from '../../src/consumer/consumer-options.ts'

const least = { groupId: 'g', topics: ['t'] }
const resolve = (more: object) => resolveConsumerOptions({ ...least, ...more } as ConsumerOptions)

test('defaults', () => {
  const { failure, ...options } = resolveConsumerOptions(least)
  assert.deepEqual(
    [options.startFrom, options.onOutOfRange, options.isolation, options.order],
    ['earliest', 'earliest', 'read_committed', 'partition'],
  )
  assert.deepEqual(
    [options.commitIntervalMs, options.drainTimeoutMs, options.prefetchBytes],
    [1000, 20_000, 33_554_432],
  )
  assert.deepEqual(options.assignors, ['cooperative-sticky'])
  assert.deepEqual([failure.retries, failure.onExhausted], [5, 'stop'])
  assert.ok(Object.isFrozen(options.topics))
})

test('what is wrong is refused, by its path', () => {
  const wrong: [object, string][] = [
    [{ groupId: '' }, 'consumer.groupId'],
    [{ topics: [] }, 'consumer.topics'],
    [{ topics: 't' }, 'consumer.topics'],
    [{ topics: ['t', 'a b'] }, 'consumer.topics[1]'],
    [{ topics: ['a/b'] }, 'consumer.topics[0]'],
    [{ topics: ['..'] }, 'consumer.topics[0]'],
    [{ topics: ['x'.repeat(250)] }, 'consumer.topics[0]'],
    [{ startFrom: 'newest' }, 'consumer.startFrom'],
    [{ startFrom: { timestamp: 1, offset: 2 } }, 'consumer.startFrom'],
    [{ startFrom: { offset: -1 } }, 'consumer.startFrom'],
    [{ startFrom: { timestamp: 1.5 } }, 'consumer.startFrom.timestamp'],
    [{ order: 'key' }, 'consumer.order'],
    [{ order: 'none' }, 'consumer.order'],
    [{ order: 'random' }, 'consumer.order'],
    [{ concurrency: 0 }, 'consumer.concurrency'],
    [{ assignors: ['sticky'] }, 'consumer.assignors[0]'],
    [{ drainTimeoutMs: 60_000 }, 'consumer.drainTimeoutMs'],
    [{ heartbeatIntervalMs: 45_000 }, 'consumer.heartbeatIntervalMs'],
    [{ failure: { onExhausted: 'ignore' } }, 'consumer.failure.onExhausted'],
    [{ failure: { retry: 1 } }, 'consumer.failure.retry'],
    [{ stopOnSignals: ['SIGTERM', 'TERM'] }, 'consumer.stopOnSignals[1]'],
    [{ stopOnSignals: ['SIGTREM'] }, 'consumer.stopOnSignals[0]'],
    [{ stopOnSignals: ['SIGKILL'] }, 'consumer.stopOnSignals[0]'],
    [{ stopOnSignals: 'SIGTERM' }, 'consumer.stopOnSignals'],
    [{ onSkip: 'log' }, 'consumer.onSkip'],
    [{ failure: { onExhausted: 'skip' } }, 'consumer.onSkip'],
    [{ prefetch: 1 }, 'consumer.prefetch'],
  ]
  for (const [more, path] of wrong) assert.throws(() => resolve(more), { code: 'INVALID_OPTION', path }, path)
  assert.throws(() => resolveConsumerOptions(undefined as unknown as ConsumerOptions), {
    code: 'INVALID_OPTION',
  })
})

test('what does not go together is refused, with both options and their values', () => {
  const told: [object, string, RegExp][] = [
    [
      { fetchMinBytes: 2e9, fetchMaxBytes: 4_194_304 },
      'fetchMinBytes',
      /fetchMinBytes must be fetchMaxBytes \(4194304\) at most, not 2000000000$/,
    ],
    [
      { partitionPrefetchBytes: 200_000, prefetchBytes: 100_000 },
      'partitionPrefetchBytes',
      /partitionPrefetchBytes must be prefetchBytes \(100000\) at most, not 200000$/,
    ],
    [
      { onSkip: () => undefined },
      'onSkip',
      /onSkip is never told .* failure\.onExhausted 'stop'; give 'skip'/,
    ],
  ]
  for (const [more, name, message] of told) {
    assert.throws(() => resolve(more), { code: 'INVALID_OPTION', path: `consumer.${name}`, message })
  }
  // Defaults give way.
  resolve({ fetchMinBytes: 5_000_000 })
  resolve({ prefetchBytes: 100_000, fetchMaxBytes: 1 })
})

test('every name that Kafka allows for a topic is taken', () => {
  const topics = ['...', '.a', '-', '_', 'Orders.V2_x-y', 'x'.repeat(249)]
  assert.deepEqual(resolve({ topics }).topics, topics)
})

test('what is wrong in a list is told, and what other clients call an option', () => {
  const told: [object, RegExp][] = [
    [{ topics: ['a', 5] }, /option topics\[1\] must be the name of a topic, such as 'orders', not 5$/],
    [{ assignors: ['range', 'sticky'] }, /option assignors\[1\] must be one of .*, not "sticky"$/],
    [
      { stopOnSignals: ['TERM'] },
      /option stopOnSignals\[0\] must be a signal of this system, such as 'SIGTERM', not "TERM"$/,
    ],
    [{ stopOnSignals: ['SIGTERM', 'SIGSTOP'] }, /a signal that a process can catch, .* not "SIGSTOP"$/],
    [
      { startFrom: { timestamp: new Date() } },
      /startFrom\.timestamp must be whole milliseconds since 1970 \(of a Date: \.getTime\(\)\), not an object/,
    ],
    [{ startFrom: new Date() }, /startFrom must be \{ timestamp \} in whole milliseconds .*getTime\(\)/],
    [
      { startFrom: { timestamp: '2026-01-31' } },
      /must be whole milliseconds since 1970 .*, not "2026-01-31"/,
    ],
    [{ fromBeginning: true }, /unknown option fromBeginning; did you mean startFrom\?/],
    [{ partitionsConsumedConcurrently: 3 }, /did you mean concurrency\?/],
  ]
  for (const [more, message] of told) assert.throws(() => resolve(more), { code: 'INVALID_OPTION', message })
})

test('failure.then is answered with the option that is meant', () => {
  const meant = { failure: Object.fromEntries([['then', 'skip']]) }
  assert.throws(() => resolve(meant), { message: /unknown option then; did you mean onExhausted\?/ })
})

test('topics and assignors are kept once each', () => {
  const { topics, assignors } = resolve({ topics: ['a', 'b', 'a'], assignors: ['range', 'range'] })
  assert.deepEqual([topics, assignors], [['a', 'b'], ['range']])
})

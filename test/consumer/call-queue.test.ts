import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CallQueue } from '../../src/consumer/call-queue.ts'
import { deferred } from '../../src/util/deferred.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'

function bed() {
  const clock = new VirtualClock()
  const queue = new CallQueue(clock)
  const log: string[] = []
  const ends = new Map<string, () => void>()
  const add = (name: string, patienceMs: number) => {
    const { promise, resolve } = deferred<void>()
    ends.set(name, resolve)
    const call = async () => {
      log.push(name)
      await promise
      log.push(`${name} done`)
    }
    return queue.add(call, patienceMs)
  }
  return { clock, queue, log, add, end: (name: string) => ends.get(name)?.() }
}

test('calls wait for each other, and the first begins at once', async () => {
  const { clock, queue, log, add, end } = bed()
  const first = add('a', 1000)
  assert.deepEqual(log, ['a'])
  void add('b', 1000)
  void add('c', 1000)
  end('a')
  await first
  end('b')
  end('c')
  await queue.idle()
  assert.deepEqual(log, ['a', 'a done', 'b', 'b done', 'c', 'c done'])
  await clock.advance(5000)
  assert.equal(log.length, 6)
})

test('what waits longer than its patience begins, and all that were asked for before it', async () => {
  const { clock, log, add } = bed()
  void add('a', 1000)
  void add('b', 5000)
  void add('c', 1000)
  void add('d', 5000)
  await clock.advance(999)
  assert.deepEqual(log, ['a'])
  await clock.advance(1)
  assert.deepEqual(log, ['a', 'b', 'c'])
  void add('e', 0)
  assert.deepEqual(log, ['a', 'b', 'c', 'd', 'e'])
})

test('one that never ends is waited for once, and by nobody after that', async () => {
  const { clock, queue, log, add } = bed()
  void add('hangs', 0)
  void add('a', 1000)
  await clock.advance(1000)
  assert.deepEqual(log, ['hangs', 'a'])
  void add('b', 1000)
  assert.deepEqual(log, ['hangs', 'a'], 'a still runs')
  await clock.advance(1000)
  queue.hurry()
  void add('c', 1000)
  assert.deepEqual(log.slice(-2), ['b', 'c'])
  queue.hurry()
  await queue.idle()
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep } from '../../src/util/clock.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'

test('timers fire in the order of their time, then of their making', async () => {
  const clock = new VirtualClock(1000)
  const fired: string[] = []
  clock.setTimeout(() => fired.push('b20'), 20)
  clock.setTimeout(() => fired.push('a10'), 10)
  clock.setTimeout(() => fired.push('c20'), 20)
  clock.clearTimeout(clock.setTimeout(() => fired.push('never'), 5))
  await clock.advance(15)
  assert.deepEqual(fired, ['a10'])
  assert.equal(clock.now(), 1015)
  await clock.advance(5)
  assert.deepEqual(fired, ['a10', 'b20', 'c20'])
})

test('what a timer sets in motion is done before time moves on', async () => {
  const clock = new VirtualClock()
  const fired: number[] = []
  const loop = async () => {
    for (let round = 0; round < 3; round++) {
      await sleep(clock, 100)
      fired.push(clock.monotonic())
    }
  }
  await clock.during(loop())
  assert.deepEqual(fired, [100, 200, 300])
})

test('a jump of the wall clock moves no timer', async () => {
  const clock = new VirtualClock(0)
  let fired = false
  clock.setTimeout(() => {
    fired = true
  }, 50)
  clock.jump(1_000_000)
  assert.equal(clock.now(), 1_000_000)
  assert.equal(clock.monotonic(), 0)
  await clock.advance(49)
  assert.equal(fired, false)
  await clock.advance(1)
  assert.equal(fired, true)
})

test('waiting for what never comes ends in an error', async () => {
  const clock = new VirtualClock()
  await assert.rejects(
    clock.until(() => false),
    /no timer is pending/,
  )
})

test('a sleep ends with its signal', async () => {
  const clock = new VirtualClock()
  const controller = new AbortController()
  const sleeping = sleep(clock, 1000, controller.signal)
  controller.abort(new Error('enough'))
  await assert.rejects(sleeping, /enough/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompletionTracker } from '../../src/consumer/completion-tracker.ts'
import { rounds } from '../support/seed.ts'

test('the mark waits for the first unfinished range', () => {
  const tracker = new CompletionTracker(10)
  tracker.finish(12, 15)
  assert.equal(tracker.mark, 10)
  tracker.finish(10, 12)
  assert.equal(tracker.mark, 15)
  tracker.finish(15, 16)
  assert.equal(tracker.mark, 16)
})

test('ranges that touch or overlap become one', () => {
  const touching = new CompletionTracker(0)
  touching.finish(10, 20)
  touching.finish(30, 40)
  touching.finish(20, 25)
  touching.finish(0, 10)
  assert.equal(touching.mark, 25)
  touching.finish(25, 30)
  assert.equal(touching.mark, 40)

  const overlapping = new CompletionTracker(0)
  overlapping.finish(10, 20)
  overlapping.finish(30, 40)
  overlapping.finish(5, 35)
  overlapping.finish(0, 5)
  assert.equal(overlapping.mark, 40)
})

test('what is finished again, or lies below the mark, changes nothing', () => {
  const tracker = new CompletionTracker(0)
  tracker.finish(0, 10)
  tracker.finish(3, 7)
  tracker.finish(0, 0)
  assert.equal(tracker.mark, 10)
  assert.throws(() => tracker.finish(5, 4), { code: 'ASSERTION_FAILED' })
})

test('against a model that remembers every offset', () => {
  rounds(1_000, (random) => {
    const start = random.below(20)
    const size = 1 + random.below(120)
    const tracker = new CompletionTracker(start)
    const finished = new Set<number>()
    let mark = start
    const finish = (first: number, end: number) => {
      tracker.finish(first, end)
      for (let offset = first; offset < end; offset++) finished.add(offset)
      while (finished.has(mark)) mark++
      assert.equal(tracker.mark, mark, `after [${first}, ${end})`)
    }
    for (let steps = random.below(60); steps > 0; steps--) {
      const first = start + random.below(size)
      finish(first, first + random.below(12))
    }
    // Gap by gap, the mark tells everything that was finished above it, and nothing else.
    while (mark < start + size + 12) finish(mark, mark + 1)
  })
})

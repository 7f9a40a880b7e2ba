import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompletionTracker } from '../../src/consumer/completion-tracker.ts'
import { rounds } from '../support/seed.ts'

test('the mark waits for the first unfinished range', () => {
  const tracker = new CompletionTracker(10)
  tracker.finish(12, 15)
  assert.equal(tracker.mark, 10)
  assert.deepEqual(tracker.above(), [{ first: 12, end: 15 }])
  tracker.finish(10, 12)
  assert.equal(tracker.mark, 15)
  assert.deepEqual(tracker.above(), [])
})

test('ranges that touch or overlap become one', () => {
  const tracker = new CompletionTracker(0)
  tracker.finish(10, 20)
  tracker.finish(30, 40)
  tracker.finish(20, 25)
  assert.deepEqual(tracker.above(), [
    { first: 10, end: 25 },
    { first: 30, end: 40 },
  ])
  tracker.finish(5, 35)
  assert.deepEqual(tracker.above(), [{ first: 5, end: 40 }])
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
  rounds(300, (random) => {
    const start = random.below(20)
    const size = 1 + random.below(120)
    const tracker = new CompletionTracker(start)
    const finished = new Set<number>()
    let mark = start
    for (let step = 0; step < 60; step++) {
      const first = start + random.below(size)
      const end = first + random.below(12)
      tracker.finish(first, end)
      for (let offset = first; offset < end; offset++) finished.add(offset)
      while (finished.has(mark)) mark++
      assert.equal(tracker.mark, mark)
      const above = tracker.above()
      for (const [index, range] of above.entries()) {
        const previousEnd = above[index - 1]?.end ?? tracker.mark
        assert.ok(range.first > previousEnd, 'ranges are apart from each other and from the mark')
        assert.ok(range.end > range.first)
      }
      for (let offset = start; offset < start + size + 12; offset++) {
        const isInRange = above.some(({ first, end }) => offset >= first && offset < end)
        assert.equal(offset < mark || isInRange, offset < mark || finished.has(offset), `offset ${offset}`)
      }
    }
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backoffMs } from '../../src/util/backoff.ts'
import { seededRandom } from '../../src/util/random.ts'

test('delays double from the minimum to the maximum, within the jitter', () => {
  const random = seededRandom(7)
  for (let attempt = 0; attempt < 40; attempt++) {
    const exact = Math.min(1000, 10 * 2 ** attempt)
    const delay = backoffMs(attempt, { minMs: 10, maxMs: 1000 }, random)
    assert.ok(delay >= exact * 0.8 && delay <= exact * 1.2, `attempt ${attempt}: ${delay}`)
  }
})

test('a seed fixes the sequence', () => {
  const of = (seed: number) =>
    Array.from({ length: 5 }, () => seed).map(
      (
        (random) => () =>
          random.next()
      )(seededRandom(seed)),
    )
  assert.deepEqual(of(3), of(3))
  assert.notDeepEqual(of(3), of(4))
})

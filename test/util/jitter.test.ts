import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backoffMs } from '../../src/util/backoff.ts'
import { seededRandom } from '../../src/util/random.ts'

test('clients that failed together come back apart', () => {
  const random = seededRandom(7)
  const delays = Array.from({ length: 50 }, () => backoffMs(3, { minMs: 100, maxMs: 10_000 }, random))
  assert.ok(new Set(delays).size > 40)
  assert.ok(Math.max(...delays) - Math.min(...delays) > 100, 'a fifth of 800 ms, to either side')
})

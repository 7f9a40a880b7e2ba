/** A short run of the fuzzer, and that it would find what it looks for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seed } from '../support/seed.ts'
import { fuzz } from './fuzzer.ts'

test('some thousand damaged frames decode or fail with an error of ours', () => {
  const report = fuzz({ seed: seed | 0, until: (frames) => frames === 8000 })
  assert.equal(report.frames, 8000)
  // A fuzzer that never gets past the first byte proves nothing, and neither does one that damages nothing.
  assert.ok(report.decoded > 400, `${report.decoded} decoded`)
  for (const code of ['MALFORMED_FRAME', 'CORRUPT_BATCH', 'UNSUPPORTED_VERSION']) {
    assert.ok((report.codes.get(code) ?? 0) > 20, `${code}: ${report.codes.get(code)}`)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FrameReader } from '../../src/client/frame-reader.ts'
import { rounds } from '../support/seed.ts'

const frame = (body: Buffer) => {
  const size = Buffer.alloc(4)
  size.writeInt32BE(body.length)
  return Buffer.concat([size, body])
}

test('frames come out whole and in order, however the bytes are cut', () => {
  rounds(300, (random) => {
    const bodies = Array.from({ length: 1 + random.below(6) }, () =>
      random.bytes(4 + random.below(random.next() < 0.2 ? 3_000 : 30)),
    )
    const bytes = Buffer.concat(bodies.map(frame))
    const given: Buffer[] = []
    const reader = new FrameReader(10_000, (one) => given.push(one) > 0)
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + random.below(random.next() < 0.5 ? 5 : 2_000)
      reader.push(bytes.subarray(at, at + size))
      at += size
    }
    assert.deepEqual(given, bodies)
    assert.equal(reader.isMidFrame, false)
  })
})

test('a socket that reads where it is told gets the same frames, large ones in place', () => {
  rounds(60, (random) => {
    const bodies = Array.from({ length: 1 + random.below(6) }, () =>
      random.bytes(4 + random.below(random.next() < 0.2 ? 200_000 : 30)),
    )
    const bytes = Buffer.concat(bodies.map(frame))
    const given: Buffer[] = []
    const reader = new FrameReader(1_000_000, (one) => given.push(one) > 0)
    let places = 0
    for (let at = 0; at < bytes.length; ) {
      const target = reader.target()
      if (target.length !== 65_536) places++
      const most = 1 + random.below(random.next() < 0.3 ? 5 : 300_000)
      const size = bytes.copy(target, 0, at, Math.min(at + most, bytes.length))
      at += size
      reader.took(size)
    }
    assert.ok(
      given.length === bodies.length && given.every((one, index) => one.equals(bodies[index] as Buffer)),
    )
    assert.ok(places > 0 || bytes.length < 65_536)
    assert.equal(reader.isMidFrame, false)
  })
})

test('a frame that lies whole in a chunk is a view of it; another is one buffer of its own size', () => {
  const given: Buffer[] = []
  const reader = new FrameReader(10_000, (one) => given.push(one) > 0)
  const chunk = frame(Buffer.alloc(5_000, 1))
  reader.push(chunk)
  assert.equal(given[0]?.buffer, chunk.buffer)
  reader.push(chunk.subarray(0, 50))
  assert.equal(reader.isMidFrame, true)
  reader.push(chunk.subarray(50))
  assert.equal(given[1]?.buffer.byteLength, 5_000)
})

test('reading stops where the taker says so', () => {
  let count = 0
  const reader = new FrameReader(10_000, () => ++count < 2)
  reader.push(Buffer.concat(Array.from({ length: 5 }, () => frame(Buffer.alloc(8)))))
  assert.equal(count, 2)
})

test('absurd sizes are refused before anything is allocated', () => {
  const push = (...bytes: number[]) => new FrameReader(1_000, () => true).push(Buffer.from(bytes))
  assert.throws(() => push(0xff, 0xff, 0xff, 0xff), { code: 'MALFORMED_FRAME' })
  assert.throws(() => push(0, 0, 0, 3), { code: 'MALFORMED_FRAME' })
  assert.throws(() => push(0, 0, 3, 0xe9), { code: 'RESPONSE_TOO_LARGE' })
  assert.throws(() => push(0x15, 3, 1, 0), { code: 'MALFORMED_FRAME', message: /TLS/ })
  assert.throws(() => push(...Buffer.from('HTTP/1.1')), { code: 'MALFORMED_FRAME', message: /HTTP/ })
})

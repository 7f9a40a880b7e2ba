/** crc32c, murmur2 and xxHash32 against values that others published. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c, crc32cSliced, hasNativeCrc32c } from '../../src/protocol/crc32c.ts'
import { murmur2, partitionOfKey } from '../../src/protocol/murmur2.ts'
import { xxhash32 } from '../../src/protocol/xxhash32.ts'
import { rounds } from '../support/seed.ts'

test('crc32c gives the values of RFC 3720, in native code and in tables', () => {
  const ascending = Buffer.from(Array.from({ length: 32 }, (_, index) => index))
  const cases: [Buffer, number][] = [
    [Buffer.alloc(0), 0],
    [Buffer.from('123456789'), 0xe306_9283],
    [Buffer.alloc(32), 0x8a91_36aa],
    [Buffer.alloc(32, 0xff), 0x62a8_ab43],
    [ascending, 0x46dd_794e],
    [Buffer.from(ascending).reverse(), 0x113f_db5c],
  ]
  for (const [bytes, sum] of cases) {
    assert.equal(crc32c(bytes), sum)
    assert.equal(crc32cSliced(bytes), sum)
  }
})

test('both ways agree on any range', { skip: !hasNativeCrc32c() && 'no native module here' }, () => {
  rounds(200, (random) => {
    const bytes = random.bytes(256 + random.below(3000))
    const start = random.below(40)
    const end = bytes.length - random.below(40)
    assert.equal(crc32c(bytes, start, end), crc32cSliced(bytes, start, end))
    assert.equal(crc32c(bytes), crc32cSliced(bytes))
  })
})

test('murmur2 gives what the tests of the Java client expect', () => {
  const cases: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  for (const [key, hash] of cases) assert.equal(murmur2(Buffer.from(key)), hash, key)
  assert.equal(murmur2(Buffer.alloc(0)), 275646681)
})

test('a key goes where the sign bit dropped, not negated, sends it', () => {
  const hash = murmur2(Buffer.from('21'))
  assert.ok(hash < 0)
  assert.equal(partitionOfKey(Buffer.from('21'), 7), (hash + 2 ** 31) % 7)
  assert.equal(partitionOfKey(Buffer.from('abc'), 1000), 479470107 % 1000)
})

test('xxHash32 gives the values of its specification', () => {
  const hash = (text: string) => xxhash32(Buffer.from(text), 0, Buffer.byteLength(text))
  assert.equal(hash(''), 0x02cc_5d05)
  assert.equal(hash('a'), 0x550d_7456)
  assert.equal(hash('abc'), 0x32d1_53ff)
  assert.equal(hash('Nobody inspects the spammish repetition'), 0xe229_3b2f)
})

/** The codecs: round trips, the frames of others, damage, and inputs that claim more than they hold. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as zlib from 'node:zlib'
import { OttlaError } from '../../src/errors.ts'
import { type Compression, compressions } from '../../src/protocol/batch-layout.ts'
import { compress, decompress } from '../../src/protocol/compression.ts'
import { xxhash32 } from '../../src/protocol/xxhash32.ts'
import type { Random } from '../../src/util/random.ts'
import { rounds } from '../support/seed.ts'

const codecs = compressions.slice(1) as readonly Compression[]
const hasCode = (code: string) => (error: unknown) => error instanceof OttlaError && error.code === code
/** Not deepEqual: it takes minutes to say how two large buffers differ. */
const assertSame = (actual: Buffer, expected: Buffer) =>
  assert.ok(actual.equals(expected), `${actual.length} bytes, not the ${expected.length} expected`)
const corrupt = hasCode('CORRUPT_BATCH')
const tooLarge = hasCode('DECOMPRESSED_TOO_LARGE')
const MiB = 1024 * 1024

/** Bytes with runs, repeats near and far, and noise, so that every kind of copy is taken. */
function randomBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let at = 0
  while (at < length) {
    const run = Math.min(length - at, 1 + random.below(random.below(3) === 0 ? 300 : 20))
    const kind = random.below(3)
    if (kind === 0) bytes.fill(random.below(256), at, at + run)
    else if (kind === 1 && at > 0) {
      const distance = 1 + random.below(Math.min(at, 70_000))
      for (let index = at; index < at + run; index++) bytes[index] = bytes[index - distance] as number
    } else for (let index = at; index < at + run; index++) bytes[index] = random.below(256)
    at += run
  }
  return bytes
}

for (const codec of codecs) {
  test(`${codec}: what is compressed comes back, within exactly its size`, () => {
    rounds(40, (random, round) => {
      const length = [1, 5, 13, 100, 5000, 65_536, 70_000, 300_000][round % 8] as number
      const bytes = randomBytes(random, length)
      const packed = compress(codec, bytes)
      assertSame(decompress(codec, packed, length), bytes)
      assert.throws(() => decompress(codec, packed, length - 1), tooLarge)
    })
  })

  test(`${codec}: a bomb is refused and nothing of its size is allocated`, () => {
    const bomb = compress(codec, Buffer.alloc(64 * MiB))
    const before = process.memoryUsage().arrayBuffers
    assert.throws(() => decompress(codec, bomb, 256 * 1024), tooLarge)
    const grown = process.memoryUsage().arrayBuffers - before
    assert.ok(grown < 8 * MiB, `${grown} bytes were allocated`)
  })

  test(`${codec}: cut off or damaged input is an error that callers know, or other bytes`, () => {
    rounds(60, (random) => {
      const bytes = randomBytes(random, 2000)
      const packed = compress(codec, bytes)
      const cut = packed.subarray(0, random.below(packed.length))
      assert.throws(() => decompress(codec, cut, MiB), corrupt, `cut at ${cut.length} of ${packed.length}`)
      const damaged = Buffer.from(packed)
      for (let flips = 1 + random.below(4); flips > 0; flips--) {
        const at = random.below(damaged.length)
        damaged[at] = random.below(256)
      }
      try {
        assert.ok(decompress(codec, damaged, MiB).length <= MiB)
      } catch (error) {
        assert.ok(corrupt(error) || tooLarge(error), String(error))
      }
    })
  })

  test(`${codec}: noise and nothing are refused`, () => {
    rounds(50, (random) => {
      assert.throws(() => decompress(codec, random.bytes(8 + random.below(60)), MiB), OttlaError)
    })
    assert.throws(() => decompress(codec, Buffer.alloc(0), MiB), corrupt)
  })
}

test('gzip and zstd take a level', () => {
  const bytes = Buffer.from(Array.from({ length: 9000 }, (_, index) => `${index * 7919} `).join(''))
  for (const [codec, low, high] of [
    ['gzip', 1, 9],
    ['zstd', 1, 19],
  ] as const) {
    const [fast, small] = [low, high].map((level) => compress(codec, bytes, { level })) as [Buffer, Buffer]
    assert.ok(small.length < fast.length)
    assertSame(decompress(codec, small, MiB), bytes)
  }
})

// -------------------------------------------------------------------------------------------------- lz4

interface FrameOptions {
  readonly dependent?: boolean
  readonly blockChecksums?: boolean
  readonly checksum?: number
  readonly contentBytes?: number
  readonly blockSizeCode?: number
  readonly flags?: number
}

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}
const hash = (bytes: Buffer) => xxhash32(bytes, 0, bytes.length)

/** A frame as other encoders may write it. A block is its bytes, with whether they are stored plain. */
function frame(blocks: { bytes: Buffer; stored?: boolean }[], options: FrameOptions = {}): Buffer {
  const {
    dependent = false,
    blockChecksums = false,
    checksum,
    contentBytes,
    blockSizeCode = 4,
    flags = 0,
  } = options
  const flg =
    0x40 |
    (dependent ? 0 : 0x20) |
    (blockChecksums ? 0x10 : 0) |
    (contentBytes === undefined ? 0 : 0x08) |
    (checksum === undefined ? 0 : 0x04) |
    flags
  const size =
    contentBytes === undefined ? [] : [uint32(contentBytes), uint32(Math.floor(contentBytes / 2 ** 32))]
  const descriptor = Buffer.concat([Buffer.from([flg, blockSizeCode << 4]), ...size])
  const parts: Buffer[] = [uint32(0x184d2204), descriptor, Buffer.from([(hash(descriptor) >>> 8) & 0xff])]
  for (const { bytes, stored = false } of blocks) {
    parts.push(uint32(bytes.length + (stored ? 0x8000_0000 : 0)), bytes)
    if (blockChecksums) parts.push(uint32(hash(bytes)))
  }
  parts.push(uint32(0))
  if (checksum !== undefined) parts.push(uint32(checksum))
  return Buffer.concat(parts)
}

const stored = (text: string) => ({ bytes: Buffer.from(text), stored: true })
/** No literals, 8 bytes from 12 before, then 'end!!' as literals. */
const backReference = { bytes: Buffer.from([0x04, 12, 0, 0x50, ...Buffer.from('end!!')]) }
const lz4 = (bytes: Buffer, maxBytes = MiB) => decompress('lz4', bytes, maxBytes).toString()

test('lz4: our frames have independent blocks, also where there are several', () => {
  for (const length of [10, 100_000, 3_000_000]) {
    const packed = compress('lz4', Buffer.alloc(length, 'abcdefg'))
    assert.equal(packed.readUInt32LE(0), 0x184d2204)
    assert.equal((packed[4] as number) & 0xe0, 0x60, 'version 1, independent')
    assert.equal(packed[6], (hash(packed.subarray(4, 6)) >>> 8) & 0xff)
  }
})

test('lz4: frames of dependent blocks are read, and a reference out of an independent block is refused', () => {
  const blocks = [stored('hello, world'), backReference]
  assert.equal(lz4(frame(blocks, { dependent: true })), 'hello, worldhello, wend!!')
  assert.throws(() => lz4(frame(blocks)), corrupt)
})

test('lz4: checksums of blocks and of the content are checked, and so is the size that the frame says', () => {
  const blocks = [stored('hello, '), stored('world')]
  const checksum = hash(Buffer.from('hello, world'))
  const good = frame(blocks, { blockChecksums: true, checksum, contentBytes: 12 })
  assert.equal(lz4(good), 'hello, world')
  assert.equal(lz4(good, 12), 'hello, world')
  for (let at = 0; at < good.length; at++) {
    const damaged = Buffer.from(good)
    damaged[at] = (damaged[at] as number) ^ 0x20
    assert.throws(() => lz4(damaged), OttlaError, `byte ${at}`)
  }
  assert.throws(() => lz4(frame(blocks, { checksum: checksum + 1 })), corrupt)
  assert.throws(() => lz4(frame(blocks, { contentBytes: 13 })), corrupt)
  assert.throws(() => lz4(frame(blocks, { contentBytes: 11 })), corrupt)
  assert.throws(() => lz4(frame(blocks, { contentBytes: 2 ** 40 })), tooLarge)
})

test('lz4: several frames, skippable and legacy ones are read one after the other', () => {
  const skippable = Buffer.concat([uint32(0x184d2a57), uint32(5), Buffer.from('skip!')])
  const legacyBlock = Buffer.from([0x50, ...Buffer.from('older')])
  const legacy = Buffer.concat([uint32(0x184c2102), uint32(legacyBlock.length), legacyBlock])
  assert.equal(lz4(Buffer.concat([frame([stored('a')]), skippable, frame([stored('b')])])), 'ab')
  assert.equal(lz4(Buffer.concat([legacy, legacy, frame([stored('c')])])), 'olderolderc')
})

test('lz4: frames that cannot be are refused', () => {
  const cases: [string, Buffer][] = [
    ['dictionary', frame([stored('a')], { flags: 0x01 })],
    ['version', frame([stored('a')], { flags: 0x80 })],
    ['block size', frame([stored('a')], { blockSizeCode: 3 })],
    ['block larger than its frame allows', frame([stored('x'.repeat(65_537))])],
    ['distance 0', frame([{ bytes: Buffer.from([0x14, 97, 0, 0, 0x00]) }])],
    ['match without a distance', frame([{ bytes: Buffer.from([0x14, 97, 1]) }])],
    ['literals past the end', frame([{ bytes: Buffer.from([0x50, 97]) }])],
    ['length without an end', frame([{ bytes: Buffer.from([0xf0, 255, 255]) }])],
    ['no end mark', frame([stored('a')]).subarray(0, -4)],
    ['something behind', Buffer.concat([frame([stored('a')]), Buffer.from('tail')])],
  ]
  for (const [what, bytes] of cases) assert.throws(() => lz4(bytes), corrupt, what)
})

test('lz4: a block that decompresses to more than its frame allows is refused', () => {
  const bytes = Buffer.from([0x1f, 97, 1, 0, ...new Array(300).fill(255), 0, 0x50, ...Buffer.from('12345')])
  assert.equal(lz4(frame([{ bytes }], { blockSizeCode: 5 })).length, 1 + 19 + 300 * 255 + 5)
  assert.throws(() => lz4(frame([{ bytes }], { blockSizeCode: 4 })), corrupt)
})

// ----------------------------------------------------------------------------------------------- snappy

const rawSnappy = Buffer.concat([Buffer.from([11, 0x14]), Buffer.from('hello '), Buffer.from([0x05, 0x06])])

test('snappy: raw is read as well as the chunks of Java, which we write', () => {
  assert.equal(decompress('snappy', rawSnappy, 100).toString(), 'hello hello')
  const packed = compress('snappy', Buffer.alloc(200_000, 'abc'))
  assert.equal(packed.toString('hex', 0, 16), '82534e4150505900' + '00000001' + '00000001')
  const first = packed.readInt32BE(16)
  assert.ok(first > 0 && first < 65_536)
  assert.deepEqual(
    decompress('snappy', Buffer.concat([packed, packed]), MiB),
    Buffer.alloc(400_000, 'abc'.repeat(66_667).slice(0, 200_000)),
  )
})

test('snappy: chunks that cannot be are refused', () => {
  const cases: [string, number[]][] = [
    ['no preamble', [0x80, 0x80]],
    ['a preamble of six bytes', [0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0]],
    ['more than so few bytes can hold', [0xff, 0xff, 0x03, 0x00, 97]],
    ['a copy before its start', [8, 0x00, 97, 0x11, 0x02]],
    ['a copy of distance 0', [8, 0x00, 97, 0x11, 0x00]],
    ['a copy cut off', [8, 0x00, 97, 0x12, 0x01]],
    ['a literal cut off', [8, 0x1c, 97]],
    ['a literal longer than the chunk says', [1, 0x04, 97, 98]],
    ['a copy longer than the chunk says', [4, 0x00, 97, 0x11, 0x01]],
    ['less than the chunk says', [3, 0x00, 97]],
  ]
  for (const [what, bytes] of cases)
    assert.throws(() => decompress('snappy', Buffer.from(bytes), MiB), corrupt, what)
  const chunk = compress('snappy', Buffer.from('abc'))
  chunk.writeInt32BE(-1, 16)
  assert.throws(() => decompress('snappy', chunk, MiB), corrupt)
})

test('snappy: the length in front is not believed where so few bytes cannot hold it', () => {
  const before = process.memoryUsage().arrayBuffers
  const claimsHalfGiB = Buffer.from([0x80, 0x80, 0x80, 0x80, 0x02, 0x00, 97])
  assert.throws(() => decompress('snappy', claimsHalfGiB, 2 ** 31), corrupt)
  assert.ok(process.memoryUsage().arrayBuffers - before < MiB)
})

// ------------------------------------------------------------------------------------------------- zstd

test('zstd: a small frame cannot make the decoder hold a large window', () => {
  // Magic, descriptor: no content size, window of 2^31 bytes; one empty last block.
  const huge = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00])
  assert.throws(() => decompress('zstd', huge, MiB), tooLarge)
  const said = compress('zstd', Buffer.alloc(1000))
  assert.throws(() => decompress('zstd', said, 999), tooLarge)
})

test('zstd: skippable frames are skipped, and what is no frame is refused', () => {
  const packed = compress('zstd', Buffer.from('zstandard'.repeat(9)))
  const skippable = Buffer.concat([uint32(0x184d2a50), uint32(3), Buffer.from('skp')])
  const text = decompress('zstd', Buffer.concat([skippable, packed, skippable]), MiB)
  assert.equal(text.toString(), 'zstandard'.repeat(9))
  assert.throws(() => decompress('zstd', Buffer.concat([packed, Buffer.from('tail')]), MiB), corrupt)
})

test('zstd: streams without a content size, and several frames, are read', async () => {
  const text = Buffer.from('streamed '.repeat(20_000))
  const stream = zlib.createZstdCompress()
  // Written and ended apart: in one call the encoder would learn the size.
  stream.write(text)
  stream.end()
  const packed = Buffer.concat(await stream.toArray())
  assert.equal((packed[4] as number) >>> 5, 0, 'no size in the frame, and no single segment')
  assertSame(decompress('zstd', packed, text.length), text)
  assert.throws(() => decompress('zstd', packed, text.length - 1), tooLarge)
  assertSame(decompress('zstd', Buffer.concat([packed, packed]), MiB), Buffer.concat([text, text]))
})

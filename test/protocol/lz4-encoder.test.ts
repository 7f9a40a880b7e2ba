/** What our lz4 encoder writes: what decoders get back from it, how large it is, and that it stays inside its memory. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { decompressLz4 } from '../../src/protocol/lz4.ts'
import { lz4BlocksSource } from '../../src/protocol/lz4-blocks.ts'
import { compressLz4 } from '../../src/protocol/lz4-encoder.ts'
import type { Random } from '../../src/util/random.ts'
import { rounds } from '../support/seed.ts'

/** A codec that is not ours: lz4_flex in WebAssembly. */
const other = createRequire(import.meta.url)('@platformatic/wasm-utils') as {
  lz4Compress(bytes: Uint8Array): Buffer
  lz4Decompress(bytes: Uint8Array): Buffer
}

const BLOCK = 65_536
const FRAME_BYTES = 7 + 4

/** The format's rules for the end of a block, which fast decoders rely on: 5 literals, no match in the last 12. */
function assertEndsWell(frame: Buffer): void {
  for (let at = 7; frame.readUInt32LE(at) !== 0; ) {
    const size = frame.readUInt32LE(at)
    const end = at + 4 + (size & 0x7fff_ffff)
    if (size < 0x8000_0000) assertBlockEndsWell(frame.subarray(at + 4, end))
    at = end
  }
}

function assertBlockEndsWell(block: Buffer): void {
  let at = 0
  const more = (nibble: number) => {
    let length = nibble
    if (nibble === 15) for (let byte = 255; byte === 255; length += byte) byte = block[at++] as number
    return length
  }
  let plain = 0
  let lastMatchAt = -1
  for (;;) {
    const token = block[at++] as number
    const literals = more(token >>> 4)
    plain += literals
    at += literals
    if (at === block.length) {
      if (lastMatchAt < 0) return
      assert.ok(literals >= 5, `a block ends with ${literals} literals`)
      assert.ok(plain - lastMatchAt >= 12, `a match begins ${plain - lastMatchAt} bytes before the end`)
      return
    }
    at += 2
    lastMatchAt = plain
    plain += more(token & 15) + 4
  }
}

function assertComesBack(content: Buffer): Buffer {
  const frame = compressLz4(content)
  const own = decompressLz4(frame, content.length)
  assert.ok(own.equals(content), `our decoder gives other bytes for ${content.length} of content`)
  if (content.length > 0) {
    const foreign = other.lz4Decompress(frame)
    assert.ok(foreign.equals(content), `another decoder gives other bytes for ${content.length} of content`)
  }
  const most = FRAME_BYTES + content.length + 4 * Math.ceil(content.length / BLOCK)
  assert.ok(frame.length <= most, `${content.length} bytes became ${frame.length}`)
  assertEndsWell(frame)
  return frame
}

/** Texts of a few letters: short matches at every distance, and lengths around the 15 and 255 of a token. */
function letters(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  const kinds = 1 + random.below(6)
  for (let at = 0; at < length; ) {
    const run = 1 + random.below([4, 20, 300, 1200][random.below(4)] as number)
    const distance = 1 + random.below(Math.max(1, at))
    const repeats = at > 0 && random.below(2) === 0
    for (let index = 0; index < run && at < length; index++, at++) {
      bytes[at] = repeats ? (bytes[at - distance] as number) : 97 + random.below(kinds)
    }
  }
  return bytes
}

const noise = (random: Random, length: number) => Buffer.from(random.bytes(length))

test('every small size comes back, of anything', () => {
  rounds(1, (random) => {
    for (let length = 0; length <= 600; length++) {
      for (const content of [Buffer.alloc(length), letters(random, length), noise(random, length)]) {
        assertComesBack(content)
      }
    }
  })
})

test('sizes around one block and several come back', () => {
  rounds(3, (random) => {
    for (const blocks of [1, 2, 5]) {
      for (let off = -20; off <= 20; off += 1 + random.below(3)) {
        const length = blocks * BLOCK + off
        for (const content of [Buffer.alloc(length), letters(random, length), noise(random, length)]) {
          assertComesBack(content)
        }
      }
    }
  })
})

test('random texts come back, whatever was compressed before', () => {
  rounds(300, (random) => {
    const parts: Buffer[] = []
    for (let index = random.below(6); index >= 0; index--) {
      const length = random.below([40, 3000, 90_000][random.below(3)] as number)
      parts.push(random.below(3) === 0 ? noise(random, length) : letters(random, length))
    }
    assertComesBack(Buffer.concat(parts))
  })
})

test('noise is stored as it is, block by block, and what follows is compressed again', () => {
  rounds(5, (random) => {
    const frame = assertComesBack(Buffer.concat([noise(random, BLOCK), Buffer.alloc(BLOCK, 'abc')]))
    assert.equal(frame.readUInt32LE(7), 0x8000_0000 + BLOCK)
    assert.ok(frame.readUInt32LE(7 + 4 + BLOCK) < 1000)
  })
})

test('each block stands alone: a block does not refer to the one before', () => {
  rounds(2, (random) => {
    const twice = noise(random, 2000)
    const content = Buffer.concat([noise(random, BLOCK - 2000), twice, twice, noise(random, 1000)])
    const frame = assertComesBack(content)
    assert.equal(frame.length, FRAME_BYTES + 2 * 4 + content.length, 'nothing was found twice')
  })
})

test('records of JSON become hardly larger than with another encoder', () => {
  rounds(3, (random) => {
    const records = Array.from({ length: 1000 }, (_, index) =>
      JSON.stringify({
        orderId: `${random.below(2 ** 31)}-${index}`,
        customer: { country: ['CZ', 'DE', 'AT'][random.below(3)], segment: 'retail' },
        lines: Array.from({ length: 1 + random.below(8) }, () => ({
          sku: `SKU-${random.below(2 ** 31).toString(16)}`,
          quantity: 1 + random.below(9),
          price: random.below(20_000) / 100,
          currency: 'EUR',
        })),
      }),
    )
    const content = Buffer.from(records.join(''))
    const size = assertComesBack(content).length
    const theirs = other.lz4Compress(content).length
    assert.ok(size <= theirs * 1.05, `${content.length} bytes became ${size}, theirs ${theirs}`)
  })
})

test('after content that needed much memory the next begins with little', () => {
  assertComesBack(Buffer.alloc(20_000_000, 'much'))
  assertComesBack(Buffer.from('little, little, little, little'))
})

test('bytes in front of the frame are left free', () => {
  const frame = compressLz4(Buffer.alloc(100, 'a'))
  assert.ok(compressLz4(Buffer.alloc(100, 'a'), 61).subarray(61).equals(frame))
})

test('what is run was assembled from the text beside it', () => {
  const text = readFileSync(join(import.meta.dirname, '../../src/protocol/lz4-blocks.wat'))
  const digest = createHash('sha256').update(text).digest('hex')
  assert.equal(lz4BlocksSource, digest, 'node tools/assemble-lz4.ts makes it anew')
})

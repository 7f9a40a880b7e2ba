/** The primitive types on the wire, at their edges. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OttlaError } from '../../src/errors.ts'
import { compileDecoder, compileEncoder } from '../../src/protocol/codec.ts'
import { encodeRequest } from '../../src/protocol/frame.ts'
import { produce } from '../../src/protocol/messages/produce.ts'
import { Reader } from '../../src/protocol/reader.ts'
import { int8, string } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'
import { seededRandom } from '../../src/util/random.ts'
import { seed } from '../support/seed.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof OttlaError && error.code === code
const written = (write: (writer: Writer) => void): Buffer => {
  const writer = new Writer(4)
  write(writer)
  return Buffer.concat(writer.finish())
}
const reader = (hex: string) => new Reader(Buffer.from(hex, 'hex'))

test('unsigned varints of up to 32 bits', () => {
  const cases: [number, string][] = [
    [0, '00'],
    [127, '7f'],
    [128, '8001'],
    [300, 'ac02'],
    [2 ** 28 - 1, 'ffffff7f'],
    [2 ** 28, '8080808001'],
    [2 ** 32 - 1, 'ffffffff0f'],
  ]
  for (const [value, hex] of cases) {
    assert.equal(written((writer) => writer.varuint(value)).toString('hex'), hex)
    assert.equal(reader(hex).varuint(), value)
  }
  for (const hex of ['ffffffff1f', '808080808001', '80', '']) {
    assert.throws(() => reader(hex).varuint(), hasCode('MALFORMED_FRAME'), hex)
  }
})

test('64-bit numbers are exact to 2^53, and beyond it refused; times saturate', () => {
  const cases: [number, string][] = [
    [0, '0000000000000000'],
    [-1, 'ffffffffffffffff'],
    [2 ** 32, '0000000100000000'],
    [-(2 ** 32) - 1, 'fffffffeffffffff'],
    [2 ** 53 - 1, '001fffffffffffff'],
    [1 - 2 ** 53, 'ffe0000000000001'],
  ]
  for (const [value, hex] of cases) {
    assert.equal(written((writer) => writer.int64(value)).toString('hex'), hex)
    assert.equal(reader(hex).int64(), value)
    assert.equal(reader(hex).timestamp(), value)
  }
  for (const hex of ['0020000000000000', 'ffe0000000000000', '7fffffffffffffff', '8000000000000000']) {
    assert.throws(() => reader(hex).int64(), hasCode('NUMBER_OUT_OF_RANGE'))
    assert.equal(Math.abs(reader(hex).timestamp()), Number.MAX_SAFE_INTEGER)
  }
  for (const value of [2 ** 53, 0.5, Number.NaN]) {
    assert.throws(() => written((writer) => writer.int64(value)), hasCode('INVALID_ARGUMENT'))
  }
})

test('nothing is read past the end that was given, though the buffer goes on', () => {
  const part = new Reader(Buffer.from('0102030405060708090a', 'hex'), 2, 5)
  assert.equal(part.remaining, 3)
  assert.throws(() => part.int32(), hasCode('MALFORMED_FRAME'))
  assert.equal(part.int16(), 0x0304)
  assert.throws(() => part.view(2), hasCode('MALFORMED_FRAME'))
  assert.throws(() => part.view(-1), hasCode('MALFORMED_FRAME'))
  assert.throws(() => part.count(2), hasCode('MALFORMED_FRAME'))
  assert.equal(part.int8(), 5)
})

test('tagged fields: unknown ones are skipped, a known one must be as long as it says', () => {
  const decode = compileDecoder({ name: string({ tag: 1, default: 'none' }), count: int8() }, 0, true)
  assert.deepEqual(decode(reader('0700')), { name: 'none', count: 7 })
  // Two tags: 0, which nobody knows, of 3 bytes, and 1 of 2 bytes.
  assert.deepEqual(decode(reader('07020003aabbcc01020261')), { name: 'a', count: 7 })
  for (const hex of ['07010103026162', '0701010102', '070101010261', '0701010402']) {
    assert.throws(() => decode(reader(hex)), hasCode('MALFORMED_FRAME'), hex)
  }
})

test('tagged fields are written by ascending tags, as Kafka demands, in whatever order the table has them', () => {
  const fields = {
    third: int8({ tag: 5 }),
    count: int8(),
    first: int8({ tag: 0 }),
    absent: int8({ tag: 1 }),
    second: string({ tag: 3, default: 'none' }),
  }
  const encode = compileEncoder(fields, 0, true)
  const value = { third: 9, count: 7, first: 8, absent: 0, second: 'a' }
  const bytes = written((writer) => encode(writer, value))
  assert.equal(bytes.toString('hex'), ['07', '03', '000108', '03020261', '050109'].join(''))
  assert.deepEqual(compileDecoder(fields, 0, true)(new Reader(bytes)), value)
})

test('large bytes become a piece of their own, uncopied, and the size in front counts them', () => {
  const large = Buffer.alloc(10_000, 1)
  const small = Buffer.alloc(100, 2)
  const topicData = [{ name: 't', partitionData: [{ index: 0, records: [small, large, small] }] }]
  const pieces = encodeRequest(
    produce,
    { apiVersion: 9, correlationId: 1, clientId: 'c' },
    { acks: -1, timeoutMs: 1, topicData },
  )
  assert.ok(pieces.includes(large))
  const frame = Buffer.concat(pieces)
  assert.equal(frame.readInt32BE(0), frame.length - 4)
})

test('a writer that outgrows its buffer keeps what it wrote', () => {
  const bytes = written((writer) => {
    for (let value = 0; value < 500; value++) {
      writer.int8(value & 0x7f)
      if (value % 100 === 0) writer.raw(Buffer.alloc(5000, value & 0xff))
    }
  })
  assert.equal(bytes.length, 500 + 5 * 5000)
  assert.deepEqual([bytes[0], bytes[1], bytes[5001], bytes[5101]], [0, 0, 1, 100])
})

test('ids: read and written as Kafka’s text, however many there were before', () => {
  const random = seededRandom(seed)
  const ids = Array.from({ length: 2_000 }, () =>
    Buffer.from(Array.from({ length: 16 }, () => random.below(256))),
  )
  // What is kept of one must not be taken for its neighbour, which differs in a single bit.
  const withNeighbours = ids.flatMap((id) => {
    const near = Buffer.from(id)
    const place = random.below(16)
    near[place] = (id[place] as number) ^ (1 << random.below(8))
    return [id, near, id]
  })
  for (const id of withNeighbours) {
    const text = new Reader(id).uuid()
    assert.equal(text, id.toString('base64url'), `seed ${seed}`)
    const writer = new Writer()
    writer.uuid(text)
    assert.deepEqual(Buffer.concat(writer.finish()), id, `seed ${seed}`)
  }
  for (const text of ['', 'A'.repeat(21), 'A'.repeat(23), `${'A'.repeat(21)}*`, `${'A'.repeat(22)}==`]) {
    assert.throws(() => new Writer().uuid(text), { code: 'INVALID_ARGUMENT' })
  }
})

/** Record batches of format 2: what is built is read again, and damage is told from data. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OttlaError } from '../../src/errors.ts'
import {
  BATCH_OVERHEAD,
  BatchBuilder,
  type Compression,
  compressions,
  type EncodableRecord,
  encodeRecordBatch,
  type HeaderList,
  haveRightCrcs,
  RecordCursor,
  readBatches,
  splitBatch,
  stampBatch,
  validateBatch,
  writeCrc,
} from '../../src/protocol/record-batch.ts'
import type { Random } from '../../src/util/random.ts'
import { rounds } from '../support/seed.ts'

const NO_BOUND = { maxDecompressedBytes: 2 ** 30 }
const hasCode = (code: string) => (error: unknown) => error instanceof OttlaError && error.code === code

interface ReadRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: [string, string | null][]
}

/** Bytes as hex, so that a difference can be read. */
const hex = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('hex'))

function readAll(buffer: Buffer): ReadRecord[] {
  const records: ReadRecord[] = []
  for (const batch of readBatches(buffer)) {
    const cursor = new RecordCursor(batch, NO_BOUND)
    while (cursor.next()) {
      const { offset, timestamp } = cursor
      const headers = cursor.headers().map(([name, value]): [string, string | null] => [name, hex(value)])
      records.push({ offset, timestamp, key: hex(cursor.key()), value: hex(cursor.value()), headers })
    }
  }
  return records
}

const asRead = (records: readonly EncodableRecord[], baseOffset = 0): ReadRecord[] =>
  records.map(({ key = null, value = null, headers = [], timestamp = -1 }, index) => ({
    offset: baseOffset + index,
    timestamp,
    key: key === null ? null : hex(Buffer.from(key as string)),
    value: value === null ? null : hex(Buffer.from(value as string)),
    headers: headers.map(([name, content]) => [
      name,
      content === null ? null : hex(Buffer.from(content as string)),
    ]),
  }))

const alphabets = ['abc', 'aé', 'ü𝕂', '\ud800x', '\0~\x7f\x80']

function randomPayload(random: Random): string | Uint8Array | null {
  const length = [0, 1, 9, 10, 11, 63, 64, 130, 700][random.below(9)] as number
  if (random.below(6) === 0) return null
  if (random.below(2) === 0) return random.bytes(length)
  const alphabet = [...(alphabets[random.below(alphabets.length)] as string)]
  return Array.from({ length }, () => alphabet[random.below(alphabet.length)]).join('')
}

function randomRecords(random: Random): EncodableRecord[] {
  const base = [0, 1.7e12, 2 ** 52, -(2 ** 52)][random.below(4)] as number
  const spread = [1, 100, 2 ** 31, 2 ** 52][random.below(4)] as number
  const headers = (): HeaderList =>
    random.below(3) > 0
      ? []
      : Array.from(
          { length: 1 + random.below(3) },
          () => [`h-é${random.below(9)}`, randomPayload(random)] as const,
        )
  return Array.from({ length: 1 + random.below(120) }, () => ({
    key: randomPayload(random),
    value: randomPayload(random),
    headers: headers(),
    timestamp: base + Math.round((random.next() - 0.5) * 2 * spread),
  }))
}

for (const compression of compressions) {
  test(`any records survive a batch: ${compression}`, () => {
    rounds(40, (random) => {
      const records = randomRecords(random)
      const baseOffset = random.below(2) * 2 ** 52
      const batch = encodeRecordBatch(records, { compression, baseOffset })
      assert.deepEqual(readAll(batch), asRead(records, baseOffset))
      const [view] = [...readBatches(batch)]
      assert.ok(view)
      validateBatch(view)
      assert.equal(view.count, records.length)
      assert.equal(view.lastOffset, baseOffset + records.length - 1)
      assert.equal(view.maxTimestamp, Math.max(...records.map((record) => record.timestamp as number)))
    })
  })

  test(`a batch cut in two says what the one said: ${compression}`, () => {
    rounds(15, (random) => {
      const records = randomRecords(random)
      if (records.length === 1) return
      const baseSequence = [5, 2 ** 31 - 3][random.below(2)] as number
      const stamp = { producerId: 2 ** 40, producerEpoch: 3, baseSequence }
      const batch = encodeRecordBatch(records, { compression, baseOffset: 1000, ...stamp })
      const cut = 1 + random.below(records.length - 1)
      const halves = splitBatch(batch, cut, compression)
      assert.deepEqual(readAll(Buffer.concat(halves)), asRead(records, 1000))
      const [first, second] = halves.map((half) => [...readBatches(half)][0])
      assert.ok(first && second)
      assert.deepEqual([first.count, second.count], [cut, records.length - cut])
      assert.equal(second.baseOffset, first.lastOffset + 1)
      assert.equal(second.baseSequence, (first.lastSequence + 1) % 2 ** 31)
      assert.equal(second.producerId, stamp.producerId)
    })
  })
}

test('sizes are exact at every step, and the bound is one', () => {
  rounds(60, (random) => {
    const builder = new BatchBuilder({ capacity: 64 + random.below(4000) })
    let size = BATCH_OVERHEAD
    for (const { key = null, value = null, headers = [], timestamp = 0 } of randomRecords(random)) {
      const bound = BatchBuilder.maxSizeOf(key, value, headers)
      const added = builder.append(key, value, headers, timestamp)
      assert.ok(added <= bound, `${added} bytes, ${bound} at most`)
      size += added
      assert.equal(builder.sizeBytes, size)
      assert.ok(builder.capacityBytes >= size)
    }
    assert.equal(builder.seal().length, size)
  })
})

test('the bytes of a batch, one by one', () => {
  const batch = encodeRecordBatch(
    [
      { key: 'k', value: 'v', timestamp: 1000, headers: [['h', null]] },
      { key: null, value: '', timestamp: 999 },
    ],
    {
      baseOffset: 7,
      producerId: 4,
      producerEpoch: 5,
      baseSequence: 6,
      partitionLeaderEpoch: 9,
      transactional: true,
    },
  )
  const expected = [
    '0000000000000007', // base offset
    '00000044', // length behind here
    '00000009', // leader epoch
    '02', // magic
    batch.toString('hex', 17, 21), // crc: see the vectors of crc32c
    '0010', // transactional
    '00000001', // last offset delta
    '00000000000003e8', // base timestamp
    '00000000000003e8', // largest timestamp
    '0000000000000004', // producer id
    '0005',
    '00000006',
    '00000002', // count
    '16000000', // 11 bytes, attributes, timestamp delta 0, offset delta 0
    '026b0276', // key, value
    '02026801', // one header, its value null
    '0c00010201', // 6 bytes, attributes, timestamp delta -1, offset delta 1, key null
    '0000', // value empty, no headers
  ]
  assert.equal(batch.toString('hex'), expected.join(''))
})

test('an uncompressed seal is a view of the buffer that the builder held', () => {
  const held: Buffer[] = []
  const released: Buffer[] = []
  const builder = new BatchBuilder({
    capacity: 128,
    allocate: (bytes) => {
      const buffer = Buffer.alloc(bytes)
      held.push(buffer)
      return buffer
    },
    release: (buffer) => released.push(buffer),
  })
  assert.equal(builder.capacityBytes, 0)
  for (let index = 0; index < 20; index++) builder.append(null, 'v'.repeat(50), [], 1)
  assert.deepEqual(released, held.slice(0, -1), 'each outgrown buffer is given back')
  assert.equal(builder.capacityBytes, held.at(-1)?.length)
  const batch = builder.seal()
  assert.equal(batch.buffer, held.at(-1)?.buffer)
  builder.release()
  assert.deepEqual(released, held)
  assert.deepEqual([builder.count, builder.sizeBytes, builder.capacityBytes], [0, BATCH_OVERHEAD, 0])
  builder.append('again', null, [], 5)
  assert.equal(builder.baseTimestamp, 5)
})

test('compression that saves nothing is left out', () => {
  const incompressible = Buffer.from(Array.from({ length: 200 }, (_, index) => (index * 167 + 13) & 0xff))
  for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const [view] = [...readBatches(encodeRecordBatch([{ value: incompressible }], { compression }))]
    assert.equal(view?.compression, 'none')
  }
})

test('a timestamp that a delta cannot carry is refused and leaves the builder as it was', () => {
  const builder = new BatchBuilder()
  builder.append(null, null, [], -(2 ** 53) + 1)
  const before = builder.sizeBytes
  for (const timestamp of [1.5, Number.NaN, 2 ** 53, 10]) {
    assert.throws(() => builder.append(null, null, [], timestamp), hasCode('INVALID_ARGUMENT'))
  }
  assert.deepEqual([builder.count, builder.sizeBytes], [1, before])
})

test('a stamp changes the fields of the producer and nothing else, as often as needed', () => {
  const batch = encodeRecordBatch([{ value: 'v' }])
  const records = readAll(batch)
  stampBatch(batch, { producerId: 9, producerEpoch: 1, baseSequence: 77, transactional: true })
  stampBatch(batch, { producerId: 9, producerEpoch: 2, baseSequence: 0 })
  const [view] = [...readBatches(batch)]
  assert.ok(view)
  assert.deepEqual([view.producerId, view.producerEpoch, view.baseSequence], [9, 2, 0])
  assert.equal(view.isTransactional, true, 'what the stamp does not say stays')
  assert.deepEqual(readAll(batch), records)
})

// ---------------------------------------------------------------------------------------------- reading

const sample = (options = {}) =>
  encodeRecordBatch([{ value: 'one' }, { value: 'two' }, { value: 'three' }], options)

test('a last batch that is cut off is left out, wherever it is cut', () => {
  const two = Buffer.concat([sample(), sample({ baseOffset: 3 })])
  for (let end = 0; end <= two.length; end++) {
    const whole = end < sample().length ? 0 : end < two.length ? 1 : 2
    assert.equal([...readBatches(two.subarray(0, end))].length, whole, `cut at ${end}`)
  }
})

test('one changed bit anywhere behind the crc is CORRUPT_BATCH, and is not looked for when told not to', () => {
  const batch = sample()
  for (let bit = 17 * 8; bit < batch.length * 8; bit++) {
    const damaged = Buffer.from(batch)
    damaged.writeUInt8((damaged[bit >> 3] as number) ^ (1 << (bit & 7)), bit >> 3)
    assert.throws(() => [...readBatches(damaged)], hasCode('CORRUPT_BATCH'), `bit ${bit}`)
  }
  const trusted = Buffer.from(batch)
  trusted.writeUInt8((trusted.at(-2) as number) ^ 1, trusted.length - 2)
  assert.equal([...readBatches(trusted, { checkCrc: false })].length, 1)
})

test('records of format 0 and 1 are a typed error, anything else there is damage', () => {
  const batch = sample()
  for (const [magic, code] of [
    [0, 'UNSUPPORTED_MAGIC'],
    [1, 'UNSUPPORTED_MAGIC'],
    [3, 'CORRUPT_BATCH'],
    [255, 'CORRUPT_BATCH'],
  ] as const) {
    batch.writeUInt8(magic, 16)
    assert.throws(() => [...readBatches(batch)], hasCode(code))
  }
})

test('a length below a header is CORRUPT_BATCH and never a standstill', () => {
  // A batch of -12 bytes ends where it begins. The checksum of no bytes is 0: it does not give these away.
  for (const length of [-1, 0, 48, -12, -(2 ** 31)]) {
    const batch = sample()
    batch.writeInt32BE(length, 8)
    batch.writeUInt32BE(0, 17)
    for (const checkCrc of [true, false]) {
      assert.throws(
        () => readBatches(batch, { checkCrc }).next(),
        (error: Error) => error instanceof OttlaError && /says that it has/.test(error.message),
      )
    }
    assert.throws(() => haveRightCrcs(batch), hasCode('CORRUPT_BATCH'))
  }
})

test('a batch that compaction emptied still moves the offset on', () => {
  const batch = sample({ baseOffset: 40 }).subarray(0, BATCH_OVERHEAD)
  batch.writeInt32BE(BATCH_OVERHEAD - 12, 8)
  batch.writeInt32BE(0, 57)
  for (const codec of [0, 4]) {
    batch.writeInt16BE(codec, 21)
    writeCrc(batch)
    const [view] = [...readBatches(batch)]
    assert.ok(view)
    assert.deepEqual([view.baseOffset, view.lastOffset, view.count], [40, 42, 0])
    assert.equal(new RecordCursor(view, NO_BOUND).next(), false)
    assert.throws(() => validateBatch(view), hasCode('CORRUPT_BATCH'), 'a producer may not send it')
  }
})

/** The batch with these bytes for records, and a header that fits. */
function withRecords(records: Buffer, count: number, lastOffsetDelta = count - 1): Buffer {
  const batch = Buffer.concat([sample().subarray(0, BATCH_OVERHEAD), records])
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt32BE(lastOffsetDelta, 23)
  batch.writeInt32BE(count, 57)
  writeCrc(batch)
  return batch
}

function readHex(text: string, count: number, lastOffsetDelta?: number): ReadRecord[] {
  return readAll(withRecords(Buffer.from(text.replaceAll(' ', ''), 'hex'), count, lastOffsetDelta))
}

test('gaps that compaction left between the records of a batch are kept', () => {
  const records = readHex('0c 00 00 00 01 00 00  0c 00 00 08 01 00 00', 2, 9)
  assert.deepEqual(
    records.map((record) => record.offset),
    [0, 4],
  )
})

test('damage inside of a batch whose crc is right is CORRUPT_BATCH', () => {
  const cases: [what: string, bytes: string, count: number][] = [
    ['a record is missing', '0c000000010000', 2],
    ['a record too many', '0c000000010000 0c000002010000', 1],
    ['a record runs past its batch', '0e000000010000', 1],
    ['a record of no bytes', '00', 1],
    ['a record of negative length', '01', 1],
    ['a key runs past its record', '0c 00 00 00 08 61 62', 1],
    ['a value runs past its record', '0c 00 00 00 01 08 00', 1],
    ['a value of 2 GiB', '14 00 00 00 01 fe ff ff ff 0f 00', 1],
    ['more headers than bytes', '0c 00 00 00 01 00 04', 1],
    ['a negative count of headers', '0c 00 00 00 01 00 01', 1],
    ['bytes behind the last field', '0e 00 00 00 01 00 00 00', 1],
    ['a varint without end', '0c 00 ff ff ff ff ff', 1],
    ['a varint of six bytes', '18 00 00 80 80 80 80 80 00 01 00 00 00', 1],
    ['a varlong of eleven bytes', '22 00 80 80 80 80 80 80 80 80 80 80 00 00 01 00 00 00', 1],
    ['an offset behind the batch', '0c 00 00 02 01 00 00', 1],
    ['an offset before the batch', '0c 00 00 01 01 00 00', 1],
    ['a header without a name', '10 00 00 00 01 00 02 01 00', 1],
    ['a header that runs past its record', '10 00 00 00 01 00 02 04 61', 1],
    ['bytes behind the headers', '14 00 00 00 01 00 02 00 00 00 00', 1],
  ]
  for (const [what, bytes, count] of cases) {
    assert.throws(() => readHex(bytes, count), hasCode('CORRUPT_BATCH'), what)
  }
  assert.equal(readHex('0c 00 00 00 01 00 00', 1).length, 1, 'the form that these are damaged from')
})

test('a record never reaches into the batch behind its own', () => {
  // 9 bytes: a value of 3 and the count of headers would be the zeros with which the next batch begins.
  const first = withRecords(Buffer.from('120000000106', 'hex'), 1)
  const [view] = [...readBatches(Buffer.concat([first, sample()]))]
  assert.ok(view)
  const cursor = new RecordCursor(view, NO_BOUND)
  assert.throws(() => cursor.next(), hasCode('CORRUPT_BATCH'), 'and not only behind it')
})

test('a batch that says a negative count, or that ends before it begins, is CORRUPT_BATCH', () => {
  const record = Buffer.from('0c000000010000', 'hex')
  assert.throws(() => readAll(withRecords(record, -1, 0)), hasCode('CORRUPT_BATCH'))
  assert.throws(() => readAll(withRecords(record, 1, -1)), hasCode('CORRUPT_BATCH'))
})

test('times beyond 2^53 saturate, offsets beyond it are refused', () => {
  const time = sample()
  time.writeBigInt64BE(2n ** 62n, 27)
  time.writeBigInt64BE(-(2n ** 63n), 35)
  writeCrc(time)
  const [view] = [...readBatches(time)]
  assert.equal(view?.baseTimestamp, Number.MAX_SAFE_INTEGER)
  assert.equal(view?.maxTimestamp, Number.MIN_SAFE_INTEGER)
  const offset = sample()
  offset.writeBigInt64BE(2n ** 53n, 0)
  assert.throws(() => [...readBatches(offset)], hasCode('NUMBER_OUT_OF_RANGE'))
  offset.writeBigInt64BE(2n ** 53n - 1n, 0)
  assert.throws(() => [...readBatches(offset)], hasCode('CORRUPT_BATCH'), 'its last offset would be beyond')
})

test('all records of a batch have its one time when the broker set it', () => {
  const batch = encodeRecordBatch([{ timestamp: 5 }, { timestamp: 9 }], { timestampType: 'append' })
  assert.deepEqual(
    readAll(batch).map((record) => record.timestamp),
    [9, 9],
  )
  assert.equal([...readBatches(batch)][0]?.timestampType, 'append')
})

test('an unknown codec is a typed error when it matters', () => {
  const batch = sample()
  batch.writeInt16BE(6, 21)
  writeCrc(batch)
  const [view] = [...readBatches(batch)]
  assert.ok(view)
  assert.throws(() => view.compression, hasCode('UNSUPPORTED_COMPRESSION'))
  assert.throws(() => new RecordCursor(view, NO_BOUND), hasCode('UNSUPPORTED_COMPRESSION'))
})

test('a batch that decompresses past the bound is refused when the cursor is made', () => {
  for (const compression of compressions.slice(1) as Compression[]) {
    const batch = encodeRecordBatch([{ value: Buffer.alloc(1e6) }], { compression })
    const [view] = [...readBatches(batch)]
    assert.ok(view)
    assert.equal(view.compression, compression)
    assert.throws(
      () => new RecordCursor(view, { maxDecompressedBytes: 1e6 }),
      hasCode('DECOMPRESSED_TOO_LARGE'),
    )
    assert.ok(new RecordCursor(view, { maxDecompressedBytes: 1e6 + 100 }).next())
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linesOf } from '../../src/cli/lines.ts'
import { seededRandom } from '../../src/util/random.ts'

async function* pieces(...parts: (string | Uint8Array)[]) {
  for (const part of parts) yield Buffer.from(part as string)
}

async function collect(source: AsyncIterable<Uint8Array>, maxBytes = 1000): Promise<string[]> {
  const lines: string[] = []
  for await (const line of linesOf(source, { maxBytes })) lines.push(line.toString('latin1'))
  return lines
}

test('lines end with a line feed, with or without a carriage return, or with the input', async () => {
  assert.deepEqual(await collect(pieces('a\nb\r\n\nlast')), ['a', 'b', '', 'last'])
  assert.deepEqual(await collect(pieces('a\n')), ['a'])
  assert.deepEqual(await collect(pieces()), [])
})

test('bytes that are not UTF-8 stay as they are', async () => {
  assert.deepEqual(await collect(pieces(Buffer.from([0xff, 0x00, 0xc3, 0x0a, 0x28]))), ['\xff\0\xc3', '('])
})

test('however the input is cut, the lines are the same', async () => {
  const seed = Number(process.env['OTTLA_SEED'] ?? Date.now() % 1e9)
  const random = seededRandom(seed)
  const whole = Buffer.from(
    Array.from({ length: 2000 }, () => (random.below(8) === 0 ? 10 : random.below(256))),
  )
  const parts: Buffer[] = []
  for (let at = 0; at < whole.length; ) {
    const next = at + 1 + random.below(40)
    parts.push(whole.subarray(at, next))
    at = next
  }
  assert.deepEqual(
    await collect(pieces(...parts), 10_000),
    await collect(pieces(whole), 10_000),
    `OTTLA_SEED=${seed}`,
  )
})

test('a line without an end is refused before it fills the memory', async () => {
  await assert.rejects(collect(pieces('x'.repeat(900), 'x'.repeat(200))), /longer than 1000 bytes/)
})

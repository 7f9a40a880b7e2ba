import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { type MemoryStream, memoryStreams } from '../../src/broker/memory-stream.ts'
import { systemClock } from '../../src/util/clock.ts'
import { until } from './kit.ts'

/** What a side receives, and how it ended. */
function watch(stream: MemoryStream) {
  const seen = { text: '', hasEnded: false, isClosed: false, error: undefined as string | undefined }
  stream.on('data', (chunk: Buffer) => (seen.text += chunk))
  stream.on('end', () => (seen.hasEnded = true))
  stream.on('error', (error: NodeJS.ErrnoException) => (seen.error = error.code))
  stream.on('close', () => (seen.isClosed = true))
  return seen
}

test('bytes arrive in order, in a later turn, as they were when they were written', async () => {
  const [near, far] = memoryStreams(systemClock)
  const seen = watch(far)
  const bytes = Buffer.from('first ')
  near.write(bytes)
  bytes.fill('x')
  near.cork()
  near.write('second ')
  near.write('third')
  near.uncork()
  assert.equal(seen.text, '', 'not within the write')
  await until(() => seen.text === 'first second third')
})

test('an end is an end, and the other direction goes on', async () => {
  const [near, far] = memoryStreams(systemClock)
  const [nearSeen, farSeen] = [watch(near), watch(far)]
  near.end('question')
  await until(() => farSeen.hasEnded)
  assert.equal(farSeen.text, 'question')
  far.end('answer')
  await until(() => nearSeen.isClosed && farSeen.isClosed)
  assert.deepEqual([nearSeen.text, nearSeen.error, farSeen.error], ['answer', undefined, undefined])
})

test('a reset is ECONNRESET for the other side', async () => {
  const [near, far] = memoryStreams(systemClock)
  const [nearSeen, farSeen] = [watch(near), watch(far)]
  near.reset()
  await until(() => farSeen.isClosed)
  assert.deepEqual([nearSeen.error, farSeen.error], ['ECONNRESET', 'ECONNRESET'])
})

test('a side that is destroyed ends the other, or resets it when bytes were left unread', async () => {
  const [near, far] = memoryStreams(systemClock)
  const farSeen = watch(far)
  near.destroy()
  await until(() => farSeen.hasEnded)
  assert.equal(farSeen.error, undefined)
  const [writer, reader] = memoryStreams(systemClock)
  const writerSeen = watch(writer)
  writer.write('unread')
  reader.destroy()
  await until(() => writerSeen.isClosed)
  assert.equal(writerSeen.error, 'ECONNRESET')
})

test('what is written into a connection that is gone fails', async () => {
  const [near, far] = memoryStreams(systemClock)
  const seen = watch(near)
  far.destroy()
  near.write('late')
  await until(() => seen.isClosed)
  assert.equal(seen.error, 'ECONNRESET')
})

test('a side that does not read holds the other back', async () => {
  const [near, far] = memoryStreams(systemClock)
  let written = 0
  while (near.write(Buffer.alloc(16 << 10)) && written < 1000) written++
  for (let turn = 0; turn < 50; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve))
    while (near.writableNeedDrain === false && written < 1000) {
      near.write(Buffer.alloc(16 << 10))
      written++
    }
  }
  assert.ok(written < 50, `${written} pieces of 16 KiB were taken`)
  far.resume()
  await once(near, 'drain')
})

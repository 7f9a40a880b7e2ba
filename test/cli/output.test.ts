import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough, Writable } from 'node:stream'
import { test } from 'node:test'
import { Output, table } from '../../src/cli/output.ts'
import { bar, ProgressLine, type Terminal } from '../../src/cli/progress.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'

test('a slow reader is waited for', async () => {
  const stream = new PassThrough({ highWaterMark: 4 })
  const output = new Output(stream)
  let written = false
  const writing = output.write('more than four').then(() => {
    written = true
  })
  await new Promise(setImmediate)
  assert.equal(written, false)
  stream.resume()
  await writing
  assert.equal(written, true)
})

test('a reader that leaves ends a write that waits, and every later one', async () => {
  const broken = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
  const stream = new Writable({ highWaterMark: 1, write: () => undefined })
  const output = new Output(stream)
  const waiting = output.write('never drained')
  stream.destroy(broken)
  await once(output.gone, 'abort')
  await assert.rejects(waiting)
  await assert.rejects(output.write('x'))
  assert.equal(output.closedByReader, true)
})

test('columns of numbers end at the same place, others begin there', () => {
  assert.equal(
    table(
      ['TOPIC', 'LAG'],
      [
        ['orders', 7],
        ['o', 1234],
      ],
    ),
    'TOPIC    LAG\norders     7\no       1234\n',
  )
})

const screen = (fields: Partial<Terminal>) => {
  const written: string[] = []
  const terminal: Terminal = { ...fields, write: (text) => written.push(text) > 0 }
  return { written, terminal }
}

test('progress is drawn again and again on a terminal, cut to its width, and taken away at the end', async () => {
  const { written, terminal } = screen({ isTTY: true, columns: 10 })
  const clock = new VirtualClock()
  let step = 0
  const progress = new ProgressLine(terminal, clock, () => `step ${++step} of very many`)
  progress.start()
  await clock.advance(250)
  progress.log('a message')
  progress.stop()
  await clock.advance(1000)
  const clear = '\r\u001B[K'
  assert.deepEqual(written, [
    `${clear}step 1 of`,
    `${clear}step 2 of`,
    `${clear}step 3 of`,
    `${clear}a message\n`,
    `${clear}step 4 of`,
    clear,
  ])
})

test('without a terminal there is no progress, only messages', async () => {
  const { written, terminal } = screen({ isTTY: false })
  const clock = new VirtualClock()
  const progress = new ProgressLine(terminal, clock, () => 'never')
  progress.start()
  await clock.advance(500)
  progress.log('a message')
  progress.stop()
  assert.deepEqual(written, ['a message\n'])
})

test('a bar is full at its end and not before', () => {
  assert.equal(bar(0, 4), '[----]   0%')
  assert.equal(bar(0.5, 4), '[##--]  50%')
  assert.equal(bar(0.999, 4), '[####]  99%')
  assert.equal(bar(1.5, 4), '[####] 100%')
})

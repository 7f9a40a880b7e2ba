import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fifo } from '../../src/util/fifo.ts'
import { seededRandom } from '../../src/util/random.ts'

test('behaves as an array does, over random operations', () => {
  const seed = Number(process.env['OTTLA_SEED'] ?? 20_260_101)
  const random = seededRandom(seed)
  const fifo = new Fifo<number>()
  const model: number[] = []
  for (let step = 0; step < 20_000; step++) {
    const choice = random.below(10)
    if (choice < 5) {
      fifo.push(step)
      model.push(step)
    } else if (choice === 5) {
      fifo.unshift(step)
      model.unshift(step)
    } else if (choice === 6) {
      assert.equal(fifo.pop(), model.pop(), `seed ${seed}, step ${step}`)
    } else if (choice < 9) {
      assert.equal(fifo.shift(), model.shift(), `seed ${seed}, step ${step}`)
    } else {
      const index = random.below(model.length + 1)
      assert.equal(fifo.at(index), model[index], `seed ${seed}, step ${step}`)
    }
    assert.equal(fifo.length, model.length)
    assert.equal(fifo.peek(), model[0])
  }
  assert.deepEqual([...fifo], model)
  fifo.clear()
  assert.equal(fifo.shift(), undefined)
  assert.equal(fifo.pop(), undefined)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeldResponse, type ResponsePart } from '../../src/consumer/held-response.ts'
import { PrefetchBudget } from '../../src/consumer/prefetch-budget.ts'
import { rounds } from '../support/seed.ts'

const MIB = 1024 * 1024
const limits = {
  prefetchBytes: 32 * MIB,
  partitionPrefetchBytes: 4 * MIB,
  fetchMaxBytes: 8 * MIB,
  partitionFetchBytes: MIB,
}

const part = (sizeBytes: number, canDetach = true): ResponsePart => ({
  sizeBytes,
  canDetach,
  detach: () => sizeBytes,
})

test('shares leave half of the bound to requests', () => {
  const budget = new PrefetchBudget(limits)
  for (const [partitions, brokers] of [
    [1, 1],
    [4, 1],
    [64, 3],
    [500, 12],
  ] as const) {
    budget.divide(partitions, brokers)
    const held = partitions * (budget.partitionShare + budget.partitionRequestBytes(partitions / brokers))
    assert.ok(held <= limits.prefetchBytes / 2 || partitions === 500, `${partitions} partitions hold ${held}`)
    assert.ok(brokers * budget.requestBytes <= limits.prefetchBytes / 2)
  }
})

test('a request finds no room when the bound is reached, but one always goes out', () => {
  const budget = new PrefetchBudget({ ...limits, prefetchBytes: 2 * MIB, fetchMaxBytes: MIB })
  const first = budget.promise()
  assert.equal(first, MIB)
  budget.hold(MIB + 1)
  assert.equal(budget.promise(), 0)
  assert.ok(budget.isShort)
  budget.settle(first)
  assert.equal(budget.promise(), 0)
  budget.release(MIB + 1)
  assert.equal(budget.promise(), MIB)
})

test('a response is freed with its last part', () => {
  const budget = new PrefetchBudget(limits)
  const response = new HeldResponse(budget)
  const [big, small] = [part(900), part(100)]
  response.add(big)
  response.add(small)
  response.release(big)
  assert.equal(budget.heldBytes, 1000)
  response.release(small)
  response.release(small)
  assert.equal(budget.heldBytes, 0)
})

test('what little is left of a response is copied, and the response freed', () => {
  const budget = new PrefetchBudget(limits)
  const response = new HeldResponse(budget)
  const [big, small] = [part(900), part(100)]
  response.add(big)
  response.add(small)
  assert.equal(response.compact(), false)
  response.release(big)
  assert.equal(response.compact(), true)
  assert.equal(budget.heldBytes, 100)
  assert.equal(response.compact(), false)
  response.release(small)
  assert.equal(budget.heldBytes, 0)
})

test('a batch in the hands of a handler keeps its response', () => {
  const budget = new PrefetchBudget(limits)
  const response = new HeldResponse(budget)
  const [big, handed] = [part(900), part(100, false)]
  response.add(big)
  response.add(handed)
  response.release(big)
  assert.equal(response.compact(), false)
  assert.equal(budget.heldBytes, 1000)
})

test('the count of held bytes is right after any order of releases and copies', () => {
  rounds(200, (random) => {
    const budget = new PrefetchBudget(limits)
    const open: { response: HeldResponse; part: ResponsePart }[] = []
    for (let step = 0; step < 60; step++) {
      const what = random.below(3)
      if (what === 0) {
        const response = new HeldResponse(budget)
        for (let parts = 1 + random.below(4); parts > 0; parts--) {
          const made = part(1 + random.below(1000))
          response.add(made)
          open.push({ response, part: made })
        }
      } else if (what === 1 && open.length > 0) {
        const [taken] = open.splice(random.below(open.length), 1)
        taken?.response.release(taken.part)
      } else open[random.below(Math.max(1, open.length))]?.response.compact()
      const needed = open.reduce((sum, held) => sum + held.part.sizeBytes, 0)
      assert.ok(budget.heldBytes >= needed)
    }
    for (const held of open) held.response.release(held.part)
    assert.equal(budget.heldBytes, 0)
  })
})

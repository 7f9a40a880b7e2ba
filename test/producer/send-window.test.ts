import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Batch } from '../../src/producer/batch.ts'
import { CAUTIOUS_AGE_MS, SendWindow, type Step } from '../../src/producer/send-window.ts'
import { batchesOf, batchOf, NOW } from './support/batches.ts'

const numbered = (maxInFlight = 5) => new SendWindow({ idempotent: true, maxInFlight })

/** Puts everything on the wire that may leave now, and says what stopped it. */
function pump(window: SendWindow, queue: Batch[], wallNow = NOW): { sent: Batch[]; last: Step } {
  const sent: Batch[] = []
  for (;;) {
    const step = window.step(queue[0], wallNow)
    if (step.kind === 'map') {
      const { producerId = 7, producerEpoch = -1 } = window.mapping ?? {}
      window.map({ producerId, producerEpoch: producerEpoch + 1, baseRank: step.rank })
    } else if (step.kind === 'send') {
      if (step.queued) queue.shift()
      window.sent(step.batch, step.queued)
      sent.push(step.batch)
    } else return { sent, last: step }
  }
}

/** A window in which the first batch was acknowledged and as many others as fit are on the wire. */
function running(...counts: number[]): { window: SendWindow; flights: Batch[]; queue: Batch[] } {
  const window = numbered()
  const [first, ...queue] = batchesOf(1, ...counts) as [Batch, ...Batch[]]
  pump(window, [first])
  window.delivered(first, NOW)
  return { window, flights: pump(window, queue).sent, queue }
}

const ranks = (batches: readonly Batch[]) => batches.map(({ rank }) => rank)

test('one batch is in flight until the first acknowledgement, then as many as allowed', () => {
  const window = numbered()
  const queue = batchesOf(2, 3, 1, 1, 1, 1, 1)
  const first = pump(window, queue).sent
  assert.deepEqual(ranks(first), [0])
  window.delivered(first[0] as Batch, NOW)
  assert.deepEqual(ranks(pump(window, queue).sent), [2, 5, 6, 7, 8])
})

test('sequences follow the ranks', () => {
  const { window, flights } = running(3, 2)
  assert.deepEqual(
    flights.map((flight) => window.stampOf(flight)),
    [
      { producerId: 7, producerEpoch: 0, baseSequence: 1 },
      { producerId: 7, producerEpoch: 0, baseSequence: 4 },
    ],
  )
})

test('after a failure nothing leaves until all is answered; then the lowest goes first, alone', () => {
  const { window, flights, queue } = running(1, 1, 1)
  const [a, b, c] = flights as [Batch, Batch, Batch]
  queue.push(batchOf({ rank: 4 }))
  window.failed(a, false, NOW)
  assert.equal(pump(window, queue).last.kind, 'wait')
  window.outOfSequence(b)
  assert.equal(pump(window, queue).last.kind, 'wait')
  window.outOfSequence(c)
  assert.deepEqual(ranks(pump(window, queue).sent), [1])
  window.delivered(a, NOW)
  assert.deepEqual(ranks(pump(window, queue).sent), [2, 3, 4])
})

test('a follower that is answered out of sequence behind a failure is explained: no proof', () => {
  const { window, flights } = running(1, 1)
  window.failed(flights[0] as Batch, true, NOW)
  window.outOfSequence(flights[1] as Batch)
  const { sent, last } = pump(window, [])
  assert.deepEqual(ranks(sent), [1])
  assert.equal(last.kind, 'wait')
})

test('the lowest that is answered out of sequence asks for a proof', () => {
  const { window, flights } = running(1)
  window.outOfSequence(flights[0] as Batch)
  assert.equal(pump(window, []).last.kind, 'prove')
})

test('a proof settles what is in the log and sends the rest under the same numbers', () => {
  const { window, flights } = running(2, 2, 2)
  for (const flight of flights) window.failed(flight, true, NOW)
  pump(window, [])
  window.outOfSequence(flights[0] as Batch)
  assert.equal(pump(window, []).last.kind, 'prove')
  window.beginProof()
  assert.equal(pump(window, []).last.kind, 'wait')
  const outcome = window.proved({ kind: 'found', epoch: 0, lastSequence: 4 })
  assert.deepEqual(ranks(outcome.delivered), [1, 3])
  assert.deepEqual(ranks(pump(window, []).sent), [5])
  assert.equal(window.mapping?.producerEpoch, 0)
})

test('a proof that finds nothing sends the same again; three of them begin numbers anew', () => {
  const { window, flights } = running(2)
  const [flight] = flights as [Batch]
  for (let round = 0; round < 3; round++) {
    window.outOfSequence(flight)
    assert.equal(pump(window, []).last.kind, 'prove')
    window.beginProof()
    assert.deepEqual(window.proved({ kind: 'found', epoch: 0, lastSequence: 0 }).delivered, [])
    assert.deepEqual(ranks(pump(window, []).sent), [1])
    assert.equal(window.mapping?.producerEpoch, round === 2 ? 1 : 0)
  }
  assert.deepEqual(window.stampOf(flight), { producerId: 7, producerEpoch: 1, baseSequence: 0 })
})

test('acknowledged records that the broker lost are counted, and the rest goes on under new numbers', () => {
  const { window, flights } = running(2, 1)
  window.delivered(flights[0] as Batch, NOW)
  window.outOfSequence(flights[1] as Batch)
  pump(window, [])
  window.beginProof()
  assert.equal(window.proved({ kind: 'found', epoch: 0, lastSequence: 0 }).lost, 2)
  assert.deepEqual(ranks(pump(window, []).sent), [3])
  assert.equal(window.mapping?.producerEpoch, 1)
})

test('a batch that is given up on the wire leaves a hole, which the next epoch closes', () => {
  const { window, flights } = running(1, 1)
  const [a, b] = flights as [Batch, Batch]
  assert.equal(window.giveUp(a), false)
  window.failed(a, false, NOW)
  window.outOfSequence(b)
  assert.deepEqual(ranks(pump(window, []).sent), [2])
  assert.deepEqual(window.stampOf(b), { producerId: 7, producerEpoch: 1, baseSequence: 0 })
})

test('a batch that is given up and turns out to be in the log leaves no hole', () => {
  const { window, flights } = running(1)
  const [a] = flights as [Batch]
  window.giveUp(a)
  window.delivered(a, NOW)
  const next = batchOf({ rank: 2 })
  assert.deepEqual(pump(window, [next]).sent, [next])
  assert.equal(window.mapping?.producerEpoch, 0)
})

test('behind a hole, what may be in the log is proved before numbers begin anew', () => {
  const { window, flights } = running(1, 1)
  const [a, b] = flights as [Batch, Batch]
  window.giveUp(a)
  window.failed(a, true, NOW)
  window.failed(b, true, NOW)
  assert.equal(pump(window, []).last.kind, 'prove')
  window.beginProof()
  const outcome = window.proved({ kind: 'found', epoch: 0, lastSequence: 2 })
  assert.deepEqual(outcome.delivered, [b])
  const next = batchOf({ rank: 3 })
  assert.deepEqual(pump(window, [next]).sent, [next])
  assert.equal(window.mapping?.producerEpoch, 0, 'the one that was given up is in the log too: no hole')
})

test('what stands before a hole is still delivered under the old numbers', () => {
  const { window, flights } = running(1, 1, 1)
  const [a, b, c] = flights as [Batch, Batch, Batch]
  window.failed(a, true, NOW)
  b.givenUp = true
  window.failed(b, false, NOW)
  window.outOfSequence(c)
  assert.deepEqual(pump(window, []).sent, [a])
  assert.equal(window.mapping?.producerEpoch, 0)
  window.delivered(a, NOW)
  assert.deepEqual(pump(window, []).sent, [c])
  assert.equal(window.mapping?.producerEpoch, 1)
})

test('a drop in the queue is a hole too: everything before it is settled first', () => {
  const { window, flights } = running(1)
  const behind = batchOf({ rank: 5 })
  assert.equal(pump(window, [behind]).last.kind, 'wait')
  window.delivered(flights[0] as Batch, NOW)
  assert.deepEqual(pump(window, [behind]).sent, [behind])
  assert.deepEqual(window.stampOf(behind), { producerId: 7, producerEpoch: 1, baseSequence: 0 })
})

test('halves take the place of a batch that is too large, under the same sequences', () => {
  const { window, flights } = running(4, 1)
  const [whole, follower] = flights as [Batch, Batch]
  const halves = [batchOf({ count: 2, rank: 1 }), batchOf({ count: 2, rank: 3 })]
  window.replace(whole, halves)
  window.outOfSequence(follower)
  assert.deepEqual(pump(window, []).sent, [halves[0]])
  window.delivered(halves[0] as Batch, NOW)
  assert.deepEqual(pump(window, []).sent, [halves[1], follower])
  assert.equal(window.stampOf(follower).baseSequence, 5)
})

test('a walk takes each once, and the first that is known proves those before it', () => {
  const { window, flights } = running(1, 1, 1)
  const [a, b, c] = flights as [Batch, Batch, Batch]
  for (const flight of flights) window.failed(flight, true, NOW)
  pump(window, [])
  window.outOfSequence(a)
  pump(window, [])
  window.beginProof()
  window.proved({ kind: 'unable' })
  assert.deepEqual(pump(window, []).sent, [a])
  window.outOfSequence(a)
  assert.deepEqual(pump(window, []).sent, [b])
  assert.deepEqual(window.delivered(b, NOW), [a])
  assert.deepEqual(pump(window, []).sent, [c])
})

test('a walk that knows none of them leaves them to the policy', () => {
  const { window, flights } = running(1)
  const [a] = flights as [Batch]
  window.failed(a, true, NOW)
  pump(window, [])
  window.outOfSequence(a)
  pump(window, [])
  window.beginProof()
  window.proved({ kind: 'unable' })
  pump(window, [])
  window.outOfSequence(a)
  const { last } = pump(window, [])
  assert.equal(last.kind, 'unresolved')
  window.resendUncertain([a])
  assert.deepEqual(pump(window, []).sent, [a])
  assert.equal(a.uncertain, true)
  assert.equal(window.mapping?.producerEpoch, 1)
})

test('a broker that may have forgotten the producer proves nothing', () => {
  const { window, flights } = running(1)
  const [a] = flights as [Batch]
  window.failed(a, true, NOW)
  pump(window, [])
  window.outOfSequence(a)
  pump(window, [])
  window.beginProof()
  assert.deepEqual(window.proved({ kind: 'absent', forgettable: true }).uncertain, [a])
})

test('old records go one by one, and a lost answer is proved before they are sent again', () => {
  const { window } = running()
  const old = batchOf({ rank: 1, timestamp: NOW - CAUTIOUS_AGE_MS - 1 })
  const next = batchOf({ rank: 2 })
  assert.deepEqual(pump(window, [old, next]).sent, [old])
  window.failed(old, true, NOW)
  assert.equal(pump(window, [next]).last.kind, 'prove')
})

test('another topic under the same name takes everything anew, without a proof', () => {
  const { window, flights } = running(1, 1)
  const [a, b] = flights as [Batch, Batch]
  window.failed(a, true, NOW)
  window.beginAnew()
  assert.equal(pump(window, []).last.kind, 'wait')
  window.failed(b, true, NOW)
  window.beginAnew()
  assert.deepEqual(pump(window, []).sent, [a])
  assert.deepEqual(window.stampOf(a), { producerId: 7, producerEpoch: 1, baseSequence: 0 })
})

test('a fenced producer asks for a new id', () => {
  const { window, flights } = running(1)
  window.fenced(flights[0] as Batch)
  assert.equal(window.needsNewId, true)
  assert.equal(window.step(undefined, NOW).kind, 'map')
})

test('without numbers batches leave in order, one alone after a failure', () => {
  const window = new SendWindow({ idempotent: false, maxInFlight: 2 })
  const queue = batchesOf(1, 1, 1)
  const [a, b] = pump(window, queue).sent as [Batch, Batch]
  assert.deepEqual(window.stampOf(a), { producerId: -1, producerEpoch: -1, baseSequence: -1 })
  window.failed(a, true, NOW)
  window.delivered(b, NOW)
  assert.deepEqual(ranks(pump(window, queue).sent), [0, 2])
})

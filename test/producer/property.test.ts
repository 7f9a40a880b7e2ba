/**
 * The producer's promises under random schedules of faults, stops and aborts. A failure prints its seed;
 * `OTTLA_SEED=<seed>` runs that schedule alone, and it is the same again.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seed } from '../support/seed.ts'
import { type Outcome, type RunResult, runSchedule } from './support/schedule.ts'

const isGiven = process.env['OTTLA_SEED'] !== undefined
const RUNS = Number(process.env['OTTLA_RUNS'] ?? 40)
const STEPS = 160
const seeds = Array.from({ length: isGiven ? 1 : RUNS }, (_, index) => seed + index)

test('accepted means answered once; delivered means in the log once, in order', {
  timeout: 600_000,
}, async () => {
  for (const one of seeds) {
    try {
      check(await runSchedule(one, STEPS))
    } catch (cause) {
      throw new Error(`the schedule of OTTLA_SEED=${one} broke a promise: ${(cause as Error).message}`, {
        cause,
      })
    }
  }
})

test('one seed is one run', async () => {
  const first = await runSchedule(seed, STEPS)
  const second = await runSchedule(seed, STEPS)
  assert.deepEqual(second.trace, first.trace)
  assert.ok(first.trace.length > 5)
})

function check(run: RunResult): void {
  const copies = new Map<number, string[]>()
  for (const [place, numbers] of run.logs) {
    for (const [index, number] of numbers.entries()) {
      copies.set(number, [...(copies.get(number) ?? []), `${place}@${index}`])
    }
    const disorder = numbers.findIndex(
      (number, index) => index > 0 && number <= (numbers[index - 1] as number),
    )
    assert.equal(disorder, -1, `${place} is out of order at ${disorder}: ${numbers}`)
  }
  for (const [number, reports] of run.reports) {
    assert.equal(reports.length, 1, `record ${number} was reported ${reports.length} times`)
    checkRecord(number, reports[0] as Outcome, copies.get(number) ?? [])
  }
  for (const [number, answers] of run.answers) {
    assert.equal(answers.length, 1, `record ${number} was answered ${answers.length} times`)
    const [report] = run.reports.get(number) ?? []
    const [answer] = answers
    if (report !== undefined)
      assert.equal(answer, report.status, `record ${number} got two different answers`)
    else assert.notEqual(answer, 'delivered', `record ${number} was delivered without a report`)
  }
  for (const number of copies.keys()) {
    assert.ok(run.reports.has(number), `record ${number} is in the log and was never accepted`)
  }
  assert.deepEqual(run.stuck, [], 'records were not delivered although nothing was wrong any more')
  assert.equal(run.stats.heldBytes, 0, 'memory is still counted although everything is settled')
  assert.equal(run.stats.unsettledCalls, 0)
  assert.equal(run.stats.uncertain, 0, 'something could not be proved')
}

function checkRecord(number: number, { status, topic, partition, offset }: Outcome, copies: string[]): void {
  const where = copies.join(', ')
  if (status === 'delivered') {
    assert.equal(
      copies.length,
      1,
      `record ${number} was delivered and is ${copies.length} times in the log: ${where}`,
    )
    const place = `${topic}/${partition}@`
    if (offset >= 0) assert.equal(where, `${place}${offset}`, `record ${number} has another place`)
    else assert.ok(where.startsWith(place), `record ${number} is in another partition`)
  } else if (status === 'DELIVERY_UNKNOWN') {
    assert.ok(copies.length <= 1, `record ${number} is ${copies.length} times in the log: ${where}`)
  } else {
    assert.equal(copies.length, 0, `record ${number} failed with ${status} and is in the log: ${where}`)
  }
}

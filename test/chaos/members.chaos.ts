/** Members that are killed, that leave, that join, that sleep: nothing is skipped, and nobody works for another. */
import assert from 'node:assert/strict'
import { chaos, impatient, type Play, pick } from './scenario.ts'

chaos('members are killed, leave and join at any moment', {
  partitions: 8,
  members: 3,
  member: { ...impatient, workMs: 3 },
  produce: { records: 24_000, keys: 200, valueBytes: 80, recordsPerSecond: 2000 },
  course: async ({ troupe, random, share }) => {
    let last = 3
    for (let step = 1; step <= 8; step++) {
      await share(step / 10)
      const victim = pick(random, troupe.members)
      const joins = () => troupe.startMember(`member-${++last}`, { ...impatient, workMs: 3 })
      const choice = troupe.members.length <= 1 ? 0 : random.below(3)
      if (choice === 0) joins()
      else if (choice === 1) await troupe.killMember(victim)
      else await troupe.stopMember(victim)
      await troupe.pause(random.below(800))
      if (troupe.members.length < 2) joins()
    }
  },
  expect: (events) => {
    const generations = new Set(events.flatMap((event) => (event.op === 'assign' ? [event.generation] : [])))
    assert.ok(generations.size > 2, `there were only ${generations.size} generations`)
  },
})

const asleep = async ({ troupe }: Play, ms: number) => {
  const [sleeper] = troupe.members
  assert.ok(sleeper)
  const fault = { fault: 'sleep', target: sleeper.name }
  await troupe.fault({ ...fault, phase: 'begin' }, () => sleeper.signal('SIGSTOP'))
  await troupe.pause(ms)
  await troupe.fault({ ...fault, phase: 'end' }, () => sleeper.signal('SIGCONT'))
}

chaos('a member that sleeps beyond its session wakes up with nothing to say', {
  partitions: 4,
  members: 2,
  member: { consumer: { ...impatient.consumer, commitIntervalMs: 50 }, workMs: 10 },
  produce: { records: 12_000, keys: 100, valueBytes: 80, recordsPerSecond: 1000 },
  course: async (play) => {
    for (const share of [0.2, 0.6]) {
      await play.share(share)
      await asleep(play, 3000)
    }
  },
  expect: (events) => {
    const slept = events.filter((event) => event.op === 'fault' && event.fault === 'sleep')
    assert.equal(slept.length, 4)
    assert.ok(
      events.some((event) => event.op === 'revoke' && event.lost),
      'nobody lost anything',
    )
  },
})

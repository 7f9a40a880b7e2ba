/** All of it at once. */
import { chaos, impatient, pick } from './scenario.ts'

chaos('members, brokers, leaders and answers, all at once', {
  partitions: 8,
  members: 3,
  member: { ...impatient, workMs: 2 },
  produce: {
    ...{ records: 30_000, keys: 300, valueBytes: 80, recordsPerSecond: 2500 },
    producer: { lingerMs: 2, maxBatchBytes: 8000 },
  },
  course: async ({ troupe, cluster, random, topic, partitions, nodes, share }) => {
    let [last, down] = [3, 0]
    const once = (fault: string, target: string, act: () => unknown) =>
      troupe.fault({ fault, phase: 'once', target }, act)
    const moves = async () => {
      const partition = random.below(partitions)
      const up = Array.from({ length: nodes }, (_, index) => index + 1).filter((node) => node !== down)
      const node = pick(random, up)
      await once('leader', `${partition} to ${node}`, () =>
        cluster.call('moveLeader', { topic, partition, node }),
      )
    }
    const bounces = async () => {
      const node = down === 0 ? 1 + random.below(nodes) : down
      const phase = down === 0 ? 'begin' : 'end'
      const act = () =>
        phase === 'begin'
          ? cluster.call('stopNode', { node, kill: true })
          : cluster.call('startNode', { node })
      await troupe.fault({ fault: 'broker', phase, target: String(node) }, act)
      down = phase === 'begin' ? node : 0
    }
    const replaces = async () => {
      await troupe.killMember(pick(random, troupe.members))
      troupe.startMember(`member-${++last}`, { ...impatient, workMs: 2 })
    }
    const loses = () =>
      cluster.call('dropAnswers', { api: pick(random, ['Produce', 'OffsetCommit']), times: 3 })
    for (let step = 1; step <= 16; step++) {
      await share(step / 20)
      await pick(random, [moves, moves, bounces, replaces, loses])()
    }
    if (down !== 0) await bounces()
  },
})

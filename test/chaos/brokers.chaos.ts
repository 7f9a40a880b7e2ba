/** Brokers that stop, leaders that move, answers that are lost: every record is in the log once, in its order. */
import { chaos, impatient, type Play, pick } from './scenario.ts'

const moveSomeLeader = async ({ troupe, cluster, random, topic, partitions, nodes }: Play, down = 0) => {
  const partition = random.below(partitions)
  const node = pick(
    random,
    Array.from({ length: nodes }, (_, index) => index + 1).filter((id) => id !== down),
  )
  const fault = { fault: 'leader', phase: 'once', target: `${partition} to ${node}` } as const
  await troupe.fault(fault, () => cluster.call('moveLeader', { topic, partition, node }))
}

const bounce = async (play: Play, whileDown: (node: number) => Promise<void>) => {
  const { troupe, cluster, random, topic, partitions } = play
  // Chase the leader: the node that is stopped leads something.
  const node = await cluster.call('leaderOf', { topic, partition: random.below(partitions) })
  const fault = { fault: 'broker', target: String(node) }
  const kill = random.below(2) === 0
  await troupe.fault({ ...fault, phase: 'begin' }, () => cluster.call('stopNode', { node, kill }))
  await whileDown(node)
  await troupe.fault({ ...fault, phase: 'end' }, () => cluster.call('startNode', { node }))
}

chaos('leaders are chased and answers are lost, with five requests in flight', {
  partitions: 6,
  members: 1,
  member: impatient,
  produce: {
    ...{ records: 30_000, keys: 300, valueBytes: 80, recordsPerSecond: 3000, chunkRecords: 60 },
    producer: { lingerMs: 1, maxBatchBytes: 4000 },
  },
  course: async (play) => {
    for (let step = 1; step <= 20; step++) {
      await play.share(step / 25)
      await play.cluster.call('dropAnswers', { api: 'Produce', times: 1 + play.random.below(3) })
      await moveSomeLeader(play)
    }
  },
})

chaos('brokers stop and come back, in order and not', {
  partitions: 6,
  members: 2,
  member: impatient,
  produce: {
    ...{ records: 24_000, keys: 300, valueBytes: 80, recordsPerSecond: 2000 },
    producer: { lingerMs: 2 },
  },
  course: async (play) => {
    for (const share of [0.1, 0.35, 0.6]) {
      await play.share(share)
      await bounce(play, (node) =>
        play.troupe.pause(500 + play.random.below(1000)).then(() => moveSomeLeader(play, node)),
      )
    }
  },
})

chaos('the coordinator moves and the group is refused for a while', {
  partitions: 4,
  members: 2,
  member: impatient,
  produce: { records: 16_000, keys: 100, valueBytes: 80, recordsPerSecond: 2000 },
  course: async ({ troupe, cluster, random, group, nodes, share }) => {
    const refusals = [
      ['OffsetCommit', 'COORDINATOR_LOAD_IN_PROGRESS'],
      ['Heartbeat', 'NOT_COORDINATOR'],
      ['JoinGroup', 'COORDINATOR_NOT_AVAILABLE'],
      ['OffsetFetch', 'COORDINATOR_LOAD_IN_PROGRESS'],
    ] as const
    for (let step = 1; step <= 6; step++) {
      await share(step / 8)
      const [api, error] = pick(random, refusals)
      await cluster.call('refuse', { api, error, times: 2 })
      const node = 1 + random.below(nodes)
      const fault = { fault: 'coordinator', phase: 'once', target: String(node) } as const
      await troupe.fault(fault, () => cluster.call('moveCoordinator', { group, node }))
    }
  },
})

/** What a group coordinator answers while fewer replicas are in sync than `min.insync.replicas` asks for. */
import assert from 'node:assert/strict'
import {
  deleteGroups,
  heartbeat,
  incrementalAlterConfigs,
  leaveGroup,
  metadata,
  offsetCommit,
  offsetDelete,
  offsetFetch,
} from '../../src/protocol/messages/index.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { stoppingCaseOn, type Targeted } from './case.ts'
import { joinAs, stableGroup, syncAs } from './group-requests.ts'
import { eventually, named, type Target } from './target.ts'

const OFFSETS = '__consumer_offsets'
/** A member that outlasts the restart of a node. */
const patient = { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 60_000 }

/** A new group that this node coordinates. */
async function groupOf(at: Target, nodeId: number): Promise<string> {
  for (;;) {
    const groupId = at.name('neighbour')
    if ((await at.coordinator(groupId)) === nodeId) return groupId
  }
}

async function commit(connection: RawConnection, groupId: string, topic: string, offset: number) {
  const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: '' }]
  const request = { groupId, memberId: '', topics: [{ name: topic, partitions }] }
  const answer = await connection.send(offsetCommit, 8, request)
  return answer.topics[0]?.partitions[0]?.errorCode
}

async function committed(connection: RawConnection, groupId: string, topic: string) {
  const topics = [{ name: topic, partitionIndexes: [0] }]
  const answer = await connection.send(offsetFetch, 7, { groupId, topics })
  return answer.topics[0]?.partitions[0]?.committedOffset
}

/** Of the topic of offsets; null: the broker's own. */
async function setMinimum(connection: RawConnection, value: string | null): Promise<void> {
  const configs = [{ name: 'min.insync.replicas', configOperation: value === null ? 1 : 0, value }]
  const resources = [{ resourceType: 2, resourceName: OFFSETS, configs }]
  const { responses } = await connection.send(incrementalAlterConfigs, 1, { resources, validateOnly: false })
  assert.equal(named(responses[0]?.errorCode), 'NONE')
}

const inSync = (connection: RawConnection, count: number) =>
  eventually(`${count} nodes in sync`, async () => {
    const { topics } = await connection.send(metadata, 9, { topics: null })
    const sizes = topics.flatMap(({ partitions }) =>
      partitions
        .filter(({ replicaNodes }) => replicaNodes.length === 3)
        .map(({ isrNodes }) => isrNodes.length),
    )
    return sizes.every((size) => size === count) || undefined
  })

/** Runs it while one node of three is away and all three are asked for. */
async function withTooFew(at: Target, survivor: number, run: () => Promise<void>): Promise<void> {
  const connection = await at.connect(survivor)
  const stopped = at.nodeIds.find((id) => id !== survivor) as number
  await setMinimum(connection, '3')
  await at.nodes?.stop(stopped)
  try {
    await inSync(connection, 2)
    await run()
  } finally {
    await at.nodes?.start(stopped)
    await inSync(connection, 3)
    await setMinimum(connection, null)
  }
}

export function tooFewReplicasCases(target: Targeted): void {
  const check = stoppingCaseOn(target)

  check(
    'a coordinator with too few replicas in sync writes, waits in vain, and it comes true later',
    async (at) => {
      const { name: topic } = await at.topic()
      const groupId = at.name('group')
      const [member] = await stableGroup(at, groupId, [patient])
      assert.ok(member)
      const node = await at.coordinator(groupId)
      const [kept, gone, emptied] = await Promise.all([0, 1, 2].map(() => groupOf(at, node)))
      assert.ok(kept && gone && emptied)
      const { connection } = member
      const others = await Promise.all([0, 1, 2].map(() => at.connect(node)))
      const [first, second, third] = others as [RawConnection, RawConnection, RawConnection]
      for (const one of [kept, gone, emptied]) assert.equal(named(await commit(first, one, topic, 1)), 'NONE')
      let generationId = -1
      const { memberId } = member.joined
      const syncing = async () => {
        const again = await joinAs(connection, groupId, 9, { ...patient, memberId })
        generationId = again.generationId
        return (await syncAs(connection, groupId, again)).errorCode
      }

      await withTooFew(at, node, async () => {
        const topics = [{ name: topic, partitions: [{ partitionIndex: 0 }] }]
        const [committing, deleting, emptying, synced] = await Promise.all([
          commit(first, kept, topic, 2),
          second.send(deleteGroups, 2, { groupsNames: [gone] }),
          third.send(offsetDelete, 0, { groupId: emptied, topics }),
          syncing(),
        ])
        const errors = {
          OffsetCommit: committing,
          DeleteGroups: deleting.results[0]?.errorCode,
          OffsetDelete: emptying.errorCode,
          SyncGroup: synced,
        }
        for (const [api, error] of Object.entries(errors))
          assert.equal(named(error), 'COORDINATOR_NOT_AVAILABLE', api)
        for (const one of [kept, gone, emptied]) assert.equal(await committed(first, one, topic), 1)
        // What was only looked up is answered behind what has been written.
        const answers = await Promise.all([
          connection.send(heartbeat, 4, { groupId, memberId, generationId }),
          first.send(leaveGroup, 5, { groupId, members: [{ memberId: 'nobody' }] }),
          second.send(heartbeat, 4, { groupId, memberId: 'nobody', generationId }),
        ])
        assert.deepEqual(
          answers.map(({ errorCode }) => named(errorCode)),
          ['COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_NOT_AVAILABLE', 'UNKNOWN_MEMBER_ID'],
        )
      })

      const becomes = (offset: number, one: string) =>
        eventually(`${offset} for ${one}`, async () => {
          return (await committed(first, one, topic)) === offset || undefined
        })
      await becomes(2, kept)
      // Not so `gone`: before Kafka deletes a group it looks for share groups, and may have waited for that only.
      await becomes(-1, emptied)
      const beat = await connection.send(heartbeat, 4, { groupId, memberId, generationId })
      assert.equal(named(beat.errorCode), 'REBALANCE_IN_PROGRESS', 'without its assignment it joins again')
      await connection.send(leaveGroup, 5, { groupId, members: [{ memberId }] })
    },
  )
}

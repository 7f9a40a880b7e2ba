/** Nodes that go away and come back, on whichever brokers the factory starts: three of them. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { Admin } from '../../src/client/admin.ts'
import { Cluster } from '../../src/client/cluster.ts'
import { resolveClientOptions } from '../../src/client/options.ts'
import { metadata } from '../../src/protocol/messages/index.ts'
import { eventually, rejection } from './support.ts'

export interface FailoverTarget {
  readonly brokers: readonly string[]
  /** Ends a node as a crash does. */
  readonly kill: (nodeId: number) => Promise<void>
  readonly restart: (nodeId: number) => Promise<void>
  readonly stop: () => Promise<void>
}

const SLOW = { timeoutMs: 60_000 }

export function failoverSuite(name: string, start: () => Promise<FailoverTarget>): void {
  describe(`fail-over on ${name}`, () => {
    let target: FailoverTarget
    let cluster: Cluster
    let admin: Admin
    const topic = `failover-${randomUUID().slice(0, 8)}`

    before(async () => {
      target = await start()
      cluster = new Cluster(resolveClientOptions({ brokers: target.brokers, requestTimeoutMs: 10_000 }))
      admin = new Admin(cluster)
      await admin.createTopics([{ name: topic, partitions: 6, replicas: 3 }], SLOW)
    })
    after(async () => {
      await cluster?.stop()
      await target?.stop()
    })

    const partitions = () => cluster.topic(topic)?.partitions ?? []

    test('every leader can be reached', async () => {
      const leaders = await eventually(async () => {
        // Whichever broker answers: it may be one that does not know the topic yet.
        await cluster.refresh({ topics: [topic] })
        const found = new Set(partitions().map(({ leaderId }) => leaderId))
        assert.equal(found.size, 3)
        return found
      })
      for (const nodeId of leaders) {
        const connection = await cluster.connection(nodeId)
        assert.ok((await connection.request(metadata, { topics: [] })).brokers.length > 0)
      }
    })

    test('a leader that dies: its connection tells, the metadata follows, and nothing goes back', async () => {
      const victim = partitions()[0]?.leaderId as number
      const before = partitions().map(({ leaderEpoch }) => leaderEpoch)
      const connection = await cluster.connection(victim)
      const closed = new Promise<{ code: string }>((resolve) => connection.onClose(resolve))
      await target.kill(victim)
      assert.equal((await closed).code, 'CONNECTION_CLOSED')
      await rejection(connection.request(metadata, { topics: [] }), 'CONNECTION_CLOSED')
      const error = await rejection(cluster.connection(victim), 'CONNECTION_FAILED')
      assert.ok(error.retriable)

      await eventually(async () => {
        await cluster.refresh({ topics: [topic] })
        assert.ok(partitions().every(({ leaderId }) => leaderId > 0 && leaderId !== victim))
      })
      assert.ok(partitions().every(({ leaderEpoch }, index) => leaderEpoch >= (before[index] as number)))
      assert.ok((partitions()[0]?.leaderEpoch as number) > (before[0] as number))
      const queries = partitions().map(({ partition }) => ({ topic, partition, position: 'latest' as const }))
      assert.equal((await admin.listOffsets(queries, SLOW)).length, 6)

      await target.restart(victim)
      await eventually(async () => {
        await cluster.refresh()
        assert.ok((await cluster.connection(victim)).isOpen)
      })
    })

    test('a coordinator that dies is followed by another one', async () => {
      const groupId = `group-${randomUUID().slice(0, 8)}`
      await admin.alterGroupOffsets(groupId, [{ topic, partition: 0, offset: 7 }], SLOW)
      const before = await cluster.coordinator('group', groupId)
      await target.kill(before)
      try {
        // A new coordinator answers with what is below its high watermark, which may still lag when it has loaded.
        await eventually(async () => {
          const [offset] = await admin.groupOffsets(groupId, SLOW)
          assert.equal(offset?.offset, 7)
        })
        assert.notEqual(await cluster.coordinator('group', groupId), before)
      } finally {
        await target.restart(before)
      }
    })

    test('one configured address is enough, and dead ones do no harm', async () => {
      const [first] = target.brokers
      const other = new Cluster(resolveClientOptions({ brokers: ['127.0.0.1:1', first as string] }))
      try {
        await other.ensureTopic(topic)
        // The node that was restarted a moment ago may not be back among them.
        await eventually(async () => {
          await other.refresh()
          assert.equal(other.brokers().length, 3)
        })
      } finally {
        await other.stop()
      }
    })
  })
}

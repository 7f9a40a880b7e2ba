/** Reads a whole partition by plain requests: the log itself, without any consumer in between. */
import type { Cluster } from '../../../src/client/cluster.ts'
import { fetch, listOffsets } from '../../../src/protocol/messages/index.ts'
import { RecordCursor, readBatches } from '../../../src/protocol/record-batch.ts'

export async function readValues(cluster: Cluster, topic: string, partition: number): Promise<string[]> {
  const metadata = await cluster.ensureTopic(topic)
  const leaderId = metadata.partitions[partition]?.leaderId ?? -1
  const connection = await cluster.connection(leaderId)
  const where = { partitionIndex: partition, timestamp: -1 }
  const ends = await connection.request(listOffsets, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: topic, partitions: [where] }],
  })
  const end = ends.topics[0]?.partitions[0]?.offset ?? -1
  const values: string[] = []
  for (let offset = 0; offset < end; ) {
    const answer = await connection.request(
      fetch,
      {
        replicaId: -1,
        maxWaitMs: 100,
        minBytes: 1,
        maxBytes: 8 * 1024 * 1024,
        isolationLevel: 0,
        topics: [
          { topic, partitions: [{ partition, fetchOffset: offset, partitionMaxBytes: 8 * 1024 * 1024 }] },
        ],
      },
      { version: 11 },
    )
    const records = answer.responses[0]?.partitions[0]?.records
    for (const batch of readBatches(records ?? Buffer.alloc(0))) {
      const cursor = new RecordCursor(batch, { maxDecompressedBytes: 64 * 1024 * 1024 })
      while (cursor.next()) {
        if (cursor.offset < offset) continue
        values.push(`${cursor.value()}`)
        offset = cursor.offset + 1
      }
    }
  }
  return values
}

/**
 * Real Kafka reads our batches and we read its own: each batch goes, in every compression, into topics for which the
 * broker packs everything anew in another. So Java's codecs unpack ours, and ours unpack Java's.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTopics } from '../../src/protocol/messages/create-topics.ts'
import { deleteTopics } from '../../src/protocol/messages/delete-topics.ts'
import { fetch } from '../../src/protocol/messages/fetch.ts'
import { produce } from '../../src/protocol/messages/produce.ts'
import {
  compressions,
  type EncodableRecord,
  encodeRecordBatch,
  RecordCursor,
  readBatches,
} from '../../src/protocol/record-batch.ts'
import { parseAddress, RawConnection } from '../support/raw-connection.ts'
import { seed } from '../support/seed.ts'

const brokers = process.env['OTTLA_KAFKA_BROKERS']
const topicFor = (codec: string) => `batches-${codec}-${seed}`
/** `none` asks the broker to store uncompressed; Kafka's word for it is another. */
const targets = compressions.map((codec) => (codec === 'none' ? 'uncompressed' : codec))
let connection: RawConnection

before(async () => {
  assert.ok(brokers, 'OTTLA_KAFKA_BROKERS names a broker: npm run test:kafka')
  connection = await RawConnection.open(parseAddress(brokers.split(',')[0] as string))
  const topics = targets.map((codec) => ({
    name: topicFor(codec),
    numPartitions: 1,
    replicationFactor: 1,
    assignments: [],
    configs: [{ name: 'compression.type', value: codec }],
  }))
  const { topics: made } = await connection.send(createTopics, 5, {
    topics,
    timeoutMs: 30_000,
    validateOnly: false,
  })
  assert.deepEqual(
    made.map((topic) => topic.errorCode),
    topics.map(() => 0),
  )
})

after(async () => {
  await connection.send(deleteTopics, 5, { topicNames: targets.map(topicFor), timeoutMs: 30_000 })
  connection.close()
})

const now = 1_700_000_000_000
/** Long and short, null and empty, repeated and not, times going back and forth. */
const records: EncodableRecord[] = Array.from({ length: 500 }, (_, index) => ({
  key: index % 7 === 0 ? null : index % 11 === 0 ? '' : `key-${index}`,
  value: index % 13 === 0 ? null : index % 17 === 0 ? '' : `käse ${index} `.repeat(index % 60),
  headers:
    index % 5 === 0
      ? [
          [`h${index}`, 'ü'],
          ['null', null],
          ['empty', ''],
        ]
      : [],
  timestamp: now + (index % 2 === 0 ? 1 : -1) * index * 40_000,
}))

const text = (bytes: Buffer | null) => bytes?.toString() ?? null

async function append(topic: string, batch: Buffer): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    const topicData = [{ name: topic, partitionData: [{ index: 0, records: batch }] }]
    const { responses } = await connection.send(produce, 9, { acks: -1, timeoutMs: 30_000, topicData })
    const partition = responses[0]?.partitionResponses[0]
    assert.ok(partition)
    if (partition.errorCode === 0) return partition.baseOffset
    // A topic just made may not have its leader yet: 3 and 6. Anything else is the batch's fault.
    assert.ok(
      attempt < 100 && [3, 6].includes(partition.errorCode),
      `error ${partition.errorCode}: ${partition.errorMessage}`,
    )
    await sleep(100)
  }
}

async function read(topic: string, fetchOffset: number): Promise<Buffer> {
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1e7 }]
  const request = { maxWaitMs: 100, minBytes: 1, topics: [{ topic, partitions }] }
  const { responses } = await connection.send(fetch, 11, request)
  const fetched = responses[0]?.partitions[0]
  assert.equal(fetched?.errorCode, 0)
  return fetched?.records as Buffer
}

for (const compression of compressions) {
  for (const target of targets) {
    test(`sent with ${compression}, stored by Kafka as ${target}`, async () => {
      const baseOffset = await append(topicFor(target), encodeRecordBatch(records, { compression }))
      let count = 0
      for (const batch of readBatches(await read(topicFor(target), baseOffset))) {
        assert.equal(batch.compression, target === 'uncompressed' ? 'none' : target)
        const cursor = new RecordCursor(batch, { maxDecompressedBytes: 1e7 })
        while (cursor.next()) {
          const { key, value, headers, timestamp } = records[count] as EncodableRecord
          assert.equal(cursor.offset, baseOffset + count)
          assert.equal(cursor.timestamp, timestamp)
          assert.equal(text(cursor.key()), key)
          assert.equal(text(cursor.value()), value)
          assert.deepEqual(
            cursor.headers().map(([name, content]) => [name, text(content)]),
            headers,
          )
          count++
        }
      }
      assert.equal(count, records.length)
    })
  }
}

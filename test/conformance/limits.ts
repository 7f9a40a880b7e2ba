/** What a node answers that may not delete topics, has no room in its logs, or has all the partitions that it can hold. */
import assert from 'node:assert/strict'
import {
  createPartitions,
  createTopics,
  deleteTopics,
  incrementalAlterConfigs,
  metadata,
  produce,
} from '../../src/protocol/messages/index.ts'
import { zeroUuid } from '../../src/protocol/schema.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { caseOn, embeddedCaseOn, suiteOn, type Targeted } from './case.ts'
import { batchOf, produceTo } from './log-requests.ts'
import { named, type Place } from './target.ts'

/** What the broker under test has to be set to. */
export const limitsSettings = { 'delete.topic.enable': 'false' } as const

/** How much room the logs of the embedded broker have. */
export const LOG_BYTES = 1 << 20

function deletionCases(target: Targeted): void {
  caseOn(target)('DeleteTopics: disabled, which versions before 3 have no error for', async (at) => {
    const connection = await at.connect()
    const topic = await at.topic()
    for (const version of at.versions(deleteTopics)) {
      for (const name of [topic.name, at.name('none')]) {
        const asked = version >= 6 ? { topics: [{ name, topicId: zeroUuid }] } : { topicNames: [name] }
        const { responses } = await connection.send(deleteTopics, version, { ...asked, timeoutMs: 5_000 })
        const expected = version >= 3 ? 'TOPIC_DELETION_DISABLED' : 'INVALID_REQUEST'
        assert.deepEqual(
          responses.map((one) => [one.name, named(one.errorCode)]),
          [[name, expected]],
          `version ${version}`,
        )
      }
    }
  })
}

const creation = (name: string) => ({
  name,
  numPartitions: -1,
  replicationFactor: -1,
  assignments: [],
  configs: [],
})

async function autoCreated(connection: RawConnection, version: number, name: string): Promise<string> {
  const { topics } = await connection.send(metadata, version, { topics: [{ name }] })
  return named(topics[0]?.errorCode)
}

function roomCases(target: Targeted): void {
  const check = embeddedCaseOn(target)

  check('Produce: a batch that the logs have no room for', async (at) => {
    const topic = await at.topic({ configs: { 'max.message.bytes': String(4 * LOG_BYTES) } })
    const connection = await at.connect()
    const records = batchOf('x'.repeat(2 * LOG_BYTES))
    for (const version of at.versions(produce)) {
      const { error, logStartOffset } = await produceTo(connection, { version, topic, records })
      assert.deepEqual([error, logStartOffset], ['KAFKA_STORAGE_ERROR', -1], `version ${version}`)
    }
  })

  check('Metadata: a topic that would be made with more partitions than one can have', async (at) => {
    const connection = await at.connect()
    const setPartitions = async (value: string) => {
      const configs = [{ name: 'num.partitions', configOperation: 0, value }]
      const resources = [{ resourceType: 4, resourceName: '', configs }]
      const answer = await connection.send(incrementalAlterConfigs, 1, { resources, validateOnly: false })
      assert.equal(named(answer.responses[0]?.errorCode), 'NONE')
    }
    await setPartitions('10001')
    for (const version of at.versions(metadata)) {
      assert.equal(await autoCreated(connection, version, at.name('wide')), 'INVALID_PARTITIONS')
    }
    await setPartitions('1')
  })

  check('a cluster that holds as many partitions as it can', async (at) => {
    const { cluster } = at
    const topic = await at.topic()
    const connection = await at.connect()
    const full: string[] = []
    const fill = (partitions: number) => {
      const name = at.name('full')
      cluster?.createTopic(name, partitions)
      full.push(name)
    }
    for (let index = 0; index < 4; index++) fill(10_000)
    const { topics: all } = await connection.send(metadata, 9, { topics: null })
    fill(50_000 - all.reduce((sum, { partitions }) => sum + partitions.length, 0))
    for (const version of at.versions(createTopics)) {
      const topics = [creation(at.name('more'))]
      const answer = await connection.send(createTopics, version, {
        topics,
        timeoutMs: 5_000,
        validateOnly: true,
      })
      assert.equal(named(answer.topics[0]?.errorCode), 'POLICY_VIOLATION', `CreateTopics ${version}`)
    }
    for (const version of at.versions(createPartitions)) {
      const topics = [{ name: topic.name, count: 2, assignments: null }]
      const request = { topics, timeoutMs: 5_000, validateOnly: true }
      const { results } = await connection.send(createPartitions, version, request)
      assert.equal(named(results[0]?.errorCode), 'POLICY_VIOLATION', `CreatePartitions ${version}`)
    }
    for (const version of at.versions(metadata)) {
      const error = await autoCreated(connection, version, at.name('more'))
      assert.equal(error, 'POLICY_VIOLATION', `Metadata ${version}`)
    }
    for (const name of full) cluster?.deleteTopic(name)
  })
}

export const limits = (name: string, makePlace: () => Promise<Place>): void =>
  suiteOn(`limits: ${name}`, makePlace, deletionCases, roomCases)

/** DescribeConfigs (32), AlterConfigs (33), IncrementalAlterConfigs (44). */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { alterConfigs, describeConfigs, incrementalAlterConfigs } from '../../src/protocol/messages/index.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { type Case, caseOn, type Targeted } from './case.ts'
import { eventually, named, type Target } from './target.ts'

const TOPIC = 2
const BROKER = 4
const [SET, DELETE, APPEND, SUBTRACT] = [0, 1, 2, 3]
/** Where a value comes from: the topic itself, or the default. */
const [DYNAMIC_TOPIC, DEFAULT] = [1, 5]

async function configOf(connection: RawConnection, topic: string, name: string) {
  const resources = [{ resourceType: TOPIC, resourceName: topic, configurationKeys: [name] }]
  const { results } = await connection.send(describeConfigs, 1, { resources })
  const [config] = results[0]?.configs ?? []
  return [config?.value, config?.configSource]
}

/** Changes spread to the node that is asked in a moment, not at once. */
async function becomes(connection: RawConnection, topic: string, name: string, expected: readonly unknown[]) {
  let last: readonly unknown[] = []
  await eventually(`${name} of ${topic}`, async () => {
    last = await configOf(connection, topic, name)
    return String(last) === String(expected) || undefined
  }).catch(() => assert.deepEqual(last, expected))
}

function describeCases(check: Case): void {
  check('DescribeConfigs: all, some, with synonyms, in every version', async (at) => {
    const topic = await at.topic({ configs: { 'retention.ms': '1234' } })
    const connection = await at.connect()
    for (const version of at.versions(describeConfigs)) {
      const ask = async (configurationKeys: string[] | null, given: object = {}) => {
        const resources = [{ resourceType: TOPIC, resourceName: topic.name, configurationKeys }]
        const { results } = await connection.send(describeConfigs, version, { resources, ...given })
        const [result] = results
        assert.deepEqual([named(result?.errorCode), result?.errorMessage], ['NONE', ''])
        assert.deepEqual([result?.resourceType, result?.resourceName], [TOPIC, topic.name])
        return result?.configs ?? []
      }
      const all = await ask(null)
      assert.ok(all.length > 20)
      const keys = ['retention.ms', 'cleanup.policy', 'no.such.config']
      const some = (await ask(keys, version >= 1 ? { includeSynonyms: true } : {})).toSorted((a, b) =>
        a.name < b.name ? -1 : 1,
      )
      assert.deepEqual(
        some.map((one) => [one.name, one.value, one.readOnly, one.isSensitive]),
        [
          ['cleanup.policy', 'delete', false, false],
          ['retention.ms', '1234', false, false],
        ],
      )
      if (version === 0) {
        assert.deepEqual(
          some.map((one) => one.isDefault),
          [true, false],
        )
        continue
      }
      assert.deepEqual(
        some.map((one) => one.configSource),
        [DEFAULT, DYNAMIC_TOPIC],
      )
      assert.deepEqual(some[1]?.synonyms[0], { name: 'retention.ms', value: '1234', source: DYNAMIC_TOPIC })
      assert.deepEqual(some[0]?.synonyms, [{ name: 'log.cleanup.policy', value: 'delete', source: DEFAULT }])
      if (version < 3) continue
      const LIST = 7
      const LONG = 5
      assert.deepEqual(
        some.map((one) => one.configType),
        [LIST, LONG],
      )
    }
  })

  check('DescribeConfigs: what is refused', async (at) => {
    const connection = await at.connect()
    for (const version of at.versions(describeConfigs)) {
      const ask = async (resourceType: number, resourceName: string) => {
        const resources = [{ resourceType, resourceName, configurationKeys: null }]
        const { results } = await connection.send(describeConfigs, version, { resources })
        return [named(results[0]?.errorCode), results[0]?.configs]
      }
      assert.deepEqual(await ask(TOPIC, at.name('none')), ['UNKNOWN_TOPIC_OR_PARTITION', []])
      assert.deepEqual(await ask(TOPIC, 'a b'), ['INVALID_TOPIC_EXCEPTION', []])
      assert.deepEqual(await ask(BROKER, '99'), ['INVALID_REQUEST', []])
      assert.deepEqual(await ask(BROKER, 'one'), ['INVALID_REQUEST', []])
      for (const resourceType of [0, 77])
        assert.deepEqual(await ask(resourceType, 'x'), ['INVALID_REQUEST', []])
      const broker = await ask(BROKER, String(at.nodeIds[0]))
      assert.equal(broker[0], 'NONE')
    }
  })
}

async function refusals(
  at: Target,
  change: (type: number, topic: string, name: string, value: string | null) => Promise<string>,
) {
  const { name } = await at.topic()
  assert.equal(await change(TOPIC, name, 'no.such.config', '1'), 'INVALID_CONFIG')
  assert.equal(await change(TOPIC, name, 'retention.ms', 'much'), 'INVALID_CONFIG')
  assert.equal(await change(TOPIC, name, 'retention.ms', null), 'INVALID_REQUEST')
  assert.equal(await change(TOPIC, at.name('none'), 'retention.ms', '1'), 'UNKNOWN_TOPIC_OR_PARTITION')
  assert.equal(await change(TOPIC, 'a b', 'retention.ms', '1'), 'INVALID_TOPIC_EXCEPTION')
  assert.equal(await change(77, name, 'retention.ms', '1'), 'INVALID_REQUEST')
}

function alterCases(check: Case): void {
  check('AlterConfigs: replaces all configs of a topic', async (at) => {
    for (const version of at.versions(alterConfigs)) {
      const { name } = await at.topic({ configs: { 'retention.bytes': '5000' } })
      const connection = await at.connect()
      const alter = async (
        resourceType: number,
        resourceName: string,
        key: string,
        value: string | null,
        validateOnly = false,
      ) => {
        const resources = [{ resourceType, resourceName, configs: [{ name: key, value }] }]
        const { responses } = await connection.send(alterConfigs, version, { resources, validateOnly })
        assert.deepEqual(
          [responses[0]?.resourceType, responses[0]?.resourceName],
          [resourceType, resourceName],
        )
        return named(responses[0]?.errorCode)
      }
      assert.equal(await alter(TOPIC, name, 'retention.ms', '1000'), 'NONE')
      await becomes(connection, name, 'retention.ms', ['1000', DYNAMIC_TOPIC])
      await becomes(connection, name, 'retention.bytes', ['-1', DEFAULT])
      assert.equal(await alter(TOPIC, name, 'retention.ms', '2000', true), 'NONE')
      assert.deepEqual(await configOf(connection, name, 'retention.ms'), ['1000', DYNAMIC_TOPIC])
      await refusals(at, alter)
    }
  })

  check('IncrementalAlterConfigs: set, delete, append, subtract', async (at) => {
    for (const version of at.versions(incrementalAlterConfigs)) {
      const { name } = await at.topic({ configs: { 'retention.bytes': '5000' } })
      const connection = await at.connect()
      const change = async (
        given: { type?: number; topic?: string; validateOnly?: boolean },
        ...changes: [key: string, operation: number, value: string | null][]
      ) => {
        const configs = changes.map(([key, configOperation, value]) => ({
          name: key,
          configOperation,
          value,
        }))
        const resources = [{ resourceType: given.type ?? TOPIC, resourceName: given.topic ?? name, configs }]
        const request = { resources, validateOnly: given.validateOnly ?? false }
        const { responses } = await connection.send(incrementalAlterConfigs, version, request)
        return named(responses[0]?.errorCode)
      }
      assert.equal(await change({}, ['retention.ms', SET, '1000']), 'NONE')
      await becomes(connection, name, 'retention.ms', ['1000', DYNAMIC_TOPIC])
      assert.deepEqual(await configOf(connection, name, 'retention.bytes'), ['5000', DYNAMIC_TOPIC])
      assert.equal(await change({ validateOnly: true }, ['retention.ms', SET, '77']), 'NONE')
      assert.deepEqual(await configOf(connection, name, 'retention.ms'), ['1000', DYNAMIC_TOPIC])
      assert.equal(await change({}, ['retention.ms', DELETE, null]), 'NONE')
      await becomes(connection, name, 'retention.ms', ['604800000', DEFAULT])
      for (const _again of [false, true]) {
        assert.equal(await change({}, ['cleanup.policy', APPEND, 'compact']), 'NONE')
        await becomes(connection, name, 'cleanup.policy', ['delete,compact', DYNAMIC_TOPIC])
      }
      assert.equal(await change({}, ['cleanup.policy', SUBTRACT, 'delete']), 'NONE')
      await becomes(connection, name, 'cleanup.policy', ['compact', DYNAMIC_TOPIC])
      assert.equal(await change({}, ['retention.ms', APPEND, '5']), 'INVALID_CONFIG')
      const twice = await change({}, ['retention.ms', SET, '5'], ['retention.ms', SET, '6'])
      assert.equal(twice, 'INVALID_REQUEST')
      assert.equal(await change({}, ['no.such.config', DELETE, null]), 'NONE')
      await refusals(at, (type, topic, key, value) => change({ type, topic }, [key, SET, value]))
    }
  })
}

export function configConformance(target: Targeted): void {
  describe('configs', () => {
    const check = caseOn(target)
    describeCases(check)
    alterCases(check)
  })
}

/**
 * Of every API that the broker advertises: each version is answered with a response that decodes to its last byte;
 * a version that is not advertised, or an API that nobody knows, closes the connection, but for ApiVersions, which
 * is answered (KIP-511).
 */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { errorsIn } from '../../src/broker/answered-errors.ts'
import { errorCode } from '../../src/protocol/error-codes.ts'
import { decodeResponse } from '../../src/protocol/frame.ts'
import { apis, apiVersions } from '../../src/protocol/messages/index.ts'
import { Reader } from '../../src/protocol/reader.ts'
import { caseOn, embeddedCaseOn, type Targeted } from './case.ts'
import { minimalRequests, type Subject } from './minimal-requests.ts'
import { saslWithoutSasl } from './sasl.ts'
import { eventually, named, type Target } from './target.ts'

/** What the embedded broker must offer at least, so that the clients of the day work: [lowest, highest] by key. */
const floor: { readonly [apiName: string]: readonly [number, number] } = {
  Produce: [0, 13],
  Fetch: [4, 17],
  ListOffsets: [1, 9],
  Metadata: [0, 12],
  OffsetCommit: [1, 9],
  OffsetFetch: [1, 9],
  FindCoordinator: [0, 6],
  JoinGroup: [0, 9],
  Heartbeat: [0, 4],
  LeaveGroup: [0, 5],
  SyncGroup: [0, 5],
  DescribeGroups: [0, 5],
  ListGroups: [0, 5],
  SaslHandshake: [0, 1],
  ApiVersions: [0, 4],
  CreateTopics: [2, 7],
  DeleteTopics: [1, 6],
  DeleteRecords: [0, 2],
  InitProducerId: [0, 5],
  OffsetForLeaderEpoch: [2, 4],
  DescribeConfigs: [0, 4],
  AlterConfigs: [0, 2],
  DescribeLogDirs: [1, 4],
  SaslAuthenticate: [0, 2],
  CreatePartitions: [0, 3],
  DeleteGroups: [0, 2],
  IncrementalAlterConfigs: [0, 1],
  OffsetDelete: [0, 0],
  DescribeCluster: [0, 1],
  DescribeProducers: [0, 0],
  DescribeTopicPartitions: [0, 0],
}

/** Advertised, but refused: old clients look at the lowest version before they compress (KAFKA-18659). */
const isRefusedThoughAdvertised = (key: number, version: number) => key === 0 && version < 3

/** A request of any key and version with nothing in it. */
function bareRequest(key: number, version: number, correlationId: number): Buffer {
  const frame = Buffer.alloc(4 + 8 + 2)
  frame.writeInt32BE(10, 0)
  frame.writeInt16BE(key, 4)
  frame.writeInt16BE(version, 6)
  frame.writeInt32BE(correlationId, 8)
  frame.writeInt16BE(-1, 12)
  return frame
}

async function closes(at: Target, bytes: Uint8Array): Promise<boolean> {
  const connection = await at.connect()
  return connection.exchange(bytes).then(
    () => false,
    () => true,
  )
}

export function everyVersion(target: Targeted): void {
  const check = caseOn(target)

  describe('every version', () => {
    for (const { api, body, error } of minimalRequests) {
      check(
        `${api.name}: each advertised version is answered, and decodes to its last byte`,
        async (at, context) => {
          const versions = at.versions(api).filter((version) => !isRefusedThoughAdvertised(api.key, version))
          if (versions.length === 0) return context.skip('not advertised')
          const groupId = at.name('group')
          const subject: Subject = { topic: await at.topic(), groupId, unusedName: at.name('unused') }
          const connection = await at.connectToCoordinator(groupId)
          for (const version of versions) {
            const errors = await eventually(`${api.name} ${version}`, async () => {
              const answer = await connection.send(api, version, body(version, subject))
              const found = Array.from(errorsIn(api, version, answer), named)
              // A Kafka that has just started has no producer ids to give away yet.
              return found.includes('COORDINATOR_LOAD_IN_PROGRESS') ? undefined : found
            })
            const expected = error(version) === 'NONE' ? [] : [error(version)]
            assert.deepEqual(errors, expected, `version ${version}`)
          }
        },
      )
    }

    check('a version that is not advertised closes the connection', async (at) => {
      for (const [key, [lowest, highest]] of at.advertised) {
        if (key === apiVersions.key) continue
        for (const version of [lowest - 1, highest + 1]) {
          assert.ok(await closes(at, bareRequest(key, version, 1)), `API ${key} version ${version}`)
        }
      }
    })

    check('Produce 0 to 2 are advertised, and refused', async (at) => {
      assert.equal(at.advertised.get(0)?.[0], 0)
      for (const version of [0, 1, 2]) assert.ok(await closes(at, bareRequest(0, version, 1)))
    })

    check(
      'ApiVersions in a version that is not known is answered in version 0, with 35 and the list',
      async (at) => {
        const highest = at.advertised.get(apiVersions.key)?.[1] ?? 0
        for (const version of [highest + 1, 100]) {
          const connection = await at.connect()
          // The header of a flexible version, and the bytes of a body that nobody can know.
          const request = Buffer.concat([
            bareRequest(apiVersions.key, version, 77),
            Buffer.from([0, 2, 97, 2, 98, 0]),
          ])
          request.writeInt32BE(request.length - 4, 0)
          const frame = await connection.exchange(request)
          const reader = new Reader(frame)
          assert.equal(reader.int32(), 77)
          const response = decodeResponse(apiVersions, 0, reader)
          assert.equal(reader.remaining, 0)
          connection.onResponse?.(apiVersions, response)
          assert.equal(named(response.errorCode), 'UNSUPPORTED_VERSION')
          const own = response.apiKeys.find(({ apiKey }) => apiKey === apiVersions.key)
          assert.equal(own?.maxVersion, highest)
          const { errorCode } = await connection.send(apiVersions, 0, {})
          assert.equal(named(errorCode), 'NONE', 'the connection goes on')
        }
      },
    )

    check('ApiVersions: a client name that is not one is INVALID_REQUEST', async (at) => {
      const connection = await at.connect()
      for (const clientSoftwareName of ['', '-x', 'with space']) {
        const request = { clientSoftwareName, clientSoftwareVersion: '1' }
        for (const version of at.versions(apiVersions, 3)) {
          const answer = await connection.send(apiVersions, version, request)
          assert.equal(named(answer.errorCode), 'INVALID_REQUEST')
        }
      }
    })

    check('SASL on a listener without it is an illegal state', async (at) => {
      await saslWithoutSasl(await at.connect())
    })

    check('an API that nobody knows closes the connection', async (at) => {
      for (const key of [-1, 999]) assert.ok(await closes(at, bareRequest(key, 0, 1)))
    })

    check('a frame that is no request closes the connection', async (at) => {
      const sized = (size: number, ...bytes: number[]) => {
        const frame = Buffer.alloc(4 + bytes.length)
        frame.writeInt32BE(size, 0)
        Buffer.from(bytes).copy(frame, 4)
        return frame
      }
      assert.ok(await closes(at, sized(0)), 'empty')
      assert.ok(await closes(at, sized(-5)), 'of negative size')
      assert.ok(await closes(at, sized(0x7fff_ffff)), 'too large')
      assert.ok(await closes(at, sized(3, 0, 0, 0)), 'cut off in its header')
    })

    embeddedCaseOn(target)('every API in every version answers an error that is put on it', async (at) => {
      const code = errorCode.CLUSTER_AUTHORIZATION_FAILED
      const groupId = at.name('group')
      const subject: Subject = { topic: await at.topic(), groupId, unusedName: at.name('unused') }
      const connection = await at.connectToCoordinator(groupId)
      connection.clientId = 'refused'
      for (const { api, body } of minimalRequests) {
        const fault = at.cluster?.faults.on({ api: api.key, clientId: 'refused' }, { error: code })
        for (const version of at.versions(api)) {
          if (isRefusedThoughAdvertised(api.key, version)) continue
          const answer = await connection.send(api, version, body(version, subject))
          assert.match(JSON.stringify(answer), new RegExp(`"errorCode":${code}\\b`), `${api.name} ${version}`)
        }
        fault?.remove()
      }
    })

    embeddedCaseOn(target)(
      'everything that is advertised is described here, and reaches the floor',
      async (at) => {
        const described = new Set(minimalRequests.map(({ api }) => api.key))
        for (const key of at.advertised.keys()) assert.ok(described.has(key), `API ${key} has no case`)
        for (const [name, [lowest, highest]] of Object.entries(floor)) {
          const api = apis.find((one) => one.name === name)
          const advertised = at.advertised.get(api?.key ?? -1)
          assert.ok(advertised, `${name} is advertised`)
          assert.ok(advertised[0] <= lowest && advertised[1] >= highest, `${name}: ${advertised}`)
        }
      },
    )
  })
}

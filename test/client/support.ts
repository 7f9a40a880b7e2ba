/** What the tests of the client share: settings, waiting for a condition, tables of metadata. */
import assert from 'node:assert/strict'
import { formatAddress } from '../../src/client/dial.ts'
import { type ClientOptions, type ClusterOptions, resolveClientOptions } from '../../src/client/options.ts'
import { OttlaError } from '../../src/errors.ts'
import type { FakeBroker } from './fake-broker.ts'

/** Settings that reach a fake broker in memory. */
export const inMemory = (broker: FakeBroker, options: Partial<ClientOptions> = {}): ClusterOptions =>
  resolveClientOptions({ brokers: 'broker.test:9092', dial: broker.dial, ...options })

/** Settings that reach a fake broker over its socket. */
export const overSocket = (broker: FakeBroker, options: Partial<ClientOptions> = {}): ClusterOptions =>
  resolveClientOptions({ brokers: formatAddress(broker.address), ...options })

export const somewhere = { host: 'broker.test', port: 9092 }

/** Waits until the condition holds, turn by turn of the loop. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`it never happened: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** The error that a promise rejects with; it must be one of ours with this code. */
export async function rejection(promise: Promise<unknown>, code: string): Promise<OttlaError> {
  const error = await promise.then(
    (value) => assert.fail(`resolved with ${JSON.stringify(value)} instead of ${code}`),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OttlaError, `not an OttlaError: ${error}`)
  assert.equal(error.code, code, error.message)
  return error
}

export interface FakeTopic {
  readonly name: string
  readonly topicId?: string
  readonly errorCode?: number
  readonly leaders?: readonly { readonly leaderId: number; readonly leaderEpoch: number }[]
}

/** A Metadata response. */
export const metadataOf = (
  brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[],
  topics: readonly FakeTopic[] = [],
) => ({
  brokers: brokers.map((broker) => ({ ...broker, rack: null })),
  clusterId: 'cluster',
  controllerId: brokers[0]?.nodeId ?? -1,
  topics: topics.map(({ name, topicId = 'AAAAAAAAAAAAAAAAAAAAAQ', errorCode = 0, leaders = [] }) => ({
    errorCode,
    name,
    topicId,
    isInternal: false,
    partitions: leaders.map(({ leaderId, leaderEpoch }, partitionIndex) => ({
      errorCode: leaderId < 0 ? 5 : 0,
      partitionIndex,
      leaderId,
      leaderEpoch,
      replicaNodes: [leaderId],
      isrNodes: [leaderId],
    })),
  })),
})

/** Tries until it no longer throws: a change is known to the controller first, and to brokers a little later. */
export async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + 45_000
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStreams } from '../../src/broker/memory-stream.ts'
import { Channel } from '../../src/client/channel.ts'
import { OttlaError } from '../../src/errors.ts'
import { decodeRequestHeader } from '../../src/protocol/frame.ts'
import { heartbeat, produce } from '../../src/protocol/messages/index.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Api } from '../../src/protocol/schema.ts'
import { silentLogger } from '../../src/util/logger.ts'
import { type Random, seededRandom } from '../../src/util/random.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'
import { seed } from '../support/seed.ts'
import { encoded } from './fake-broker.ts'

const ROUNDS = 150
const version = 4

/** How a stream comes to its end. */
const ends = ['end', 'destroy', 'error', 'garbage', 'silence', 'client'] as const

interface Settled {
  readonly call: number
  readonly how: 'answered' | 'rejected'
  readonly code?: string
}

/**
 * One life of a channel: calls at random moments, some without a response, some while it is held; a peer that
 * answers in pieces of random size and stops, in a random way, at a random byte.
 */
async function life(random: Random): Promise<void> {
  const clock = new VirtualClock()
  const [near, far] = memoryStreams(clock)
  const channel = new Channel({
    stream: near,
    clock,
    logger: silentLogger,
    clientId: null,
    broker: 'b:1',
    maxResponseBytes: 1_000_000,
    onThrottle: () => undefined,
  })
  const settled: Settled[] = []
  const closings: number[] = []
  let calls = 0
  const withoutResponse = new Set<number>()
  const send = () => {
    const call = calls++
    const expectResponse = random.next() < 0.8
    if (!expectResponse) withoutResponse.add(call)
    const api: Api = expectResponse ? heartbeat : produce
    const body = expectResponse
      ? { groupId: 'g', generationId: call, memberId: 'm' }
      : { acks: 0, timeoutMs: 1, topicData: [] }
    const given = {
      api,
      version,
      body: body as never,
      timeoutMs: 1_000,
      expectResponse,
      urgent: false,
      atOnce: false,
    }
    channel.send(given).then(
      () => settled.push({ call, how: 'answered' }),
      (error: OttlaError) => settled.push({ call, how: 'rejected', code: error.code }),
    )
  }
  channel.onClose(() => closings.push(settled.length))

  const end = ends[random.below(ends.length)] as (typeof ends)[number]
  const answers = answering(far, random)
  const stopAt = random.below(600)
  let holds = 0
  for (let step = 0; step < 40; step++) {
    for (let burst = random.below(4); burst > 0; burst--) send()
    if (random.next() < 0.1) {
      if (holds > 0) channel.release()
      else channel.hold()
      holds = 1 - holds
    }
    if (answers.give(stopAt)) break
    await clock.advance(1)
  }
  const last = calls
  if (end === 'end') far.end()
  else if (end === 'destroy') far.destroy()
  else if (end === 'error') near.destroy(new Error('boom'))
  else if (end === 'garbage') far.write(Buffer.from([0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff]))
  else if (end === 'client') channel.close(new OttlaError('CONNECTION_CLOSED', 'mine'))
  send()
  await clock.advance(2_000)
  // Garbage may complete half an answer; what is held then has no response to wait for, and no deadline.
  const isCompleted = end === 'garbage' && channel.ended === undefined
  if (end === 'silence' || isCompleted) channel.close(new OttlaError('CONNECTION_CLOSED', 'mine'))
  await clock.advance(0)
  // Afterwards: refused at once.
  send()
  await clock.advance(0)

  assert.equal(settled.length, calls, 'every call settles')
  assert.equal(new Set(settled.map(({ call }) => call)).size, calls, 'and once')
  assert.ok(last + 2 === calls)
  const answered = settled.filter(({ call, how }) => how === 'answered' && !withoutResponse.has(call))
  inOrder(answered, 'answers')
  inOrder(
    settled.filter(({ how }) => how === 'rejected'),
    'rejections',
  )
  const first = settled.find(({ how, call }) => how === 'rejected' && !withoutResponse.has(call))
  if (first)
    assert.ok(
      answered.every(({ call }) => call < first.call),
      'the answered are a prefix',
    )
  // Garbage behind half an answer may happen to end it.
  const most = answers.whole() + (end === 'garbage' ? 1 : 0)
  assert.ok(answered.length <= most, 'nothing is answered that the peer has not answered')
  assert.deepEqual(closings, [calls - 1], 'the listener runs once, after all that was in flight')
  assert.equal(channel.inFlight, 0)
}

function inOrder(list: readonly Settled[], what: string): void {
  for (const [index, { call }] of list.entries()) {
    assert.ok(
      index === 0 || (list[index - 1] as Settled).call < call,
      `${what} are in the order of the calls`,
    )
  }
}

/** The peer: answers heartbeats in order, a few bytes at a time. */
function answering(stream: import('node:stream').Duplex, random: Random) {
  let received = Buffer.alloc(0)
  let ready = Buffer.alloc(0)
  let given = 0
  const ends: number[] = []
  stream.on('error', () => undefined)
  stream.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    while (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
      const size = received.readInt32BE(0)
      const header = decodeRequestHeader(new Reader(received, 4))
      received = received.subarray(4 + size)
      if (header.apiKey !== heartbeat.key) continue
      const { correlationId } = header
      const answer = encoded(heartbeat, version, { correlationId, body: { errorCode: 0 } })
      ready = Buffer.concat([ready, answer])
      ends.push(given + ready.length)
    }
  })
  return {
    /** Sends some of what is ready, never beyond `stopAt` bytes in all; true when that is reached. */
    give(stopAt: number): boolean {
      const count = Math.min(random.below(40), ready.length, stopAt - given)
      if (count > 0) stream.write(ready.subarray(0, count))
      ready = ready.subarray(count)
      given += count
      return given === stopAt
    },
    whole: () => ends.filter((at) => at <= given).length,
  }
}

test('whatever happens to the stream, everything in flight settles, in order, once', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    try {
      await life(seededRandom(seed + round))
    } catch (error) {
      throw new Error(`failed in round ${round}; see it again with OTTLA_SEED=${seed + round}`, {
        cause: error,
      })
    }
  }
})

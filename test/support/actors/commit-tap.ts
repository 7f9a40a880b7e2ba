/**
 * Listens on a consumer's own connections for what it agrees with its coordinator: the generation it joined, and every
 * commit with its answer. The history then does not depend on what the consumer says about itself.
 */
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { FrameReader } from '../../../src/client/frame-reader.ts'
import { errorName } from '../../../src/protocol/error-codes.ts'
import { decodeRequest, decodeRequestHeader, decodeResponse } from '../../../src/protocol/frame.ts'
import { joinGroup } from '../../../src/protocol/messages/join-group.ts'
import { offsetCommit } from '../../../src/protocol/messages/offset-commit.ts'
import { Reader } from '../../../src/protocol/reader.ts'
import type { ReceivedRequestOf } from '../../../src/protocol/schema.ts'
import { type HistoryWriter, machineTime } from '../history/index.ts'

interface Pending {
  readonly version: number
  readonly since: number
  readonly commit: ReceivedRequestOf<typeof offsetCommit> | undefined
}

const MAX_FRAME_BYTES = 1 << 30

export class CommitTap {
  readonly #history: HistoryWriter
  readonly #topic: string
  #generation = -1

  /** `topic` is the only one that the consumer reads: newer commits name topics by their id alone. */
  constructor(history: HistoryWriter, topic: string) {
    this.#history = history
    this.#topic = topic
  }

  /** The last generation that the coordinator told. */
  get generation(): number {
    return this.#generation
  }

  /** What the client's `dial` option takes: TCP, listened to. */
  readonly dial = async (
    address: { readonly host: string; readonly port: number },
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Duplex> => {
    const socket = await connected(address, signal)
    this.#listen(socket)
    return socket
  }

  #listen(socket: Socket): void {
    const pending = new Map<number, Pending>()
    const requests = new FrameReader(MAX_FRAME_BYTES, (frame) => this.#onRequest(frame, pending))
    const responses = new FrameReader(MAX_FRAME_BYTES, (frame) => this.#onResponse(frame, pending))
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
    socket.write = (...args: unknown[]) => {
      requests.push(args[0] as Buffer)
      return write(...args)
    }
    // Nothing arrives before a request has been written, so that no byte comes before the client listens.
    socket.on('data', (chunk: Buffer) => responses.push(chunk))
  }

  #onRequest(frame: Buffer, pending: Map<number, Pending>): boolean {
    const reader = new Reader(frame)
    const { apiKey, apiVersion: version, correlationId } = decodeRequestHeader(reader)
    const since = machineTime()
    if (apiKey === joinGroup.key) pending.set(correlationId, { version, since, commit: undefined })
    if (apiKey === offsetCommit.key) {
      const commit = decodeRequest(offsetCommit, version, reader)
      pending.set(correlationId, { version, since, commit })
      // Noted before it leaves: the process may be killed before the answer comes, and the commit count all the same.
      this.#noteCommit(commit, since, () => 'UNANSWERED')
    }
    return true
  }

  #onResponse(frame: Buffer, pending: Map<number, Pending>): boolean {
    const reader = new Reader(frame)
    const correlationId = reader.int32()
    const asked = pending.get(correlationId)
    if (asked === undefined) return true
    pending.delete(correlationId)
    if (asked.commit === undefined) {
      const { errorCode, generationId } = decodeResponse(joinGroup, asked.version, reader)
      if (errorCode === 0) this.#generation = generationId
      return true
    }
    const errors = errorsOf(asked.version, reader)
    this.#noteCommit(asked.commit, asked.since, (partition) => errors.get(partition))
    return true
  }

  #noteCommit(
    { groupId: group, generationIdOrMemberEpoch: generation, topics }: NonNullable<Pending['commit']>,
    since: number,
    errorOf: (partition: number) => string | undefined,
  ): void {
    for (const { partitions } of topics) {
      for (const { partitionIndex, committedOffset } of partitions) {
        const error = errorOf(partitionIndex)
        this.#history.write({
          ...{ op: 'commit', group, generation, since },
          offsets: [[this.#topic, partitionIndex, committedOffset]],
          ...(error === undefined ? {} : { error }),
        })
      }
    }
  }
}

/** The errors of a commit's answer, by partition. */
function errorsOf(version: number, reader: Reader): Map<number, string> {
  const errors = new Map<number, string>()
  for (const { partitions } of decodeResponse(offsetCommit, version, reader).topics) {
    for (const { partitionIndex, errorCode } of partitions) {
      if (errorCode !== 0) errors.set(partitionIndex, errorName(errorCode))
    }
  }
  return errors
}

function connected(address: { host: string; port: number }, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address, noDelay: true, signal })
    const failed = (error: Error) => reject(error)
    socket.once('error', failed)
    socket.once('connect', () => {
      socket.off('error', failed)
      resolve(socket)
    })
    // A stream may fail again after it was given up.
    socket.on('error', () => undefined)
  })
}

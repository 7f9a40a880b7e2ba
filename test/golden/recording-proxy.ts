/**
 * A TCP proxy before one Kafka node that writes down every frame of both directions.
 *
 * A client asks where the brokers are and goes there itself, so what it is told is changed on the way: in answers
 * that name brokers, every one is this proxy. The frames written down are the broker's own, before that.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { decodeResponse, encodeResponse } from '../../src/protocol/frame.ts'
import { apiOfKey } from '../../src/protocol/messages/index.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { SentResponseOf } from '../../src/protocol/schema.ts'
import type { GoldenFrame } from './format.ts'

export interface RecordingProxy {
  /** `host:port` for the client. */
  readonly address: string
  /** The frames since the last call, in the order in which they went through. */
  take(): GoldenFrame[]
  stop(): Promise<void>
}

/** Metadata, FindCoordinator, DescribeCluster. */
const namesBrokers = new Set([3, 10, 60])

export async function startRecordingProxy(broker: string): Promise<RecordingProxy> {
  const [host, port] = broker.split(':') as [string, string]
  const sockets = new Set<Socket>()
  let frames: GoldenFrame[] = []
  const server = createServer((client) => {
    const upstream = connect(Number(port), host)
    const waiting: { apiKey: number; version: number }[] = []
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    eachFrame(client, (bytes) => {
      const request = { apiKey: bytes.readInt16BE(4), version: bytes.readInt16BE(6) }
      waiting.push(request)
      frames.push({ direction: 'request', ...request, bytes })
      upstream.write(bytes)
    })
    eachFrame(upstream, (bytes) => {
      // A broker answers the requests of a connection in their order.
      const request = waiting.shift()
      if (request === undefined) throw new Error('an answer to no request')
      frames.push({ direction: 'response', ...request, bytes })
      const { port: own } = server.address() as AddressInfo
      client.write(namesBrokers.has(request.apiKey) ? readdressed(bytes, request, own) : bytes)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = frames
      frames = []
      return taken
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function eachFrame(socket: Socket, handle: (frame: Buffer) => void): void {
  let pending = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 4) {
      const size = 4 + pending.readInt32BE(0)
      if (pending.length < size) return
      handle(Buffer.from(pending.subarray(0, size)))
      pending = pending.subarray(size)
    }
  })
}

function readdressed(frame: Buffer, request: { apiKey: number; version: number }, port: number): Buffer {
  const api = apiOfKey(request.apiKey)
  if (api === undefined) throw new Error(`no API ${request.apiKey}`)
  const reader = new Reader(frame, 4)
  const correlationId = reader.int32()
  const body = decodeResponse(api, request.version, reader)
  const readdress = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(readdress)
    if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return
    const fields = value as Record<string, unknown>
    if ('host' in fields && fields['host'] !== '') Object.assign(fields, { host: '127.0.0.1', port })
    Object.values(fields).forEach(readdress)
  }
  readdress(body)
  return Buffer.concat(
    encodeResponse(api, request.version, { correlationId, body: body as SentResponseOf<typeof api> }),
  )
}

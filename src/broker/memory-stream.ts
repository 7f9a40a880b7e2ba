/**
 * Two ends of a connection inside the process, with the manners of a socket: bytes are copied, arrive in a later turn
 * and are held back when nobody reads; an end is an end, and a destroyed side is a reset for the other.
 *
 * All timing goes through the clock's `defer`, so that a run on a virtual clock repeats.
 */
import { Duplex } from 'node:stream'
import type { Clock } from '../util/clock.ts'

type Done = (error?: Error | null) => void

class MemoryStream extends Duplex {
  readonly #clock: Clock
  #peer: MemoryStream | undefined
  /** Written by the peer, not yet pushed: with the peer's callbacks, which are its back-pressure. */
  #arriving: { readonly chunk: Buffer | null; readonly done: Done }[] = []
  #isDue = false
  #wantsMore = true

  constructor(clock: Clock) {
    super({ allowHalfOpen: true })
    this.#clock = clock
  }

  connect(peer: MemoryStream): void {
    this.#peer = peer
  }

  /** As a crashed process leaves its connections. */
  reset(): void {
    this.destroy(connectionReset())
  }

  override _read(): void {
    this.#wantsMore = true
    this.#schedule()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(Buffer.from(chunk), done)
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: Done): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done)
  }

  override _final(done: Done): void {
    this.#send(null, done)
  }

  override _destroy(error: Error | null, done: Done): void {
    const waiting = this.#arriving
    this.#arriving = []
    for (const arrival of waiting) arrival.done()
    const peer = this.#peer
    this.#peer = undefined
    this.#clock.defer(() => peer?.peerIsGone(error !== null || waiting.length > 0))
    done(error)
  }

  /** The other end was destroyed: a reset when it crashed or left bytes unread, an end otherwise. */
  peerIsGone(isReset: boolean): void {
    if (this.destroyed) return
    this.#peer = undefined
    if (isReset) this.destroy(connectionReset())
    else this.#arrive(null, () => undefined)
  }

  #send(chunk: Buffer | null, done: Done): void {
    if (this.#peer !== undefined) return this.#peer.#arrive(chunk, done)
    // The other end is gone: an end says nothing new, bytes are an error, as EPIPE is.
    done(chunk === null ? null : connectionReset())
  }

  #arrive(chunk: Buffer | null, done: Done): void {
    if (this.destroyed) return done(chunk === null ? null : connectionReset())
    this.#arriving.push({ chunk, done })
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isDue || !this.#wantsMore || this.#arriving.length === 0) return
    this.#isDue = true
    this.#clock.defer(() => {
      this.#isDue = false
      while (this.#wantsMore && !this.destroyed) {
        const arrival = this.#arriving.shift()
        if (arrival === undefined) return
        if (!this.readableEnded && !this.push(arrival.chunk)) this.#wantsMore = false
        arrival.done()
      }
    })
  }
}

export type { MemoryStream }

/** Both ends of a new connection. */
export function memoryStreams(clock: Clock): [MemoryStream, MemoryStream] {
  const near = new MemoryStream(clock)
  const far = new MemoryStream(clock)
  near.connect(far)
  far.connect(near)
  return [near, far]
}

export const connectionReset = () => systemError('ECONNRESET', 'the connection was reset')

export const connectionRefused = (address: string) =>
  systemError('ECONNREFUSED', `nothing listens at ${address}`)

const systemError = (code: string, message: string) => Object.assign(new Error(message), { code })

/**
 * The requests of one connection that are not settled yet.
 *
 * Kafka answers in the order of the requests, so those on the wire form a queue and a response belongs to its
 * head. Three places, in which an entry moves only forward:
 *
 *     held (connection is throttled or re-authenticating) → onWire (waits for its response)
 *                                                         → unanswered (waits only to be written: acks 0)
 *
 * Synchronous; takes the time as an argument.
 */
import { OttlaError } from '../errors.ts'
import type { Api } from '../protocol/schema.ts'
import { Fifo } from '../util/fifo.ts'

export interface Entry {
  readonly api: Api
  readonly version: number
  readonly correlationId: number
  readonly timeoutMs: number
  readonly expectResponse: boolean
  /** The encoded request, until it is handed to the stream. */
  pieces: Uint8Array[]
  /** Monotonic time at which the response is overdue; set when written. */
  deadline: number
  readonly resolve: (body: unknown) => void
  readonly reject: (error: OttlaError) => void
}

export class InFlight {
  readonly onWire = new Fifo<Entry>()
  readonly held = new Fifo<Entry>()
  readonly unanswered = new Set<Entry>()

  /** Takes the entry that a response with this correlation id answers. */
  answer(correlationId: number): Entry {
    const head = this.onWire.peek()
    if (head === undefined) {
      throw new OttlaError('MALFORMED_FRAME', `response ${correlationId} answers no request`)
    }
    if (head.correlationId !== correlationId) {
      throw new OttlaError(
        'MALFORMED_FRAME',
        `response ${correlationId} came where ${head.correlationId} (${head.api.name}) was expected`,
      )
    }
    this.onWire.shift()
    return head
  }

  /** The earliest deadline of what is on the wire; Infinity when nothing is. */
  earliestDeadline(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (let index = 0; index < this.onWire.length; index++) {
      earliest = Math.min(earliest, (this.onWire.at(index) as Entry).deadline)
    }
    return earliest
  }

  /** Empties all three places; what was in them, in the order of the calls. */
  takeAll(): Entry[] {
    const all = [...this.onWire, ...this.unanswered, ...this.held]
    this.onWire.clear()
    this.held.clear()
    this.unanswered.clear()
    return all.sort((a, b) => a.correlationId - b.correlationId)
  }
}

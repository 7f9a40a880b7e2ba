/**
 * The end of a turn of the event loop, for one producer: what its parts have to do then is done in one go and in a
 * fixed order, however many of them asked for it.
 *
 *     gather: no batch takes more records of this turn  ─>  send: what may leave does
 */
import type { Clock } from '../util/clock.ts'

export interface TurnEndSteps {
  readonly gather: () => void
  readonly send: () => void
}

export class TurnEnd {
  readonly #clock: Clock
  readonly #steps: TurnEndSteps
  #isAsked = false

  constructor(clock: Clock, steps: TurnEndSteps) {
    this.#clock = clock
    this.#steps = steps
  }

  /** This turn's end is wanted. */
  readonly ask = (): void => {
    if (this.#isAsked) return
    this.#isAsked = true
    this.#clock.defer(this.#run)
  }

  readonly #run = (): void => {
    try {
      this.#steps.gather()
    } finally {
      // Not before: what is gathered asks to be sent, and is.
      this.#isAsked = false
    }
    this.#steps.send()
  }
}

/**
 * What a flush waits for. Everything that is unsettled belongs to the generation in which it began; a flush closes
 * the present one and waits until it and all before it are empty.
 */

import { assert } from '../util/assert.ts'
import { deferred } from '../util/deferred.ts'

interface Generation {
  readonly number: number
  unsettled: number
  readonly waiters: (() => void)[]
}

export class Generations {
  #first = 0
  /** The oldest first; the last one is the present one. */
  readonly #open: Generation[] = [{ number: 0, unsettled: 0, waiters: [] }]

  /** The present generation, which gets one more. */
  enter(): number {
    const present = this.#open.at(-1) as Generation
    present.unsettled++
    return present.number
  }

  /** One more of a generation that is still open: half of a split batch. */
  join(number: number): void {
    this.#at(number).unsettled++
  }

  leave(number: number): void {
    const generation = this.#at(number)
    generation.unsettled--
    assert(generation.unsettled >= 0, 'more was settled than was accepted')
    if (generation.unsettled === 0 && number === this.#first) this.#advance()
  }

  /** Resolves when everything that has begun is settled. */
  flushed(): Promise<void> {
    const present = this.#open.at(-1) as Generation
    const { promise, resolve } = deferred<void>()
    present.waiters.push(resolve)
    this.#open.push({ number: present.number + 1, unsettled: 0, waiters: [] })
    this.#advance()
    return promise
  }

  #at(number: number): Generation {
    const generation = this.#open[number - this.#first]
    assert(generation !== undefined, 'a generation ended before its records were settled')
    return generation
  }

  #advance(): void {
    while (this.#open.length > 1 && this.#open[0]?.unsettled === 0) {
      const done = this.#open.shift() as Generation
      this.#first = done.number + 1
      for (const waiter of done.waiters) waiter()
    }
  }
}

/**
 * One fetch response in memory. It is freed as a whole, when the last partition that has a part in it is done, so
 * one slow partition can pin the bytes of all the others; `compact` then copies what is left of it.
 */
import type { PrefetchBudget } from './prefetch-budget.ts'

/** A partition's part of a response. */
export interface ResponsePart {
  /** Bytes of its records in the response. */
  readonly sizeBytes: number
  /** False while a handler has views of more than one record: they would pin the response all the same. */
  readonly canDetach: boolean
  /** Moves what is not read yet into memory of its own and returns the bytes that takes. */
  detach(): number
}

export class HeldResponse {
  readonly #budget: PrefetchBudget
  /** The parts still needed, with the bytes of their own memory once they are detached. */
  readonly #parts = new Map<ResponsePart, number>()
  #pinnedBytes = 0

  constructor(budget: PrefetchBudget) {
    this.#budget = budget
  }

  /** All parts are added before any is released. */
  add(part: ResponsePart): void {
    this.#parts.set(part, 0)
    this.#pinnedBytes += part.sizeBytes
    this.#budget.hold(part.sizeBytes)
  }

  release(part: ResponsePart): void {
    const ownBytes = this.#parts.get(part)
    if (ownBytes === undefined) return
    this.#parts.delete(part)
    this.#budget.release(ownBytes)
    if (this.#parts.size === 0) this.#unpin()
  }

  get isReleased(): boolean {
    return this.#parts.size === 0
  }

  /** Frees the response when less than half of it is still needed; returns whether it did. */
  compact(): boolean {
    if (this.#pinnedBytes === 0) return false
    let neededBytes = 0
    for (const part of this.#parts.keys()) {
      if (!part.canDetach) return false
      neededBytes += part.sizeBytes
    }
    if (neededBytes * 2 > this.#pinnedBytes) return false
    for (const part of this.#parts.keys()) {
      const ownBytes = part.detach()
      this.#parts.set(part, ownBytes)
      this.#budget.hold(ownBytes)
    }
    this.#unpin()
    return true
  }

  #unpin(): void {
    this.#budget.release(this.#pinnedBytes)
    this.#pinnedBytes = 0
  }
}

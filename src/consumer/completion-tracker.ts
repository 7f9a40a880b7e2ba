/**
 * What of one partition is finished.
 *
 * Work is handed out in ranges of offsets that follow each other without holes: an offset that no record has
 * (compaction, a transaction marker, an aborted record) belongs to the range of a neighbour. Ranges may end in any
 * order; what may be committed is the mark, below which everything is finished.
 *
 *     ═════════════╡           ╞══════╡         ╞════╡
 *        finished  mark        finished         finished     → offsets
 *
 * Invariants: the mark never moves back; the ranges above it are sorted, disjoint, do not touch each other and
 * begin beyond the mark.
 */
import { assert } from '../util/assert.ts'

export class CompletionTracker {
  #mark: number
  readonly #firsts: number[] = []
  readonly #ends: number[] = []

  /** Everything below `start` counts as finished. */
  constructor(start: number) {
    this.#mark = start
  }

  /** The offset to commit: everything below it is finished. */
  get mark(): number {
    return this.#mark
  }

  /** Notes that everything from `first` up to, and without, `end` is finished. Parts may be known already. */
  finish(first: number, end: number): void {
    assert(first <= end, 'a range ends before it begins')
    if (end <= this.#mark || first === end) return
    if (first > this.#mark) return this.#insert(first, end)
    this.#mark = end
    if (this.#firsts.length > 0) this.#absorb()
  }

  /** Takes in the ranges that the mark has reached. */
  #absorb(): void {
    let reached = 0
    while (reached < this.#firsts.length && (this.#firsts[reached] as number) <= this.#mark) {
      this.#mark = Math.max(this.#mark, this.#ends[reached] as number)
      reached++
    }
    this.#firsts.splice(0, reached)
    this.#ends.splice(0, reached)
  }

  #insert(first: number, end: number): void {
    // The ranges that overlap or touch [first, end) become one with it.
    const from = this.#countBelow(this.#ends, first)
    const to = this.#countBelow(this.#firsts, end + 1)
    const joinedFirst = from < to ? Math.min(first, this.#firsts[from] as number) : first
    const joinedEnd = from < to ? Math.max(end, this.#ends[to - 1] as number) : end
    this.#firsts.splice(from, to - from, joinedFirst)
    this.#ends.splice(from, to - from, joinedEnd)
  }

  /** How many of the sorted numbers are below `bound`. */
  #countBelow(sorted: readonly number[], bound: number): number {
    let low = 0
    let high = sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((sorted[middle] as number) < bound) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The times at which a group has to act by itself, earliest first. One of a kind; of sessions, one per member. */

export type Deadline =
  | { readonly kind: 'session'; readonly memberId: string }
  /** Members that have not joined by then are left out. */
  | { readonly kind: 'join' }
  /** The delay of an empty group's first rebalance; `remainingMs` is what it may still be prolonged by. */
  | { readonly kind: 'initial'; readonly delayMs: number; readonly remainingMs: number }
  /** Members that have not synced by then are left out. */
  | { readonly kind: 'sync' }

interface Entry {
  readonly at: number
  readonly deadline: Deadline
}

const keyOf = (deadline: Deadline) =>
  deadline.kind === 'session' ? `session ${deadline.memberId}` : deadline.kind

export class Deadlines {
  readonly #entries = new Map<string, Entry>()

  /** Sets or moves one. */
  set(deadline: Deadline, at: number): void {
    const key = keyOf(deadline)
    // Deleted first, so that of two at the same time the one set earlier comes first.
    this.#entries.delete(key)
    this.#entries.set(key, { at, deadline })
  }

  delete(deadline: Deadline): void {
    this.#entries.delete(keyOf(deadline))
  }

  clear(): void {
    this.#entries.clear()
  }

  next(): number | undefined {
    return this.#first()?.at
  }

  /** Takes out the earliest one that has come. */
  due(now: number): Deadline | undefined {
    const first = this.#first()
    if (first === undefined || first.at > now) return undefined
    this.#entries.delete(keyOf(first.deadline))
    return first.deadline
  }

  #first(): Entry | undefined {
    let first: Entry | undefined
    for (const entry of this.#entries.values()) if (first === undefined || entry.at < first.at) first = entry
    return first
  }
}

/** A queue over a ring that doubles when full. No shifting; popped slots hold nothing. */
export class Fifo<T> {
  #ring: (T | undefined)[] = new Array(16)
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#grow()
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = item
    this.#length++
  }

  /** Puts an item before all others. */
  unshift(item: T): void {
    if (this.#length === this.#ring.length) this.#grow()
    this.#head = (this.#head - 1) & (this.#ring.length - 1)
    this.#ring[this.#head] = item
    this.#length++
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#ring[this.#head]
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#ring[this.#head]
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.#length--
    return item
  }

  /** Takes the item that was pushed last. */
  pop(): T | undefined {
    if (this.#length === 0) return undefined
    const index = (this.#head + --this.#length) & (this.#ring.length - 1)
    const item = this.#ring[index]
    this.#ring[index] = undefined
    return item
  }

  /** The item `index` places behind the head. */
  at(index: number): T | undefined {
    return index < 0 || index >= this.#length
      ? undefined
      : this.#ring[(this.#head + index) & (this.#ring.length - 1)]
  }

  clear(): void {
    this.#ring = new Array(16)
    this.#head = 0
    this.#length = 0
  }

  *[Symbol.iterator](): Generator<T> {
    for (let index = 0; index < this.#length; index++) yield this.at(index) as T
  }

  #grow(): void {
    const grown: (T | undefined)[] = new Array(this.#ring.length * 2)
    for (let index = 0; index < this.#length; index++) grown[index] = this.at(index)
    this.#ring = grown
    this.#head = 0
  }
}

/** What the checks found wrong: every case counted, the first few of a kind shown. */

/** H1 to H9, as `checks.ts` defines them. */
export type CheckName = 'H1' | 'H2' | 'H3' | 'H4' | 'H5' | 'H6' | 'H7' | 'H8' | 'H9'

/** One kind of wrong. A kind belongs to one check. */
export interface Finding {
  readonly check: CheckName
  readonly kind: string
  readonly count: number
  readonly samples: readonly string[]
}

const shown = 5

export class Findings {
  readonly #found = new Map<string, { check: CheckName; kind: string; count: number; samples: string[] }>()

  /** Notes one case; `tell` is called for the cases that are shown. */
  add(check: CheckName, kind: string, tell: () => string): void {
    let finding = this.#found.get(kind)
    if (finding === undefined) {
      finding = { check, kind, count: 0, samples: [] }
      this.#found.set(kind, finding)
    }
    finding.count++
    if (finding.samples.length < shown) finding.samples.push(tell())
  }

  count(kind: string): number {
    return this.#found.get(kind)?.count ?? 0
  }

  list(): Finding[] {
    return [...this.#found.values()].sort((a, b) => (a.check < b.check ? -1 : a.check > b.check ? 1 : 0))
  }
}

/** How cases are written: each gets the target when it runs, and is skipped where the target cannot do it. */
import { type TestContext, test } from 'node:test'
import type { Target } from './target.ts'

export type Targeted = () => Target

export type Case = (name: string, run: (target: Target, context: TestContext) => Promise<void>) => void

/** Cases for every target. */
export const caseOn =
  (target: Targeted): Case =>
  (name, run) => {
    test(name, (context) => run(target(), context))
  }

/** Cases that only an embedded broker can provoke: faults, or states that Kafka does not let itself be put into. */
export const embeddedCaseOn =
  (target: Targeted): Case =>
  (name, run) => {
    test(`${name} (embedded)`, (context) => {
      if (!target().isEmbedded) return context.skip('a real Kafka cannot be made to do this')
      return run(target(), context)
    })
  }

/** How suites and their cases are written: each case gets the target when it runs, and is skipped where the target cannot do it. */
import { after, before, describe, type TestContext, test } from 'node:test'
import { type Place, Target } from './target.ts'

export type Targeted = () => Target

export type Case = (name: string, run: (target: Target, context: TestContext) => Promise<void>) => void

/** A suite on the place that is made for it, and stopped after it. */
export function suiteOn(
  name: string,
  makePlace: () => Promise<Place>,
  ...parts: readonly ((target: Targeted) => void)[]
): void {
  describe(name, () => {
    let target: Target | undefined
    before(async () => {
      target = await Target.of(await makePlace())
    })
    after(() => target?.stop())
    for (const part of parts) part(() => target as Target)
  })
}

/** Cases for every target. */
export const caseOn =
  (target: Targeted): Case =>
  (name, run) => {
    test(name, (context) => run(target(), context))
  }

/** Cases that stop a node and start it again: not on a Kafka that others use. */
export const stoppingCaseOn =
  (target: Targeted): Case =>
  (name, run) => {
    test(name, (context) => {
      if (target().nodes === undefined) return context.skip('the nodes are not ours to stop')
      return run(target(), context)
    })
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

/**
 * What every broker must answer: one suite for the embedded broker and for a real Apache Kafka. It speaks single
 * frames, so that no client hides a mistake, and was written against what a real Kafka was seen to answer.
 */
import { after, before, describe } from 'node:test'
import { configConformance } from './configs.ts'
import { everyVersion } from './every-version.ts'
import { fetchConformance } from './fetch.ts'
import { groupConformance } from './groups.ts'
import { logOffsetConformance } from './log-offsets.ts'
import { metadataConformance } from './metadata.ts'
import { produceConformance } from './produce.ts'
import { type Place, Target } from './target.ts'
import { topicConformance } from './topics.ts'

export function conformance(name: string, makePlace: () => Promise<Place>): void {
  describe(`conformance: ${name}`, () => {
    let target: Target | undefined
    before(async () => {
      target = await Target.of(await makePlace())
    })
    after(async () => {
      await target?.stop()
    })
    const targeted = () => target as Target
    everyVersion(targeted)
    metadataConformance(targeted)
    topicConformance(targeted)
    configConformance(targeted)
    groupConformance(targeted)
    produceConformance(targeted)
    fetchConformance(targeted)
    logOffsetConformance(targeted)
  })
}

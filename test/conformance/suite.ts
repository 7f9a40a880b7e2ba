/**
 * What every broker must answer: one suite for the embedded broker and for a real Apache Kafka. It speaks single
 * frames, so that no client hides a mistake, and was written against what a real Kafka was seen to answer.
 */
import { suiteOn } from './case.ts'
import { configConformance } from './configs.ts'
import { everyVersion } from './every-version.ts'
import { fetchConformance } from './fetch.ts'
import { groupConformance } from './groups.ts'
import { logOffsetConformance } from './log-offsets.ts'
import { metadataConformance } from './metadata.ts'
import { produceConformance } from './produce.ts'
import type { Place } from './target.ts'
import { topicConformance } from './topics.ts'

export const conformance = (name: string, makePlace: () => Promise<Place>): void =>
  suiteOn(
    `conformance: ${name}`,
    makePlace,
    everyVersion,
    metadataConformance,
    topicConformance,
    configConformance,
    groupConformance,
    produceConformance,
    fetchConformance,
    logOffsetConformance,
  )

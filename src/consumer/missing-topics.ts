/**
 * Says, once for each topic, that it is not there or cannot be read, and that it is when it comes: a group waits for a topic that may
 * be created later, and for one that is misspelt it would wait for ever without a word.
 */
import type { Cluster } from '../client/cluster.ts'
import { errorCode, errorName, isRetriableCode } from '../protocol/error-codes.ts'

export interface WantedTopics {
  readonly groupId: string
  readonly topics: readonly string[]
}

/** Keeps the topics in every refresh of the metadata, and asks for those of which nothing is known. Returns what ends it. */
export function watchTopics(cluster: Cluster, { groupId, topics }: WantedTopics): () => void {
  const { logger } = cluster.options
  const missing = new Set<string>()
  const look = () => {
    for (const topic of topics) {
      const known = cluster.topic(topic)
      if (known === undefined) continue
      if (known.partitions.length > 0) {
        if (missing.delete(topic)) logger.info({ groupId, topic }, 'a topic that was missing is there now')
      } else if (isMissing(known.errorCode) && !missing.has(topic)) {
        missing.add(topic)
        logger.warn({ groupId, topic, code: errorName(known.errorCode) }, MISSING)
      }
    }
  }
  const unwatch = cluster.watch(topics)
  const unlisten = cluster.onChange(look)
  look()
  const unknown = topics.filter((topic) => cluster.topic(topic) === undefined)
  // While no broker is known, whoever looks for one asks for what is watched too; a second one would dial as often again.
  if (unknown.length > 0 && cluster.brokers().length > 0) {
    cluster.refresh({ topics: unknown }).catch(() => undefined)
  }
  return () => {
    unlisten()
    unwatch()
  }
}

const MISSING = 'a topic cannot be read: nothing comes of it until it is there, and may be read'

/** An error that passes, such as a leader that is not elected yet, says nothing; except this one, which is said to pass. */
const isMissing = (code: number): boolean =>
  code !== errorCode.NONE && (code === errorCode.UNKNOWN_TOPIC_OR_PARTITION || !isRetriableCode(code))

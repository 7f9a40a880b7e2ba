/**
 * What a fetch reads, from the session and the request together (KIP-227), and what the session is told afterwards.
 *
 *     id 0, epoch 0     a full fetch that asks for a session
 *     id 0, epoch -1    a full fetch without one
 *     id n, epoch 0     closes the session and asks for a new one
 *     id n, epoch -1    closes the session
 *     id n, epoch e     an incremental fetch; anything but the expected epoch is an error
 */
import { errorCode } from '../protocol/error-codes.ts'
import type { fetch } from '../protocol/messages/fetch.ts'
import type { ReceivedRequestOf } from '../protocol/schema.ts'
import {
  type FetchSession,
  type FetchSessions,
  FINAL_EPOCH,
  INITIAL_EPOCH,
  partitionKey,
  type SessionPartition,
} from './fetch-sessions.ts'

type Request = ReceivedRequestOf<typeof fetch>
type TopicRequest = Request['topics'][number]

export interface FetchPlan {
  /** Undefined: no session. */
  readonly session: FetchSession | undefined
  /** Whether only partitions with news are answered. */
  readonly isIncremental: boolean
  readonly partitions: ReadonlyMap<string, SessionPartition>
}

export function planFetch(
  request: Request,
  sessions: FetchSessions,
  now: number,
): FetchPlan | { readonly errorCode: number } {
  const { sessionId, sessionEpoch } = request
  if (sessionEpoch === INITIAL_EPOCH || sessionEpoch === FINAL_EPOCH) {
    if (sessionId !== 0) sessions.close(sessionId)
    const session = sessionEpoch === INITIAL_EPOCH ? sessions.open(now) : undefined
    const partitions = session?.partitions ?? new Map<string, SessionPartition>()
    addPartitions(partitions, request)
    return { session, isIncremental: false, partitions }
  }
  const session = sessions.get(sessionId)
  if (session === undefined) return { errorCode: errorCode.FETCH_SESSION_ID_NOT_FOUND }
  if (session.epoch !== sessionEpoch) return { errorCode: errorCode.INVALID_FETCH_SESSION_EPOCH }
  if (mixesTopicIds(session, request)) return { errorCode: errorCode.FETCH_SESSION_TOPIC_ID_ERROR }
  sessions.touch(session, now)
  for (const topic of request.forgottenTopicsData) {
    for (const index of topic.partitions) {
      session.partitions.delete(partitionKey(topic.topic, topic.topicId, index))
    }
  }
  addPartitions(session.partitions, request)
  return { session, isIncremental: true, partitions: session.partitions }
}

function addPartitions(partitions: Map<string, SessionPartition>, request: Request): void {
  for (const topic of request.topics) {
    for (const asked of topic.partitions) {
      const key = partitionKey(topic.topic, topic.topicId, asked.partition)
      const known = partitions.get(key)
      if (known === undefined) {
        partitions.set(key, newPartition(topic, asked))
      } else {
        const { fetchOffset, currentLeaderEpoch, lastFetchedEpoch, partitionMaxBytes } = asked
        Object.assign(known, { fetchOffset, currentLeaderEpoch, lastFetchedEpoch, partitionMaxBytes })
      }
    }
  }
}

function newPartition(topic: TopicRequest, asked: TopicRequest['partitions'][number]): SessionPartition {
  return {
    topic: topic.topic,
    topicId: topic.topicId,
    partition: asked.partition,
    fetchOffset: asked.fetchOffset,
    currentLeaderEpoch: asked.currentLeaderEpoch,
    lastFetchedEpoch: asked.lastFetchedEpoch,
    partitionMaxBytes: asked.partitionMaxBytes,
    toldHighWatermark: -1,
    toldLogStart: -1,
  }
}

/** A session speaks of topics either by name or by id: a client that changes between them begins anew (KIP-516). */
function mixesTopicIds(session: FetchSession, request: Request): boolean {
  const [first] = session.partitions.values()
  const [asked] = request.topics
  if (first === undefined || asked === undefined) return false
  return (first.topic === '') !== (asked.topic === '')
}
